//! Money: whole millionths of a credit, never a float.
//!
//! What a credit is worth is the service's affair. Sums are checked: what does not fit is an error, and nothing is ever
//! rounded, wrapped or cut off, but for what is only shown ([`Credits::saturating_plus`]).

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Coded;

/// How many millionths one credit has.
pub const MILLIONTHS: i64 = 1_000_000;
/// The largest single amount: a billion credits. Sums may be larger.
pub const MAX_AMOUNT: Credits = Credits(1_000_000_000 * MILLIONTHS);

/// A sum of money, in millionths of a credit. It may be negative: a balance can be overdrawn.
///
/// Its text is decimal, as short as it can be: `12.5`, `-0.000001`. JSON holds the text, since numbers of this size do not
/// survive in every reader (RFC 8259, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credits(i64);

/// An amount that can be reserved: more than nothing, at most [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(Credits);

/// What something has cost: nothing or more, at most [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(Credits);

/// Why a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAmount {
    /// Below zero.
    #[error("an amount is not negative")]
    Negative,
    /// Zero, where nothing is no amount.
    #[error("an amount is more than nothing")]
    Zero,
    /// Above [`MAX_AMOUNT`].
    #[error("an amount is at most a billion credits")]
    TooLarge,
    /// No decimal number with at most six digits behind the point.
    #[error("an amount is a decimal number with at most six digits behind the point")]
    Malformed,
}

/// A sum that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sum is larger than can be kept")]
pub struct Overflow;

impl Coded for BadAmount {
    fn code(&self) -> &'static str {
        match self {
            Self::Negative => "amount_negative",
            Self::Zero => "amount_zero",
            Self::TooLarge => "amount_too_large",
            Self::Malformed => "amount_malformed",
        }
    }
}

impl Coded for Overflow {
    fn code(&self) -> &'static str {
        "sum_overflow"
    }
}

impl Credits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// The sum of two.
    ///
    /// # Errors
    /// [`Overflow`] when it does not fit.
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    /// The difference of two.
    ///
    /// # Errors
    /// [`Overflow`] when it does not fit.
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(Overflow)
    }

    /// The same below zero. The smallest sum there is has none, and becomes the largest: no record holds it.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The sum of two for statistics, where the largest there is says enough: what does not fit is cut off.
    #[must_use]
    pub const fn saturating_plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Amount {
    /// Takes a sum that is more than nothing.
    ///
    /// # Errors
    /// [`BadAmount`].
    pub fn new(sum: Credits) -> Result<Self, BadAmount> {
        match sum {
            Credits::ZERO => Err(BadAmount::Zero),
            sum => Cost::new(sum).map(|cost| Self(cost.0)),
        }
    }

    /// The sum.
    #[must_use]
    pub const fn credits(self) -> Credits {
        self.0
    }
}

impl Cost {
    /// Takes a sum that is not negative.
    ///
    /// # Errors
    /// [`BadAmount`].
    pub fn new(sum: Credits) -> Result<Self, BadAmount> {
        if sum.is_negative() {
            Err(BadAmount::Negative)
        } else if sum > MAX_AMOUNT {
            Err(BadAmount::TooLarge)
        } else {
            Ok(Self(sum))
        }
    }

    /// The sum.
    #[must_use]
    pub const fn credits(self) -> Credits {
        self.0
    }
}

impl From<Amount> for Cost {
    fn from(amount: Amount) -> Self {
        Self(amount.0)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, one) = (self.0.unsigned_abs(), MILLIONTHS.unsigned_abs());
        let sign = if self.is_negative() { "-" } else { "" };
        let (whole, part) = (all / one, all % one);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let part = format!("{part:06}");
        write!(f, "{sign}{whole}.{}", part.trim_end_matches('0'))
    }
}

impl FromStr for Credits {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Self, BadAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let numeral = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
        let shaped = !whole.is_empty() && part.len() <= 6 && (part.is_empty() != digits.contains('.'));
        if !shaped || !numeral(whole) || !numeral(part) {
            return Err(BadAmount::Malformed);
        }
        let sign = if negative { -1 } else { 1 };
        let whole: i64 = whole.parse().map_err(|_| BadAmount::TooLarge)?;
        let part: i64 = format!("{part:0<6}").parse().map_err(|_| BadAmount::Malformed)?;
        // Signed before they are joined, so that the smallest number there is can be read.
        let sum = (whole * sign).checked_mul(MILLIONTHS).and_then(|sum| sum.checked_add(part * sign));
        sum.map(Self).ok_or(BadAmount::TooLarge)
    }
}

impl Serialize for Credits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_more_than_nothing_and_at_most_a_billion_credits() {
        let of = |millionths| Amount::new(Credits::from_millionths(millionths));
        assert_eq!(of(0), Err(BadAmount::Zero));
        assert_eq!(of(-1), Err(BadAmount::Negative));
        assert_eq!(of(i64::MIN), Err(BadAmount::Negative));
        assert_eq!(of(i64::MAX), Err(BadAmount::TooLarge));
        assert_eq!(of(MAX_AMOUNT.0 + 1), Err(BadAmount::TooLarge));
        assert!(of(1).is_ok() && of(MAX_AMOUNT.0).is_ok());
        assert!(Cost::new(Credits::ZERO).is_ok());
    }

    #[test]
    fn sums_that_do_not_fit_are_errors() {
        let most = Credits::from_millionths(i64::MAX);
        assert_eq!(most.plus(Credits::from_millionths(1)), Err(Overflow));
        assert_eq!(Credits::from_millionths(i64::MIN).minus(Credits::from_millionths(1)), Err(Overflow));
    }

    #[test]
    fn a_text_that_is_no_decimal_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1.0000001",
            "1e3",
            "+1",
            " 1",
            "1 ",
            "1,5",
            "NaN",
            "inf",
            "0x1",
            "--1",
            "1.-5",
            "9223372036855",
            "٣",
        ] {
            assert!(text.parse::<Credits>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_sum_reads_back_from_its_text(millionths: i64) {
            let sum = Credits::from_millionths(millionths);
            prop_assert_eq!(sum.to_string().parse::<Credits>(), Ok(sum));
            let json = serde_json::to_string(&sum).unwrap();
            prop_assert_eq!(serde_json::from_str::<Credits>(&json).unwrap(), sum);
        }
    }
}
