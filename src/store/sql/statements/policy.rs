//! Custom roles and the outbox.

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

    PUSH_MAIL =
        "INSERT INTO {p}outbox (id, content, created_at, due_at, attempts) VALUES ($1, $2, $3, $4, $5)";
    DUE_MAIL =
        "SELECT id, content, created_at, due_at, attempts FROM {p}outbox WHERE due_at <= $1 \
         ORDER BY due_at, id LIMIT $2{skip}";
    CLAIM_MAIL =
        "UPDATE {p}outbox AS o SET due_at = c.column1, attempts = c.column2 FROM (VALUES ($1, $2, $3)) AS c \
         WHERE o.id = c.column3";
    DELETE_MAIL = "DELETE FROM {p}outbox WHERE id = $1";
    DELAY_MAIL = "UPDATE {p}outbox SET due_at = $1 WHERE id = $2";
}
