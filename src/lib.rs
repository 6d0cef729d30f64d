//! portcullis

pub mod access;
pub mod email;
pub mod error;
pub mod id;
pub mod ports;
pub mod secret;
pub mod source;
