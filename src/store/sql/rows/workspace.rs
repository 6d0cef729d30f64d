//! Workspaces, projects, memberships, entries.

use super::{Reader, Stored};
use crate::store::record::{Entry, Membership, Project, ProjectMembership, Workspace};

pub(in crate::store::sql) fn workspace(row: &mut Reader<'_>) -> Stored<Workspace> {
    Ok(Workspace {
        id: row.id("workspaces.id")?,
        name: row.text("workspaces.name")?.to_owned(),
        personal_of: row.opt_id("workspaces.personal_of")?,
        service_ceiling: row.opt_json("workspaces.service_ceiling")?,
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
        rate_limit: row.opt_json("projects.rate_limit")?,
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
    })
}
