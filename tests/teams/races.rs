//! Two hundred callers at once, each with the same right to something that there is one of, on two nodes.

mod administrators;
mod edits;
mod invitations;
mod offboarding;
