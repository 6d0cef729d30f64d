//! Custom roles, the audit log, the outbox.

macro_rules! audit {
    () => {
        "id, at, workspace, actor_kind, actor_account, actor_name, action, target_kind, target_id, \
         value_before, value_after, source_address, source_user_agent, source_request_id"
    };
}

statements! {
    ROLES = "SELECT id, name, permissions, scopes FROM {p}roles WHERE workspace = $1 ORDER BY id";
    ROLE = "SELECT id, name, permissions, scopes FROM {p}roles WHERE workspace = $1 AND id = $2";
    PUT_ROLE =
        "INSERT INTO {p}roles (workspace, id, name, permissions, scopes) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (workspace, id) DO UPDATE SET name = excluded.name, \
         permissions = excluded.permissions, scopes = excluded.scopes";
    DELETE_ROLE = "DELETE FROM {p}roles WHERE workspace = $1 AND id = $2";
    PERMISSIONS_IN_USE = "SELECT DISTINCT permissions FROM {p}roles";
    SCOPES_IN_USE =
        "SELECT scopes FROM {p}roles UNION SELECT scopes FROM {p}keys WHERE revoked_at IS NULL \
         UNION SELECT service_ceiling FROM {p}workspaces WHERE service_ceiling IS NOT NULL";

    AUDIT_OF_WORKSPACE =
        "SELECT ", audit!(), " FROM {p}audit WHERE workspace = $1 AND id > $2 ORDER BY id LIMIT $3";
    AUDIT_OF_ACCOUNT =
        "SELECT ", audit!(), " FROM {p}audit \
         WHERE (actor_account = $1 OR (target_id = $1 AND target_kind = 'account')) AND id > $2 \
         ORDER BY id LIMIT $3";
    APPEND_AUDIT =
        "INSERT INTO {p}audit (", audit!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

    PUSH_MAIL =
        "INSERT INTO {p}outbox (id, content, created_at, due_at, attempts) VALUES ($1, $2, $3, $4, $5)";
    DUE_MAIL =
        "SELECT id, content, created_at, due_at, attempts FROM {p}outbox WHERE due_at <= $1 \
         ORDER BY due_at, id LIMIT $2";
    CLAIM_MAIL = "UPDATE {p}outbox SET due_at = $1, attempts = $2 WHERE id = $3";
    DELETE_MAIL = "DELETE FROM {p}outbox WHERE id = $1";
    DELAY_MAIL = "UPDATE {p}outbox SET due_at = $1 WHERE id = $2";
}
