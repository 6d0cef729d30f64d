//! Keys for benches, and a directory of them.

#![allow(unreachable_pub, reason = "a bench is a crate of its own")]

use core::ops::Range;
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::access::{Catalogue, Role, Scope};
use portcullis::id::{AccountId, Id, KeyId, ProjectId, WorkspaceId};
use portcullis::key::{KeyFormat, SecretId};
use portcullis::name::DisplayName;
use portcullis::store::record::{Grant, Key, KeyKind, KeySecret, OwnerStanding};
use portcullis::store::{ChangeStream, Changes, KeyDirectory, Polled, Position, StoreError};
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Keys by their numbers, with what a door needs to take them.
pub struct Minted {
    pub catalogue: Arc<Catalogue>,
    pub format: Arc<KeyFormat>,
    pub rows: Rows,
    /// The `Authorization` header of each, in order.
    pub headers: Vec<Vec<u8>>,
}

impl Minted {
    pub fn keys(numbers: Range<u64>) -> Self {
        let catalogue = Arc::new(Catalogue::builder().scope("models.read", None, "").build().unwrap());
        let format = Arc::new(KeyFormat::new("acme", &["live", "test"]).unwrap());
        let environment = format.environment("live").unwrap();
        let mut rows = HashMap::new();
        let mut headers = Vec::new();
        for number in numbers {
            let bits = mixed(number);
            let mut secret = [0; 32];
            for (part, chunk) in (1..).zip(secret.chunks_exact_mut(8)) {
                chunk.copy_from_slice(&mixed(bits ^ part).to_be_bytes());
            }
            let text = format.mint(&environment, SecretId::from_bits(bits), secret).unwrap();
            headers.push(format!("Bearer {}", text.expose_secret()).into_bytes());
            rows.insert(text.id(), grant(number, text.id(), text.digest()));
        }
        Self { catalogue, format, rows: Rows(Arc::new(rows)), headers }
    }
}

fn grant(number: u64, secret: SecretId, digest: portcullis::key::KeyDigest) -> Grant {
    let uuid = |kind: u64| Uuid::from_u64_pair(kind, number);
    let owner = AccountId::from_uuid(uuid(1));
    let at = Timestamp::UNIX_EPOCH;
    let key = Key {
        id: KeyId::from_uuid(uuid(2)),
        workspace: WorkspaceId::from_uuid(uuid(3)),
        project: ProjectId::from_uuid(uuid(4)),
        kind: KeyKind::Personal(owner),
        name: DisplayName::parse("bench").unwrap(),
        environment: "live".to_owned(),
        scopes: [scope()].into(),
        // So that the wall clock is read, as for most keys of real services.
        expires_at: Some(Timestamp::MAX),
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: owner,
        created_at: at,
    };
    let secret =
        KeySecret { id: secret, key: key.id, digest, shown_to: owner, created_at: at, ends_at: None };
    let standing =
        OwnerStanding { active: true, role: Role::Developer, project_role: None, definitions: Vec::new() };
    Grant {
        key,
        secret,
        workspace_suspended: false,
        workspace_archived: false,
        service_ceiling: None,
        project_suspended: false,
        project_archived: false,
        project_rate_limit: None,
        owner: Some(standing),
    }
}

pub fn scope() -> Scope {
    "models.read".parse().unwrap()
}

/// The finaliser of splitmix64: for benches only.
pub fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A directory of minted keys.
#[derive(Clone)]
pub struct Rows(Arc<HashMap<SecretId, Grant>>);

#[async_trait]
impl KeyDirectory for Rows {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        Ok(ids.iter().map(|id| self.0.get(id).cloned()).collect())
    }
}

#[allow(dead_code, reason = "not every bench needs it")]
/// A stream on which nothing ever happens.
pub struct NoChanges;

#[async_trait]
impl ChangeStream for NoChanges {
    async fn poll(&self, _: Option<&Position>) -> Result<Polled, StoreError> {
        Ok(Polled { position: Position::new(String::new()), changes: Changes::These(Vec::new()) })
    }

    fn trust(&self) -> Duration {
        Duration::from_hours(24)
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::default()
    }
}
