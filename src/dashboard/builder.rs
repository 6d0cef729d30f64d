//! Making the people's door.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tokio::sync::Notify;

use super::Dashboard;
use super::config::{BadConfig, Config, DAY, HOUR, SessionLimits, Throttles, bounded};
use super::inner::{Apart, Gate, Inner};
use super::money::starter::Starter;
use crate::access::Catalogue;
use crate::hashing::HashingPool;
use crate::key::KeyFormat;
use crate::password::{HashParams, HashScheme, PasswordPolicy, Peppers};
use crate::ports::{
    BreachedPasswords, Clock, Entropy, NoBreachedPasswords, SecurityEvents, StarterCredit, SystemClock,
    SystemEntropy, TracingEvents,
};
use crate::secret::{MailboxKey, SealingKeys};
use crate::store::record::Entitlements;
use crate::store::{ChangeStream, Store};
use crate::throttle::Counter;
use crate::totp::Window;

/// Makes a [`Dashboard`].
pub struct DashboardBuilder {
    config: Config,
    store: Arc<dyn Store>,
    catalogue: Arc<Catalogue>,
    format: Arc<KeyFormat>,
    sealing_keys: SealingKeys,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    breached: Arc<dyn BreachedPasswords>,
    events: Arc<dyn SecurityEvents>,
    starter: Option<Starter>,
    params: HashParams,
    peppers: Option<Peppers>,
    threads: NonZeroUsize,
    queue: usize,
}

impl Dashboard {
    /// Starts to make a dashboard door over a store.
    ///
    /// `service` is what people know the service by; it stands in mails and authenticator apps. `link_base` is
    /// where mailed links lead, for example `https://console.example.com`: it is never taken from a request.
    /// `sealing_keys` come from the service's secret store.
    ///
    /// # Errors
    /// [`BadConfig`] when the name or the base cannot be used.
    pub fn builder<S: Store + ChangeStream>(
        store: S,
        service: &str,
        link_base: &str,
        catalogue: Arc<Catalogue>,
        format: Arc<KeyFormat>,
        sealing_keys: SealingKeys,
    ) -> Result<DashboardBuilder, BadConfig> {
        let named =
            (1..=64).contains(&service.len()) && !service.contains(|c: char| c == ':' || c.is_control());
        if !named {
            return Err(BadConfig::ServiceName);
        }
        let passwords = PasswordPolicy::default().context_words([service]);
        let revocation_bound = store.trust();
        let throttles = Throttles::standard().map_err(|_| BadConfig::ServiceName)?;
        Ok(DashboardBuilder {
            config: Config {
                service: service.to_owned(),
                link_base: super::link::checked_base(link_base)?,
                passwords,
                window: Window::default(),
                sessions: SessionLimits::default(),
                throttles,
                step_up: SignedDuration::from_mins(10),
                reset_link: SignedDuration::from_mins(10),
                verify_link: SignedDuration::from_hours(24),
                pending_sign_in: SignedDuration::from_mins(10),
                enrolment: SignedDuration::from_mins(15),
                key_lifetime: SignedDuration::from_hours(24 * 90),
                usage_retention: SignedDuration::from_hours(24 * 400),
                invitation: SignedDuration::from_hours(24 * 7),
                recovery_wait: SignedDuration::from_hours(72),
                entitlements: Entitlements::default(),
                revocation_bound,
            },
            store: Arc::new(store),
            catalogue,
            format,
            sealing_keys,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy::new()),
            breached: Arc::new(NoBreachedPasswords),
            events: Arc::new(TracingEvents),
            starter: None,
            params: HashParams::default(),
            peppers: None,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            queue: 64,
        })
    }
}

impl DashboardBuilder {
    /// Another password policy. Context words given before are its own affair.
    #[must_use]
    pub fn passwords(mut self, policy: PasswordPolicy) -> Self {
        self.config.passwords = policy;
        self
    }

    /// Gives new accounts credit to start with, once for each mailbox: not again after deletion and return, and not to
    /// accounts that an organisation provisions. By default there is none. `hook` decides (an
    /// [`Amount`](crate::money::Amount) is one: the same for everybody); `key` comes from the service's secret store.
    #[must_use]
    pub fn starter_credit(mut self, key: MailboxKey, hook: impl StarterCredit) -> Self {
        self.starter = Some(Starter { key, hook: Arc::new(hook) });
        self
    }

    /// Where breached passwords are looked up; by default nowhere.
    #[must_use]
    pub fn breached_passwords(mut self, source: impl BreachedPasswords) -> Self {
        self.breached = Arc::new(source);
        self
    }

    /// Argon2id parameters; OWASP's by default. Earlier hashes are brought up to them at sign-in.
    #[must_use]
    pub fn hash_params(mut self, params: HashParams) -> Self {
        self.params = params;
        self
    }

    /// A keyed step in password hashes, with keys kept outside the database.
    #[must_use]
    pub fn peppers(mut self, peppers: Peppers) -> Self {
        self.peppers = Some(peppers);
        self
    }

    /// How many threads hash passwords (by default one per core; each needs 19 MiB) and how many tries may wait
    /// for them (by default 64; beyond that the answer is "busy").
    #[must_use]
    pub fn hashing(mut self, threads: NonZeroUsize, queue: usize) -> Self {
        self.threads = threads;
        self.queue = queue;
        self
    }

    /// Which TOTP steps are accepted.
    #[must_use]
    pub fn totp_window(mut self, window: Window) -> Self {
        self.config.window = window;
        self
    }

    /// How long sessions live.
    #[must_use]
    pub fn sessions(mut self, limits: SessionLimits) -> Self {
        self.config.sessions = limits;
        self
    }

    /// How often things may be tried.
    #[must_use]
    pub fn throttles(mut self, throttles: Throttles) -> Self {
        self.config.throttles = throttles;
        self
    }

    /// For how long a shown proof counts as recent for sensitive operations: 10 minutes by default, at most an
    /// hour.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn step_up_window(mut self, window: Duration) -> Result<Self, BadConfig> {
        self.config.step_up = bounded("the step-up window", window, HOUR)?;
        Ok(self)
    }

    /// How long a reset link works: 10 minutes by default (ASVS 5.0, 6.5.5), at most 24 hours (NIST SP
    /// 800-63B-4, 4.2.1.2).
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn reset_link_lifetime(mut self, lifetime: Duration) -> Result<Self, BadConfig> {
        self.config.reset_link = bounded("the reset link's lifetime", lifetime, DAY)?;
        Ok(self)
    }

    /// How long a verification link works: 24 hours by default, at most 7 days.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn verify_link_lifetime(mut self, lifetime: Duration) -> Result<Self, BadConfig> {
        self.config.verify_link = bounded("the verification link's lifetime", lifetime, 7 * DAY)?;
        Ok(self)
    }

    /// How long a key lives when nobody says: 90 days by default, at most ten years.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn key_lifetime(mut self, lifetime: Duration) -> Result<Self, BadConfig> {
        self.config.key_lifetime = bounded("a key's lifetime", lifetime, 3_653 * DAY)?;
        Ok(self)
    }

    /// How long hourly usage is kept: 400 days by default, so that a month can be compared with that of the year before;
    /// at most ten years. [Sweeping](super::Dashboard::sweep) deletes what is older; what each key has done in all is kept
    /// as long as the key.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn usage_retention(mut self, time: Duration) -> Result<Self, BadConfig> {
        self.config.usage_retention = bounded("the retention of usage", time, 3_653 * DAY)?;
        Ok(self)
    }

    /// How long an invitation's link works: 7 days by default, at most 30.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn invitation_lifetime(mut self, lifetime: Duration) -> Result<Self, BadConfig> {
        self.config.invitation = bounded("the invitation's lifetime", lifetime, 30 * DAY)?;
        Ok(self)
    }

    /// How long an operator-assisted recovery waits before it can be finished, so that the owner of the account can
    /// cancel it: 72 hours by default, at most 30 days.
    ///
    /// # Errors
    /// [`BadConfig::Lifetime`] out of bounds.
    pub fn recovery_wait(mut self, wait: Duration) -> Result<Self, BadConfig> {
        self.config.recovery_wait = bounded("the wait of a recovery", wait, 30 * DAY)?;
        Ok(self)
    }

    /// What the plan of a new workspace includes; everything by default.
    #[must_use]
    pub fn entitlements(mut self, entitlements: Entitlements) -> Self {
        self.config.entitlements = entitlements;
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of randomness.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Where security events go; to `tracing` by default.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn SecurityEvents>) -> Self {
        self.events = events;
        self
    }

    /// Opens the door.
    ///
    /// # Errors
    /// [`BadConfig::Hashing`] when the hashing threads cannot be started.
    pub fn build(self) -> Result<Dashboard, BadConfig> {
        let mut scheme = HashScheme::new(self.params);
        if let Some(peppers) = self.peppers {
            scheme = scheme.with_peppers(peppers);
        }
        let hashing = HashingPool::new(scheme, self.threads, self.queue).map_err(BadConfig::Hashing)?;
        let everywhere = Mutex::new(Counter::fresh(self.clock.now()));
        let inner = Inner {
            config: Arc::new(self.config),
            store: self.store,
            apart: Apart::Here,
            catalogue: self.catalogue,
            format: self.format,
            sealing_keys: Arc::new(self.sealing_keys),
            starter: self.starter.map(Arc::new),
            clock: self.clock,
            entropy: self.entropy,
            breached: self.breached,
            events: self.events,
            hashing,
            gate: Arc::new(Gate::new()),
            everywhere: Arc::new(everywhere),
            mail_waits: Arc::new(Notify::new()),
        };
        Ok(Dashboard { inner: Arc::new(inner) })
    }
}
