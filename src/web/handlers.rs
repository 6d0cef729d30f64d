//! What each route does: read, call the door, answer.

pub(super) mod account;
pub(super) mod audit;
pub(super) mod catalogue;
pub(super) mod explain;
pub(super) mod invitations;
pub(super) mod keys;
pub(super) mod members;
pub(super) mod money;
pub(super) mod offboarding;
pub(super) mod policy;
pub(super) mod projects;
pub(super) mod recovery;
pub(super) mod roles;
pub(super) mod second_factor;
pub(super) mod sign_in;
pub(super) mod sign_up;
pub(super) mod usage;
pub(super) mod workspaces;
