//! Taking keys out of texts that are about to be logged.

use super::KeyFormat;
use super::base62::is_digit;
use super::format::BODY;
use super::id::ID_LENGTH;

const MARK: &str = "…[redacted]";

impl KeyFormat {
    /// Replaces every key of this format in a text by its head, its id and `…[redacted]`. A cut or altered
    /// key is treated the same: anything where a head is followed by at least 12 characters of base62, that
    /// is an id and a first character of a secret. Time and memory are linear in the text.
    ///
    /// What has lost its head (the second half of a key broken over two lines) cannot be told from other text.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, key, after)) = self.split_at_key(rest) {
            out.push_str(before);
            out.push_str(key);
            out.push_str(MARK);
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// What stands before the first key, its head and id, and what stands behind it.
    fn split_at_key<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        // By the `_` and not by the prefix, whose occurrences may overlap.
        let mut keys = text.match_indices('_').filter_map(|(at, _)| {
            let (before, key) = text.split_at_checked(at.checked_sub(self.prefix().len())?)?;
            let (shown, hidden) = self.lengths(key)?;
            Some((before, key.get(..shown)?, key.get(hidden..)?))
        });
        keys.next()
    }

    /// If a key starts here: how much of it may be shown, and how long it is.
    fn lengths(&self, text: &str) -> Option<(usize, usize)> {
        let head = self.heads().find(|head| text.starts_with(head))?.len();
        let body = text.as_bytes().get(head..)?;
        // Far enough to see the head of a next key that follows without a gap.
        let run = body.iter().take(BODY + self.prefix().len()).take_while(|&&c| is_digit(c)).count();
        let next = run.checked_sub(self.prefix().len()).filter(|&at| self.head_at(text, head + at));
        let length = next.unwrap_or(run).min(BODY);
        (length > ID_LENGTH).then_some((head + ID_LENGTH, head + length))
    }

    fn head_at(&self, text: &str, at: usize) -> bool {
        text.get(at..).is_some_and(|text| self.heads().any(|head| text.starts_with(head)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::key::SecretId;

    fn format(prefix: &str) -> KeyFormat {
        KeyFormat::new(prefix, &["live", "test"]).unwrap()
    }

    fn key(format: &KeyFormat, id: u64, secret: [u8; 32]) -> String {
        let environment = format.environment(if id.is_multiple_of(2) { "live" } else { "test" }).unwrap();
        format.mint(&environment, SecretId::from_bits(id), secret).unwrap().expose_secret().to_owned()
    }

    #[test]
    fn whole_and_cut_keys_are_redacted_and_the_rest_is_kept() {
        let format = format("acme");
        let key = key(&format, 2, [0xcd; 32]);
        let shown = "acme_live_00000000002…[redacted]";
        assert_eq!(format.redact(&format!("é Bearer {key}, é")), format!("é Bearer {shown}, é"));
        assert_eq!(format.redact(&format!("{key}{key}")), format!("{shown}{shown}"));
        assert_eq!(format.redact(&format!("x{}", &key[..22])), format!("x{shown}"));
        assert_eq!(format.redact(&key[..21]), &key[..21], "an id alone is public");
        for text in
            ["", "acme", "acme_", "acme_live_", "acme_live_é", "acme_acme_live_", "acme_dev_0000000000000"]
        {
            assert_eq!(format.redact(text), text);
        }
    }

    #[test]
    fn every_cut_of_one_key_before_another_is_redacted() {
        let format = format("acme");
        let (one, two) = (key(&format, 2, [0xcd; 32]), key(&format, 3, [0x7e; 32]));
        for cut in 0..=one.len() {
            let clean = format.redact(&format!("{}{two}", &one[..cut]));
            assert!(clean.ends_with("acme_test_00000000003…[redacted]"), "{cut}: {clean}");
            assert!(!clean.contains(&one[21..23]) || cut < 23, "{cut}: {clean}");
        }
    }

    #[test]
    fn a_prefix_that_overlaps_itself_hides_no_key() {
        let format = format("aa");
        let key = key(&format, 2, [0xcd; 32]);
        for before in ["a", "aa", "aaa", "aa_live_a", "aa_live_000000000000a"] {
            let clean = format.redact(&format!("{before}{key}"));
            assert!(!clean.contains(&key[19..]), "{before}: {clean}");
        }
    }

    #[test]
    fn the_work_is_linear_in_the_text() {
        // Quadratic work would take hours here.
        let format = format("a");
        for unit in ["a", "a_", "a_live_", "a_live_0", "a_live_00000000000", "a_live_000000000000"] {
            let text = unit.repeat(2_000_000 / unit.len());
            assert!(format.redact(&text).len() >= text.len());
        }
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_key(
            prefix in "[a-c]{1,3}",
            pieces in proptest::collection::vec(
                (any::<u64>(), any::<[u8; 32]>(), "([a-c]{0,3}_?(live_|test_)?[a-c0-9é _]{0,70})?", 0..=70_usize),
                1..6,
            ),
        ) {
            let format = format(&prefix);
            let mut text = String::new();
            let mut secrets = Vec::new();
            for (id, secret, noise, cut) in &pieces {
                let whole = key(&format, *id, *secret);
                let head = whole.len() - BODY;
                text.push_str(noise);
                text.push_str(whole.get(..*cut).unwrap_or(""));
                text.push_str(&whole);
                secrets.push(whole[head + ID_LENGTH..].to_owned());
            }
            let clean = format.redact(&text);
            for secret in &secrets {
                prop_assert!(!clean.contains(&secret[..20]) && !clean.contains(&secret[29..]), "{text} {clean}");
            }
            for (at, _) in clean.char_indices() {
                let end = at + prefix.len() + "_live_".len() + BODY;
                prop_assert!(clean.get(at..end).is_none_or(|window| format.parse(window.as_bytes()).is_err()));
            }
        }
    }
}
