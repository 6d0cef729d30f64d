//! A lock as a value.

use core::ops::{Deref, DerefMut};

/// A record that this transaction holds the lock of. The writes that the lock guards ask for it, so forgetting
/// to lock does not compile. Change it in place, then write it.
#[derive(Debug)]
pub struct Locked<T> {
    value: T,
    before: T,
}

impl<T: Clone> Locked<T> {
    /// For store adapters alone, and only after the lock was taken and the record read under it.
    #[must_use]
    pub fn by_store(value: T) -> Self {
        Self { before: value.clone(), value }
    }
}

impl<T> Locked<T> {
    /// The record as it was when it was locked.
    #[must_use]
    pub fn before(&self) -> &T {
        &self.before
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
