//! What members do with money: limits, the credit and its ledger, the playground.
//!
//! Money itself is spent through [`budget`](crate::budget): a key's from the API door, a member's from
//! [`Dashboard::playground`](super::Dashboard::playground).

pub(super) mod alerts;
mod credit;
pub(super) mod limits;
mod playground;
pub(super) mod starter;

pub use alerts::Alerted;
pub use credit::{CreditView, LedgerPage};
pub use limits::{LimitView, NewLimit};
