use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use super::*;
use crate::recovery::alphabet::ALPHABET;
use crate::recovery::{SECRET_BITS, TypedRecoveryCode};

/// `SplitMix64`: random enough to test with, and the same each time.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn codes(&mut self) -> RecoveryCodes {
        let mut random = [[0; CODE_LENGTH]; CODES];
        for byte in random.as_flattened_mut() {
            *byte = self.next().to_le_bytes()[3];
        }
        RecoveryCodes::from_random(&random)
    }
}

fn secrets(codes: &RecoveryCodes) -> Vec<String> {
    codes.iter().map(|code| code.secret().expose_secret().to_owned()).collect()
}

/// The sum over the symbols of (seen - expected)^2 / expected.
fn chi_square(seen: &[u32; 32]) -> f64 {
    let expected = f64::from(seen.iter().sum::<u32>()) / 32.0;
    seen.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// SP800-63B-4-4.2.1.1#saved (entropy), ASVS-5.0-6.5.4
#[test]
fn every_random_bit_behind_the_locator_changes_the_code() {
    let mut codes = BTreeSet::new();
    codes.insert(secrets(&RecoveryCodes::from_random(&[[0; CODE_LENGTH]; CODES]))[0].clone());
    let mut bits = 0;
    for place in LOCATOR_LENGTH..CODE_LENGTH {
        for bit in 0..8 {
            let mut random = [[0; CODE_LENGTH]; CODES];
            random[0][place] = 1 << bit;
            bits += usize::from(codes.insert(secrets(&RecoveryCodes::from_random(&random))[0].clone()));
        }
    }
    assert_eq!(bits, SECRET_BITS);
    assert!(bits >= 64);
}

/// ASVS-5.0-6.5.4, SP800-63B-4-4.2.1.1#saved (entropy): chi-square with 31 degrees of freedom. Of fair
/// alphabets, one in a thousand exceeds 61.1 over all places and about one in ten thousand exceeds 70 at one place.
#[test]
fn each_symbol_comes_equally_often_at_every_place() {
    let mut generator = Generator(1);
    let mut at_place = [[0_u32; 32]; CODE_LENGTH];
    for _ in 0..2_000 {
        for code in secrets(&generator.codes()) {
            for (place, symbol) in code.bytes().enumerate() {
                at_place[place][ALPHABET.iter().position(|known| *known == symbol).unwrap()] += 1;
            }
        }
    }
    let mut all = [0; 32];
    for (place, seen) in at_place.iter().enumerate().skip(LOCATOR_LENGTH) {
        assert!(chi_square(seen) < 70.0, "place {place}: {}", chi_square(seen));
        for (sum, count) in all.iter_mut().zip(seen) {
            *sum += count;
        }
    }
    assert_eq!(all.iter().sum::<u32>(), 2_000 * 10 * 14);
    assert!(chi_square(&all) < 61.1, "{}", chi_square(&all));
}

#[test]
fn the_chi_square_test_would_see_a_slight_bias() {
    // One symbol in 32 comes 7 % too often, as when 33 values are folded onto 32.
    let mut seen = [8_750_u32; 32];
    seen[0] += 600;
    assert!(chi_square(&seen) > 39.0);
    seen[0] += 400;
    assert!(chi_square(&seen) > 61.1);
}

#[test]
fn the_ten_locators_are_distinct_and_only_they_give_way() {
    let codes = RecoveryCodes::from_random(&[[31; CODE_LENGTH]; CODES]);
    let locators: Vec<String> = codes.iter().map(|code| code.locator().as_str().to_owned()).collect();
    assert_eq!(locators, ["ZZ", "00", "01", "02", "03", "04", "05", "06", "07", "08"]);
    for (code, locator) in codes.iter().zip(locators) {
        assert_eq!(code.secret().expose_secret(), format!("{locator}ZZZZZZZZZZZZZZ"));
    }
    let mut generator = Generator(2);
    for _ in 0..2_000 {
        let codes = generator.codes();
        assert_eq!(codes.iter().map(RecoveryCode::locator).collect::<BTreeSet<_>>().len(), CODES);
    }
}

#[test]
fn a_locator_already_moved_to_can_collide_too() {
    let mut random = [[0; CODE_LENGTH]; CODES];
    for (row, locator) in random.iter_mut().zip([[0, 31], [0, 31], [1, 0], [1, 1], [1, 0]]) {
        row[..2].copy_from_slice(&locator);
    }
    let codes = RecoveryCodes::from_random(&random);
    let locators: Vec<_> = codes.iter().map(|code| code.locator().as_str().to_owned()).collect();
    assert_eq!(locators, ["0Z", "10", "11", "12", "13", "00", "01", "02", "03", "04"]);
}

#[test]
fn the_same_bytes_give_the_same_codes() {
    assert_eq!(secrets(&Generator(3).codes()), secrets(&Generator(3).codes()));
    assert_ne!(secrets(&Generator(3).codes()), secrets(&Generator(4).codes()));
}

#[test]
fn a_shown_code_reads_back_as_what_was_hashed() {
    for code in &Generator(5).codes() {
        let shown = code.shown();
        let shown = shown.expose_secret();
        assert_eq!(shown.split('-').map(str::len).collect::<Vec<_>>(), [4; 4]);
        let typed = TypedRecoveryCode::parse(&shown.to_lowercase()).unwrap();
        assert_eq!(typed.secret().expose_secret(), code.secret().expose_secret());
        assert_eq!(typed.locator(), code.locator());
    }
}

#[test]
fn a_locator_reads_back() {
    assert_eq!(Locator::parse("a1").unwrap(), Locator::parse("AL").unwrap());
    assert_eq!(Locator::parse("0Z").unwrap().as_str(), "0Z");
    for text in ["", "A", "A10", "U0", "A-", "Ä"] {
        assert!(Locator::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_download_names_service_account_and_moment_and_lists_every_code() {
    let codes = Generator(6).codes();
    let account = EmailAddress::parse("Ann@Example.com").unwrap();
    let text =
        codes.download_text("Acme\nCo", &account, Timestamp::from_millisecond(1_700_000_000_123).unwrap());
    let text = text.expose_secret();
    assert!(
        text.starts_with(
            "Recovery codes for Acme Co\nAccount: Ann@Example.com\nMade at: 2023-11-14T22:13:20Z"
        )
    );
    let listed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let shown: Vec<_> = codes.iter().map(|code| code.shown().expose_secret().to_owned()).collect();
    assert_eq!(listed, shown);
}

#[test]
fn debug_shows_a_locator_at_most() {
    let codes = RecoveryCodes::from_random(&[[10; CODE_LENGTH]; CODES]);
    assert_eq!(format!("{codes:?}"), "RecoveryCodes([redacted])");
    let code = codes.iter().next().unwrap();
    assert_eq!(format!("{code:?}"), "RecoveryCode(AA[redacted])");
    assert_eq!(format!("{:?}", code.locator()), "Locator(AA)");
    assert!(!format!("{:?}{:?}", code.shown(), code.secret()).contains("AAA"));
}
