//! One suite through the public API, run on every store adapter.

mod world;

mod sign_up;
