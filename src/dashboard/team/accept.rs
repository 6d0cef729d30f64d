//! Accepting an invitation: with an account that has verified the address, or with a new one whose address the link
//! verifies.

use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use super::acting::reach;
use super::invitations::seat_left;
use crate::access::{Permission, Question, Reach};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, InvitationError};
use crate::dashboard::inner::{Inner, in_workspace, with_after};
use crate::dashboard::sessions::Session;
use crate::dashboard::signed_in::SignedIn;
use crate::dashboard::throttling::Charges;
use crate::error::Coded;
use crate::id::WorkspaceId;
use crate::ports::{EventKind, Outcome};
use crate::secret::{InvitationToken, TokenDigest};
use crate::source::Source;
use crate::store::record::{
    Account, Action, Actor, Invitation, Membership, Password, ProjectMembership, Target, Workspace,
};
use crate::store::{Locked, Snapshot, Transaction};

/// What whoever holds an invitation's link is shown before they accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InvitationFace {
    /// The workspace's name.
    pub workspace: String,
    /// The invited address.
    pub email: String,
    /// How to go on.
    pub next: AcceptStep,
}

/// How an invitation is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptStep {
    /// The address has an account: sign in, then [`Dashboard::accept_invitation`].
    SignIn,
    /// The address has none: choose a password, [`Dashboard::sign_up_with_invitation`].
    SignUp,
}

/// What an acceptance rests on, read under the lock of its workspace.
struct Accepting {
    workspace: Locked<Workspace>,
    invitation: Invitation,
}

impl Dashboard {
    /// What an invitation's link is about. Looking does not use it up.
    ///
    /// # Errors
    /// [`InvitationError::InvalidLink`], [`InvitationError::Throttled`].
    pub async fn invitation(
        &self,
        token: &InvitationToken,
        source: &Source,
    ) -> Result<InvitationFace, InvitationError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<InvitationError>(&charges, source).await?;
        let face = inner
            .within(async |mut tx| {
                let now = inner.now();
                let found = tx.invitation_by_token(&token.digest()).await?;
                let found =
                    found.filter(|found| found.expires_at > now).ok_or(InvitationError::InvalidLink)?;
                let workspace = tx.workspace(found.workspace).await?.ok_or(InvitationError::InvalidLink)?;
                let known = tx.account_by_email(&found.email).await?.is_some();
                charges.refund(&mut *tx, now).await?;
                Ok::<_, InvitationError>(InvitationFace {
                    workspace: workspace.name,
                    email: found.email.as_written().to_owned(),
                    next: if known { AcceptStep::SignIn } else { AcceptStep::SignUp },
                })
            })
            .await?;
        Ok(face)
    }

    /// Accepts an invitation with the account of a session. The account's verified address must be the invited one.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub async fn accept_invitation(
        &self,
        session: &Session,
        token: &InvitationToken,
    ) -> Result<WorkspaceId, InvitationError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, &session.source);
        inner.charge::<InvitationError>(&charges, &session.source).await?;
        let answer = inner
            .within(async |mut tx| {
                let (account, _) = inner.live_account(&mut *tx, session).await?;
                let accepting = inner.accepting(&mut *tx, &token.digest()).await?;
                if accepting.invitation.email.canonical() != account.email.canonical() {
                    return Err(InvitationError::OtherAddress);
                }
                inner.join(&mut *tx, &accepting, &account, &session.source).await?;
                charges.refund(&mut *tx, inner.now()).await?;
                Ok(accepting.workspace.id)
            })
            .await;
        let tell = |event: crate::ports::SecurityEvent| inner.tell(event.account(session.account));
        match &answer {
            Ok(workspace) => tell(
                inner
                    .event(EventKind::InvitationAccepted, Outcome::Succeeded, &session.source)
                    .workspace(*workspace),
            ),
            Err(InvitationError::Throttled(_) | InvitationError::Fault(_)) => {}
            Err(error) => tell(
                inner
                    .event(EventKind::InvitationAccepted, Outcome::Refused, &session.source)
                    .code(error.code()),
            ),
        }
        answer
    }

    /// Accepts an invitation with a new account: the mailed link verifies the address, and the password is chosen now.
    /// Makes the account with its personal workspace, joins the workspace that invited, and signs in.
    ///
    /// # Errors
    /// [`InvitationError::SignInFirst`] when the address has an account already, and others.
    pub async fn sign_up_with_invitation(
        &self,
        token: &InvitationToken,
        password: SecretString,
        source: &Source,
    ) -> Result<SignedIn, InvitationError> {
        let inner = &self.inner;
        let answer = self.signed_up_with(token, password, source).await;
        let event = |outcome| inner.event(EventKind::InvitationAccepted, outcome, source);
        match &answer {
            Ok(signed_in) => inner.tell(event(Outcome::Succeeded).account(signed_in.session().account)),
            Err(InvitationError::Throttled(_) | InvitationError::Fault(_)) => {}
            Err(error) => inner.tell(event(Outcome::Refused).code(error.code())),
        }
        answer
    }

    async fn signed_up_with(
        &self,
        token: &InvitationToken,
        password: SecretString,
        source: &Source,
    ) -> Result<SignedIn, InvitationError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<InvitationError>(&charges, source).await?;
        let digest = token.digest();
        let mut snapshot = inner.read().await?;
        let found = snapshot.invitation_by_token(&digest).await?;
        let found = found.filter(|found| found.expires_at > inner.now());
        let email = found.ok_or(InvitationError::InvalidLink)?.email;
        if snapshot.account_by_email(&email).await?.is_some() {
            return Err(InvitationError::SignInFirst);
        }
        drop(snapshot);
        let context = [email.as_written(), inner.config.service.as_str()];
        inner.check_new_password(&password, &context, source).await?;
        let hash = inner.hash(password).await;
        if hash.is_err() {
            inner.give_back(&charges).await?;
        }
        let hash = hash?;
        let starter = inner.starter_credit(&email).await;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let password = Password { hash: hash.clone(), set_at: now, compromised: false };
                let opened = inner.open_account(&mut *tx, &email, (password, starter), source).await?;
                let mut account = opened.ok_or(InvitationError::SignInFirst)?;
                let accepting = inner.accepting(&mut *tx, &digest).await?;
                if accepting.invitation.email.canonical() != email.canonical() {
                    return Err(InvitationError::InvalidLink);
                }
                inner.join(&mut *tx, &accepting, &account, source).await?;
                charges.refund(&mut *tx, now).await?;
                Ok(inner.first_session(&mut *tx, &mut account, source).await?)
            })
            .await
    }
}

impl Inner {
    /// The invitation behind a link, if it can be accepted now: read under its workspace's lock.
    async fn accepting(
        &self,
        tx: &mut dyn Transaction,
        token: &TokenDigest,
    ) -> Result<Accepting, InvitationError> {
        let found = tx.invitation_by_token(token).await?.ok_or(InvitationError::InvalidLink)?;
        let workspace = tx.lock_workspace(found.workspace).await?.ok_or(InvitationError::InvalidLink)?;
        let found = tx.invitation_by_token(token).await?.ok_or(InvitationError::InvalidLink)?;
        if found.expires_at <= self.now() || found.workspace != workspace.id {
            return Err(InvitationError::InvalidLink);
        }
        if workspace.suspended.is_some() || workspace.archived_at.is_some() {
            return Err(InvitationError::Closed);
        }
        if !self.still_granted(tx, &found).await? {
            return Err(InvitationError::InvalidLink);
        }
        Ok(Accepting { workspace, invitation: found })
    }

    /// Whether whoever invited is still a member who may invite and has all that the invitation promises.
    async fn still_granted(&self, tx: &mut dyn Transaction, invitation: &Invitation) -> Result<bool, Fault> {
        let inviter = tx.membership(invitation.workspace, invitation.invited_by).await?;
        let active = tx.account(invitation.invited_by).await?.is_some_and(|account| account.is_active());
        let Some(inviter) = inviter.filter(|_| active) else { return Ok(false) };
        let said = tx.project_memberships(invitation.workspace).await?;
        let book = tx.roles(invitation.workspace).await?.into_iter().collect();
        let has = reach(&inviter, &said);
        let question = Question::from(Permission::MEMBERS_INVITE);
        let may = self.catalogue.decide(&question, Some(&has.standing(None)), &book).is_allowed();
        let promised = self.promise_of(tx, invitation).await?;
        Ok(may && self.catalogue.covers_everywhere(&has, &promised, &book).is_ok())
    }

    /// What an invitation promises now: a project that was deleted meanwhile says nothing any more.
    pub(in crate::dashboard) async fn promise_of(
        &self,
        snapshot: &mut dyn Snapshot,
        invitation: &Invitation,
    ) -> Result<Reach, Fault> {
        let present = snapshot.projects(invitation.workspace).await?;
        let mut projects = invitation.projects.clone();
        projects.retain(|id, _| present.iter().any(|project| project.id == *id));
        Ok(Reach { role: invitation.role, projects })
    }

    /// Makes the account a member and uses the invitation up.
    async fn join(
        &self,
        tx: &mut dyn Transaction,
        accepting: &Accepting,
        account: &Account,
        source: &Source,
    ) -> Result<(), InvitationError> {
        let Accepting { workspace, invitation } = accepting;
        let now = self.now();
        let members = tx.memberships(workspace.id).await?;
        if members.iter().any(|member| member.account == account.id) {
            return Err(InvitationError::AlreadyMember);
        }
        seat_left(workspace, members.len()).map_err(|_| InvitationError::NoSeatLeft)?;
        if !tx.delete_invitation(workspace, invitation.id).await? {
            return Err(InvitationError::InvalidLink);
        }
        let membership =
            Membership { workspace: workspace.id, account: account.id, role: invitation.role, since: now };
        tx.put_membership(workspace, &membership).await?;
        let projects = self.promise_of(tx, invitation).await?.projects;
        for (project, role) in &projects {
            let row = ProjectMembership {
                workspace: workspace.id,
                project: *project,
                account: account.id,
                role: *role,
            };
            tx.put_project_membership(workspace, &row).await?;
        }
        let (actor, target) = (Actor::Account(account.id), Target::Account(account.id));
        let made = self.audit(now, actor, Action::MemberJoined, target, source)?;
        let after = json!({
            "role": invitation.role,
            "projects": projects,
            "invitation": invitation.id,
            "invited_by": invitation.invited_by,
        });
        Ok(self.append(tx, &in_workspace(with_after(made, after), workspace.id)).await?)
    }
}
