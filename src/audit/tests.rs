//! Every way of bending a log, and what the verifier says to it.

mod encoding;
mod lines;
mod log;
mod tampering;
