//! Sample records, each with every optional field both ways.

use std::collections::BTreeSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::flaw::{Flaw, there, yes};
use super::{Backend, transact};
use crate::access::{Permission, Role, RoleDefinition, Scope};
use crate::email::EmailAddress;
use crate::id::{
    AccountId, EntryId, FactorId, Id, KeyId, MailId, ProjectId, SessionId, SignUpId, WorkspaceId,
};
use crate::key::{Allowlist, KeyDigest, RateLimit, SecretId};
use crate::name::DisplayName;
use crate::password::PasswordHash;
use crate::recovery::Locator;
use crate::secret::{Sealed, TokenDigest, sha256};
use crate::source::Source;
use crate::store::Transaction;
use crate::store::record::{
    Account, AccountStatus, AssertedBy, Assurance, Entry, Factor, Key, KeyKind, KeySecret, MemberSuspension,
    Membership, OneTimeToken, OutboxRow, Password, Project, Session, SignUp, Suspension, TokenKind,
    TotpEnrolment, TotpFactor, Workspace,
};
use crate::totp::Step;

/// A moment so many seconds after the kit's own zero, which is no whole second.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_750_000_000_123_457 + seconds * 1_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The id of this number. Neither the order nor the version of such ids is that of fresh ones.
pub(super) fn id<I: Id>(number: u64) -> I {
    I::from_uuid(Uuid::from_u128((u128::from(number) << 64) | 0x8000_0000_0000_0000 | u128::from(number)))
}

pub(super) fn digest(number: u64) -> TokenDigest {
    TokenDigest(sha256(&[&number.to_be_bytes()]))
}

pub(super) fn email(text: &str) -> Result<EmailAddress, Flaw> {
    EmailAddress::parse(text).map_err(|_| Flaw::Sample { what: "e-mail address" })
}

pub(super) fn hash(number: u64) -> Result<PasswordHash, Flaw> {
    let salts = ["c2FsdHNhbHRzYWx0c2FsdA", "cGVwcGVycGVwcGVycGVwcA", "c3VnYXJzdWdhcnN1Z2FycA"];
    let salt = usize::try_from(number % 3).ok().and_then(|n| salts.get(n)).copied().unwrap_or_default();
    PasswordHash::parse(&format!(
        "$argon2id$v=19$m=19456,t=2,p=1${salt}$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    ))
    .map_err(|_| Flaw::Sample { what: "password hash" })
}

pub(super) fn suspension(text: &str) -> Suspension {
    Suspension { since: at(77), reason: text.to_owned() }
}

pub(super) fn scopes(names: &[&str]) -> Result<BTreeSet<Scope>, Flaw> {
    names.iter().map(|name| Scope::parse(name).map_err(|_| Flaw::Sample { what: "scope" })).collect()
}

pub(super) fn permissions(names: &[&str]) -> Result<BTreeSet<Permission>, Flaw> {
    names
        .iter()
        .map(|name| Permission::parse(name).map_err(|_| Flaw::Sample { what: "permission" }))
        .collect()
}

pub(super) fn rate_limit(requests: u32) -> Result<Option<RateLimit>, Flaw> {
    RateLimit::new(requests, 60).map(Some).map_err(|_| Flaw::Sample { what: "rate limit" })
}

pub(super) fn locator(text: &str) -> Result<Locator, Flaw> {
    Locator::parse(text).map_err(|_| Flaw::Sample { what: "locator" })
}

/// An account with no optional field set.
pub(super) fn account(number: u64) -> Result<Account, Flaw> {
    Ok(Account {
        id: id(number),
        email: email(&format!("Person.{number}@Example.com"))?,
        email_verified_at: at(1),
        password: None,
        status: AccountStatus::Active,
        created_at: at(2),
        signed_in_at: None,
    })
}

pub(super) fn password(number: u64, compromised: bool) -> Result<Option<Password>, Flaw> {
    Ok(Some(Password { hash: hash(number)?, set_at: at(3), compromised }))
}

/// An account with every optional field set.
pub(super) fn full_account(number: u64) -> Result<Account, Flaw> {
    Ok(Account {
        password: password(number, true)?,
        status: AccountStatus::Suspended(Suspension {
            since: at(5),
            reason: "Überfällig: 'x'; -- \u{1f512}\n".to_owned(),
        }),
        signed_in_at: Some(at(4)),
        ..account(number)?
    })
}

pub(super) fn sign_up(number: u64, address: &str) -> Result<SignUp, Flaw> {
    let seconds = i64::try_from(number).unwrap_or(0);
    Ok(SignUp {
        id: id::<SignUpId>(number),
        email: email(address)?,
        password: hash(number)?,
        token: digest(number),
        failures: 0,
        created_at: at(seconds),
        expires_at: at(seconds + 600),
    })
}

pub(super) fn sealed(number: u64) -> Sealed {
    // A sealed value is any bytes, zero and those that are no UTF-8 included.
    Sealed::from_bytes([&[0, 0xff, 0xfe, 0x27][..], &number.to_be_bytes()].concat())
}

pub(super) fn enrolment(number: u64, account: AccountId) -> TotpEnrolment {
    TotpEnrolment {
        id: id::<FactorId>(number),
        account,
        secret: sealed(number),
        created_at: at(1),
        expires_at: at(600),
    }
}

pub(super) fn factor(number: u64, account: AccountId, last_step: u64) -> TotpFactor {
    TotpFactor {
        id: id::<FactorId>(number),
        account,
        secret: sealed(number),
        confirmed_at: at(7),
        last_step: Step(last_step),
    }
}

/// A session that began at this second, used an hour at most, ending after a day.
pub(super) fn session(number: u64, account: AccountId, began: i64) -> Session {
    Session {
        id: id(number),
        account,
        token: digest(number),
        assurance: Assurance::none(),
        source: Source::unknown(),
        created_at: at(began),
        seen_at: at(began + 1),
        idle_until: at(began + 3_600),
        ends_at: at(began + 86_400),
    }
}

pub(super) fn full_assurance() -> Assurance {
    Assurance::none()
        .with(Factor::Password, AssertedBy::Local, at(1))
        .with(Factor::Totp, AssertedBy::Provider("idp \"one\"".to_owned()), at(2))
        .with(Factor::RecoveryCode, AssertedBy::Local, at(3))
}

pub(super) fn token(number: u64, kind: TokenKind, account: AccountId) -> OneTimeToken {
    OneTimeToken {
        digest: digest(number),
        kind,
        account,
        email: None,
        assurance: None,
        created_at: at(1),
        expires_at: at(900),
    }
}

/// A workspace with no optional field set.
pub(super) fn workspace(number: u64) -> Workspace {
    Workspace::new(id(number), format!("Workspace {number}"), at(10))
}

/// A project with no optional field set.
pub(super) fn project(number: u64, workspace: WorkspaceId) -> Project {
    Project::new(id(number), workspace, format!("Project {number}"), at(20))
}

pub(super) fn membership(workspace: WorkspaceId, account: AccountId, role: Role, since: i64) -> Membership {
    Membership { workspace, account, role, since: at(since) }
}

pub(super) fn entry(number: u64, session: &Session, workspace: WorkspaceId) -> Entry {
    let (session, account) = (session.id, session.account);
    Entry { id: id::<EntryId>(number), session, account, workspace, at: at(30), ended_at: None }
}

pub(super) fn role(number: u64, grants: &[&str], carries: &[&str]) -> Result<RoleDefinition, Flaw> {
    Ok(RoleDefinition {
        id: id(number),
        name: format!("Role {number}"),
        permissions: permissions(grants)?,
        scopes: scopes(carries)?,
    })
}

/// A personal key with no optional field set.
pub(super) fn key(number: u64, seed: &Seed) -> Result<Key, Flaw> {
    Ok(Key {
        id: id::<KeyId>(number),
        workspace: seed.workspace.id,
        project: seed.project.id,
        kind: KeyKind::Personal(seed.account.id),
        name: DisplayName::parse(&format!("Key {number}")).map_err(|_| Flaw::Sample { what: "key name" })?,
        environment: "live".to_owned(),
        scopes: BTreeSet::new(),
        expires_at: None,
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: seed.account.id,
        created_at: at(40),
    })
}

/// A service key with every optional field set.
pub(super) fn full_key(number: u64, seed: &Seed) -> Result<Key, Flaw> {
    let networks = Allowlist::parse(&["192.0.2.0/24", "2001:db8::/32"]);
    Ok(Key {
        kind: KeyKind::Service(seed.other.id),
        environment: "test".to_owned(),
        scopes: scopes(&["models.read", "files.write"])?,
        expires_at: Some(at(1_000)),
        allowlist: Some(networks.map_err(|_| Flaw::Sample { what: "allowlist" })?),
        rate_limit: rate_limit(7)?,
        suspended: Some(MemberSuspension { since: at(78), by: seed.account.id }),
        suspended_by_operator: Some(suspension("Missbrauch")),
        revoked_at: Some(at(50)),
        created_by: seed.other.id,
        ..key(number, seed)?
    })
}

pub(super) fn secret(number: u64, key: KeyId) -> KeySecret {
    KeySecret {
        // Both halves of the range: an adapter may keep it as a signed number.
        id: SecretId::from_bits(if number.is_multiple_of(2) { number } else { u64::MAX - number }),
        key,
        digest: KeyDigest::from_bytes(sha256(&[b"secret", &number.to_be_bytes()])),
        shown_to: id(1),
        created_at: at(60 + i64::try_from(number % 1_000).unwrap_or(0)),
        ends_at: None,
    }
}

pub(super) fn mail(number: u64, due: i64) -> OutboxRow {
    OutboxRow {
        id: id::<MailId>(number),
        content: sealed(number),
        created_at: at(0),
        due_at: at(due),
        attempts: 0,
    }
}

/// What most checks start from: two accounts with a session each, a workspace of which both are members (the
/// first as an admin, the second as a developer), and a project of it.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    /// Number 1.
    pub(super) account: Account,
    /// Number 2.
    pub(super) other: Account,
    /// Number 1, of `account`.
    pub(super) session: Session,
    /// Number 2, of `other`.
    pub(super) other_session: Session,
    /// Number 1.
    pub(super) workspace: Workspace,
    /// Number 1.
    pub(super) project: Project,
}

impl Seed {
    pub(super) async fn sow(backend: &dyn Backend) -> Result<Self, Flaw> {
        let (account, other) = (account(1)?, account(2)?);
        let workspace = workspace(1);
        let seed = Self {
            session: session(1, account.id, 100),
            other_session: session(2, other.id, 100),
            project: project(1, workspace.id),
            account,
            other,
            workspace,
        };
        transact!(backend, |tx| {
            add_account(&mut *tx, &seed.account).await?;
            add_account(&mut *tx, &seed.other).await?;
            let account = lock_account(&mut *tx, seed.account.id).await?;
            tx.insert_session(&account, &seed.session).await?;
            let other = lock_account(&mut *tx, seed.other.id).await?;
            tx.insert_session(&other, &seed.other_session).await?;
            let workspace = there("insert_workspace adds", tx.insert_workspace(&seed.workspace).await?)?;
            yes("insert_project adds", tx.insert_project(&workspace, &seed.project).await?)?;
            let (id, admin, developer) = (seed.workspace.id, Role::Admin, Role::Developer);
            tx.put_membership(&workspace, &membership(id, seed.account.id, admin, 11)).await?;
            tx.put_membership(&workspace, &membership(id, seed.other.id, developer, 12)).await?;
        })?;
        Ok(seed)
    }

    /// Another workspace, with a project; both have this number.
    pub(super) async fn sow_workspace(
        backend: &dyn Backend,
        number: u64,
    ) -> Result<(Workspace, Project), Flaw> {
        let workspace = workspace(number);
        let project = project(number, workspace.id);
        transact!(backend, |tx| {
            let locked = there("insert_workspace adds", tx.insert_workspace(&workspace).await?)?;
            yes("insert_project adds", tx.insert_project(&locked, &project).await?)?;
        })?;
        Ok((workspace, project))
    }
}

pub(super) async fn add_account(tx: &mut dyn Transaction, account: &Account) -> Result<(), Flaw> {
    yes("insert_account adds", tx.insert_account(account).await?)
}

pub(super) async fn lock_account(
    tx: &mut dyn Transaction,
    id: AccountId,
) -> Result<crate::store::Locked<Account>, Flaw> {
    there("lock_account finds the account", tx.lock_account(id).await?)
}

pub(super) async fn lock_workspace(
    tx: &mut dyn Transaction,
    id: WorkspaceId,
) -> Result<crate::store::Locked<Workspace>, Flaw> {
    there("lock_workspace finds the workspace", tx.lock_workspace(id).await?)
}

/// The ids that a check names by number.
pub(super) fn project_id(number: u64) -> ProjectId {
    id(number)
}

pub(super) fn session_id(number: u64) -> SessionId {
    id(number)
}
