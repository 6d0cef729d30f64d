//! What the names of all database objects begin with.

/// What the names of all tables and indexes of this crate begin with, so that they can share a database with the
/// service's own: a lower-case letter, then at most 30 of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// The text is no prefix of database objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is a letter a-z and at most 30 of a-z, 0-9 and _; not sqlite_ and not pg_")]
pub struct BadPrefix(());

impl crate::error::Coded for BadPrefix {
    fn code(&self) -> &'static str {
        "bad_prefix"
    }
}

impl Prefix {
    /// Reads a prefix.
    ///
    /// # Errors
    /// [`BadPrefix`] when it has another form, or one that a database keeps for itself.
    pub fn parse(text: &str) -> Result<Self, BadPrefix> {
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let formed = text.len() <= 31
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(letters);
        let reserved = text.starts_with("sqlite_") || text.starts_with("pg_");
        if formed && !reserved { Ok(Self(text.into())) } else { Err(BadPrefix(())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A statement with the prefix in its place.
    pub(super) fn apply(&self, template: &str) -> String {
        template.replace("{p}", &self.0).replace("{skip}", "")
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("portcullis_".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ATK-SQL-01
    #[test]
    fn a_prefix_is_nothing_but_the_beginning_of_a_name() {
        for text in
            ["", "_a", "1a", "A", "a-b", "a b", "a;--", "a\"", "é", "sqlite_x", "pg_x", &"a".repeat(32)]
        {
            assert!(Prefix::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "pc_", "portcullis_", &"a".repeat(31)] {
            assert_eq!(Prefix::parse(text).unwrap().as_str(), text);
        }
    }
}
