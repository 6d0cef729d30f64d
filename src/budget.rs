//! Spending: reserve before the work, settle what it cost. For a program with a key and for a member in the playground
//! alike.
//!
//! A door makes a [`Purse`] for whoever was let in; [`Budget::reserve`] sets money aside from it, under every limit
//! that counts: the spender's own, the project's, and the workspace's pool of credit. [`Reservation::settle`] says what the
//! work has cost; a reservation that is dropped gives all of it back.
//!
//! # What holds
//! At every moment, for each limit and for the pool, on any number of nodes, whoever is killed or paused:
//! `settled + held + unaccounted ≤ limit + recorded overruns`. What each step does to these sums is in
//! [`spend`](crate::spend); each moves them by an entry of the ledger, so that they are the sums of their entries, and
//! [`Operator::check_ledger`](crate::dashboard::Operator::check_ledger) says so.
//!
//! # Leases
//! A node takes a slice of what is left in one transaction and reserves from it without asking the store. Slices are small
//! where little is left: never more than a sixteenth of it beyond what is asked for. What is idle goes back; and nobody is
//! refused before the store, having recalled what is idle on all nodes, agrees. Where any limit that counts is
//! [exact](crate::store::record::LimitMode::Exact), each reservation is a transaction of its own.
//!
//! [`Budget::start`] runs the heartbeat that all this needs: it writes what was settled, renews what is in use, answers
//! recalls, gives back what is idle, and books what others have abandoned as unaccounted. Without it, what a node has
//! reserved counts as abandoned after [`BudgetOptions::lease`].
//!
//! | when | what becomes of it |
//! |---|---|
//! | a limit is lowered or set | in force at once for all that is reserved in the store; a node reserves from what it has leased until its next heartbeat (250 ms), one that cannot be reached until its lease ends (10 s) |
//! | a process is killed | what it held and had not written as settled is unaccounted when its lease ends |
//! | a process is paused for longer than its lease | the same; what it settles afterwards is taken from what is unaccounted |
//! | a period ends | what was reserved in it is charged to it, whenever it is settled |
//! | the clock is set back | the day that it shows is charged, with all that was spent in it before: no period has two budgets |
//! | the store fails at a settlement | it is kept, and tried again by the heartbeat |
//! | more is settled than was reserved | it is booked in full; what goes beyond a limit is recorded as its overrun, and nothing more is reserved under it |

pub(crate) mod books;
mod check;
mod error;
mod lease;
mod node;
mod options;
mod purse;
mod reservation;
mod task;

pub use self::books::{BookError, LimitChange};
pub(crate) use self::check::check;
pub use self::check::{Discrepancy, Sum};
pub use self::error::{Refusal, RefusedBy, SpendError};
pub use self::node::Budget;
pub use self::options::{BadOptions, BudgetOptions};
pub use self::purse::Purse;
pub use self::reservation::{Reservation, Settled};
pub use self::task::BudgetTask;
