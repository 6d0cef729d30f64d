//! Which passwords may be set.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{MAX_BYTES, common};
use crate::error::Coded;

/// NIST SP 800-63B-4, section 3.1.1.2: where the password is the only factor.
const DEFAULT_MINIMUM: usize = 15;
/// The same section: where a second factor is always required. No policy goes below.
const FLOOR: usize = 8;
/// NIST and ASVS (6.2.9) ask that 64 characters be accepted; a minimum beyond would refuse them.
const HIGHEST_MINIMUM: usize = 64;
/// A context word of fewer letters than this says nothing about a password that happens to hold only them.
const TELLING_LETTERS: usize = 3;

/// Which passwords may be set: a length, the built-in list of common passwords, and words of the service and the
/// person. There are no rules about kinds of characters and no expiry (ASVS 5.0, 6.2.5 and 6.2.10).
///
/// It judges passwords that are *set*. At sign-in nothing is checked but the hash.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    minimum: usize,
    context_words: Vec<String>,
    breach_failure: BreachFailure,
}

/// What to do with a new password when the source of breached passwords cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreachFailure {
    /// Accept it: the built-in list was checked all the same, and people can sign up while the source is down.
    #[default]
    Accept,
    /// Refuse it until the source answers again.
    Refuse,
}

/// Why a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The minimum length is outside the bounds.
    #[error("the minimum length of passwords is from {least} to {most} characters")]
    MinimumOutOfRange {
        /// The least that can be set.
        least: usize,
        /// The most that can be set.
        most: usize,
    },
}

impl Coded for PolicyError {
    fn code(&self) -> &'static str {
        match self {
            Self::MinimumOutOfRange { .. } => "password_minimum_out_of_range",
        }
    }
}

/// Why a password may not be set. The code is stable; [`WeakPassword::guidance`] says what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakPassword {
    /// Fewer characters than the policy asks for.
    #[error("the password has {length} characters; at least {minimum} are needed")]
    TooShort {
        /// How many characters (Unicode scalar values) the policy asks for.
        minimum: usize,
        /// How many it has.
        length: usize,
    },
    /// More bytes of UTF-8 than are hashed.
    #[error("the password is longer than {maximum_bytes} bytes")]
    TooLong {
        /// The most that is accepted.
        maximum_bytes: usize,
    },
    /// On the built-in list of common passwords.
    #[error("the password is among the most common ones")]
    Common,
    /// The name of the service, the e-mail address or another word of the context, and nothing more.
    #[error("the password is the name of the service, of you or of your work")]
    ContextWord,
    /// Known from a breach.
    #[error("the password is known from a breach")]
    Breached,
}

impl WeakPassword {
    /// What to do instead, in a sentence (NIST SP 800-63B-4, section 3.1.1.2, asks for guidance). Translations go
    /// by [`Coded::code`].
    #[must_use]
    pub fn guidance(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => {
                "Add more words; a sentence that only you would write is easy to remember."
            }
            Self::TooLong { .. } => "Choose a shorter one.",
            Self::Common => "Many people use it, so it is tried first. Choose several unrelated words.",
            Self::ContextWord => "It is easy to guess from who you are. Choose several unrelated words.",
            Self::Breached => {
                "Attackers have it on their lists. Choose another, here and wherever you use it."
            }
        }
    }
}

impl Coded for WeakPassword {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "password_too_short",
            Self::TooLong { .. } => "password_too_long",
            Self::Common => "password_common",
            Self::ContextWord => "password_context_word",
            Self::Breached => "password_breached",
        }
    }
}

impl PasswordPolicy {
    /// The default, to be changed by what follows: at least 15 characters, no context words of the service,
    /// [`BreachFailure::Accept`].
    #[must_use]
    pub fn builder() -> Self {
        Self::default()
    }

    /// The least number of characters (Unicode scalar values). Below 15 only where a second factor is always
    /// required (NIST SP 800-63B-4, section 3.1.1.2).
    ///
    /// # Errors
    /// [`PolicyError::MinimumOutOfRange`] below 8 and above 64.
    pub fn minimum(mut self, characters: usize) -> Result<Self, PolicyError> {
        if !(FLOOR..=HIGHEST_MINIMUM).contains(&characters) {
            return Err(PolicyError::MinimumOutOfRange { least: FLOOR, most: HIGHEST_MINIMUM });
        }
        self.minimum = characters;
        Ok(self)
    }

    /// Adds words that no password may be: the names of the service, its company and its products (ASVS 5.0,
    /// 6.1.2). The person's address and the name of the workspace are handed to [`PasswordPolicy::check`].
    #[must_use]
    pub fn context_words<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.context_words.extend(words.into_iter().map(Into::into));
        self
    }

    /// What to do when the source of breached passwords cannot be asked.
    #[must_use]
    pub fn breach_source_failure(mut self, choice: BreachFailure) -> Self {
        self.breach_failure = choice;
        self
    }

    /// What to do when the source of breached passwords cannot be asked.
    #[must_use]
    pub fn on_breach_source_failure(&self) -> BreachFailure {
        self.breach_failure
    }

    /// The least number of characters.
    #[must_use]
    pub fn minimum_length(&self) -> usize {
        self.minimum
    }

    /// Whether passwords of this policy are long enough to be the only factor. If not, the service must always
    /// require a second one (NIST SP 800-63B-4, section 3.1.1.2).
    #[must_use]
    pub fn suffices_alone(&self) -> bool {
        self.minimum >= DEFAULT_MINIMUM
    }

    /// Whether this password may be set, as far as can be told without asking anybody. `context` are words of the
    /// person: the e-mail address (its local part counts too), the name of the workspace.
    ///
    /// A password is refused when the whole of it is a common one or a context word; the word repeated, or with
    /// nothing but digits, spaces and punctuation around it, counts as the word. A long phrase that merely
    /// holds it is accepted (NIST SP 800-63B-4, section 3.1.1.2).
    ///
    /// # Errors
    /// [`WeakPassword`] says why not; never [`WeakPassword::Breached`], which the source of those decides.
    pub fn check(&self, password: &SecretString, context: &[&str]) -> Result<(), WeakPassword> {
        let text = password.expose_secret();
        if text.len() > MAX_BYTES {
            return Err(WeakPassword::TooLong { maximum_bytes: MAX_BYTES });
        }
        let length = text.chars().count();
        if length < self.minimum {
            return Err(WeakPassword::TooShort { minimum: self.minimum, length });
        }
        if common::is_common(text) {
            return Err(WeakPassword::Common);
        }
        let words = self.context_words.iter().map(String::as_str).chain(context.iter().copied());
        if Folded::new(text).is_one_of(words) {
            return Err(WeakPassword::ContextWord);
        }
        Ok(())
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { minimum: DEFAULT_MINIMUM, context_words: Vec::new(), breach_failure: BreachFailure::default() }
    }
}

/// A text in lower case, and its letters alone.
struct Folded {
    whole: Zeroizing<String>,
    letters: Zeroizing<String>,
}

impl Folded {
    fn new(text: &str) -> Self {
        let whole = Zeroizing::new(text.to_lowercase());
        // Room for all of it, so that no half of a password is left behind by a growing buffer.
        let mut letters = Zeroizing::new(String::with_capacity(whole.len()));
        letters.extend(whole.chars().filter(|c| c.is_alphabetic()));
        Self { whole, letters }
    }

    fn is_one_of<'a>(&self, words: impl Iterator<Item = &'a str>) -> bool {
        words
            .flat_map(|word| [Some(word), word.split_once('@').map(|(local, _)| local)])
            .flatten()
            .map(|word| Self::new(word.trim()))
            .any(|word| self.is_word(&word))
    }

    fn is_word(&self, word: &Self) -> bool {
        repeats(&self.whole, &word.whole)
            || (word.letters.chars().nth(TELLING_LETTERS - 1).is_some()
                && repeats(&self.letters, &word.letters))
    }
}

/// Whether the text is the word, once or more often.
fn repeats(text: &str, word: &str) -> bool {
    !word.is_empty()
        && !text.is_empty()
        && text.len().is_multiple_of(word.len())
        && text.as_bytes().chunks(word.len()).all(|part| part == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(policy: &PasswordPolicy, password: &str, context: &[&str]) -> Result<(), WeakPassword> {
        policy.check(&password.into(), context)
    }

    fn short_policy() -> PasswordPolicy {
        PasswordPolicy::builder().minimum(8).unwrap()
    }

    /// ASVS-5.0-6.2.1
    #[test]
    fn fifteen_characters_are_asked_for_and_eight_are_the_floor() {
        let default = PasswordPolicy::default();
        assert_eq!(
            check(&default, "vexing zebra 7", &[]),
            Err(WeakPassword::TooShort { minimum: 15, length: 14 })
        );
        assert_eq!(check(&default, "vexing zebra 77", &[]), Ok(()));
        let out_of_range = PolicyError::MinimumOutOfRange { least: 8, most: 64 };
        for minimum in [0, 7, 65, usize::MAX] {
            assert_eq!(default.clone().minimum(minimum).unwrap_err(), out_of_range);
        }
        let short = short_policy();
        assert!(default.suffices_alone() && !short.suffices_alone());
        assert_eq!(check(&short, "7vxzq#k", &[]), Err(WeakPassword::TooShort { minimum: 8, length: 7 }));
        assert_eq!(check(&short, "7vxzq#kp", &[]), Ok(()));
    }

    /// SP800-63B-4-3.1.1.2#4-codepoints
    #[test]
    fn length_is_counted_in_code_points() {
        let policy = PasswordPolicy::default();
        assert_eq!(check(&policy, &"🦀".repeat(15), &[]), Ok(()));
        assert!(matches!(
            check(&policy, &"🦀".repeat(14), &[]),
            Err(WeakPassword::TooShort { length: 14, .. })
        ));
        // Seven letters, each with a combining mark, and one more: 15 code points.
        assert_eq!(check(&policy, &format!("{}x", "e\u{301}".repeat(7)), &[]), Ok(()));
        assert!(matches!(
            check(&policy, &"e\u{301}".repeat(7), &[]),
            Err(WeakPassword::TooShort { length: 14, .. })
        ));
        assert_eq!(check(&policy, &"\u{e9} x".repeat(5), &[]), Ok(()));
    }

    /// ASVS-5.0-6.2.9, ATK-PWD-01
    #[test]
    fn sixty_four_wide_characters_are_accepted_and_more_than_the_byte_limit_is_not() {
        let policy = PasswordPolicy::default();
        assert_eq!(check(&policy, &"🦀".repeat(64), &[]), Ok(()));
        assert_eq!(check(&policy, &"xq".repeat(512), &[]), Ok(()));
        let too_long = Err(WeakPassword::TooLong { maximum_bytes: 1_024 });
        assert_eq!(check(&policy, &"x".repeat(1_025), &[]), too_long);
        assert_eq!(check(&policy, &"x".repeat(1 << 20), &[]), too_long);
    }

    /// ASVS-5.0-6.2.4, SP800-63B-4-3.1.1.2#blocklist
    #[test]
    fn every_common_password_is_refused() {
        let (default, short) = (PasswordPolicy::default(), short_policy());
        let mut long_enough = 0;
        for entry in common::all() {
            assert_eq!(check(&short, entry, &[]), Err(WeakPassword::Common), "{entry}");
            assert_eq!(check(&short, &entry.to_ascii_uppercase(), &[]), Err(WeakPassword::Common), "{entry}");
            if check(&default, entry, &[]) == Err(WeakPassword::Common) {
                long_enough += 1;
            }
        }
        assert!(long_enough >= 3_000, "{long_enough}");
    }

    /// SP800-63B-4-3.1.1.2#blocklist
    #[test]
    fn a_phrase_that_holds_a_listed_word_is_accepted_and_a_refusal_says_why_and_what_to_do() {
        let policy = PasswordPolicy::builder().context_words(["Portcullis"]);
        assert_eq!(check(&policy, "my password for the gate is green", &[]), Ok(()));
        assert_eq!(check(&policy, "the portcullis closes at dusk", &["ann@example.com"]), Ok(()));
        let codes = [
            (WeakPassword::TooShort { minimum: 15, length: 3 }, "password_too_short"),
            (WeakPassword::TooLong { maximum_bytes: 1_024 }, "password_too_long"),
            (WeakPassword::Common, "password_common"),
            (WeakPassword::ContextWord, "password_context_word"),
            (WeakPassword::Breached, "password_breached"),
        ];
        for (why, code) in codes {
            assert_eq!(why.code(), code);
            assert!(!why.guidance().is_empty());
        }
    }

    /// ASVS-5.0-6.1.2
    #[test]
    fn a_password_that_is_a_context_word_is_refused() {
        let policy = short_policy().context_words(["Portcullis", "Acme Cloud"]);
        let context = ["Ann.Smith@example.com", "Blue Heron GmbH", "Zoë", "uk", "20481024"];
        for password in [
            "portcullis",
            "PORTCULLIS",
            "Portcullis2026!",
            "2026--portcullis--",
            "portcullisportcullis",
            "Portcullis portcullis 1",
            "acme-cloud-123456",
            "acmecloud",
            "ann.smith@example.com",
            "Ann.Smith",
            "annsmith1990",
            "blueherongmbh1",
            "zoë12345",
            "ukukukuk",
            "20481024",
            "2048102420481024",
        ] {
            assert_eq!(check(&policy, password, &context), Err(WeakPassword::ContextWord), "{password}");
        }
        for password in
            ["a tall portcullis", "ann.smith@example.com is me", "uk-48210-7731", "20481024 kettles"]
        {
            assert_eq!(check(&policy, password, &context), Ok(()), "{password}");
        }
        assert_eq!(check(&policy, "12345 kettle", &["", " ", "@"]), Ok(()), "an empty word refuses nothing");
    }

    #[test]
    fn when_the_breach_source_fails_the_default_accepts() {
        let policy = PasswordPolicy::default();
        assert_eq!(policy.on_breach_source_failure(), BreachFailure::Accept);
        let strict = policy.breach_source_failure(BreachFailure::Refuse);
        assert_eq!(strict.on_breach_source_failure(), BreachFailure::Refuse);
    }

    fn accepted_unless_listed(text: &str) -> Result<(), TestCaseError> {
        prop_assume!(!common::is_common(text));
        prop_assert_eq!(
            check(&PasswordPolicy::builder().context_words(["Portcullis"]), text, &["ann@example.com"]),
            Ok(())
        );
        Ok(())
    }

    proptest! {
        /// ASVS-5.0-6.2.5
        #[test]
        fn no_kind_of_character_is_asked_for(
            digits in "[0-9]{15,64}",
            spaces in " {15,64}",
            lower in "[a-z]{15,64}",
            emoji in "[🦀🐍🔑🚪😀]{15,64}",
            anything in "\\PC{15,64}",
        ) {
            for text in [digits, spaces, lower, emoji, anything] {
                accepted_unless_listed(&text)?;
            }
        }

        /// ASVS-5.0-6.2.7
        #[test]
        fn what_a_password_manager_makes_is_accepted(text in "[!-~]{64}") {
            accepted_unless_listed(&text)?;
        }
    }
}
