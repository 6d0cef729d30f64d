//! The cost of a hash.

use crate::error::Coded;

/// Memory in KiB and passes that OWASP holds to be equally strong (Password Storage Cheat Sheet, Argon2id).
const FLOOR: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
/// 2 GiB: the first choice of RFC 9106, section 4.
pub(super) const MAX_MEMORY_KIB: u32 = 2_097_152;
pub(super) const MAX_ITERATIONS: u32 = 16;
pub(super) const MAX_LANES: u32 = 16;

/// What one Argon2id hash costs. Never below the published floor (ASVS 5.0, 11.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// Weaker than the OWASP floor for Argon2id.
    #[error("weaker than 19456 KiB with 2 passes, or its published equivalents")]
    TooWeak,
    /// Over 2 GiB, 16 passes or 16 lanes.
    #[error("more than 2 GiB of memory, 16 passes or 16 lanes")]
    TooCostly,
}

impl Coded for ParamsError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooWeak => "hash_params_too_weak",
            Self::TooCostly => "hash_params_too_costly",
        }
    }
}

impl HashParams {
    /// Memory in KiB, passes over it, and lanes. Lanes are worked on one after the other here, on one thread.
    ///
    /// # Errors
    /// [`ParamsError`] below the floor (19,456 KiB with 2 passes, or 47,104 with 1, 12,288 with 3, 9,216 with 4,
    /// 7,168 with 5) and above 2 GiB, 16 passes or 16 lanes.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, ParamsError> {
        if memory_kib > MAX_MEMORY_KIB || iterations > MAX_ITERATIONS || lanes > MAX_LANES {
            return Err(ParamsError::TooCostly);
        }
        let strong = FLOOR.iter().any(|(memory, passes)| memory_kib >= *memory && iterations >= *passes);
        if strong && lanes > 0 {
            Ok(Self { memory_kib, iterations, lanes })
        } else {
            Err(ParamsError::TooWeak)
        }
    }

    /// The first choice of RFC 9106, section 4: one pass over 2 GiB, 4 lanes. Each hashing thread holds 2 GiB.
    #[must_use]
    pub const fn rfc9106_first() -> Self {
        Self { memory_kib: MAX_MEMORY_KIB, iterations: 1, lanes: 4 }
    }

    /// The second choice of RFC 9106, section 4: three passes over 64 MiB, 4 lanes.
    #[must_use]
    pub const fn rfc9106_second() -> Self {
        Self { memory_kib: 65_536, iterations: 3, lanes: 4 }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn iterations(self) -> u32 {
        self.iterations
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// The parameters of a stored hash: what Argon2 allows (RFC 9106, section 3.1) below our caps. An old hash
    /// may be weaker than the floor; it is verified and reported as outdated.
    pub(super) const fn stored(memory_kib: u32, iterations: u32, lanes: u32) -> Option<Self> {
        let bounded = lanes >= 1
            && lanes <= MAX_LANES
            && iterations >= 1
            && iterations <= MAX_ITERATIONS
            && memory_kib >= 8 * lanes
            && memory_kib <= MAX_MEMORY_KIB;
        if bounded { Some(Self { memory_kib, iterations, lanes }) } else { None }
    }

    /// Parameters that are quick and worthless, so that tests of other rooms do not wait.
    #[cfg(test)]
    pub(crate) const fn worthless() -> Self {
        Self { memory_kib: 8, iterations: 1, lanes: 1 }
    }
}

impl Default for HashParams {
    /// OWASP's first choice for Argon2id: 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, lanes: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS-5.0-11.4.2, RFC9106-4
    #[test]
    fn nothing_below_the_published_floor_is_taken() {
        for (memory, passes) in FLOOR {
            assert!(HashParams::new(memory, passes, 1).is_ok());
            assert_eq!(HashParams::new(memory - 1, passes, 1), Err(ParamsError::TooWeak));
            assert_eq!(HashParams::new(memory, passes - 1, 1), Err(ParamsError::TooWeak));
        }
        assert_eq!(HashParams::new(19_456, 2, 0), Err(ParamsError::TooWeak));
        let default = HashParams::default();
        assert_eq!(HashParams::new(19_456, 2, 1), Ok(default));
    }

    /// RFC9106-3.1
    #[test]
    fn nothing_above_the_caps_is_taken() {
        for (memory, passes, lanes) in
            [(MAX_MEMORY_KIB + 1, 2, 1), (19_456, 17, 1), (19_456, 2, 17), (u32::MAX, u32::MAX, u32::MAX)]
        {
            assert_eq!(HashParams::new(memory, passes, lanes), Err(ParamsError::TooCostly));
        }
    }

    /// RFC9106-4
    #[test]
    fn the_presets_are_the_options_of_the_standard() {
        assert_eq!(HashParams::new(2 * 1024 * 1024, 1, 4), Ok(HashParams::rfc9106_first()));
        assert_eq!(HashParams::new(64 * 1024, 3, 4), Ok(HashParams::rfc9106_second()));
    }
}
