//! Spending, as pure rules: what is left of a limit, and what each step of a reservation does to it.
//!
//! A [`Meter`] is one limit in one [`Window`] of time (or a workspace's pool, which has no window). Work is paid for in
//! steps: [`reserve`] before it, and again when it needs more, and [book](Meter::book) what it really cost and what is given
//! back. A hold whose holder is gone [expires](Delta::expire): it is booked as unaccounted and
//! stays against the limit, neither lost nor given back blindly, until somebody [writes it off](Delta::write_off) or a late
//! settlement [accounts for it](Delta::settle_late).
//!
//! At every moment `settled + held + unaccounted ≤ limit + overrun`. What could break that is recorded in the same step as an
//! overrun: a settlement above its hold, a late one that is not covered, a limit lowered below what is used. Nothing new is
//! reserved while more is used than the limit allows.
//!
//! The ledger that keeps the meters, and the leases in front of it, are in [`budget`](crate::budget).

mod meter;
mod spender;
mod window;

#[cfg(test)]
mod tests;

pub use meter::{Broken, Delta, Meter, Short, reserve};
pub use spender::{BadSpender, Spender};
pub use window::{Day, Period, Window};
