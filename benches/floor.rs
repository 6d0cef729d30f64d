//! The floor of "verify one key": the least work that still checks what a verification must check.
//! Reference for the benches (crates: `sha2` with its block API, `crc32fast`). It is not the product: the
//! table is immutable and holds no allowlist and no budget.
//!
//! Key text, 40 bytes: `flr_` + 11 base62 (public id) + 19 base62 (secret) + 6 base62 (CRC-32 of the rest).
//! Table: open addressing, one 64-byte record a slot, addressed by the public id, load factor 0.4 to 0.8.

const KEY_LEN: usize = 40;
const PREFIX: &[u8; 4] = b"flr_";
const B62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static VALUE_OF: [u8; 256] = {
    let mut t = [0xff_u8; 256];
    let mut i = 0;
    while i < 62 {
        t[B62[i] as usize] = i as u8;
        i += 1;
    }
    t
};

/// What a request asks for.
pub struct Need {
    pub scopes: u64,
    pub permissions: u64,
    pub project: Option<u32>,
    pub now: u32,
}

/// What a verification gives back: small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub owner: u64,
    pub project: u32,
    pub role: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    Malformed,
    NotValid,
    Forbidden,
}

#[repr(C, align(64))]
#[derive(Clone, Default)]
struct Record {
    digest: [u8; 32],
    tag: u32, // 0: empty slot
    expires: u32,
    owner: u64,
    scopes: u64,
    project: u32,
    role: u8,
    revoked: bool,
}

static PERMISSIONS_OF_ROLE: [u64; 4] = [0xff, 0xffff, u64::MAX, 0];

pub struct Floor {
    mask: u64,
    slots: Vec<Record>,
}

impl Floor {
    /// A table of `n` keys, the `i`-th being `key(i)`.
    pub fn with_keys(n: u64) -> Self {
        let capacity = (n as usize * 5 / 4).next_power_of_two().max(16);
        let mask = capacity as u64 - 1;
        let mut slots = vec![Record::default(); capacity];
        for i in 0..n {
            let text = key(i);
            let hash = id_hash(&text);
            let mut at = hash & mask;
            while slots[at as usize].tag != 0 {
                at = (at + 1) & mask;
            }
            slots[at as usize] = Record {
                digest: sha256(&text),
                tag: (hash >> 32) as u32 | 1,
                expires: u32::MAX,
                owner: i,
                scopes: 0xff,
                project: (i % 1000) as u32,
                role: (i % 3) as u8,
                revoked: false,
            };
        }
        Self { mask, slots }
    }

    /// `header` is the value of `Authorization`.
    #[inline]
    pub fn verify(&self, header: &[u8], need: &Need) -> Result<Caller, Denied> {
        if header.len() != 7 + KEY_LEN {
            return Err(Denied::Malformed);
        }
        let raw: &[u8; KEY_LEN] = header[7..].try_into().map_err(|_| Denied::Malformed)?;
        let hash = id_hash(raw);
        self.prefetch(hash);
        let text = parse(header)?;
        let digest = sha256(text);
        let record = self.find(hash).ok_or(Denied::NotValid)?;
        if !same(&record.digest, &digest) || record.revoked || record.expires <= need.now {
            return Err(Denied::NotValid);
        }
        let allowed = record.scopes & need.scopes == need.scopes
            && PERMISSIONS_OF_ROLE[(record.role & 3) as usize] & need.permissions == need.permissions
            && need.project.is_none_or(|p| p == record.project);
        if !allowed {
            return Err(Denied::Forbidden);
        }
        Ok(Caller { owner: record.owner, project: record.project, role: record.role })
    }

    #[inline]
    fn find(&self, hash: u64) -> Option<&Record> {
        let wanted = (hash >> 32) as u32 | 1;
        let mut at = hash & self.mask;
        loop {
            let record = &self.slots[at as usize];
            if record.tag == wanted {
                return Some(record);
            }
            if record.tag == 0 {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Starts the memory access before the text is hashed. The reference in `PERFORMANCE.md` asks the processor
    /// for it through an `unsafe` intrinsic; this crate forbids `unsafe` in all its targets, so here it is a load
    /// that nothing waits for.
    #[inline]
    fn prefetch(&self, hash: u64) {
        std::hint::black_box(self.slots[(hash & self.mask) as usize].tag);
    }
}

/// The `i`-th key text, from a fixed generator: for benches only.
pub fn key(i: u64) -> [u8; KEY_LEN] {
    let mut text = [0; KEY_LEN];
    text[..4].copy_from_slice(PREFIX);
    let mut state = i.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0xA5A5;
    for c in &mut text[4..34] {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        *c = B62[((z ^ (z >> 31)) % 62) as usize];
    }
    let mut crc = crc32fast::hash(&text[..34]);
    for at in (34..40).rev() {
        text[at] = B62[(crc % 62) as usize];
        crc /= 62;
    }
    text
}

#[inline]
fn parse(header: &[u8]) -> Result<&[u8; KEY_LEN], Denied> {
    let (scheme, rest) = header.split_at_checked(7).ok_or(Denied::Malformed)?;
    let text: &[u8; KEY_LEN] = rest.try_into().map_err(|_| Denied::Malformed)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") || &text[..4] != PREFIX {
        return Err(Denied::Malformed);
    }
    let bad = text[4..].iter().fold(0, |bad, &c| bad | VALUE_OF[c as usize]);
    let crc = text[34..].iter().fold(0, |sum, &c| sum * 62 + u64::from(VALUE_OF[c as usize]));
    if bad & 0x80 != 0 || u64::from(crc32fast::hash(&text[..34])) != crc {
        return Err(Denied::Malformed);
    }
    Ok(text)
}

/// 64 mixed bits of the public id.
#[inline]
fn id_hash(text: &[u8; KEY_LEN]) -> u64 {
    let low = u64::from_le_bytes(text[4..12].try_into().unwrap());
    let high = u64::from_le_bytes(text[7..15].try_into().unwrap());
    let mixed = u128::from(low ^ 0x243F_6A88_85A3_08D3) * u128::from(high ^ 0x1319_8A2E_0370_7344);
    (mixed as u64) ^ ((mixed >> 64) as u64)
}

/// SHA-256 of at most 55 bytes: one block.
#[inline]
fn sha256(text: &[u8; KEY_LEN]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..KEY_LEN].copy_from_slice(text);
    block[KEY_LEN] = 0x80;
    block[56..].copy_from_slice(&(KEY_LEN as u64 * 8).to_be_bytes());
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Constant-time comparison: four words folded, one barrier, no early exit.
#[inline]
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let word = |s: &[u8; 32], i: usize| u64::from_le_bytes(s[i * 8..i * 8 + 8].try_into().unwrap());
    std::hint::black_box((0..4).fold(0, |diff, i| diff | (word(a, i) ^ word(b, i)))) == 0
}
