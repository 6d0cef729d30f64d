//! What all errors share: a stable code.

/// An error that carries a stable, machine-readable code beside its English text.
///
/// Codes never change meaning; texts may. Each operation family has its own enum of errors, and each variant
/// its own code.
pub trait Coded: core::error::Error {
    /// The code, in lower case with underscores, for example `email_taken`.
    fn code(&self) -> &'static str;
}

/// A refusal that says what would allow it.
pub trait Explained: Coded {
    /// Single changes that would each allow it, in words that the person refused may read: nothing of what is not theirs
    /// to know. Empty where nothing would, or where saying so would tell too much.
    fn allowed_by(&self) -> Vec<String>;
}
