//! What is shown of a key: never a digest, never the text.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::access::Scope;
use crate::dashboard::error::KeyError;
use crate::dashboard::inner::Inner;
use crate::id::{AccountId, KeyId, ProjectId};
use crate::key::{Allowlist, RateLimit, SecretId};
use crate::name::DisplayName;
use crate::store::record::{Key, KeyKind, KeySecret};
use crate::store::{KeyUsage, Snapshot};

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<KeyView>,
    /// Where the next page starts behind, if there may be one.
    pub next: Option<KeyId>,
}

/// A key, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyView {
    /// Names it.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whose it is.
    #[serde(flatten)]
    pub kind: KeyKind,
    /// What people call it.
    pub name: DisplayName,
    /// The environment label in its text.
    pub environment: String,
    /// What it asks to be allowed.
    pub scopes: BTreeSet<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// From where it may be used.
    pub allowlist: Option<Allowlist>,
    /// How many requests it may make.
    pub rate_limit: Option<RateLimit>,
    /// Since when a member has it suspended.
    pub suspended_at: Option<Timestamp>,
    /// Since when the operator has it suspended.
    pub suspended_by_operator_at: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: AccountId,
    /// When.
    pub created_at: Timestamp,
    /// Its secrets: one, or two while a rotation overlaps. Those of a revoked key are kept, so that the log can say
    /// what was shown.
    pub secrets: Vec<SecretView>,
    /// Requests allowed, as far as nodes have flushed.
    pub requests: u64,
    /// Its last use, as far as nodes have flushed: what was refused is none.
    pub last_used_at: Option<Timestamp>,
    /// Requests refused after the key was recognised, as far as nodes have flushed.
    pub refusals: u64,
    /// The last of them.
    pub last_refused_at: Option<Timestamp>,
}

/// A secret of a key, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecretView {
    /// The id in its text.
    pub id: SecretId,
    /// How its text begins: enough to recognise it, nothing to guess it by.
    pub hint: String,
    /// To whom it was shown.
    pub shown_to: AccountId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it is on its way out.
    pub ends_at: Option<Timestamp>,
}

impl Inner {
    pub(super) async fn view(&self, snapshot: &mut dyn Snapshot, key: Key) -> Result<KeyView, KeyError> {
        let (usage, secrets) = (snapshot.usage_of(key.id).await?, snapshot.secrets_of(key.id).await?);
        Ok(self.shown(key, usage, secrets))
    }

    /// Several keys, in the order given, in two statements.
    pub(super) async fn views(
        &self,
        snapshot: &mut dyn Snapshot,
        keys: Vec<Key>,
    ) -> Result<Vec<KeyView>, KeyError> {
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        let mut used = snapshot.usage_of_each(&ids).await?;
        let mut secrets: BTreeMap<KeyId, Vec<KeySecret>> = BTreeMap::new();
        for secret in snapshot.secrets_of_each(&ids).await? {
            secrets.entry(secret.key).or_default().push(secret);
        }
        let shown = keys.into_iter().map(|key| {
            let (used, secrets) = (used.remove(&key.id), secrets.remove(&key.id));
            self.shown(key, used.unwrap_or_default(), secrets.unwrap_or_default())
        });
        Ok(shown.collect())
    }

    fn shown(&self, key: Key, usage: KeyUsage, its_secrets: Vec<KeySecret>) -> KeyView {
        // A key of an environment that the service has given up can still be seen, and so revoked.
        let environment = self.format.environment(&key.environment).ok();
        let mut secrets = Vec::new();
        for secret in its_secrets {
            let hint = environment.as_ref().and_then(|known| self.format.hint(known, secret.id).ok());
            secrets.push(SecretView {
                id: secret.id,
                hint: hint.map_or_else(|| format!("{}…", secret.id), |hint| hint.to_string()),
                shown_to: secret.shown_to,
                created_at: secret.created_at,
                ends_at: secret.ends_at,
            });
        }
        KeyView {
            id: key.id,
            project: key.project,
            kind: key.kind,
            name: key.name,
            environment: key.environment,
            scopes: key.scopes,
            expires_at: key.expires_at,
            allowlist: key.allowlist,
            rate_limit: key.rate_limit,
            suspended_at: key.suspended.map(|suspension| suspension.since),
            suspended_by_operator_at: key.suspended_by_operator.map(|suspension| suspension.since),
            revoked_at: key.revoked_at,
            created_by: key.created_by,
            created_at: key.created_at,
            secrets,
            requests: usage.allowed,
            last_used_at: usage.last_allowed_at,
            refusals: usage.refused,
            last_refused_at: usage.last_refused_at,
        }
    }
}
