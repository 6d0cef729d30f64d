//! The memory that Argon2 fills, and the one place where it is called.

use core::fmt;

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use zeroize::Zeroize;

use super::{HashError, HashParams};

/// Memory for one hash at a time, kept between hashes and wiped after each (ASVS 5.0, 11.7.2).
#[derive(Default)]
pub struct HashBuffer {
    blocks: Vec<Block>,
    computed: u64,
}

/// Everything that enters one hash.
pub(super) struct Input<'a> {
    pub(super) params: HashParams,
    pub(super) secret: Option<&'a [u8]>,
    pub(super) associated: &'a [u8],
    pub(super) password: &'a [u8],
    pub(super) salt: &'a [u8],
}

impl HashBuffer {
    /// An empty buffer; it grows with the first hash.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many hashes were computed in it.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed
    }

    /// How much memory it holds, in KiB.
    #[must_use]
    pub fn held_kib(&self) -> usize {
        self.blocks.capacity()
    }

    /// Computes one Argon2id hash (version 0x13), as long as `tag`.
    pub(super) fn compute(&mut self, input: &Input<'_>, tag: &mut [u8]) -> Result<(), HashError> {
        let associated = AssociatedData::new(input.associated).map_err(|_| HashError::Refused)?;
        let params = ParamsBuilder::new()
            .m_cost(input.params.memory_kib())
            .t_cost(input.params.iterations())
            .p_cost(input.params.lanes())
            .data(associated)
            .output_len(tag.len())
            .build()
            .map_err(|_| HashError::Refused)?;
        let needed = params.block_count();
        let argon2 = match input.secret {
            None => Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            Some(secret) => Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
                .map_err(|_| HashError::Refused)?,
        };
        let blocks = self.blocks(needed)?;
        let done = argon2.hash_password_into_with_memory(input.password, input.salt, tag, &mut *blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        self.computed += 1;
        done.map_err(|_| HashError::Refused)
    }

    /// Gives back what is held beyond the need of these parameters, so that one costly stored hash does not
    /// keep its memory for good.
    pub(super) fn shrink_to(&mut self, params: HashParams) {
        let keep = usize::try_from(params.memory_kib()).unwrap_or(usize::MAX);
        if self.blocks.len() > keep {
            self.blocks.truncate(keep);
            self.blocks.shrink_to_fit();
        }
    }

    /// At least so many blocks. What cannot be had is an error, not the end of the process.
    fn blocks(&mut self, count: usize) -> Result<&mut [Block], HashError> {
        if let Some(missing) = count.checked_sub(self.blocks.len()) {
            self.blocks.try_reserve_exact(missing).map_err(|_| HashError::OutOfMemory)?;
            self.blocks.resize(count, Block::new());
        }
        self.blocks.get_mut(..count).ok_or(HashError::OutOfMemory)
    }
}

/// A panic may have left something in it.
impl Drop for HashBuffer {
    fn drop(&mut self) {
        self.blocks.zeroize();
    }
}

impl fmt::Debug for HashBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashBuffer({} KiB)", self.held_kib())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input<'a>(params: HashParams, password: &'a [u8], salt: &'a [u8]) -> Input<'a> {
        Input { params, secret: None, associated: &[], password, salt }
    }

    /// RFC9106-5.3: the published vector of Argon2id, secret and associated data included.
    #[test]
    fn the_published_vector_comes_out() {
        let mut tag = [0; 32];
        let vector = Input {
            params: HashParams::stored(32, 3, 4).unwrap(),
            secret: Some(&[3; 8]),
            associated: &[4; 12],
            password: &[1; 32],
            salt: &[2; 16],
        };
        HashBuffer::new().compute(&vector, &mut tag).unwrap();
        assert_eq!(
            tag,
            [
                0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53,
                0xc9, 0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01,
                0xe6, 0x59
            ]
        );
    }

    #[test]
    fn a_used_buffer_is_wiped_and_gives_the_same_hash_as_a_fresh_one() {
        let small = HashParams::stored(64, 1, 1).unwrap();
        let large = HashParams::stored(256, 2, 2).unwrap();
        let mut used = HashBuffer::new();
        let (mut first, mut second) = ([0; 32], [0; 32]);
        used.compute(&input(large, b"something else", &[7; 16]), &mut first).unwrap();
        assert!(used.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        used.compute(&input(small, b"p", &[1; 16]), &mut first).unwrap();
        HashBuffer::new().compute(&input(small, b"p", &[1; 16]), &mut second).unwrap();
        assert_eq!(first, second);
        assert_eq!(used.computed(), 2);
        used.shrink_to(small);
        assert!(used.held_kib() < 256, "{used:?}");
    }
}
