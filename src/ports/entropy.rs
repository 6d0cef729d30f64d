//! Randomness. Rules take random bytes as values; only the doors hold a source of them.

use jiff::Timestamp;
use ring::rand::SecureRandom;

use crate::id::Id;
use crate::secret::{Purpose, Token};

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source gives nothing; the operation ends there, never with a weak value.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed>;
}

/// The source of randomness gave nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("no randomness to be had")]
pub struct EntropyFailed;

/// The operating system's generator.
#[derive(Clone, Debug)]
pub struct SystemEntropy(ring::rand::SystemRandom);

impl SystemEntropy {
    /// The operating system's generator.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one module that holds the generator")]
    pub fn new() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        self.0.fill(buffer).map_err(|_| EntropyFailed)
    }
}

/// What is made of random bytes.
pub trait EntropyExt: Entropy {
    /// `N` random bytes.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source gives nothing.
    fn bytes<const N: usize>(&self) -> Result<[u8; N], EntropyFailed> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A fresh token.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source gives nothing.
    fn token<P: Purpose>(&self) -> Result<Token<P>, EntropyFailed> {
        Ok(Token::from_random(self.bytes()?))
    }

    /// A fresh id.
    ///
    /// # Errors
    /// [`EntropyFailed`] when the source gives nothing.
    fn id<I: Id>(&self, now: Timestamp) -> Result<I, EntropyFailed> {
        Ok(I::from_parts(now, self.bytes()?))
    }
}

impl<E: Entropy + ?Sized> EntropyExt for E {}
