//! Ending memberships: at scale, what becomes of keys, leaving by oneself, and deleting an account.

mod custody;
mod deletion;
mod erasure;
mod exposure;
mod scale;
