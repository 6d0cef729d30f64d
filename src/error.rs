//! What all errors share: a stable code.

/// An error that carries a stable, machine-readable code beside its English text.
///
/// Codes never change meaning; texts may. Each operation family has its own enum of errors, and each variant
/// its own code.
pub trait Coded: core::error::Error {
    /// The code, in lower case with underscores, for example `email_taken`.
    fn code(&self) -> &'static str;
}
