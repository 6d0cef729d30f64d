//! Ending a membership: removing somebody and leaving by oneself are one operation.
//!
//! In one transaction: the membership, its project roles and entries go; personal keys are revoked; service keys in the
//! leaver's care get the named successor; invitations the leaver sent are revoked; and for every service key with a live
//! secret that the leaver was shown, one of three things is decided. Nobody else's session or key is touched, and the
//! person's account and other workspaces go on. They come back only by a new invitation.

use core::time::Duration;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::acting::{Acting, is_administrator, reach};
use super::is_reason;
use super::preview::Holdings;
use crate::access::{Permission, Role};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, TeamError, WorkspaceError};
use crate::dashboard::inner::{Inner, in_workspace};
use crate::dashboard::keys::{Committed, IssuedKey, signed};
use crate::dashboard::sessions::Session;
use crate::dashboard::workspaces::Member;
use crate::email::EmailAddress;
use crate::id::{AccountId, KeyId, WorkspaceId};
use crate::ports::{EventKind, Message, Outcome};
use crate::source::Source;
use crate::store::record::{
    Action, Actor, AuditEntry, Key, KeyKind, KeySecret, Membership, Target, Workspace,
};
use crate::store::{Locked, Transaction};

/// The longest time for which a secret that a leaver knows may go on working without anybody answering for it.
pub const MAX_LEAVER_OVERLAP: Duration = Duration::from_hours(24);

/// How a membership is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offboarding {
    /// The member who takes over the service keys in the leaver's care. Needed if there are any; who leaves by themselves and
    /// names nobody leaves them to the administrator who is in the workspace longest.
    pub successor: Option<AccountId>,
    /// What becomes of the service keys whose secret the leaver was shown, unless `exposed` says otherwise.
    pub default: Exposure,
    /// What becomes of single ones.
    pub exposed: BTreeMap<KeyId, Exposure>,
}

/// What becomes of a service key with a live secret that a leaver was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// The secrets that the leaver was shown end at once; if the present one is among them, another takes its place and
    /// is shown to whoever removes the leaver.
    RotateNow,
    /// The secrets that the leaver was shown end after this time, at most [`MAX_LEAVER_OVERLAP`]. The key's custodian is
    /// told by mail to rotate it before then.
    Overlap(Duration),
    /// The secrets stay, knowingly: the reason stands in the audit log.
    Accept {
        /// Why: 1 to 500 characters.
        reason: String,
    },
}

/// Nobody takes over, and exposed secrets run out after [`MAX_LEAVER_OVERLAP`].
impl Default for Offboarding {
    fn default() -> Self {
        Self { successor: None, default: Exposure::Overlap(MAX_LEAVER_OVERLAP), exposed: BTreeMap::new() }
    }
}

/// A membership that has ended.
#[derive(Debug)]
#[must_use = "the rotated keys' texts are shown this once"]
#[non_exhaustive]
pub struct Offboarded {
    /// The keys that were rotated, each with its new text.
    pub rotated: Vec<IssuedKey>,
    /// When it holds everywhere.
    pub committed: Committed,
}

/// Who ends the membership.
pub(in crate::dashboard) enum By<'a> {
    /// A member who may manage members.
    Manager(&'a Acting<'a>),
    /// The leaver, from somewhere.
    Leaver(&'a Source),
}

/// One membership on its way out, under its workspace's lock.
pub(in crate::dashboard) struct Parting<'a> {
    pub(in crate::dashboard) workspace: &'a Locked<Workspace>,
    pub(in crate::dashboard) membership: &'a Membership,
    pub(in crate::dashboard) by: By<'a>,
    pub(in crate::dashboard) plan: &'a Offboarding,
}

impl Dashboard {
    /// Ends somebody's membership. Asks for `members.manage`, recent proofs, and all that the person has, everywhere. Ending
    /// one's own is [leaving](Self::leave).
    ///
    /// # Errors
    /// [`TeamError::LastAdministrator`], [`TeamError::PersonalWorkspace`] for its owner, [`TeamError::SuccessorNeeded`],
    /// [`TeamError::BadSuccessor`], [`TeamError::NotExposed`], [`TeamError::BadOverlap`], [`TeamError::BadReason`], and
    /// others; nothing is done then.
    pub async fn offboard(
        &self,
        member: &Member,
        account: AccountId,
        plan: &Offboarding,
    ) -> Result<Offboarded, TeamError> {
        if account == member.account() {
            return self.leave(member.session(), member.workspace(), plan).await;
        }
        let inner = &self.inner;
        check(plan)?;
        let rotated = inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_MANAGE)?;
                let membership = tx.membership(locked.id, account).await?.ok_or(WorkspaceError::NotFound)?;
                acting.covers(&acting.reach_of(&membership))?;
                acting.require_recent(&mut *tx).await?;
                let (workspace, membership) = (&locked, &membership);
                let parting = Parting { workspace, membership, by: By::Manager(&acting), plan };
                inner.part(&mut *tx, &parting).await
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.team_changed(member, "member_removed");
        Ok(Offboarded { rotated, committed: inner.committed() })
    }

    /// Ends one's own membership: the same operation, but whoever leaves is shown no secret and keeps none in use. Asks
    /// for recent proofs, and for nothing that entering asks for: nobody is kept in a workspace by its rules.
    ///
    /// # Errors
    /// As for [`Self::offboard`], and [`TeamError::LeaverCannotDecide`].
    pub async fn leave(
        &self,
        session: &Session,
        workspace: WorkspaceId,
        plan: &Offboarding,
    ) -> Result<Offboarded, TeamError> {
        let inner = &self.inner;
        check(plan)?;
        inner
            .within(async |mut tx| {
                // What is read before a lock may be past by the time that it is held.
                let locked = tx.lock_workspace(workspace).await?;
                let found = inner.live(&mut *tx, session).await.map_err(WorkspaceError::from)?;
                let locked = locked.ok_or(WorkspaceError::NotFound)?;
                let membership = tx.membership(workspace, session.account()).await?;
                let membership = membership.ok_or(WorkspaceError::NotFound)?;
                inner.require_recent_of(&mut *tx, &found).await?;
                let by = By::Leaver(&session.source);
                let parting = Parting { workspace: &locked, membership: &membership, by, plan };
                inner.part(&mut *tx, &parting).await.map(drop)
            })
            .await?;
        inner.mail_waits.notify_one();
        let event = inner.event(EventKind::TeamChanged, Outcome::Succeeded, &session.source);
        inner.tell(event.code("member_left").account(session.account()).workspace(workspace));
        Ok(Offboarded { rotated: Vec::new(), committed: inner.committed() })
    }
}

impl Inner {
    /// Ends a membership. The caller holds the workspace's lock, and has asked whether it may.
    pub(in crate::dashboard) async fn part(
        &self,
        tx: &mut dyn Transaction,
        parting: &Parting<'_>,
    ) -> Result<Vec<IssuedKey>, TeamError> {
        let (workspace, leaver) = (parting.workspace, parting.membership.account);
        if workspace.personal_of == Some(leaver) {
            return Err(TeamError::PersonalWorkspace);
        }
        if parting.membership.role == Role::Admin
            && !self.keeps_administrator(tx, workspace.id, leaver).await?
        {
            return Err(TeamError::LastAdministrator);
        }
        let holdings = self.holdings(tx, workspace.id, leaver).await?;
        if let Some(key) = parting.plan.exposed.keys().find(|key| !holdings.exposed.contains_key(key)) {
            return Err(TeamError::NotExposed { key: *key });
        }
        self.hand_over(tx, parting, &holdings).await?;
        for key in holdings.personal {
            let revoked = Key { revoked_at: Some(self.now()), ..key };
            tx.update_key(workspace, &revoked).await?;
            let (target, after) = (Target::Key(revoked.id), json!({ "state": "owner_left" }));
            self.audit_parting(tx, parting, Action::KeyRevoked, target, None, Some(after)).await?;
        }
        let mut rotated = Vec::new();
        for (key, secrets) in holdings.exposed.values() {
            let decided = parting.plan.exposed.get(&key.id).unwrap_or(&parting.plan.default);
            rotated.extend(self.settle_exposure(tx, parting, key, secrets, decided).await?);
        }
        for invitation in tx.invitations(workspace.id).await? {
            if invitation.invited_by == leaver {
                tx.delete_invitation(workspace, invitation.id).await?;
                let target = Target::Invitation(invitation.id);
                self.audit_parting(tx, parting, Action::InvitationRevoked, target, None, None).await?;
            }
        }
        tx.delete_membership(workspace, leaver).await?;
        let action = match parting.by {
            By::Manager(_) => Action::MemberRemoved,
            By::Leaver(_) => Action::MemberLeft,
        };
        let before = json!({ "role": parting.membership.role });
        self.audit_parting(tx, parting, action, Target::Account(leaver), Some(before), None).await?;
        if let Some(account) = tx.account(leaver).await? {
            let message = Message::MembershipEnded { workspace: workspace.name.clone() };
            self.owe_mail(tx, self.now(), &account.email, message).await?;
        }
        Ok(rotated)
    }

    /// Gives the service keys in the leaver's care to the successor.
    async fn hand_over(
        &self,
        tx: &mut dyn Transaction,
        parting: &Parting<'_>,
        holdings: &Holdings,
    ) -> Result<(), TeamError> {
        let (workspace, leaver) = (parting.workspace, parting.membership.account);
        if holdings.custody.is_empty() {
            return Ok(());
        }
        let successor = match (parting.plan.successor, &parting.by) {
            (Some(successor), _) => successor,
            (None, By::Manager(_)) => return Err(TeamError::SuccessorNeeded),
            // Who leaves may not even see who else is here.
            (None, By::Leaver(_)) => {
                let people = tx.people(workspace.id).await?;
                let first = people.iter().find(|p| is_administrator(p) && p.membership.account != leaver);
                first.map(|person| person.membership.account).ok_or(TeamError::SuccessorNeeded)?
            }
        };
        if successor == leaver {
            return Err(TeamError::BadSuccessor);
        }
        let email = self.can_keep(tx, workspace, successor, &holdings.custody).await?;
        for key in &holdings.custody {
            let kept = Key { kind: KeyKind::Service(successor), ..key.clone() };
            tx.update_key(workspace, &kept).await?;
            let (before, after) = (json!({ "custodian": leaver }), json!({ "custodian": successor }));
            let (action, target) = (Action::CustodianChanged, Target::Key(key.id));
            self.audit_parting(tx, parting, action, target, Some(before), Some(after)).await?;
        }
        let keys = holdings.custody.iter().map(|key| key.name.as_str().to_owned()).collect();
        let message = Message::KeysHandedOver { workspace: workspace.name.clone(), keys };
        self.owe_mail(tx, self.now(), &email, message).await?;
        Ok(())
    }

    /// Whether a member could have issued these service keys, and so can be their custodian; answers the address.
    pub(in crate::dashboard) async fn can_keep(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Workspace,
        account: AccountId,
        keys: &[Key],
    ) -> Result<EmailAddress, TeamError> {
        let membership = tx.membership(workspace.id, account).await?.ok_or(TeamError::BadSuccessor)?;
        let found = tx.account(account).await?.filter(crate::store::record::Account::is_active);
        let said = tx.project_memberships(workspace.id).await?;
        let book = tx.roles(workspace.id).await?.into_iter().collect();
        let has = reach(&membership, &said);
        let question = crate::access::Question::from(Permission::KEYS_SERVICE);
        let able = keys.iter().all(|key| {
            let standing = has.standing(Some(key.project));
            let scopes = self.catalogue.scopes(&key.scopes).set;
            self.catalogue.decide(&question, Some(&standing), &book).is_allowed()
                && scopes.is_subset_of(&self.catalogue.rights(&standing, &book).scopes)
        });
        found.filter(|_| able).map(|account| account.email).ok_or(TeamError::BadSuccessor)
    }

    async fn settle_exposure(
        &self,
        tx: &mut dyn Transaction,
        parting: &Parting<'_>,
        key: &Key,
        secrets: &[KeySecret],
        decided: &Exposure,
    ) -> Result<Option<IssuedKey>, TeamError> {
        let (workspace, now, target) = (parting.workspace, self.now(), Target::Key(key.id));
        match (decided, &parting.by) {
            (Exposure::Overlap(time), _) => {
                let end = signed(*time).and_then(|time| now.checked_add(time).ok()).unwrap_or(now);
                for secret in secrets.iter().filter(|secret| secret.ends_at.is_none_or(|ends| ends > end)) {
                    tx.end_secret(workspace, secret.id, end).await?;
                }
                self.tell_custodian(tx, workspace, key, end).await?;
                let after = json!({ "ends_at": end });
                self.audit_parting(tx, parting, Action::ExposureEnded, target, None, Some(after)).await?;
                Ok(None)
            }
            (Exposure::Accept { reason }, By::Manager(_)) => {
                let after = json!({ "reason": reason });
                self.audit_parting(tx, parting, Action::ExposureAccepted, target, None, Some(after)).await?;
                Ok(None)
            }
            (Exposure::RotateNow, By::Manager(acting)) => {
                let current = secrets.iter().any(|secret| secret.ends_at.is_none());
                for secret in secrets {
                    tx.end_secret(workspace, secret.id, now).await?;
                }
                if !current {
                    let after = json!({ "ends_at": now });
                    self.audit_parting(tx, parting, Action::ExposureEnded, target, None, Some(after)).await?;
                    return Ok(None);
                }
                let key = tx.key(key.id).await?.ok_or(Fault::Internal("key"))?;
                Ok(Some(self.replace_secret(tx, acting.member, workspace, key).await?))
            }
            (Exposure::Accept { .. } | Exposure::RotateNow, By::Leaver(_)) => {
                Err(TeamError::LeaverCannotDecide)
            }
        }
    }

    /// Tells the custodian of a key that a secret of it will end.
    async fn tell_custodian(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Workspace,
        key: &Key,
        ends_at: jiff::Timestamp,
    ) -> Result<(), Fault> {
        let custodian = tx.key(key.id).await?.map_or(key.kind, |key| key.kind).account();
        let Some(account) = tx.account(custodian).await? else { return Ok(()) };
        let (workspace, key) = (workspace.name.clone(), key.name.as_str().to_owned());
        let message = Message::SecretEnds { workspace, key, ends_at };
        self.owe_mail(tx, self.now(), &account.email, message).await.map(drop)
    }

    async fn audit_parting(
        &self,
        tx: &mut dyn Transaction,
        parting: &Parting<'_>,
        action: Action,
        target: Target,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Fault> {
        let (actor, source) = match &parting.by {
            By::Manager(acting) => (acting.member.account(), &acting.member.session().source),
            By::Leaver(source) => (parting.membership.account, *source),
        };
        let entry = self.audit(self.now(), Actor::Account(actor), action, target, source)?;
        let entry = AuditEntry { before, after, ..in_workspace(entry, parting.workspace.id) };
        self.append(tx, &entry).await
    }
}

/// What is wrong with a plan whatever the workspace looks like.
pub(in crate::dashboard) fn check(plan: &Offboarding) -> Result<(), TeamError> {
    for decided in plan.exposed.values().chain([&plan.default]) {
        match decided {
            Exposure::Overlap(time) if time.is_zero() || *time > MAX_LEAVER_OVERLAP => {
                return Err(TeamError::BadOverlap);
            }
            Exposure::Accept { reason } if !is_reason(reason) => return Err(TeamError::BadReason),
            _ => {}
        }
    }
    Ok(())
}
