//! Whether proofs are recent enough for a sensitive operation.

use jiff::{SignedDuration, Timestamp};

use super::error::AccountError;
use super::inner::Inner;
use crate::store::record::{Assurance, Factor};

/// A proof shown by a clock that has since been set back a little still counts; one from further ahead does not.
const CLOCK_PLAY: SignedDuration = SignedDuration::from_mins(1);

impl Inner {
    /// Whether the password, and the second factor of an account that has one, were shown within the step-up
    /// window (ASVS 5.0, 7.5.1 and 7.5.3). Fails closed.
    pub(super) fn require_recent(
        &self,
        assurance: &Assurance,
        has_second_factor: bool,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let recent = |at: Option<Timestamp>| {
            at.is_some_and(|at| {
                let age = now.duration_since(at);
                age >= -CLOCK_PLAY && age <= self.config.step_up
            })
        };
        let password = recent(assurance.shown_at(Factor::Password));
        let second = !has_second_factor || recent(assurance.second_factor_at());
        if password && second {
            Ok(())
        } else {
            Err(AccountError::StepUpRequired { second_factor: has_second_factor })
        }
    }
}
