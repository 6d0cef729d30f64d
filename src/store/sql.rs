//! The SQL adapters.
//!
//! The statements are shared constants; what differs between databases (how to lock, to commit, to follow
//! changes) is the adapter's own. SQL crates are named nowhere outside this module.

mod adapter;
mod classes;
mod joined;
mod open;
mod parameter;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
mod prefix;
mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod statements;

pub use classes::{COLUMNS, Classified, Database, Sensitivity};
pub use joined::JoinError;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
#[cfg(feature = "sqlite")]
pub use prefix::{BadPrefix, Prefix};
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteOptions, SqliteStore};
