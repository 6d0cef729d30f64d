-- The first schema. `{p}` is the prefix that the service chose.
-- Ids are 16 bytes of UUID, digests 32 bytes, times microseconds since 1970, sets and networks JSON.

CREATE TABLE {p}meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE {p}accounts (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL UNIQUE,
    email_verified_at INTEGER NOT NULL,
    password_hash TEXT,
    password_set_at INTEGER,
    password_compromised INTEGER CHECK (password_compromised IN (0, 1)),
    suspended_at INTEGER,
    suspended_reason TEXT,
    created_at INTEGER NOT NULL,
    signed_in_at INTEGER,
    CHECK ((password_hash IS NULL) = (password_set_at IS NULL)),
    CHECK ((password_hash IS NULL) = (password_compromised IS NULL)),
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) STRICT;

CREATE TABLE {p}sign_ups (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE CHECK (length(token) = 32),
    failures INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}sign_ups_email ON {p}sign_ups (email_canonical, created_at);
CREATE INDEX {p}sign_ups_expires ON {p}sign_ups (expires_at);

CREATE TABLE {p}totp_enrolments (
    account BLOB NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}totp_enrolments_expires ON {p}totp_enrolments (expires_at);

CREATE TABLE {p}totp_factors (
    account BLOB NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    secret BLOB NOT NULL,
    confirmed_at INTEGER NOT NULL,
    last_step INTEGER NOT NULL
) STRICT;

CREATE TABLE {p}recovery_codes (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BLOB NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    locator TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}recovery_codes_account ON {p}recovery_codes (account, locator);

CREATE TABLE {p}sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account BLOB NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    token BLOB NOT NULL UNIQUE CHECK (length(token) = 32),
    assurance TEXT NOT NULL,
    source_address TEXT,
    source_user_agent TEXT,
    source_request_id TEXT,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    UNIQUE (id, account)
) STRICT;
CREATE INDEX {p}sessions_account ON {p}sessions (account);
CREATE INDEX {p}sessions_idle ON {p}sessions (idle_until);
CREATE INDEX {p}sessions_ends ON {p}sessions (ends_at);

CREATE TABLE {p}tokens (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    kind TEXT NOT NULL,
    account BLOB NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    email TEXT,
    assurance TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}tokens_account ON {p}tokens (account, kind);
CREATE UNIQUE INDEX {p}tokens_single ON {p}tokens (account, kind) WHERE kind <> 'sign_in';
CREATE INDEX {p}tokens_expires ON {p}tokens (expires_at);

CREATE TABLE {p}counters (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    charged INTEGER NOT NULL,
    until INTEGER,
    touched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}counters_touched ON {p}counters (touched_at);

CREATE TABLE {p}workspaces (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL,
    personal_of BLOB UNIQUE,
    service_ceiling TEXT,
    suspended_at INTEGER,
    suspended_reason TEXT,
    created_at INTEGER NOT NULL,
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) STRICT;

CREATE TABLE {p}projects (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    rate_limit TEXT,
    suspended_at INTEGER,
    suspended_reason TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (workspace, name),
    UNIQUE (workspace, id),
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) STRICT;

CREATE TABLE {p}memberships (
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    account BLOB NOT NULL CHECK (length(account) = 16),
    role TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (workspace, account)
) STRICT;
CREATE INDEX {p}memberships_account ON {p}memberships (account);

-- A project role dies with its project and with the membership beside which it stands.
CREATE TABLE {p}project_memberships (
    workspace BLOB NOT NULL,
    project BLOB NOT NULL,
    account BLOB NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (project, account),
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace, account) REFERENCES {p}memberships (workspace, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX {p}project_memberships_member ON {p}project_memberships (workspace, account);
CREATE INDEX {p}project_memberships_project ON {p}project_memberships (workspace, project);

CREATE TABLE {p}entries (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    session BLOB NOT NULL,
    account BLOB NOT NULL,
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    UNIQUE (session, workspace),
    FOREIGN KEY (session, account) REFERENCES {p}sessions (id, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX {p}entries_member ON {p}entries (workspace, account);

CREATE TABLE {p}roles (
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    permissions TEXT NOT NULL,
    scopes TEXT NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT;

CREATE TABLE {p}keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL,
    project BLOB NOT NULL,
    kind TEXT NOT NULL,
    holder BLOB NOT NULL CHECK (length(holder) = 16),
    name TEXT NOT NULL,
    environment TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    allowlist TEXT,
    rate_limit TEXT,
    suspended_at INTEGER,
    suspended_by BLOB CHECK (length(suspended_by) = 16),
    operator_suspended_at INTEGER,
    operator_suspended_reason TEXT,
    revoked_at INTEGER,
    created_by BLOB NOT NULL CHECK (length(created_by) = 16),
    created_at INTEGER NOT NULL,
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    CHECK ((operator_suspended_at IS NULL) = (operator_suspended_reason IS NULL)),
    CHECK ((suspended_at IS NULL) = (suspended_by IS NULL))
) STRICT;
CREATE INDEX {p}keys_project ON {p}keys (project, id);
CREATE INDEX {p}keys_workspace ON {p}keys (workspace, project);
CREATE INDEX {p}keys_created_by ON {p}keys (created_by);

-- The id of a secret is 64 random bits, kept as the signed number with the same bits.
CREATE TABLE {p}secrets (
    id INTEGER NOT NULL PRIMARY KEY,
    key BLOB NOT NULL REFERENCES {p}keys (id) ON DELETE CASCADE,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    shown_to BLOB NOT NULL CHECK (length(shown_to) = 16),
    created_at INTEGER NOT NULL,
    ends_at INTEGER
) STRICT;
CREATE INDEX {p}secrets_key ON {p}secrets (key);

-- Usage may arrive after its key is gone, so nothing is referenced.
CREATE TABLE {p}usage (
    key BLOB NOT NULL CHECK (length(key) = 16),
    scope TEXT NOT NULL,
    hour INTEGER NOT NULL,
    project BLOB NOT NULL CHECK (length(project) = 16),
    allowed INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (key, scope, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}operations (
    account BLOB NOT NULL CHECK (length(account) = 16),
    id BLOB NOT NULL CHECK (length(id) = 16),
    key BLOB NOT NULL CHECK (length(key) = 16),
    at INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT;

CREATE TABLE {p}audit (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    workspace BLOB,
    actor_kind TEXT NOT NULL,
    actor_account BLOB,
    actor_name TEXT,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id BLOB NOT NULL CHECK (length(target_id) = 16),
    value_before TEXT,
    value_after TEXT,
    source_address TEXT,
    source_user_agent TEXT,
    source_request_id TEXT
) STRICT;
CREATE INDEX {p}audit_workspace ON {p}audit (workspace, id);
CREATE INDEX {p}audit_actor ON {p}audit (actor_account, id);
CREATE INDEX {p}audit_target ON {p}audit (target_id, id);

CREATE TABLE {p}outbox (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    content BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}outbox_due ON {p}outbox (due_at, id);

-- One writer at a time, so the order of ids is the order of commits; no id is used twice.
CREATE TABLE {p}changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    change TEXT NOT NULL
) STRICT;
