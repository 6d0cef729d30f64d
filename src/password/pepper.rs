//! Peppers: keys held outside the database, without which a stolen table of hashes cannot even be tried.

use core::fmt;

use zeroize::Zeroizing;

/// One 256-bit key with the id under which hashes name it.
pub struct Pepper {
    id: u32,
    key: Zeroizing<[u8; 32]>,
}

/// The pepper of new hashes, and those that earlier ones were made with.
///
/// The key enters Argon2id as its secret input `K` (RFC 9106, section 3.1; NIST SP 800-63B-4, section 3.1.1.2).
/// To rotate, put the new key first and keep the old one as an earlier one until no stored hash names it.
pub struct Peppers {
    current: Pepper,
    earlier: Vec<Pepper>,
}

impl Pepper {
    /// Takes a key of 32 random bytes. `id` tells it from the keys before and after it.
    #[must_use]
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { id, key: Zeroizing::new(key) }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl Peppers {
    /// One pepper.
    #[must_use]
    pub fn new(current: Pepper) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// Also verifies what an earlier pepper was mixed into.
    #[must_use]
    pub fn with_earlier(mut self, pepper: Pepper) -> Self {
        self.earlier.push(pepper);
        self
    }

    pub(super) fn current(&self) -> &Pepper {
        &self.current
    }

    pub(super) fn find(&self, id: u32) -> Option<&Pepper> {
        core::iter::once(&self.current).chain(&self.earlier).find(|pepper| pepper.id == id)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({}, [redacted])", self.id)
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peppers").field("current", &self.current).field("earlier", &self.earlier).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        let peppers = Peppers::new(Pepper::new(2, [0xAB; 32])).with_earlier(Pepper::new(1, [0xCD; 32]));
        let shown = format!("{peppers:?}");
        assert!(shown.contains("Pepper(2, [redacted])"), "{shown}");
        assert!(!shown.contains("171") && !shown.contains("205"), "{shown}");
    }
}
