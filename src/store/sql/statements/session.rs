//! Sessions, one-time tokens, counters, and the sweep.

macro_rules! session {
    () => {
        "id, account, token, assurance, source_address, source_user_agent, source_request_id, \
         created_at, seen_at, idle_until, ends_at"
    };
}

macro_rules! token {
    () => {
        "digest, kind, account, email, assurance, created_at, expires_at"
    };
}

statements! {
    SESSION = "SELECT ", session!(), " FROM {p}sessions WHERE id = $1";
    SESSION_BY_TOKEN = "SELECT ", session!(), " FROM {p}sessions WHERE token = $1";
    SESSIONS_OF =
        "SELECT ", session!(), " FROM {p}sessions WHERE account = $1 ORDER BY created_at DESC, id DESC";
    INSERT_SESSION =
        "INSERT INTO {p}sessions (", session!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    ROTATE_SESSION =
        "UPDATE {p}sessions SET token = $1, assurance = $2, source_address = $3, source_user_agent = $4, \
         source_request_id = $5, created_at = $6, seen_at = $7, idle_until = $8, ends_at = $9 \
         WHERE id = $10 AND account = $11 AND token = $12";
    TOUCH_SESSION = "UPDATE {p}sessions SET seen_at = $1, idle_until = $2 WHERE id = $3";
    DELETE_SESSION = "DELETE FROM {p}sessions WHERE account = $1 AND id = $2";
    DELETE_SESSIONS_OF = "DELETE FROM {p}sessions WHERE account = $1";
    DELETE_OTHER_SESSIONS_OF = "DELETE FROM {p}sessions WHERE account = $1 AND id <> $2";

    TOKEN = "SELECT ", token!(), " FROM {p}tokens WHERE digest = $1 AND kind = $2";
    INSERT_TOKEN = "INSERT INTO {p}tokens (", token!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)";
    TAKE_TOKEN = "DELETE FROM {p}tokens WHERE digest = $1 AND kind = $2 RETURNING ", token!();
    DELETE_TOKENS_OF = "DELETE FROM {p}tokens WHERE account = $1 AND kind = $2";

    COUNTER = "SELECT charged, until, touched_at FROM {p}counters WHERE key = $1 AND charged IS NOT NULL";
    // Where to lock is to read, the time is of no use.
    COUNTER_ALONE =
        "SELECT charged, until, touched_at FROM {p}counters WHERE key = $1 AND $2 IS NOT NULL";
    PUT_COUNTER =
        "INSERT INTO {p}counters (key, charged, until, touched_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key) DO UPDATE SET charged = excluded.charged, until = excluded.until, \
         touched_at = excluded.touched_at";
    DELETE_COUNTER = "DELETE FROM {p}counters WHERE key = $1 AND charged IS NOT NULL";

    SWEEP_SIGN_UPS =
        "DELETE FROM {p}sign_ups WHERE id IN \
         (SELECT id FROM {p}sign_ups WHERE expires_at <= $1 LIMIT $2{skip})";
    SWEEP_TOTP_ENROLMENTS =
        "DELETE FROM {p}totp_enrolments WHERE account IN \
         (SELECT account FROM {p}totp_enrolments WHERE expires_at <= $1 LIMIT $2{skip})";
    SWEEP_TOKENS =
        "DELETE FROM {p}tokens WHERE digest IN (SELECT digest FROM {p}tokens WHERE expires_at <= $1 LIMIT $2{skip})";
    SWEEP_INVITATIONS =
        "DELETE FROM {p}invitations WHERE id IN \
         (SELECT id FROM {p}invitations WHERE expires_at <= $1 LIMIT $2{skip})";
    SWEEP_RECOVERY_CASES =
        "DELETE FROM {p}recovery_cases WHERE account IN \
         (SELECT account FROM {p}recovery_cases WHERE expires_at <= $1 LIMIT $2{skip})";
    SWEEP_SESSIONS =
        "DELETE FROM {p}sessions WHERE id IN \
         (SELECT id FROM {p}sessions WHERE idle_until <= $1 OR ends_at <= $1 LIMIT $2{skip})";
    SWEEP_COUNTERS =
        "DELETE FROM {p}counters WHERE key IN (SELECT key FROM {p}counters WHERE touched_at < $1 LIMIT $2{skip})";
    // The oldest go first, so that what is missing is always what lies below the oldest one kept.
    SWEEP_CHANGES =
        "DELETE FROM {p}changes WHERE id IN (SELECT id FROM {p}changes \
         WHERE id <= (SELECT MAX(id) FROM {p}changes) - $1 ORDER BY id LIMIT $2{skip})";
}
