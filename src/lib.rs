//! portcullis

pub mod email;
pub mod error;
pub mod id;
pub mod key;
pub mod ports;
pub mod secret;
pub mod source;
