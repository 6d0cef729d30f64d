//! What each route does: read, call the door, answer.

pub(super) mod account;
pub(super) mod catalogue;
pub(super) mod keys;
pub(super) mod second_factor;
pub(super) mod sign_in;
pub(super) mod sign_up;
