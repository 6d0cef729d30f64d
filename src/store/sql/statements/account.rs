//! Accounts and what proves them.

macro_rules! sign_up {
    () => {
        "id, email, password_hash, token, failures, created_at, expires_at"
    };
}

macro_rules! recovery_case {
    () => {
        "id, account, kind, email, email_confirmed_at, opened_by, reason, opened_at, due_at, expires_at"
    };
}

statements! {
    ACCOUNT = "SELECT ", account!(), " FROM {p}accounts WHERE id = $1";
    ACCOUNT_BY_EMAIL = "SELECT ", account!(), " FROM {p}accounts WHERE email_canonical = $1";
    INSERT_ACCOUNT =
        "INSERT INTO {p}accounts (", account!(), ", email_canonical) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (email_canonical) DO NOTHING";
    // The condition answers; the unique constraint is what holds.
    UPDATE_ACCOUNT =
        "UPDATE {p}accounts SET email = $1, email_canonical = $2, email_verified_at = $3, \
         password_hash = $4, password_set_at = $5, password_compromised = $6, \
         suspended_at = $7, suspended_reason = $8, created_at = $9, signed_in_at = $10 \
         WHERE id = $11 \
         AND NOT EXISTS (SELECT 1 FROM {p}accounts AS other WHERE other.email_canonical = $2 AND other.id <> $11)";

    // All that is its own goes with it.
    DELETE_ACCOUNT = "DELETE FROM {p}accounts WHERE id = $1";

    LATEST_SIGN_UP =
        "SELECT ", sign_up!(), " FROM {p}sign_ups WHERE email_canonical = $1 \
         ORDER BY created_at DESC, id DESC LIMIT 1";
    SIGN_UP_BY_TOKEN = "SELECT ", sign_up!(), " FROM {p}sign_ups WHERE token = $1";
    INSERT_SIGN_UP =
        "INSERT INTO {p}sign_ups (", sign_up!(), ", email_canonical) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    COUNT_SIGN_UP_FAILURE = "UPDATE {p}sign_ups SET failures = failures + 1 WHERE id = $1 RETURNING failures";
    DELETE_SIGN_UP = "DELETE FROM {p}sign_ups WHERE id = $1";
    DELETE_SIGN_UPS_OF = "DELETE FROM {p}sign_ups WHERE email_canonical = $1";

    TOTP_ENROLMENT =
        "SELECT id, account, secret, created_at, expires_at FROM {p}totp_enrolments WHERE account = $1";
    PUT_TOTP_ENROLMENT =
        "INSERT INTO {p}totp_enrolments (id, account, secret, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account) DO UPDATE SET id = excluded.id, secret = excluded.secret, \
         created_at = excluded.created_at, expires_at = excluded.expires_at";
    DELETE_TOTP_ENROLMENT = "DELETE FROM {p}totp_enrolments WHERE account = $1";
    TOTP = "SELECT id, account, secret, confirmed_at, last_step FROM {p}totp_factors WHERE account = $1";
    PUT_TOTP =
        "INSERT INTO {p}totp_factors (id, account, secret, confirmed_at, last_step) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account) DO UPDATE SET id = excluded.id, secret = excluded.secret, \
         confirmed_at = excluded.confirmed_at, last_step = excluded.last_step";
    DELETE_TOTP = "DELETE FROM {p}totp_factors WHERE account = $1";
    ACCEPT_TOTP_STEP =
        "UPDATE {p}totp_factors SET last_step = $1 WHERE account = $2 AND last_step < $1";

    RECOVERY_CODE =
        "SELECT id, account, locator, hash, created_at FROM {p}recovery_codes \
         WHERE account = $1 AND locator = $2 ORDER BY id LIMIT 1";
    COUNT_RECOVERY_CODES = "SELECT COUNT(*) FROM {p}recovery_codes WHERE account = $1";
    INSERT_RECOVERY_CODE =
        "INSERT INTO {p}recovery_codes (id, account, locator, hash, created_at) VALUES ($1, $2, $3, $4, $5)";
    DELETE_RECOVERY_CODES = "DELETE FROM {p}recovery_codes WHERE account = $1";
    DELETE_RECOVERY_CODE = "DELETE FROM {p}recovery_codes WHERE id = $1";

    RECOVERY_CASE =
        "SELECT ", recovery_case!(), " FROM {p}recovery_cases WHERE account = $1";
    PUT_RECOVERY_CASE =
        "INSERT INTO {p}recovery_cases (", recovery_case!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (account) DO UPDATE SET id = excluded.id, kind = excluded.kind, \
         email = excluded.email, email_confirmed_at = excluded.email_confirmed_at, \
         opened_by = excluded.opened_by, reason = excluded.reason, opened_at = excluded.opened_at, \
         due_at = excluded.due_at, expires_at = excluded.expires_at";
    DELETE_RECOVERY_CASE = "DELETE FROM {p}recovery_cases WHERE account = $1";
}
