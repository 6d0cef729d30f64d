//! Spending, as pure rules: what is left of a limit, and what each step of a reservation does to it.
//!
//! A [`Meter`] is one limit in one [`Window`] of time (or a workspace's pool, which has no window). Work is paid for in
//! steps: [`reserve`] before it, and again when it needs more, [settle](Meter::settle) what it really cost, or
//! [release](Meter::release). A hold whose holder is gone [expires](Meter::expire): it is booked as unaccounted and
//! stays against the limit, neither lost nor given back blindly, until somebody [writes it off](Meter::write_off) or a late
//! settlement [accounts for it](Meter::settle_late).
//!
//! At every moment `settled + held + unaccounted ≤ limit + overrun`. What could break that is recorded in the same step as an
//! overrun: a settlement above its hold, a late one that is not covered, a limit lowered below what is used. Nothing new is
//! reserved while more is used than the limit allows.
//!
//! Not used by anything yet: the ledger and the doors' budgets come on top of it.

mod meter;
mod spender;
mod window;

#[cfg(test)]
mod tests;

pub use meter::{Broken, Meter, Short, reserve};
pub use spender::{BadSpender, Spender};
pub use window::{Period, Window};
