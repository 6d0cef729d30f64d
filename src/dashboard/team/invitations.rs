//! Inviting people, and minding invitations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::acting::Acting;
use crate::access::{Permission, ProjectRole, Reach, Role};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Entitlement, Fault, TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::link::link;
use crate::dashboard::throttling::Charges;
use crate::dashboard::workspaces::Member;
use crate::email::EmailAddress;
use crate::id::{AccountId, InvitationId, ProjectId};
use crate::ports::{EntropyExt, Message};
use crate::secret::InvitationToken;
use crate::store::record::{Action, Invitation, PersonalValue, Subject, Target, Workspace};
use crate::store::{Locked, Transaction};

/// Somebody to be invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvitation {
    /// Whom: the link is mailed here, and nobody accepts it with another address.
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
    /// What single projects are to say of them instead, from the first moment on.
    pub projects: BTreeMap<ProjectId, ProjectRole>,
}

/// A pending invitation, as shown. No token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InvitationView {
    /// Names it.
    pub id: InvitationId,
    /// Whom.
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
    /// What single projects are to say of them.
    pub projects: BTreeMap<ProjectId, ProjectRole>,
    /// Who invited, or last sent it again.
    pub invited_by: AccountId,
    /// When.
    pub created_at: Timestamp,
    /// When the link was last mailed.
    pub sent_at: Timestamp,
    /// From when on the link is dead.
    pub expires_at: Timestamp,
    /// Whether that has come.
    pub expired: bool,
}

impl Dashboard {
    /// Invites an address: mails it a link that works once, for a bounded time, for that address alone. Whether the
    /// address has an account makes no difference to the answer. Asks for `members.invite`, and for all that the
    /// invitation promises, everywhere: now, and again when it is accepted.
    ///
    /// # Errors
    /// [`TeamError::AlreadyInvited`], [`TeamError::Lacking`], [`TeamError::NotEntitled`] when all seats are taken, and
    /// others. [`TeamError::AlreadyMember`] is said to those alone who may see the members.
    pub async fn invite(&self, member: &Member, new: &NewInvitation) -> Result<InvitationView, TeamError> {
        let inner = &self.inner;
        let source = &member.session().source;
        let charges = Charges::invitation(&inner.config.throttles, &new.email, member.workspace(), source);
        // Whoever may not invite uses nothing up.
        let mut snapshot = inner.read().await?;
        inner.acting(&mut *snapshot, member).await?.require(Permission::MEMBERS_INVITE)?;
        drop(snapshot);
        inner.charge::<TeamError>(&charges, source).await?;
        let view = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_INVITE)?;
                inner.promised(&mut *tx, &acting, new).await?;
                let people = tx.people(locked.id).await?;
                let is_member = people.iter().any(|p| p.email.canonical() == new.email.canonical());
                if is_member && acting.may(&Permission::MEMBERS_READ, None) {
                    return Err(TeamError::AlreadyMember);
                }
                seat_left(&locked, people.len())?;
                let pending = tx.invitations(locked.id).await?;
                let earlier = pending.into_iter().find(|i| i.email.canonical() == new.email.canonical());
                if let Some(earlier) = earlier {
                    if earlier.expires_at > now {
                        return Err(TeamError::AlreadyInvited { invitation: earlier.id });
                    }
                    tx.delete_invitation(&locked, earlier.id).await?;
                }
                let token: InvitationToken = inner.entropy.token()?;
                let invitation = Invitation {
                    id: inner.entropy.id(now)?,
                    workspace: locked.id,
                    email: new.email.clone(),
                    role: new.role,
                    projects: new.projects.clone(),
                    token: token.digest(),
                    invited_by: member.account(),
                    created_at: now,
                    sent_at: now,
                    expires_at: now.saturating_add(inner.config.invitation).unwrap_or(now),
                };
                if !tx.insert_invitation(&locked, &invitation).await? {
                    return Err(Fault::Internal("invitation").into());
                }
                inner.mail_invitation(&mut *tx, &locked, &invitation, &token).await?;
                let after = json!({ "role": invitation.role, "projects": invitation.projects });
                let (action, target) = (Action::MemberInvited, Target::Invitation(invitation.id));
                let email = inner.invited(&invitation)?;
                acting.audit_of(&mut *tx, action, target, None, Some(after), [email]).await?;
                Ok(shown(invitation, now))
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.team_changed(member, "invited");
        Ok(view)
    }

    /// The pending invitations, expired ones included, the earliest first. Asks for `members.invite`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn invitations(&self, member: &Member) -> Result<Vec<InvitationView>, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.acting(&mut *snapshot, member).await?.require(Permission::MEMBERS_INVITE)?;
        let all = snapshot.invitations(member.workspace()).await?;
        Ok(all.into_iter().map(|invitation| shown(invitation, inner.now())).collect())
    }

    /// Mails an invitation again, with a fresh link and a fresh term; the earlier link is dead. From now on it is worth
    /// what whoever sends it again may grant. Asks for what inviting asks for.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn resend_invitation(
        &self,
        member: &Member,
        id: InvitationId,
    ) -> Result<InvitationView, TeamError> {
        let inner = &self.inner;
        let source = &member.session().source;
        let mut snapshot = inner.read().await?;
        inner.acting(&mut *snapshot, member).await?.require(Permission::MEMBERS_INVITE)?;
        let found = snapshot.invitation(id).await?.filter(|found| found.workspace == member.workspace());
        let email = found.ok_or(WorkspaceError::NotFound)?.email;
        drop(snapshot);
        let charges = Charges::invitation(&inner.config.throttles, &email, member.workspace(), source);
        inner.charge::<TeamError>(&charges, source).await?;
        let view = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_INVITE)?;
                let found = inner.invitation_of(&mut *tx, member, id).await?;
                acting.covers(&inner.promise_of(&mut *tx, &found).await?)?;
                let token: InvitationToken = inner.entropy.token()?;
                let invitation = Invitation {
                    token: token.digest(),
                    invited_by: member.account(),
                    sent_at: now,
                    expires_at: now.saturating_add(inner.config.invitation).unwrap_or(now),
                    ..found
                };
                if !tx.update_invitation(&locked, &invitation).await? {
                    return Err(TeamError::from(WorkspaceError::NotFound));
                }
                inner.mail_invitation(&mut *tx, &locked, &invitation, &token).await?;
                let (action, target) = (Action::InvitationResent, Target::Invitation(id));
                let email = inner.invited(&invitation)?;
                acting.audit_of(&mut *tx, action, target, None, None, [email]).await?;
                Ok(shown(invitation, now))
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.team_changed(member, "invitation_resent");
        Ok(view)
    }

    /// Revokes an invitation: its link is dead. Asks for `members.invite`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn revoke_invitation(&self, member: &Member, id: InvitationId) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_INVITE)?;
                let found = inner.invitation_of(&mut *tx, member, id).await?;
                tx.delete_invitation(&locked, id).await?;
                let (action, target) = (Action::InvitationRevoked, Target::Invitation(id));
                let email = inner.invited(&found)?;
                Ok::<_, TeamError>(acting.audit_of(&mut *tx, action, target, None, None, [email]).await?)
            })
            .await?;
        inner.team_changed(member, "invitation_revoked");
        Ok(())
    }
}

impl Inner {
    /// Whether what an invitation promises is there, and is the actor's to grant.
    async fn promised(
        &self,
        tx: &mut dyn Transaction,
        acting: &Acting<'_>,
        new: &NewInvitation,
    ) -> Result<(), TeamError> {
        acting.known(new.role)?;
        for (project, role) in &new.projects {
            self.project_of(tx, acting.member, *project).await?;
            if let ProjectRole::Is(role) = role {
                acting.known(*role)?;
            }
        }
        acting.covers(&Reach { role: new.role, projects: new.projects.clone() })
    }

    async fn invitation_of(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
        id: InvitationId,
    ) -> Result<Invitation, WorkspaceError> {
        let found = tx.invitation(id).await?.filter(|found| found.workspace == member.workspace());
        found.ok_or(WorkspaceError::NotFound)
    }

    /// The invited address, as a personal value of whoever has it.
    fn invited(&self, invitation: &Invitation) -> Result<PersonalValue, Fault> {
        let whose = Some(Subject::address(&invitation.email));
        Ok(self.personal("invited.email", invitation.email.as_written(), whose)?)
    }

    async fn mail_invitation(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
        token: &InvitationToken,
    ) -> Result<(), Fault> {
        let message = Message::Invited {
            workspace: workspace.name.clone(),
            link: link(&self.config.link_base, "invitation", token),
            expires_at: invitation.expires_at,
        };
        self.owe_mail(tx, self.now(), &invitation.email, message).await.map(drop)
    }
}

/// Whether the workspace's plan has room for one more beside these.
pub(in crate::dashboard) fn seat_left(workspace: &Workspace, taken: usize) -> Result<(), TeamError> {
    match workspace.entitlements.seats {
        Some(most) if u32::try_from(taken).unwrap_or(u32::MAX) >= most => {
            Err(TeamError::NotEntitled(Entitlement::Seats(most)))
        }
        _ => Ok(()),
    }
}

pub(in crate::dashboard) fn shown(invitation: Invitation, now: Timestamp) -> InvitationView {
    InvitationView {
        id: invitation.id,
        email: invitation.email,
        role: invitation.role,
        projects: invitation.projects,
        invited_by: invitation.invited_by,
        created_at: invitation.created_at,
        sent_at: invitation.sent_at,
        expires_at: invitation.expires_at,
        expired: invitation.expires_at <= now,
    }
}
