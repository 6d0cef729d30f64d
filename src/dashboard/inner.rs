//! What all use cases share: the ports, the choices, and small tools.

use core::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{MutexGuard, Notify};

use super::config::Config;
use super::error::Fault;
use super::money::starter::Starter;
use crate::access::Catalogue;
use crate::audit::{Personal, Salt};
use crate::hashing::{HashingError, HashingPool};
use crate::id::WorkspaceId;
use crate::key::KeyFormat;
use crate::password::{BreachFailure, PasswordHash, Verified, WeakPassword};
use crate::ports::{
    BreachedPasswords, Clock, Entropy, EntropyExt, EntropyFailed, EventKind, Outcome, SecurityEvent,
    SecurityEvents,
};
use crate::secret::SealingKeys;
use crate::source::Source;
use crate::store::record::{Action, Actor, AuditEntry, PersonalValue, Subject, Target};
use crate::store::{Snapshot, Store, StoreError, StoreFailure, Transaction, Tx, within};
use crate::throttle::Counter;

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) config: Arc<Config>,
    pub(super) store: Arc<dyn Store>,
    pub(super) apart: Apart,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) format: Arc<KeyFormat>,
    pub(super) sealing_keys: Arc<SealingKeys>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) breached: Arc<dyn BreachedPasswords>,
    pub(super) events: Arc<dyn SecurityEvents>,
    pub(super) hashing: HashingPool,
    pub(super) starter: Option<Arc<Starter>>,
    pub(super) gate: Arc<Gate>,
    /// The budget of failed sign-ins in this process from anywhere.
    pub(super) everywhere: Arc<Mutex<Counter>>,
    /// Rung when mail was committed.
    pub(super) mail_waits: Arc<Notify>,
}

/// Where tries are charged: what is charged may not be undone by whoever joins a transaction.
#[derive(Clone)]
pub(super) enum Apart {
    /// In the store itself.
    Here,
    /// In the store whose transaction was joined.
    Beside(Arc<dyn Store>),
    /// Nowhere.
    Nowhere,
}

impl super::Dashboard {
    /// How many password hashes were computed so far, for metrics and tests.
    #[must_use]
    pub fn hashes_computed(&self) -> u64 {
        self.inner.hashing.computed()
    }
}

impl Inner {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn within<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        E: StoreFailure,
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        self.told(within(self.store.as_ref(), work).await)
    }

    /// The same in a transaction that no joined one can undo.
    pub(super) async fn within_apart<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        E: StoreFailure,
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let store = match &self.apart {
            Apart::Here => &self.store,
            Apart::Beside(store) => store,
            Apart::Nowhere => return Err(StoreError::CannotJoin.into()),
        };
        self.told(within(store.as_ref(), work).await)
    }

    fn told<T, E: StoreFailure>(&self, answer: Result<T, E>) -> Result<T, E> {
        if let Some(error) = answer.as_ref().err().and_then(StoreFailure::store_error) {
            self.store_failed(error);
        }
        answer
    }

    pub(super) async fn read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let snapshot = self.store.begin_read().await;
        if let Err(error) = &snapshot {
            self.store_failed(error);
        }
        snapshot
    }

    /// Hashes with a fresh salt.
    pub(super) async fn hash(&self, password: SecretString) -> Result<PasswordHash, HashOrEntropy> {
        let salt = self.entropy.bytes()?;
        Ok(self.hashing.hash(password, salt).await?)
    }

    /// Compares; without a hash at the same cost.
    pub(super) async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<Verified, HashingError> {
        self.hashing.verify(password, hash).await
    }

    /// The whole policy: the pure rules, then the source of breached passwords.
    pub(super) async fn check_new_password(
        &self,
        password: &SecretString,
        context: &[&str],
        source: &Source,
    ) -> Result<(), WeakPassword> {
        let policy = &self.config.passwords;
        policy.check(password, context)?;
        match self.breached.contains(password).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(WeakPassword::Breached),
            Err(_) => {
                self.tell(self.event(EventKind::BreachCheckFailed, Outcome::Failed, source));
                match policy.on_breach_source_failure() {
                    BreachFailure::Accept => Ok(()),
                    BreachFailure::Refuse => Err(WeakPassword::Breached),
                }
            }
        }
    }

    pub(super) fn audit(
        &self,
        at: Timestamp,
        actor: Actor,
        action: Action,
        target: Target,
        source: &Source,
    ) -> Result<AuditEntry, EntropyFailed> {
        let subject = match (&actor, target) {
            (Actor::Account(id), _) => Some(Subject::account(*id)),
            (Actor::System, Target::Account(id)) => Some(Subject::account(id)),
            _ => None,
        };
        Ok(AuditEntry {
            id: self.entropy.id(at)?,
            at,
            workspace: None,
            actor,
            action,
            target,
            before: None,
            after: None,
            request_id: source.request_id().map(str::to_owned),
            personal: self.personal_of(source, subject)?,
        })
    }

    /// Where a request came from, as personal values of whoever made it.
    fn personal_of(
        &self,
        source: &Source,
        subject: Option<Subject>,
    ) -> Result<Vec<PersonalValue>, EntropyFailed> {
        let mut values = Vec::with_capacity(2);
        if let Some(address) = source.address() {
            values.push(self.personal(AuditEntry::SOURCE_ADDRESS, address.to_string(), subject)?);
        }
        if let Some(agent) = source.user_agent() {
            values.push(self.personal(AuditEntry::SOURCE_USER_AGENT, agent, subject)?);
        }
        Ok(values)
    }

    /// A value that can be erased, under a salt of its own.
    pub(super) fn personal(
        &self,
        field: &str,
        value: impl Into<String>,
        subject: Option<Subject>,
    ) -> Result<PersonalValue, EntropyFailed> {
        let salt = Salt::from_random(self.entropy.bytes()?);
        Ok(PersonalValue { subject, personal: Personal::commit(field, value, salt) })
    }

    /// Appends an entry, having checked that it can be sealed: what has no canonical encoding would stop its chain.
    pub(super) async fn append(&self, tx: &mut dyn Transaction, entry: &AuditEntry) -> Result<(), Fault> {
        entry.to_entry().digest().map_err(|_| Fault::Internal("audit entry"))?;
        Ok(tx.append_audit(entry).await?)
    }

    pub(super) fn event(&self, kind: EventKind, outcome: Outcome, source: &Source) -> SecurityEvent {
        SecurityEvent::new(self.now(), kind, outcome, source)
    }

    #[allow(clippy::needless_pass_by_value, reason = "an event is made where it is told")]
    pub(super) fn tell(&self, event: SecurityEvent) {
        self.events.record(&event);
    }

    fn store_failed(&self, error: &StoreError) {
        use crate::error::Coded as _;
        tracing::error!(target: "portcullis::store", error = %error, cause = ?std::error::Error::source(error));
        self.tell(self.event(EventKind::StoreFailed, Outcome::Failed, &Source::unknown()).code(error.code()));
    }
}

/// An audit entry with personal values beside where it came from, in the order of their names.
pub(super) fn with_personal(
    mut entry: AuditEntry,
    values: impl IntoIterator<Item = PersonalValue>,
) -> AuditEntry {
    entry.personal.extend(values);
    entry.personal.sort_by(|a, b| a.personal.field.cmp(&b.personal.field));
    entry
}

/// An audit entry that belongs in a workspace's log.
pub(super) fn in_workspace(mut entry: AuditEntry, workspace: WorkspaceId) -> AuditEntry {
    entry.workspace = Some(workspace);
    entry
}

/// An audit entry with what became of the target.
pub(super) fn with_after(mut entry: AuditEntry, after: serde_json::Value) -> AuditEntry {
    entry.after = Some(after);
    entry
}

/// Hashing anew can fail in two ways.
#[derive(Debug)]
pub(super) enum HashOrEntropy {
    Hashing(HashingError),
    Entropy(EntropyFailed),
}

impl From<HashingError> for HashOrEntropy {
    fn from(error: HashingError) -> Self {
        Self::Hashing(error)
    }
}

impl From<EntropyFailed> for HashOrEntropy {
    fn from(error: EntropyFailed) -> Self {
        Self::Entropy(error)
    }
}

macro_rules! from_hash_or_entropy {
    ($($name:path),*) => {$(
        impl From<HashOrEntropy> for $name {
            fn from(error: HashOrEntropy) -> Self {
                match error {
                    HashOrEntropy::Hashing(error) => error.into(),
                    HashOrEntropy::Entropy(error) => Self::Fault(Fault::Entropy(error)),
                }
            }
        }
    )*};
}

from_hash_or_entropy!(
    super::error::SignUpError,
    super::error::SignInError,
    super::error::ResetError,
    super::error::AccountError,
    super::error::InvitationError
);

/// Work on one account goes one after the other *before* it takes a connection, so that one attacked account
/// cannot starve its neighbours of connections.
pub(super) struct Gate {
    stripes: Vec<tokio::sync::Mutex<()>>,
}

impl Gate {
    const STRIPES: usize = 256;

    pub(super) fn new() -> Self {
        Self { stripes: (0..Self::STRIPES).map(|_| tokio::sync::Mutex::new(())).collect() }
    }

    pub(super) async fn pass(&self, whom: impl Hash) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        whom.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % 256).unwrap_or(0);
        match self.stripes.get(stripe) {
            Some(stripe) => Some(stripe.lock().await),
            None => None,
        }
    }
}
