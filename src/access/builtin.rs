//! The permissions that come with the crate.

use super::info::PermissionInfo;
use super::name::Permission;
use super::role::{BuiltinRole, Level};

/// In the order of their bits.
pub(super) fn builtin_permissions() -> Vec<PermissionInfo> {
    use BuiltinRole::{Admin, Developer, Viewer};
    use Level::{Project, Workspace};

    let table = [
        (
            Permission::WORKSPACE_READ,
            Workspace,
            Viewer,
            "See the workspace, its plan and its projects' names",
        ),
        (Permission::WORKSPACE_MANAGE, Workspace, Admin, "Rename, archive and delete the workspace"),
        (Permission::MEMBERS_READ, Workspace, Developer, "See who is a member, with which role"),
        (Permission::MEMBERS_INVITE, Workspace, Admin, "Invite people; list, resend and revoke invitations"),
        (
            Permission::MEMBERS_MANAGE,
            Workspace,
            Admin,
            "Change members' roles, end their entries, remove them",
        ),
        (Permission::ROLES_MANAGE, Workspace, Admin, "Define, edit and delete custom roles"),
        (Permission::POLICY_MANAGE, Workspace, Admin, "Change second-factor, sign-on and key policies"),
        (Permission::BILLING_READ, Workspace, Admin, "See invoices, credit and payment details"),
        (Permission::BILLING_MANAGE, Workspace, Admin, "Change payment details and the plan, buy credit"),
        (Permission::AUDIT_READ, Workspace, Admin, "Read and export the audit log"),
        (Permission::PROJECTS_CREATE, Workspace, Admin, "Create projects"),
        (Permission::PROJECT_READ, Project, Viewer, "See the project"),
        (Permission::PROJECT_MANAGE, Project, Admin, "Rename, label, archive and delete the project"),
        (Permission::KEYS_READ, Project, Developer, "List the project's keys, without their secrets"),
        (Permission::KEYS_ISSUE, Project, Developer, "Issue personal keys of one's own"),
        (Permission::KEYS_SERVICE, Project, Developer, "Issue service keys"),
        (Permission::KEYS_MANAGE, Project, Admin, "Suspend, resume and revoke anybody's keys"),
        (Permission::USAGE_READ, Project, Viewer, "See usage analytics"),
        (Permission::PLAYGROUND_USE, Project, Developer, "Spend the project's budget in the playground"),
        (Permission::CATALOGUE_READ, Project, Viewer, "See what the API offers"),
        (Permission::LIMITS_MANAGE, Project, Admin, "Set spending and rate limits"),
    ];
    table
        .into_iter()
        .map(|(name, level, lowest, description)| PermissionInfo {
            name,
            level,
            lowest,
            description: description.to_owned(),
            builtin: true,
        })
        .collect()
}
