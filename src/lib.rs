//! portcullis

pub mod email;
pub mod error;
pub mod id;
pub mod ports;
pub mod recovery;
pub mod secret;
pub mod source;
pub mod totp;
