//! Charging tries before they are evaluated, and giving them back when they succeed.

use std::sync::PoisonError;

use jiff::Timestamp;

use super::config::Throttles;
use super::inner::Inner;
use crate::email::EmailAddress;
use crate::id::{AccountId, FactorId, Id, WorkspaceId};
use crate::ports::{EventKind, Outcome};
use crate::source::{Network, Source};
use crate::store::{Locked, StoreError, StoreFailure, Transaction};
use crate::throttle::{Backoff, Budget, Counter, CounterKey, Refused};

/// What one try uses up.
pub(super) struct Charges {
    budgets: Vec<(CounterKey, Budget)>,
    backoff: Option<(CounterKey, Backoff)>,
}

/// A try that was charged and may be evaluated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charged {
    /// Consecutive failures before this try.
    pub(super) failures: u32,
    /// If this try fails, later ones wait: the moment to tell the owner.
    pub(super) just_locked: bool,
}

impl Charges {
    /// A password of an address, whether or not it has an account.
    pub(super) fn password(throttles: &Throttles, email: &EmailAddress, source: &Source) -> Self {
        let key = CounterKey::of("password", email.canonical().as_bytes());
        Self { budgets: tries_from(throttles, source), backoff: Some((key, throttles.password)) }
    }

    /// A TOTP code of an account.
    pub(super) fn totp(throttles: &Throttles, account: AccountId, source: &Source) -> Self {
        let key = CounterKey::of("totp", account.uuid().as_bytes());
        Self { budgets: tries_from(throttles, source), backoff: Some((key, throttles.totp)) }
    }

    /// A recovery code of an account.
    pub(super) fn recovery(throttles: &Throttles, account: AccountId, source: &Source) -> Self {
        let key = CounterKey::of("recovery", account.uuid().as_bytes());
        Self { budgets: tries_from(throttles, source), backoff: Some((key, throttles.recovery)) }
    }

    /// A code that confirms an enrolment. Its own counter, so that a factor which is off can be set up anew.
    pub(super) fn enrolment(throttles: &Throttles, id: FactorId, source: &Source) -> Self {
        let key = CounterKey::of("totp-enrolment", id.uuid().as_bytes());
        Self { budgets: tries_from(throttles, source), backoff: Some((key, throttles.totp)) }
    }

    /// Ten new recovery codes for an account.
    pub(super) fn new_codes(throttles: &Throttles, account: AccountId) -> Self {
        let key = CounterKey::of("new-recovery-codes", account.uuid().as_bytes());
        Self { budgets: vec![(key, throttles.new_codes)], backoff: None }
    }

    /// A link's token: too long to guess, but looking it up costs something.
    pub(super) fn link(throttles: &Throttles, source: &Source) -> Self {
        Self { budgets: tries_from(throttles, source), backoff: None }
    }

    /// A mail to an address, caused by whoever asks.
    pub(super) fn mail(throttles: &Throttles, email: &EmailAddress, source: &Source) -> Self {
        Self::mail_of("mail-to", throttles, email, source)
    }

    /// An invitation to an address, mailed for a workspace by whoever asks. Its budgets are its own, so that inviting an
    /// address uses up nothing of what its owner may need.
    pub(super) fn invitation(
        throttles: &Throttles,
        email: &EmailAddress,
        workspace: WorkspaceId,
        source: &Source,
    ) -> Self {
        let mut charges = Self::mail_of("invitation-to", throttles, email, source);
        let key = CounterKey::of("invitations-of", workspace.uuid().as_bytes());
        charges.budgets.push((key, throttles.invitations));
        charges
    }

    /// A new workspace of an account.
    pub(super) fn new_workspaces(throttles: &Throttles, account: AccountId) -> Self {
        let key = CounterKey::of("new-workspaces", account.uuid().as_bytes());
        Self { budgets: vec![(key, throttles.new_workspaces)], backoff: None }
    }

    /// A reset link to an address. It has a budget of its own: nobody uses up an owner's reset links by signing up
    /// with their address or changing to it.
    pub(super) fn reset_mail(throttles: &Throttles, email: &EmailAddress, source: &Source) -> Self {
        Self::mail_of("reset-mail-to", throttles, email, source)
    }

    /// A reset link to an address that its own password causes, from wherever.
    pub(super) fn reset_mail_to(throttles: &Throttles, email: &EmailAddress) -> Self {
        let key = CounterKey::of("reset-mail-to", email.canonical().as_bytes());
        Self { budgets: vec![(key, throttles.mail_to_address)], backoff: None }
    }

    fn mail_of(kind: &str, throttles: &Throttles, email: &EmailAddress, source: &Source) -> Self {
        let mut budgets = from(source, "mail", throttles.mail_from_source, throttles.mail_from_site);
        budgets.push((CounterKey::of(kind, email.canonical().as_bytes()), throttles.mail_to_address));
        Self { budgets, backoff: None }
    }

    /// Charges all of it or answers why not. A budget that refuses leaves the account's own counter alone, so
    /// that a source which has used itself up can lock nobody out. Commit the transaction either way.
    pub(super) async fn charge(
        &self,
        tx: &mut dyn Transaction,
        now: Timestamp,
    ) -> Result<Result<Charged, Refused>, StoreError> {
        let mut locked = self.lock(tx, now).await?;
        for (key, budget) in &self.budgets {
            if let Err(refused) = budget.charge(counter(&mut locked, *key)?, now) {
                return Ok(Err(refused));
            }
        }
        let mut charged = Charged::default();
        let mut refused = None;
        if let Some((key, backoff)) = &self.backoff {
            let counter = counter(&mut locked, *key)?;
            charged.failures = counter.charged;
            match backoff.charge(counter, now) {
                Ok(()) => charged.just_locked = backoff.just_locked(counter),
                Err(why) => refused = Some(why),
            }
        }
        for (key, counter) in &locked {
            tx.put_counter(*key, counter).await?;
        }
        Ok(refused.map_or(Ok(charged), Err))
    }

    /// Gives the budgets back and forgets the failures: the try succeeded.
    pub(super) async fn refund(&self, tx: &mut dyn Transaction, now: Timestamp) -> Result<(), StoreError> {
        let mut locked = self.lock(tx, now).await?;
        for (key, budget) in &self.budgets {
            budget.refund(counter(&mut locked, *key)?);
        }
        for (key, counter) in &locked {
            if self.backoff.is_none_or(|(backoff, _)| backoff != *key) {
                tx.put_counter(*key, counter).await?;
            }
        }
        if let Some((key, _)) = self.backoff {
            tx.delete_counter(key).await?;
        }
        Ok(())
    }

    /// Gives back a try that was never evaluated; earlier failures stay counted.
    pub(super) async fn give_back(&self, tx: &mut dyn Transaction, now: Timestamp) -> Result<(), StoreError> {
        let mut locked = self.lock(tx, now).await?;
        for (key, budget) in &self.budgets {
            budget.refund(counter(&mut locked, *key)?);
        }
        if let Some((key, backoff)) = &self.backoff {
            backoff.give_back(counter(&mut locked, *key)?, now);
        }
        for (key, counter) in &locked {
            tx.put_counter(*key, counter).await?;
        }
        Ok(())
    }

    /// Forgets the failures alone: what was guessed at is gone.
    pub(super) async fn forget_failures(&self, tx: &mut dyn Transaction) -> Result<(), StoreError> {
        match self.backoff {
            Some((key, _)) => tx.delete_counter(key).await.map(drop),
            None => Ok(()),
        }
    }

    async fn lock(
        &self,
        tx: &mut dyn Transaction,
        now: Timestamp,
    ) -> Result<Vec<(CounterKey, Locked<Counter>)>, StoreError> {
        let mut keys: Vec<_> = self.budgets.iter().map(|(key, _)| *key).collect();
        keys.extend(self.backoff.map(|(key, _)| key));
        keys.sort_unstable();
        let mut locked = Vec::with_capacity(keys.len());
        for key in keys {
            locked.push((key, tx.lock_counter(key, now).await?));
        }
        Ok(locked)
    }
}

impl Inner {
    /// Charges in a transaction of its own.
    pub(super) async fn charge<E>(&self, charges: &Charges, source: &Source) -> Result<Charged, E>
    where
        E: StoreFailure + From<Refused> + Send,
    {
        let now = self.now();
        let charged: Result<Charged, Refused> =
            self.within_apart(async |mut tx| charges.charge(&mut *tx, now).await).await.map_err(E::from)?;
        charged.map_err(|refused| {
            self.throttled(&refused, source);
            E::from(refused)
        })
    }

    /// Gives back, in a transaction of its own, a try that was never evaluated.
    pub(super) async fn give_back(&self, charges: &Charges) -> Result<(), StoreError> {
        let now = self.now();
        self.within_apart(async |mut tx| charges.give_back(&mut *tx, now).await).await
    }

    /// Charges one failed sign-in to the whole process. It is given back when the answer is dropped, unless it was
    /// [kept](Everywhere::keep).
    pub(super) fn charge_everywhere(&self, source: &Source) -> Result<Everywhere<'_>, Refused> {
        let mut counter = self.everywhere.lock().unwrap_or_else(PoisonError::into_inner);
        let charged = self.config.throttles.everywhere.charge(&mut counter, self.now());
        drop(counter);
        charged.map(|()| Everywhere { inner: self, kept: false }).inspect_err(|_| {
            self.tell(self.event(EventKind::Throttled, Outcome::Refused, source).code("spraying_suspected"));
        })
    }

    pub(super) fn throttled(&self, refused: &Refused, source: &Source) {
        let code = super::error::throttled_code(refused);
        self.tell(self.event(EventKind::Throttled, Outcome::Refused, source).code(code));
    }
}

/// A charge to the whole process.
pub(super) struct Everywhere<'a> {
    inner: &'a Inner,
    kept: bool,
}

impl Everywhere<'_> {
    /// The sign-in has failed: it counts.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Everywhere<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let mut counter = self.inner.everywhere.lock().unwrap_or_else(PoisonError::into_inner);
            self.inner.config.throttles.everywhere.refund(&mut counter);
        }
    }
}

fn tries_from(throttles: &Throttles, source: &Source) -> Vec<(CounterKey, Budget)> {
    from(source, "tries", throttles.source, throttles.site)
}

fn from(source: &Source, kind: &str, host: Budget, site: Budget) -> Vec<(CounterKey, Budget)> {
    let key = |what: &str, bytes: &[u8]| CounterKey::of(&format!("{kind}-{what}"), bytes);
    source
        .networks()
        .into_iter()
        .map(|network| match network {
            Network::Unknown => (key("unknown", &[]), site),
            Network::V4(bits) => (key("v4", &bits.to_be_bytes()), host),
            Network::V6Subnet(bits) => (key("v6-64", &bits.to_be_bytes()), host),
            Network::V6Site(bits) => (key("v6-48", &bits.to_be_bytes()), site),
        })
        .collect()
}

fn counter(
    locked: &mut [(CounterKey, Locked<Counter>)],
    key: CounterKey,
) -> Result<&mut Counter, StoreError> {
    locked
        .iter_mut()
        .find(|(found, _)| *found == key)
        .map(|(_, counter)| &mut **counter)
        .ok_or(StoreError::Corrupt { what: "counter" })
}
