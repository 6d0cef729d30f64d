//! What a service chooses, each with a default that can stay.

use core::time::Duration;

use jiff::SignedDuration;

use crate::password::PasswordPolicy;
use crate::store::record::Entitlements;
use crate::throttle::{Backoff, BadThrottle, Budget};
use crate::totp::Window;

const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// The setting cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadConfig {
    /// The service's name is empty, longer than 64 bytes, or has a colon or a control character.
    #[error("a service name is 1 to 64 bytes without colons and control characters")]
    ServiceName,
    /// Mailed links must lead to `https`, or to `http` on this machine.
    #[error(
        "the base of links must be https://…, or http:// on 127.0.0.1, [::1] or localhost; without query and fragment"
    )]
    LinkBase,
    /// A time is zero or beyond its bound.
    #[error("{what} must be more than zero and at most {most:?}")]
    Lifetime {
        /// Which.
        what: &'static str,
        /// Its bound.
        most: Duration,
    },
    /// The threads that hash passwords could not be started.
    #[error("the hashing threads could not be started")]
    Hashing(#[source] std::io::Error),
}

/// How long sessions live. The defaults are the choices of the security notes: 24 hours idle, 30 days in all
/// (NIST SP 800-63B-4, 2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    pub(super) idle: SignedDuration,
    pub(super) absolute: SignedDuration,
    pub(super) most: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: SignedDuration::from_hours(24), absolute: SignedDuration::from_hours(24 * 30), most: 50 }
    }
}

impl SessionLimits {
    /// Own limits: at most 30 days in all, unless [`Self::danger_up_to_a_year`] is used instead.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] for zero, an idle time above the absolute one, or more than 30 days.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, BadConfig> {
        Self::within(idle, absolute, 30 * DAY)
    }

    /// Own limits of up to 366 days, beyond what NIST SP 800-63B-4 recommends.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] for zero, an idle time above the absolute one, or more than 366 days.
    pub fn danger_up_to_a_year(idle: Duration, absolute: Duration) -> Result<Self, BadConfig> {
        Self::within(idle, absolute, 366 * DAY)
    }

    /// The recommendation for two-factor sessions: 1 hour idle, 24 hours in all (NIST SP 800-63B-4, 2.2.3).
    #[must_use]
    pub fn aal2() -> Self {
        Self {
            idle: SignedDuration::from_hours(1),
            absolute: SignedDuration::from_hours(24),
            ..Self::default()
        }
    }

    /// The recommendation at the highest level: 15 minutes idle, 12 hours in all (NIST SP 800-63B-4, 2.3.3).
    #[must_use]
    pub fn aal3() -> Self {
        Self {
            idle: SignedDuration::from_mins(15),
            absolute: SignedDuration::from_hours(12),
            ..Self::default()
        }
    }

    /// How many sessions an account may hold, 50 by default: one more ends the one begun first.
    #[must_use]
    pub fn most(mut self, most: core::num::NonZeroU32) -> Self {
        self.most = most.get();
        self
    }

    /// How long a session lives without being used.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle.unsigned_abs()
    }

    /// How long a session lives in all.
    #[must_use]
    pub fn absolute(&self) -> Duration {
        self.absolute.unsigned_abs()
    }

    fn within(idle: Duration, absolute: Duration, most: Duration) -> Result<Self, BadConfig> {
        let absolute = bounded("the absolute session lifetime", absolute, most)?;
        let idle = bounded("the idle session lifetime", idle, absolute.unsigned_abs())?;
        Ok(Self { idle, absolute, ..Self::default() })
    }
}

/// How often things may be tried. Each knob says why it is no weapon against the owner of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttles {
    /// Passwords of one account (or of one unknown address): 5 free, then waits from 30 seconds, doubling to 15
    /// minutes, off after 100. An attacker can make the owner wait; the reset link works all the same and ends
    /// the wait, and sessions are not touched.
    pub password: Backoff,
    /// TOTP codes of one account: 5 free, then waits from 30 seconds, doubling to 15 minutes, off after 50. Only
    /// somebody who knows the password gets here; recovery codes have their own budget.
    pub totp: Backoff,
    /// Recovery codes of one account: 5 free, then waits from one minute, doubling to an hour, off after 50.
    /// Together with TOTP never above the 100 of NIST SP 800-63B-4, 3.2.2.
    pub recovery: Backoff,
    /// Failed sign-ins, links and codes from one IPv4 address or IPv6 /64: 100 an hour. Successes are given back,
    /// so that an office behind one address is not held up by its own people.
    pub source: Budget,
    /// The same for an IPv6 /48: 400 an hour.
    pub site: Budget,
    /// Failed sign-ins in this process from anywhere: 3,000 a minute. Against guessing one password on many
    /// accounts from many addresses; signed-in people and reset links are not touched by it.
    pub everywhere: Budget,
    /// Mails caused by strangers to one address: 5 an hour, reset links counted apart. An
    /// attacker who uses up the reset links has sent the owner the very links that the owner would ask for.
    pub mail_to_address: Budget,
    /// Mails caused by one IPv4 address or IPv6 /64: 30 an hour.
    pub mail_from_source: Budget,
    /// The same for an IPv6 /48: 120 an hour.
    pub mail_from_site: Budget,
    /// Sets of recovery codes made for one account: 10 an hour, since each takes ten password hashes. It asks for a
    /// session with recent proofs, so no stranger can use it up.
    pub new_codes: Budget,
    /// Invitations mailed for one workspace: 100 an hour. It asks for a member who may invite.
    pub invitations: Budget,
    /// Workspaces made by one account: 20 an hour.
    pub new_workspaces: Budget,
}

impl Throttles {
    /// The documented defaults.
    ///
    /// # Errors
    /// None in practice: the numbers are within bounds.
    pub fn standard() -> Result<Self, BadThrottle> {
        let backoff = |first: u64, longest: u64, off: u32| {
            Backoff::new(5, Duration::from_secs(first), Duration::from_secs(longest), off)
        };
        Ok(Self {
            password: backoff(30, 900, 100)?,
            totp: backoff(30, 900, 50)?,
            recovery: backoff(60, 3_600, 50)?,
            source: Budget::new(100, HOUR)?,
            site: Budget::new(400, HOUR)?,
            everywhere: Budget::new(3_000, MINUTE)?,
            mail_to_address: Budget::new(5, HOUR)?,
            mail_from_source: Budget::new(30, HOUR)?,
            mail_from_site: Budget::new(120, HOUR)?,
            new_codes: Budget::new(10, HOUR)?,
            invitations: Budget::new(100, HOUR)?,
            new_workspaces: Budget::new(20, HOUR)?,
        })
    }
}

/// All choices, checked.
pub(super) struct Config {
    pub(super) service: String,
    pub(super) link_base: String,
    pub(super) passwords: PasswordPolicy,
    pub(super) window: Window,
    pub(super) sessions: SessionLimits,
    pub(super) throttles: Throttles,
    pub(super) step_up: SignedDuration,
    pub(super) reset_link: SignedDuration,
    pub(super) verify_link: SignedDuration,
    pub(super) pending_sign_in: SignedDuration,
    pub(super) enrolment: SignedDuration,
    pub(super) key_lifetime: SignedDuration,
    pub(super) usage_retention: SignedDuration,
    pub(super) invitation: SignedDuration,
    pub(super) recovery_wait: SignedDuration,
    pub(super) entitlements: Entitlements,
    pub(super) revocation_bound: Duration,
}

pub(super) fn bounded(
    what: &'static str,
    time: Duration,
    most: Duration,
) -> Result<SignedDuration, BadConfig> {
    let ok = !time.is_zero() && time <= most;
    SignedDuration::try_from(time).ok().filter(|_| ok).ok_or(BadConfig::Lifetime { what, most })
}
