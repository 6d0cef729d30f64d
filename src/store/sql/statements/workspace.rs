//! Workspaces, projects, memberships, entries.

macro_rules! workspace {
    () => {
        "id, name, personal_of, service_ceiling, suspended_at, suspended_reason, created_at"
    };
}

macro_rules! project {
    () => {
        "id, workspace, name, rate_limit, suspended_at, suspended_reason, created_at"
    };
}

statements! {
    WORKSPACE = "SELECT ", workspace!(), " FROM {p}workspaces WHERE id = $1";
    WORKSPACES_OF =
        "SELECT w.id, w.name, w.personal_of, w.service_ceiling, w.suspended_at, w.suspended_reason, \
         w.created_at, m.workspace, m.account, m.role, m.since \
         FROM {p}memberships AS m JOIN {p}workspaces AS w ON w.id = m.workspace \
         WHERE m.account = $1 ORDER BY m.since, m.workspace";
    // Both the id and the person of a personal workspace are unique.
    INSERT_WORKSPACE =
        "INSERT INTO {p}workspaces (", workspace!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT DO NOTHING";
    UPDATE_WORKSPACE =
        "UPDATE {p}workspaces SET name = $1, personal_of = $2, service_ceiling = $3, suspended_at = $4, \
         suspended_reason = $5, created_at = $6 WHERE id = $7";

    PROJECT = "SELECT ", project!(), " FROM {p}projects WHERE id = $1";
    PROJECTS =
        "SELECT ", project!(), " FROM {p}projects WHERE workspace = $1 ORDER BY created_at, id";
    INSERT_PROJECT =
        "INSERT INTO {p}projects (", project!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (workspace, name) DO NOTHING";
    UPDATE_PROJECT =
        "UPDATE {p}projects SET name = $1, rate_limit = $2, suspended_at = $3, suspended_reason = $4, \
         created_at = $5 WHERE id = $6 AND workspace = $7 \
         AND NOT EXISTS (SELECT 1 FROM {p}projects AS other \
         WHERE other.workspace = $7 AND other.name = $1 AND other.id <> $6)";

    MEMBERSHIP =
        "SELECT workspace, account, role, since FROM {p}memberships WHERE workspace = $1 AND account = $2";
    MEMBERSHIPS =
        "SELECT workspace, account, role, since FROM {p}memberships WHERE workspace = $1 \
         ORDER BY since, account";
    PUT_MEMBERSHIP =
        "INSERT INTO {p}memberships (workspace, account, role, since) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace, account) DO UPDATE SET role = excluded.role, since = excluded.since";
    // Its project roles go with it.
    DELETE_MEMBERSHIP = "DELETE FROM {p}memberships WHERE workspace = $1 AND account = $2";
    DELETE_ENTRIES_OF_MEMBER = "DELETE FROM {p}entries WHERE workspace = $1 AND account = $2";

    PROJECT_MEMBERSHIP =
        "SELECT workspace, project, account, role FROM {p}project_memberships \
         WHERE project = $1 AND account = $2";
    PUT_PROJECT_MEMBERSHIP =
        "INSERT INTO {p}project_memberships (workspace, project, account, role) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (project, account) DO UPDATE SET workspace = excluded.workspace, role = excluded.role";
    DELETE_PROJECT_MEMBERSHIP =
        "DELETE FROM {p}project_memberships WHERE workspace = $1 AND project = $2 AND account = $3";

    ENTRY = "SELECT id, session, account, workspace, at FROM {p}entries WHERE id = $1";
    ENTRY_OF =
        "SELECT id, session, account, workspace, at FROM {p}entries WHERE session = $1 AND workspace = $2";
    INSERT_ENTRY =
        "INSERT INTO {p}entries (id, session, account, workspace, at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (session, workspace) DO NOTHING";
    DELETE_ENTRY = "DELETE FROM {p}entries WHERE workspace = $1 AND id = $2";
}
