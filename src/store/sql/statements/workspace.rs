//! Workspaces, projects, memberships, entries, invitations.

macro_rules! project {
    () => {
        "id, workspace, name, label, require_second_factor, rate_limit, archived_at, suspended_at, \
         suspended_reason, created_at"
    };
}

macro_rules! entry {
    () => {
        "id, session, account, workspace, at, ended_at"
    };
}

macro_rules! invitation {
    () => {
        "id, workspace, email, role, projects, token, invited_by, created_at, sent_at, expires_at"
    };
}

statements! {
    WORKSPACE = "SELECT ", workspace!(), " FROM {p}workspaces WHERE id = $1";
    WORKSPACES_OF =
        "SELECT w.id, w.name, w.personal_of, w.service_ceiling, w.require_second_factor, w.entitlements, \
         w.archived_at, w.suspended_at, w.suspended_reason, w.created_at, \
         m.workspace, m.account, m.role, m.since \
         FROM {p}memberships AS m JOIN {p}workspaces AS w ON w.id = m.workspace \
         WHERE m.account = $1 ORDER BY m.since, m.workspace";
    // Both the id and the person of a personal workspace are unique.
    INSERT_WORKSPACE =
        "INSERT INTO {p}workspaces (", workspace!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT DO NOTHING";
    UPDATE_WORKSPACE =
        "UPDATE {p}workspaces SET name = $1, personal_of = $2, service_ceiling = $3, \
         require_second_factor = $4, entitlements = $5, archived_at = $6, suspended_at = $7, \
         suspended_reason = $8, created_at = $9 WHERE id = $10";
    // All that is in it goes with it.
    DELETE_WORKSPACE = "DELETE FROM {p}workspaces WHERE id = $1";

    PROJECT = "SELECT ", project!(), " FROM {p}projects WHERE id = $1";
    PROJECTS =
        "SELECT ", project!(), " FROM {p}projects WHERE workspace = $1 ORDER BY created_at, id";
    INSERT_PROJECT =
        "INSERT INTO {p}projects (", project!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (workspace, name) DO NOTHING";
    UPDATE_PROJECT =
        "UPDATE {p}projects SET name = $1, label = $2, require_second_factor = $3, rate_limit = $4, \
         archived_at = $5, suspended_at = $6, suspended_reason = $7, created_at = $8 \
         WHERE id = $9 AND workspace = $10 \
         AND NOT EXISTS (SELECT 1 FROM {p}projects AS other \
         WHERE other.workspace = $10 AND other.name = $1 AND other.id <> $9)";
    // Its keys and project roles go with it.
    DELETE_PROJECT = "DELETE FROM {p}projects WHERE workspace = $1 AND id = $2";

    MEMBERSHIP =
        "SELECT workspace, account, role, since FROM {p}memberships WHERE workspace = $1 AND account = $2";
    MEMBERSHIPS =
        "SELECT workspace, account, role, since FROM {p}memberships WHERE workspace = $1 \
         ORDER BY since, account";
    PEOPLE =
        "SELECT m.workspace, m.account, m.role, m.since, a.email, a.suspended_at, f.account \
         FROM {p}memberships AS m JOIN {p}accounts AS a ON a.id = m.account \
         LEFT JOIN {p}totp_factors AS f ON f.account = m.account \
         WHERE m.workspace = $1 ORDER BY m.since, m.account";
    PUT_MEMBERSHIP =
        "INSERT INTO {p}memberships (workspace, account, role, since) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace, account) DO UPDATE SET role = excluded.role, since = excluded.since";
    // Its project roles go with it.
    DELETE_MEMBERSHIP = "DELETE FROM {p}memberships WHERE workspace = $1 AND account = $2";
    DELETE_ENTRIES_OF_MEMBER = "DELETE FROM {p}entries WHERE workspace = $1 AND account = $2";

    PROJECT_MEMBERSHIP =
        "SELECT workspace, project, account, role FROM {p}project_memberships \
         WHERE project = $1 AND account = $2";
    PROJECT_MEMBERSHIPS =
        "SELECT workspace, project, account, role FROM {p}project_memberships \
         WHERE workspace = $1 ORDER BY account, project";
    PUT_PROJECT_MEMBERSHIP =
        "INSERT INTO {p}project_memberships (workspace, project, account, role) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (project, account) DO UPDATE SET workspace = excluded.workspace, role = excluded.role";
    DELETE_PROJECT_MEMBERSHIP =
        "DELETE FROM {p}project_memberships WHERE workspace = $1 AND project = $2 AND account = $3";

    ENTRY = "SELECT ", entry!(), " FROM {p}entries WHERE id = $1";
    ENTRY_OF = "SELECT ", entry!(), " FROM {p}entries WHERE session = $1 AND workspace = $2";
    ENTRIES =
        "SELECT e.id, e.session, e.account, e.workspace, e.at, e.ended_at, \
         s.id, s.account, s.token, s.assurance, s.source_address, s.source_user_agent, \
         s.source_request_id, s.created_at, s.seen_at, s.idle_until, s.ends_at \
         FROM {p}entries AS e JOIN {p}sessions AS s ON s.id = e.session \
         WHERE e.workspace = $1 ORDER BY e.at, e.id";
    INSERT_ENTRY =
        "INSERT INTO {p}entries (", entry!(), ") VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (session, workspace) DO NOTHING";
    UPDATE_ENTRY = "UPDATE {p}entries SET ended_at = $1 WHERE workspace = $2 AND id = $3";
    DELETE_ENTRY = "DELETE FROM {p}entries WHERE workspace = $1 AND id = $2";

    INVITATION = "SELECT ", invitation!(), " FROM {p}invitations WHERE id = $1";
    INVITATION_BY_TOKEN = "SELECT ", invitation!(), " FROM {p}invitations WHERE token = $1";
    INVITATIONS =
        "SELECT ", invitation!(), " FROM {p}invitations WHERE workspace = $1 ORDER BY created_at, id";
    INSERT_INVITATION =
        "INSERT INTO {p}invitations (", invitation!(), ", email_canonical) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (workspace, email_canonical) DO NOTHING";
    UPDATE_INVITATION =
        "UPDATE {p}invitations SET token = $1, invited_by = $2, created_at = $3, sent_at = $4, expires_at = $5 \
         WHERE workspace = $6 AND id = $7";
    DELETE_INVITATION = "DELETE FROM {p}invitations WHERE workspace = $1 AND id = $2";
    DELETE_INVITATIONS_TO =
        "DELETE FROM {p}invitations WHERE email_canonical = $1 RETURNING workspace, id";
}
