//! The SQL adapters.
