use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::secret::{MarkKey, sha256};

const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn format() -> KeyFormat {
    KeyFormat::new("acme", &["live", "test"]).unwrap()
}

fn minted(label: &str, id: u64, secret: [u8; 32]) -> KeyText {
    let format = format();
    format.mint(&format.environment(label).unwrap(), SecretId::from_bits(id), secret).unwrap()
}

/// A text with a right checksum whatever its body.
fn with_checksum(start: &str) -> String {
    let mut checksum = [0; 6];
    base62::write(u64::from(crc32fast::hash(start.as_bytes())), &mut checksum);
    format!("{start}{}", core::str::from_utf8(&checksum).unwrap())
}

#[test]
fn a_key_has_the_documented_shape() {
    let key = minted("live", 62, [0; 32]);
    assert_eq!(
        key.expose_secret(),
        with_checksum(&format!("acme_live_{}10{}", "0".repeat(9), "0".repeat(43)))
    );
    assert_eq!(key.digest().as_bytes(), &sha256(&[&key.expose_secret().as_bytes()[10..64]]));
}

#[test]
fn a_format_takes_only_plain_labels() {
    let long = "a".repeat(17);
    for bad in ["", "Acme", "1a", "a_b", "a-b", "a b", "é", "a\n", &long] {
        assert_eq!(KeyFormat::new(bad, &["live"]).unwrap_err(), FormatError::Prefix, "{bad:?}");
        assert_eq!(KeyFormat::new("acme", &["live", bad]).unwrap_err(), FormatError::Label, "{bad:?}");
    }
    assert_eq!(KeyFormat::new("a", &[]).unwrap_err(), FormatError::NoEnvironment);
    assert_eq!(KeyFormat::new("a", &["b", "c", "b"]).unwrap_err(), FormatError::Duplicate { index: 2 });
    let many: Vec<String> = (0..17).map(|at| format!("e{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(KeyFormat::new("a", &many).unwrap_err(), FormatError::TooManyEnvironments);
    assert!(KeyFormat::new(&"a".repeat(16), &many[..16]).is_ok());
}

#[test]
fn a_key_is_minted_only_for_an_environment_of_the_format() {
    let other: Environment = "staging".parse().unwrap();
    let refused = format().mint(&other, SecretId::from_bits(1), [1; 32]);
    assert_eq!(refused.unwrap_err(), FormatError::UnknownEnvironment);
    assert_eq!(format().environment("staging"), Err(FormatError::UnknownEnvironment));
    assert!(format().hint(&other, SecretId::from_bits(1)).is_err());
}

/// B9: a checksum that refuses a mistyped key offline.
#[test]
fn any_single_wrong_character_is_refused() {
    let format = format();
    let key = minted("live", 0x0123_4567_89ab_cdef, [0xa7; 32]);
    let text = key.expose_secret().as_bytes();
    assert!(format.parse(text).is_ok());
    for at in 0..text.len() {
        for &c in DIGITS.iter().filter(|&&c| c != text[at]) {
            let mut wrong = text.to_vec();
            wrong[at] = c;
            let expected = if at < 10 { MalformedKey::Head } else { MalformedKey::Checksum };
            assert_eq!(format.parse(&wrong).unwrap_err(), expected, "{at} {c}");
        }
    }
}

#[test]
fn two_swapped_neighbours_are_refused() {
    let key = minted("live", 0x0123_4567_89ab_cdef, core::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
    let text = key.expose_secret().as_bytes();
    for at in (0..text.len() - 1).filter(|&at| text[at] != text[at + 1]) {
        let mut wrong = text.to_vec();
        wrong.swap(at, at + 1);
        assert!(format().parse(&wrong).is_err(), "{at}");
    }
}

#[test]
fn each_fault_has_its_own_reason() {
    let format = format();
    let key = minted("test", 5, [3; 32]);
    let text = key.expose_secret();
    let reason = |text: &str| format.parse(text.as_bytes()).unwrap_err();
    assert_eq!(reason(""), MalformedKey::Length);
    assert_eq!(reason(&text[..69]), MalformedKey::Length);
    assert_eq!(reason(&format!("{text}0")), MalformedKey::Length);
    assert_eq!(reason(&format!(" {text}")), MalformedKey::Head);
    assert_eq!(reason(&format!("{text}\n")), MalformedKey::Length);
    assert_eq!(reason(&text.to_uppercase()), MalformedKey::Head);
    assert_eq!(reason(&text.replace("_test_", "_dev_0")), MalformedKey::Head);
    for bad in ['-', '_', ' ', '\0', '/', ':', '@', '[', '`', '{', '\u{7f}'] {
        for at in 10..70 {
            let mut wrong = text.to_owned();
            wrong.replace_range(at..=at, &bad.to_string());
            assert_eq!(reason(&wrong), MalformedKey::Alphabet, "{at} {bad:?}");
        }
    }
    assert_eq!(reason(&with_checksum(&format!("acme_live_LygHa16AHYG{}", "0".repeat(43)))), MalformedKey::Id);
}

/// The checksum covers the head: a key cannot be relabelled by editing its environment alone.
#[test]
fn a_key_of_one_environment_does_not_read_as_one_of_another() {
    let key = minted("test", 5, [3; 32]);
    let relabelled = key.expose_secret().replace("_test_", "_live_");
    assert_eq!(format().parse(relabelled.as_bytes()).unwrap_err(), MalformedKey::Checksum);
    let presented = format().parse(key.expose_secret().as_bytes()).unwrap();
    assert_eq!(presented.environment_index(), 1);
    assert_eq!(format().index_of(&"test".parse().unwrap()), Some(1));
}

/// ATK-BRUTE-09 (pure part): guesses with a valid head are refused alike, without a lookup.
#[test]
fn made_up_keys_are_refused_before_any_lookup_and_alike() {
    let format = format();
    let mut state = 1_u64;
    for _ in 0..2_000 {
        let mut text = b"acme_live_".to_vec();
        for _ in 0..60 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(DIGITS[usize::try_from(state >> 33).unwrap() % 62]);
        }
        assert_eq!(format.parse(&text).unwrap_err(), MalformedKey::Checksum);
    }
}

/// ATK-KEY-12 (pure part): the digest covers the whole secret, so one id never makes two keys equal.
#[test]
fn two_secrets_of_one_id_do_not_match_each_other() {
    let one = minted("live", 9, [1; 32]);
    for byte in 0..32 {
        let mut secret = [1; 32];
        secret[byte] ^= 0x80;
        assert!(!minted("live", 9, secret).digest().matches(&one.digest()), "byte {byte}");
    }
    assert!(!minted("live", 10, [1; 32]).digest().matches(&one.digest()), "the id counts too");
}

/// ASVS-5.0-14.2.6
#[test]
fn a_hint_and_debug_show_the_id_and_nothing_of_secret_or_checksum() {
    let secret = |byte| core::array::from_fn(|at| u8::try_from(at).unwrap() ^ byte);
    let (one, other) = (minted("live", 7, secret(0)), minted("live", 7, secret(0x55)));
    assert_eq!(one.hint().to_string(), "acme_live_00000000007…");
    assert_eq!(one.hint(), other.hint(), "a hint does not depend on the secret");
    assert_eq!(format!("{one:?}"), "acme_live_00000000007…[redacted]");
    let presented = format().parse(one.expose_secret().as_bytes()).unwrap();
    assert_eq!(format!("{presented:?}"), "PresentedKey(00000000007…[redacted])");
    let stored = format().hint(&"live".parse().unwrap(), SecretId::from_bits(7)).unwrap();
    assert_eq!(&stored, one.hint());
    assert_eq!(serde_json::to_string(&stored).unwrap(), "\"acme_live_00000000007…\"");
}

#[test]
fn the_scanner_pattern_is_portable() {
    assert_eq!(format().scanner_pattern(), "acme_(live|test)_[0-9A-Za-z]{60}");
}

#[test]
fn an_environment_is_a_string_in_serde_and_checked() {
    let live = format().environment("live").unwrap();
    assert_eq!(serde_json::to_string(&live).unwrap(), "\"live\"");
    assert_eq!(serde_json::from_str::<Environment>("\"live\"").unwrap(), live);
    assert!(serde_json::from_str::<Environment>("\"Live\"").is_err());
}

proptest! {
    #[test]
    fn what_is_minted_reads_back(id: u64, secret: [u8; 32], test: bool) {
        let key = minted(if test { "test" } else { "live" }, id, secret);
        prop_assert_eq!(key.expose_secret().len(), 70);
        let read = format().parse(key.expose_secret().as_bytes()).unwrap();
        prop_assert_eq!(read.id(), SecretId::from_bits(id));
        prop_assert_eq!(read.id(), key.id());
        prop_assert_eq!(read.environment_index(), u8::from(test));
        prop_assert!(read.digest().matches(&key.digest()));
    }

    #[test]
    fn random_bytes_never_panic_and_are_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(format().parse(&bytes).is_err());
        let mut headed = b"acme_live_".to_vec();
        headed.extend(&bytes);
        prop_assert!(format().parse(&headed).is_err());
    }
}

#[test]
fn ids_are_marked_under_the_last_key_and_recognised_under_each() {
    let random = *b"sixteen!";
    assert_eq!(format().new_id(random), SecretId::from_random(random));
    assert!(!format().is_marked(format().new_id(random)));
    let old = format().mark_ids(MarkKey::new([1; 32]));
    let both = old.clone().mark_ids(MarkKey::new([2; 32]));
    let new = format().mark_ids(MarkKey::new([2; 32]));
    assert_eq!(both.new_id(random), new.new_id(random));
    assert!(both.is_marked(old.new_id(random)) && both.is_marked(new.new_id(random)));
    assert!(!new.is_marked(old.new_id(random)), "a key that is gone");
    assert!(!both.is_marked(SecretId::from_random(random)));
}
