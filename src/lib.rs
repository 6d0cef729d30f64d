//! portcullis

pub mod access;
pub mod api;
pub mod dashboard;
pub mod email;
pub mod error;
pub mod hashing;
pub mod id;
pub mod key;
pub mod password;
pub mod ports;
pub mod recovery;
pub mod secret;
pub mod source;
pub mod store;
pub mod throttle;
pub mod totp;
pub mod usage;
#[cfg(feature = "axum")]
pub mod web;
