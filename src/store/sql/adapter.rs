//! The contract on SQL, written once for all databases.

mod account;
mod audit;
mod key;
mod ledger;
mod policy;
pub(super) mod session;
mod usage;
mod workspace;
