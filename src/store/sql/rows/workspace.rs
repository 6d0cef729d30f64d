//! Workspaces, projects, memberships, entries, invitations.

use super::account::session;
use super::{Reader, Stored};
use crate::id::AccountId;
use crate::name::Label;
use crate::secret::TokenDigest;
use crate::store::record::{
    Entry, Invitation, Membership, Person, Project, ProjectMembership, Session, Workspace,
};

pub(in crate::store::sql) fn workspace(row: &mut Reader<'_>) -> Stored<Workspace> {
    Ok(Workspace {
        id: row.id("workspaces.id")?,
        name: row.text("workspaces.name")?.to_owned(),
        personal_of: row.opt_id("workspaces.personal_of")?,
        service_ceiling: row.opt_json("workspaces.service_ceiling")?,
        require_second_factor: row.flag("workspaces.require_second_factor")?,
        entitlements: row.json("workspaces.entitlements")?,
        archived_at: row.opt_time("workspaces.archived_at")?,
        suspended: row.suspension("workspaces.suspended_at")?,
        created_at: row.time("workspaces.created_at")?,
    })
}

pub(in crate::store::sql) fn workspace_and_membership(
    row: &mut Reader<'_>,
) -> Stored<(Workspace, Membership)> {
    Ok((workspace(row)?, membership(row)?))
}

pub(in crate::store::sql) fn project(row: &mut Reader<'_>) -> Stored<Project> {
    Ok(Project {
        id: row.id("projects.id")?,
        workspace: row.id("projects.workspace")?,
        name: row.text("projects.name")?.to_owned(),
        label: row.opt_parsed("projects.label", Label::parse)?,
        require_second_factor: row.flag("projects.require_second_factor")?,
        rate_limit: row.opt_json("projects.rate_limit")?,
        archived_at: row.opt_time("projects.archived_at")?,
        suspended: row.suspension("projects.suspended_at")?,
        created_at: row.time("projects.created_at")?,
    })
}

pub(in crate::store::sql) fn membership(row: &mut Reader<'_>) -> Stored<Membership> {
    Ok(Membership {
        workspace: row.id("memberships.workspace")?,
        account: row.id("memberships.account")?,
        role: row.parsed("memberships.role", str::parse)?,
        since: row.time("memberships.since")?,
    })
}

pub(in crate::store::sql) fn person(row: &mut Reader<'_>) -> Stored<Person> {
    Ok(Person {
        membership: membership(row)?,
        email: row.email("accounts.email")?,
        active: row.opt_int("accounts.suspended_at")?.is_none(),
        second_factor: row.opt_id::<AccountId>("totp_factors.account")?.is_some(),
    })
}

pub(in crate::store::sql) fn project_membership(row: &mut Reader<'_>) -> Stored<ProjectMembership> {
    Ok(ProjectMembership {
        workspace: row.id("project_memberships.workspace")?,
        project: row.id("project_memberships.project")?,
        account: row.id("project_memberships.account")?,
        role: row.parsed("project_memberships.role", str::parse)?,
    })
}

pub(in crate::store::sql) fn entry(row: &mut Reader<'_>) -> Stored<Entry> {
    Ok(Entry {
        id: row.id("entries.id")?,
        session: row.id("entries.session")?,
        account: row.id("entries.account")?,
        workspace: row.id("entries.workspace")?,
        at: row.time("entries.at")?,
        ended_at: row.opt_time("entries.ended_at")?,
    })
}

pub(in crate::store::sql) fn entry_and_session(row: &mut Reader<'_>) -> Stored<(Entry, Session)> {
    Ok((entry(row)?, session(row)?))
}

pub(in crate::store::sql) fn invitation(row: &mut Reader<'_>) -> Stored<Invitation> {
    Ok(Invitation {
        id: row.id("invitations.id")?,
        workspace: row.id("invitations.workspace")?,
        email: row.email("invitations.email")?,
        role: row.parsed("invitations.role", str::parse)?,
        projects: row.json("invitations.projects")?,
        token: TokenDigest(row.array("invitations.token")?),
        invited_by: row.id("invitations.invited_by")?,
        created_at: row.time("invitations.created_at")?,
        sent_at: row.time("invitations.sent_at")?,
        expires_at: row.time("invitations.expires_at")?,
    })
}
