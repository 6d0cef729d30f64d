//! Base32 (RFC 4648, section 6), without padding when written, into and out of memory that is wiped.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Writes bytes as base32 without padding.
pub(super) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    // Reserved in full, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(5) * 8));
    let (mut buffer, mut bits) = (0_u16, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(symbol(buffer >> bits));
        }
    }
    if bits > 0 {
        text.push(symbol(buffer << (5 - bits)));
    }
    text
}

/// Reads base32 of either case, with or without padding at its end. `None` for anything else, and for the
/// lengths and leftover bits that no encoder produces.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    if matches!(body.len() % 8, 1 | 3 | 6) || (padding > 0 && (padding > 6 || !text.len().is_multiple_of(8)))
    {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(body.len() * 5 / 8));
    let (mut buffer, mut bits) = (0_u16, 0_u32);
    for byte in body.bytes() {
        let value = match byte.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        buffer = ((buffer & 0xff) << 5) | u16::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let [_, low] = (buffer >> bits).to_be_bytes();
            bytes.push(low);
        }
    }
    let leftover = buffer & ((1 << bits) - 1);
    (leftover == 0).then_some(bytes)
}

fn symbol(value: u16) -> char {
    ALPHABET.get(usize::from(value & 31)).map_or('A', |symbol| char::from(*symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "MY======"),
        ("fo", "MZXQ===="),
        ("foo", "MZXW6==="),
        ("foob", "MZXW6YQ="),
        ("fooba", "MZXW6YTB"),
        ("foobar", "MZXW6YTBOI======"),
    ];

    #[test]
    fn the_published_vectors_hold_both_ways() {
        for (plain, written) in VECTORS {
            let bare = written.trim_end_matches('=');
            assert_eq!(encode(plain.as_bytes()).as_str(), bare);
            for form in [written, bare, &written.to_ascii_lowercase()] {
                assert_eq!(decode(form).unwrap().as_slice(), plain.as_bytes(), "{form}");
            }
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in
            ["A", "AAA", "AAAAAA", "MZ", "M1XW6YTB", "MZXW 6YT", "MY=====", "MY=A====", "=", "========", "ÄÄ"]
        {
            assert!(decode(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in [1, 2, 3, 4, 5, 20, 256] {
            let part = &bytes[256 - length..];
            assert_eq!(decode(&encode(part)).unwrap().as_slice(), part);
        }
    }
}
