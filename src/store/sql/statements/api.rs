//! What the API door needs: one lookup, the stream of changes.

statements! {
    // Reads as: the secret, its key, the three places that can switch it off, and its owner's standing. A key's
    // workspace never changes, so the owner's standing hangs on the key's own columns.
    RESOLVE =
        "SELECT k.id, k.workspace, k.project, k.kind, k.holder, k.name, k.environment, k.scopes, \
         k.expires_at, k.allowlist, k.rate_limit, k.suspended_at, k.suspended_by, \
         k.operator_suspended_at, k.operator_suspended_reason, k.revoked_at, \
         k.created_by, k.created_at, \
         s.id, s.key, s.digest, s.shown_to, s.created_at, s.ends_at, \
         w.suspended_at, w.archived_at, w.service_ceiling, p.suspended_at, p.archived_at, p.rate_limit, \
         a.id, a.suspended_at, m.role, r.role \
         FROM {p}secrets AS s \
         JOIN {p}keys AS k ON k.id = s.key \
         JOIN {p}workspaces AS w ON w.id = k.workspace \
         JOIN {p}projects AS p ON p.id = k.project \
         LEFT JOIN {p}accounts AS a ON a.id = k.holder AND k.kind = 'personal' \
         LEFT JOIN {p}memberships AS m ON m.workspace = k.workspace AND m.account = k.holder \
         AND k.kind = 'personal' \
         LEFT JOIN {p}project_memberships AS r ON r.project = k.project AND r.account = k.holder \
         AND k.kind = 'personal' \
         WHERE s.id = $1";

    APPEND_CHANGE = "INSERT INTO {p}changes (change) VALUES ($1)";
    EPOCH = "SELECT value FROM {p}meta WHERE name = 'epoch'";
    // Two lookups; both at once would read the whole table.
    CHANGES_KEPT = "SELECT (SELECT MIN(id) FROM {p}changes), (SELECT MAX(id) FROM {p}changes)";
    CHANGES_SINCE = "SELECT change FROM {p}changes WHERE id > $1 AND id <= $2 ORDER BY id";
}
