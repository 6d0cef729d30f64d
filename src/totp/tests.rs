use super::*;

const SEED: [u8; 20] = *b"12345678901234567890";

fn secret() -> TotpSecret {
    TotpSecret::from_random(SEED)
}

fn code_of(secret: &TotpSecret, step: u64) -> TotpCode {
    TotpCode::parse(core::str::from_utf8(code_at::<6>(secret, step).as_slice()).unwrap()).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The verdict at a second, in the default window.
fn verdict(code_step: u64, second: i64, last_used: Option<Step>) -> Verdict {
    matching_step(&secret(), &code_of(&secret(), code_step), at(second), Window::default(), last_used)
}

/// One test for each named row of a file, and one that no row is left out.
macro_rules! vectors {
    ($module:ident, $file:literal, $check:path, $(#[$doc:meta])+, [$($name:ident)*]) => {
        mod $module {
            fn rows() -> impl Iterator<Item = Vec<&'static str>> {
                include_str!(concat!("../../tests/vectors/", $file))
                    .lines()
                    .filter(|line| !line.starts_with('#') && !line.is_empty())
                    .map(|line| line.split('\t').collect())
            }

            #[test]
            fn every_row_has_its_test() {
                let named = [$(stringify!($name)),*];
                assert_eq!(rows().map(|row| row[0]).collect::<Vec<_>>(), named);
            }

            vectors!(@tests $check, [$(#[$doc])+], $($name)*);
        }
    };
    (@tests $check:path, $docs:tt, $($name:ident)*) => {
        $(vectors!(@test $check, $docs, $name);)*
    };
    (@test $check:path, [$(#[$doc:meta])+], $name:ident) => {
        $(#[$doc])+
        #[test]
        fn $name() {
            let row = rows().find(|row| row[0] == stringify!($name)).unwrap();
            $check(&row);
        }
    };
}

vectors!(rfc6238, "rfc6238.tsv", super::rfc6238_row, /// RFC6238-B
    , [sha1_at_59 sha256_at_59 sha512_at_59 sha1_at_1111111109 sha256_at_1111111109 sha512_at_1111111109 sha1_at_1111111111 sha256_at_1111111111 sha512_at_1111111111 sha1_at_1234567890 sha256_at_1234567890 sha512_at_1234567890 sha1_at_2000000000 sha256_at_2000000000 sha512_at_2000000000 sha1_at_20000000000 sha256_at_20000000000 sha512_at_20000000000]);

vectors!(rfc4226, "rfc4226.tsv", super::rfc4226_row, /// RFC4226-5.3
    , [count_0 count_1 count_2 count_3 count_4 count_5 count_6 count_7 count_8 count_9]);

fn rfc6238_row(row: &[&str]) {
    let (algorithm, length) = match row[1] {
        "SHA1" => (Algorithm::Sha1, 20),
        "SHA256" => (Algorithm::Sha256, 32),
        "SHA512" => (Algorithm::Sha512, 64),
        other => panic!("{other}"),
    };
    let seed = b"1234567890".repeat(7);
    let secret = TotpSecret::from_bytes(&seed[..length]).unwrap().with_algorithm(algorithm);
    let step = Step::of(at(row[2].parse().unwrap()));
    assert_eq!(step, Step(u64::from_str_radix(row[3], 16).unwrap()));
    assert_eq!(code_at::<8>(&secret, step.0).as_slice(), row[4].as_bytes());
    // The last six digits are what a person would type.
    let typed = TotpCode::parse(&row[4][2..]).unwrap();
    let now = at(row[2].parse().unwrap());
    assert_eq!(matching_step(&secret, &typed, now, Window::CurrentOnly, None), Verdict::Accepted(step));
}

fn rfc4226_row(row: &[&str]) {
    let count: u64 = row[1].parse().unwrap();
    // The published truncation, done here on the published HMAC, and the code it gives.
    let truncated: u32 = row[3].parse().unwrap();
    let offset = usize::from_str_radix(&row[2][39..], 16).unwrap() * 2;
    let read = u32::from_str_radix(&row[2][offset..offset + 8], 16).unwrap() & 0x7fff_ffff;
    assert_eq!(read, truncated);
    assert_eq!(format!("{:06}", truncated % 1_000_000), row[4]);
    assert_eq!(code_at::<6>(&secret(), count).as_slice(), row[4].as_bytes());
    let eight = format!("{:08}", truncated % 100_000_000);
    assert_eq!(code_at::<8>(&secret(), count).as_slice(), eight.as_bytes());
}

/// RFC4226-5.3: counts found by search; their values are 152 and 0.
#[test]
fn a_code_with_leading_zeros_is_accepted_as_typed() {
    for (step, typed) in [(44, "000152"), (349_495, "000000")] {
        let code = TotpCode::parse(typed).unwrap();
        let accepted = matching_around(&secret(), &code, Step(step), Window::CurrentOnly, None);
        assert_eq!(accepted, Verdict::Accepted(Step(step)));
    }
}

/// RFC6238-4.2: the largest counter's codes were computed apart from this crate.
#[test]
fn the_counter_is_64_bits_wide_and_its_ends_do_not_panic() {
    for (step, typed) in [(u64::MAX, "094451"), (u64::MAX - 1, "488204"), (u64::MAX - 2, "851516")] {
        let code = TotpCode::parse(typed).unwrap();
        for window in [Window::CurrentOnly, Window::CurrentAndPrevious, Window::OneEachSide] {
            assert_eq!(
                matching_around(&secret(), &code, Step(step), window, None),
                Verdict::Accepted(Step(step))
            );
        }
    }
    let last = code_of(&secret(), u64::MAX);
    assert_eq!(
        matching_around(&secret(), &last, Step(0), Window::OneEachSide, None),
        Verdict::Wrong,
        "the counter does not wrap around"
    );
    assert_eq!(
        matching_around(&secret(), &last, Step(u64::MAX), Window::OneEachSide, Some(Step(u64::MAX))),
        Verdict::Replayed
    );
}

/// RFC6238-4.2
#[test]
fn time_works_past_2038_and_before_1970() {
    // 2^31 and 2^32 seconds, and the last moment there is.
    for second in [2_147_483_648, 4_294_967_296, Timestamp::MAX.as_second()] {
        let step = second.cast_unsigned() / 30;
        assert_eq!(Step::of(at(second)), Step(step));
        assert_eq!(verdict(step, second, None), Verdict::Accepted(Step(step)));
        assert_eq!(verdict(step - 2, second, None), Verdict::Wrong);
    }
    // A counter cut to 32 bits would take this for step 66.
    assert_eq!(verdict(66, (66 + (1_i64 << 32)) * 30, None), Verdict::Wrong);
    for second in [Timestamp::MIN.as_second(), -1, 0, 29] {
        assert_eq!(Step::of(at(second)), Step(0));
        assert_eq!(verdict(0, second, None), Verdict::Accepted(Step(0)));
        assert_eq!(verdict(0, second, Some(Step(0))), Verdict::Replayed);
    }
    assert_eq!(Step::of(at(30)), Step(1));
}

/// RFC6238-5.2#window
#[test]
fn each_window_is_exactly_its_steps() {
    let present: u64 = 50_000_000;
    for (window, steps) in
        [(Window::CurrentOnly, 0..=0), (Window::CurrentAndPrevious, -1..=0), (Window::OneEachSide, -1..=1)]
    {
        for distance in -10..=10_i64 {
            let step = present.checked_add_signed(distance).unwrap();
            let code = code_of(&secret(), step);
            let expected =
                if steps.contains(&distance) { Verdict::Accepted(Step(step)) } else { Verdict::Wrong };
            let now = at(present.cast_signed() * 30 + 29);
            assert_eq!(matching_step(&secret(), &code, now, window, None), expected, "{window:?} {distance}");
            // A drift seen before neither widens nor moves it.
            let drifted = Some(Step(present - 2));
            assert_eq!(
                matching_step(&secret(), &code, now, window, drifted),
                expected,
                "{window:?} {distance}"
            );
        }
    }
    assert_eq!(Window::default(), Window::CurrentAndPrevious);
}

/// ASVS-5.0-6.5.5: the TOTP part.
#[test]
fn a_code_lives_from_its_step_to_the_end_of_the_window() {
    let (step, begin) = (1_000, 30_000);
    assert_eq!(verdict(step, begin - 1, None), Verdict::Wrong);
    assert_eq!(verdict(step, begin, None), Verdict::Accepted(Step(step)));
    assert_eq!(verdict(step, begin + 59, None), Verdict::Accepted(Step(step)));
    assert_eq!(verdict(step, begin + 60, None), Verdict::Wrong);
    let only =
        |second| matching_step(&secret(), &code_of(&secret(), step), at(second), Window::CurrentOnly, None);
    assert_eq!(only(begin + 29), Verdict::Accepted(Step(step)));
    assert_eq!(only(begin + 30), Verdict::Wrong);
}

/// ASVS-5.0-6.5.8: the pure half. The one time there is, is the one handed in beside the code.
#[test]
fn the_handed_in_time_alone_decides_which_code_is_right() {
    for step in [999_u64, 1_000, 1_001, 60_000_000] {
        let second = step.cast_signed() * 30;
        assert_eq!(verdict(step, second, None), Verdict::Accepted(Step(step)));
        assert_eq!(verdict(step, second + 3_600, None), Verdict::Wrong);
        assert_eq!(verdict(step, second - 3_600, None), Verdict::Wrong);
    }
    // A code that brings its own time is no code.
    assert!(serde_json::from_str::<TotpCode>(r#"{"code":"123456","time":30000}"#).is_err());
}

/// RFC6238-5.2#once, ATK-TOTP-01: the pure half.
#[test]
fn an_accepted_code_is_refused_afterwards() {
    let Verdict::Accepted(used) = verdict(1_000, 30_000, None) else { panic!("not accepted") };
    for second in [30_000, 30_001, 30_029, 30_030, 30_059] {
        assert_eq!(verdict(1_000, second, Some(used)), Verdict::Replayed);
    }
    assert_eq!(verdict(1_001, 30_030, Some(used)), Verdict::Accepted(Step(1_001)));
}

/// ATK-TOTP-02: the pure half.
#[test]
fn the_step_before_an_accepted_one_is_refused() {
    assert_eq!(verdict(999, 30_000, None), Verdict::Accepted(Step(999)));
    assert_eq!(verdict(999, 30_000, Some(Step(1_000))), Verdict::Replayed);
    assert_eq!(verdict(1_000, 30_000, Some(Step(1_000))), Verdict::Replayed);
}

/// ATK-TOTP-03: the pure half.
#[test]
fn a_clock_set_back_reopens_no_step() {
    let used = Some(Step(1_000));
    for step in 990..=1_000_u64 {
        assert_eq!(verdict(step, step.cast_signed() * 30, used), Verdict::Replayed);
    }
    assert_eq!(verdict(1_001, 30_030, used), Verdict::Accepted(Step(1_001)));
}

/// ATK-TOTP-04: the pure half.
#[test]
fn a_clock_that_jumps_ahead_accepts_nothing_far_and_locks_nobody_out() {
    let used = Some(Step(999));
    assert_eq!(verdict(1_000 + 2_880, 30_000, used), Verdict::Wrong, "tomorrow's code, today");
    assert_eq!(verdict(1_000, 30_000 + 86_400, used), Verdict::Wrong, "today's code, while the clock is off");
    assert_eq!(verdict(1_000, 30_000, used), Verdict::Accepted(Step(1_000)), "once the clock is right again");
}

/// RFC6238-5.2#once: two neighbouring steps of this seed share a code (found by search).
#[test]
fn a_code_of_two_steps_counts_as_the_later_one() {
    let (early, late) = (910_737, 910_738);
    let code = TotpCode::parse("911617").unwrap();
    let judge = |used| matching_around(&secret(), &code, Step(late), Window::CurrentAndPrevious, used);
    assert_eq!(judge(None), Verdict::Accepted(Step(late)));
    assert_eq!(judge(Some(Step(early))), Verdict::Accepted(Step(late)));
    assert_eq!(judge(Some(Step(late))), Verdict::Replayed);
}

#[test]
fn a_wrong_code_is_wrong_whatever_was_used() {
    let wrong = TotpCode::parse("000000").unwrap();
    for used in [None, Some(Step(0)), Some(Step(u64::MAX))] {
        assert_eq!(matching_step(&secret(), &wrong, at(30_000), Window::OneEachSide, used), Verdict::Wrong);
    }
}
