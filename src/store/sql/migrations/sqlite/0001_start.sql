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

CREATE TABLE {p}recovery_cases (
    account BLOB NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    email TEXT,
    email_confirmed_at INTEGER,
    opened_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK ((kind = 'email') = (email IS NOT NULL))
) STRICT;
CREATE INDEX {p}recovery_cases_expires ON {p}recovery_cases (expires_at);

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
    require_second_factor INTEGER NOT NULL CHECK (require_second_factor IN (0, 1)),
    entitlements TEXT NOT NULL,
    archived_at INTEGER,
    suspended_at INTEGER,
    suspended_reason TEXT,
    created_at INTEGER NOT NULL,
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) STRICT;

CREATE TABLE {p}projects (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    label TEXT,
    require_second_factor INTEGER NOT NULL CHECK (require_second_factor IN (0, 1)),
    rate_limit TEXT,
    archived_at INTEGER,
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
    ended_at INTEGER,
    UNIQUE (session, workspace),
    FOREIGN KEY (session, account) REFERENCES {p}sessions (id, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX {p}entries_member ON {p}entries (workspace, account);

-- Who invited may be gone by the time it is accepted, and so may a project that it names.
CREATE TABLE {p}invitations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL,
    role TEXT NOT NULL,
    projects TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE CHECK (length(token) = 32),
    invited_by BLOB NOT NULL CHECK (length(invited_by) = 16),
    created_at INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (workspace, email_canonical)
) STRICT;
CREATE INDEX {p}invitations_email ON {p}invitations (email_canonical);
CREATE INDEX {p}invitations_expires ON {p}invitations (expires_at);

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
CREATE INDEX {p}keys_workspace ON {p}keys (workspace, id, project);
CREATE INDEX {p}keys_holder ON {p}keys (holder, workspace, id);
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
CREATE INDEX {p}secrets_shown_to ON {p}secrets (shown_to);

-- What each spender used in each hour. It may arrive after its key is gone and outlives it, so nothing is referenced.
-- One spender's rows of a span of time lie together.
CREATE TABLE {p}usage (
    project BLOB NOT NULL CHECK (length(project) = 16),
    spender BLOB NOT NULL CHECK (length(spender) = 17),
    hour INTEGER NOT NULL,
    label TEXT NOT NULL,
    scope TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    units INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (project, spender, hour, label, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}usage_hour ON {p}usage (hour);

-- The same over all spenders: always the sum of those rows.
CREATE TABLE {p}usage_rollup (
    project BLOB NOT NULL CHECK (length(project) = 16),
    hour INTEGER NOT NULL,
    label TEXT NOT NULL,
    scope TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    units INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (project, hour, label, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}usage_rollup_hour ON {p}usage_rollup (hour);

-- What each key has done so far with each scope: kept as long as the key.
CREATE TABLE {p}usage_totals (
    key BLOB NOT NULL REFERENCES {p}keys (id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    last_allowed_at INTEGER,
    last_refused_at INTEGER,
    PRIMARY KEY (key, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}operations (
    account BLOB NOT NULL CHECK (length(account) = 16),
    id BLOB NOT NULL CHECK (length(id) = 16),
    key BLOB NOT NULL CHECK (length(key) = 16),
    at INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT;

-- What may be spent, and the pool of each workspace: the one without a project, under the workspace's own id. A spender is
-- its kind in a byte and its id. Amounts are millionths of a credit.
CREATE TABLE {p}limits (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    project BLOB,
    spender BLOB CHECK (length(spender) = 17),
    period TEXT NOT NULL,
    amount INTEGER NOT NULL,
    mode TEXT NOT NULL,
    UNIQUE (workspace, project, spender, period),
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    CHECK (spender IS NULL OR project IS NOT NULL),
    CHECK (project IS NOT NULL OR period = 'total')
) STRICT;
CREATE INDEX {p}limits_workspace ON {p}limits (workspace, id);
-- NULL is never equal to NULL, so the constraint above is one for spenders alone.
CREATE UNIQUE INDEX {p}limits_pool ON {p}limits (workspace) WHERE project IS NULL;
CREATE UNIQUE INDEX {p}limits_project ON {p}limits (workspace, project, period)
    WHERE spender IS NULL AND project IS NOT NULL;

-- What was spent of a limit in the period that begins with a day, which is a number of days since 1970.
CREATE TABLE {p}meters (
    limit_id BLOB NOT NULL REFERENCES {p}limits (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    held INTEGER NOT NULL,
    unaccounted INTEGER NOT NULL,
    overrun INTEGER NOT NULL,
    PRIMARY KEY (limit_id, day)
) STRICT, WITHOUT ROWID;

-- A hold outlives its project, which is not referenced: what is left of it still counts against the pool.
CREATE TABLE {p}holds (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    project BLOB NOT NULL CHECK (length(project) = 16),
    line BLOB CHECK (length(line) = 17),
    node BLOB NOT NULL CHECK (length(node) = 16),
    day INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL,
    slice INTEGER NOT NULL CHECK (slice IN (0, 1)),
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    recall INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}holds_workspace ON {p}holds (workspace, state, id);
CREATE INDEX {p}holds_expires ON {p}holds (state, expires_at, id);
CREATE INDEX {p}holds_recalled ON {p}holds (node, id) WHERE recall > answered;

-- The last number that a recall of the workspace's holds was given.
CREATE TABLE {p}recalls (
    workspace BLOB NOT NULL PRIMARY KEY REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every balance is a sum of these. They are never changed and outlive what they tell of, so nothing is referenced.
CREATE TABLE {p}ledger (
    id BLOB NOT NULL CHECK (length(id) = 16),
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    day INTEGER NOT NULL,
    project BLOB CHECK (length(project) = 16),
    line BLOB CHECK (length(line) = 17),
    spender BLOB CHECK (length(spender) = 17),
    hold BLOB CHECK (length(hold) = 16),
    granted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    unaccounted INTEGER NOT NULL,
    idempotency_key TEXT,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}ledger_project ON {p}ledger (workspace, project, day);
CREATE UNIQUE INDEX {p}ledger_key ON {p}ledger (workspace, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- `raised` is whether it keeps another one from being raised, `taken` whether somebody has been given it.
CREATE TABLE {p}alerts (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    workspace BLOB NOT NULL CHECK (length(workspace) = 16),
    limit_id BLOB NOT NULL REFERENCES {p}limits (id) ON DELETE CASCADE,
    project BLOB CHECK (length(project) = 16),
    spender BLOB CHECK (length(spender) = 17),
    period TEXT NOT NULL,
    day INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    used INTEGER NOT NULL,
    at INTEGER NOT NULL,
    raised INTEGER NOT NULL CHECK (raised IN (0, 1)),
    taken INTEGER NOT NULL CHECK (taken IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}alerts_limit ON {p}alerts (limit_id);
CREATE UNIQUE INDEX {p}alerts_raised ON {p}alerts (limit_id, day, percent) WHERE raised = 1;
CREATE INDEX {p}alerts_untaken ON {p}alerts (taken, id) WHERE taken = 0;

-- Which mailboxes have had their starter credit, by a keyed hash. They are kept for ever, or an account that is made anew
-- would have it again.
CREATE TABLE {p}starter_credits (
    mailbox BLOB NOT NULL PRIMARY KEY CHECK (length(mailbox) = 32),
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An entry outlives what it tells of, so nothing is referenced. It is never changed but for its seal, which it
-- gets once: the place in its chain and the link there. The entries without a workspace are a chain of their own.
CREATE TABLE {p}audit (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    workspace BLOB CHECK (length(workspace) = 16),
    actor_kind TEXT NOT NULL,
    actor_account BLOB,
    actor_name TEXT,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id BLOB NOT NULL CHECK (length(target_id) = 16),
    value_before TEXT,
    value_after TEXT,
    request_id TEXT,
    sequence INTEGER CHECK (sequence > 0),
    link BLOB CHECK (length(link) = 32),
    CHECK ((sequence IS NULL) = (link IS NULL))
) STRICT;
CREATE INDEX {p}audit_workspace ON {p}audit (workspace, id);
CREATE INDEX {p}audit_time ON {p}audit (workspace, at, id);
-- The time behind the id is looked at without a look at the entry.
CREATE INDEX {p}audit_action ON {p}audit (workspace, action, id, at);
CREATE INDEX {p}audit_actor ON {p}audit (actor_account, workspace, id, at);
CREATE INDEX {p}audit_target ON {p}audit (target_id, target_kind, workspace, id, at);
CREATE INDEX {p}audit_unsealed ON {p}audit (workspace, id) WHERE sequence IS NULL;
-- The second is for the chain without a workspace: NULL is never equal to NULL.
CREATE UNIQUE INDEX {p}audit_places ON {p}audit (workspace, sequence) WHERE sequence IS NOT NULL;
CREATE UNIQUE INDEX {p}audit_account_places ON {p}audit (sequence)
    WHERE sequence IS NOT NULL AND workspace IS NULL;

-- What can be erased of an entry: then only the name and the commitment are left.
CREATE TABLE {p}audit_personal (
    entry BLOB NOT NULL REFERENCES {p}audit (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    subject BLOB CHECK (length(subject) = 32),
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    salt BLOB CHECK (length(salt) = 32),
    value TEXT,
    PRIMARY KEY (entry, field),
    CHECK ((salt IS NULL) = (value IS NULL)),
    CHECK (subject IS NULL OR value IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}audit_personal_subject ON {p}audit_personal (subject) WHERE subject IS NOT NULL;

-- Where each chain ends. The chain of account events is under 16 zero bytes.
CREATE TABLE {p}audit_chains (
    chain BLOB NOT NULL PRIMARY KEY CHECK (length(chain) = 16),
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    link BLOB NOT NULL CHECK (length(link) = 32)
) STRICT, WITHOUT ROWID;

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
