//! The built-in list of common passwords (ASVS 5.0, 6.2.4), written by `tools/common_passwords.py`.

use std::sync::LazyLock;

use zeroize::Zeroizing;

/// The lines of the list, which are in the order of their bytes.
static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Whether the whole password is on the list, whatever the case of its ASCII letters.
pub(super) fn is_common(password: &str) -> bool {
    let lower = Zeroizing::new(password.to_ascii_lowercase());
    COMMON.binary_search(&lower.as_str()).is_ok()
}

/// Every password on the list.
#[cfg(test)]
pub(super) fn all() -> &'static [&'static str] {
    &COMMON
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS-5.0-6.2.4
    #[test]
    fn the_list_is_sorted_and_long_enough_for_the_floor_and_for_the_default_minimum() {
        assert!(all().is_sorted_by(|a, b| a < b));
        assert!(all().iter().all(|entry| entry.chars().count() >= 8));
        assert!(all().iter().all(|entry| **entry == entry.to_ascii_lowercase()));
        assert!(all().iter().filter(|entry| entry.chars().count() >= 15).count() >= 3_000);
    }

    #[test]
    fn the_whole_password_counts_and_case_does_not() {
        assert!(is_common("CorrectHorseBatteryStaple"));
        assert!(is_common("PASSWORDPASSWORD"));
        assert!(!is_common("passwordpassword and then some"));
        assert!(!is_common(""));
    }
}
