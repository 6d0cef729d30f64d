//! The SQL adapters.
//!
//! The statements are shared constants; what differs between databases (how to lock, to commit, to follow
//! changes) is the adapter's own. SQL crates are named nowhere outside this module.

mod classes;
mod prefix;
mod rows;
pub mod sqlite;
mod statements;

pub use classes::{COLUMNS, Classified, Sensitivity};
pub use prefix::{BadPrefix, Prefix};
pub use sqlite::{Durability, SqliteOptions, SqliteStore};
