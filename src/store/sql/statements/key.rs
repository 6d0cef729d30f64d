//! Keys and their secrets.

macro_rules! key {
    () => {
        "id, workspace, project, kind, holder, name, environment, scopes, expires_at, allowlist, rate_limit, \
         suspended_at, suspended_by, operator_suspended_at, operator_suspended_reason, revoked_at, \
         created_by, created_at"
    };
}

statements! {
    KEY = "SELECT ", key!(), " FROM {p}keys WHERE id = $1";
    KEYS_OF_PROJECT =
        "SELECT ", key!(), " FROM {p}keys WHERE project = $1 AND id > $2 ORDER BY id LIMIT $3";
    KEYS_OF_WORKSPACE =
        "SELECT ", key!(), " FROM {p}keys WHERE workspace = $1 AND id > $2 ORDER BY id LIMIT $3";
    KEYS_HELD_BY =
        "SELECT ", key!(), " FROM {p}keys WHERE workspace = $1 AND holder = $2 ORDER BY id";
    WORKSPACE_OF_KEY = "SELECT workspace FROM {p}keys WHERE id = $1";
    INSERT_KEY =
        "INSERT INTO {p}keys (", key!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    // Workspace, project and maker never change.
    UPDATE_KEY =
        "UPDATE {p}keys SET kind = $1, holder = $2, name = $3, environment = $4, scopes = $5, \
         expires_at = $6, allowlist = $7, rate_limit = $8, suspended_at = $9, suspended_by = $10, \
         operator_suspended_at = $11, operator_suspended_reason = $12, revoked_at = $13 \
         WHERE id = $14 AND workspace = $15 AND project = $16";

    SECRETS_OF =
        "SELECT id, key, digest, shown_to, created_at, ends_at FROM {p}secrets WHERE key = $1 \
         ORDER BY created_at, id";
    SECRETS_OF_EACH =
        "SELECT s.id, s.key, s.digest, s.shown_to, s.created_at, s.ends_at \
         FROM (VALUES ($1)) AS d CROSS JOIN {p}secrets AS s WHERE s.key = d.column1";
    // `CROSS JOIN` has SQLite begin with the secrets: a person has seen few, a workspace may have many keys.
    SECRETS_SHOWN_TO =
        "SELECT k.id, k.workspace, k.project, k.kind, k.holder, k.name, k.environment, k.scopes, \
         k.expires_at, k.allowlist, k.rate_limit, k.suspended_at, k.suspended_by, \
         k.operator_suspended_at, k.operator_suspended_reason, k.revoked_at, \
         k.created_by, k.created_at, \
         s.id, s.key, s.digest, s.shown_to, s.created_at, s.ends_at \
         FROM {p}secrets AS s CROSS JOIN {p}keys AS k \
         WHERE k.workspace = $1 AND k.kind = 'service' AND k.id = s.key AND s.shown_to = $2";
    INSERT_SECRET =
        "INSERT INTO {p}secrets (id, key, digest, shown_to, created_at, ends_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
    END_SECRET =
        "UPDATE {p}secrets SET ends_at = $1 WHERE id = $2 \
         AND EXISTS (SELECT 1 FROM {p}keys AS k WHERE k.id = key AND k.workspace = $3) RETURNING key";
    DELETE_SECRET =
        "DELETE FROM {p}secrets WHERE id = $1 \
         AND EXISTS (SELECT 1 FROM {p}keys AS k WHERE k.id = key AND k.workspace = $2) RETURNING key";

    OPERATION = "SELECT account, id, key, at FROM {p}operations WHERE account = $1 AND id = $2";
    INSERT_OPERATION =
        "INSERT INTO {p}operations (account, id, key, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (account, id) DO NOTHING";
    FIRST_STEPS =
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM {p}keys WHERE created_by = $1) THEN 1 ELSE 0 END, \
         CASE WHEN EXISTS (SELECT 1 FROM {p}keys AS k JOIN {p}usage_totals AS u ON u.key = k.id \
         WHERE k.created_by = $1 AND u.allowed > 0) THEN 1 ELSE 0 END";
}
