-- The first schema. `{p}` is the schema that the service chose, with its dot.
-- Digests are 32 bytes, times microseconds since 1970, sets and networks JSON. Texts are ordered byte by byte.
-- `version` moves whenever a row is locked: a lock is a write, so that whoever read the row before cannot hold it as well.

CREATE TABLE {p}accounts (
    id UUID NOT NULL PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL,
    email_canonical TEXT COLLATE "C" NOT NULL UNIQUE,
    email_verified_at BIGINT NOT NULL,
    password_hash TEXT COLLATE "C",
    password_set_at BIGINT,
    password_compromised BIGINT CHECK (password_compromised IN (0, 1)),
    suspended_at BIGINT,
    suspended_reason TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT,
    version BIGINT NOT NULL DEFAULT 0,
    CHECK ((password_hash IS NULL) = (password_set_at IS NULL)),
    CHECK ((password_hash IS NULL) = (password_compromised IS NULL)),
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) WITH (fillfactor = 85);

CREATE TABLE {p}sign_ups (
    id UUID NOT NULL PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL,
    email_canonical TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    token BYTEA NOT NULL UNIQUE CHECK (octet_length(token) = 32),
    failures BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ups_email ON {p}sign_ups (email_canonical, created_at);
CREATE INDEX sign_ups_expires ON {p}sign_ups (expires_at);

CREATE TABLE {p}totp_enrolments (
    account UUID NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id UUID NOT NULL UNIQUE,
    secret BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX totp_enrolments_expires ON {p}totp_enrolments (expires_at);

CREATE TABLE {p}totp_factors (
    account UUID NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id UUID NOT NULL UNIQUE,
    secret BYTEA NOT NULL,
    confirmed_at BIGINT NOT NULL,
    last_step BIGINT NOT NULL
);

CREATE TABLE {p}recovery_codes (
    id UUID NOT NULL PRIMARY KEY,
    account UUID NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    locator TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX recovery_codes_account ON {p}recovery_codes (account, locator);

CREATE TABLE {p}sessions (
    id UUID NOT NULL PRIMARY KEY,
    account UUID NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    token BYTEA NOT NULL UNIQUE CHECK (octet_length(token) = 32),
    assurance TEXT COLLATE "C" NOT NULL,
    source_address TEXT COLLATE "C",
    source_user_agent TEXT COLLATE "C",
    source_request_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    UNIQUE (id, account)
) WITH (fillfactor = 70);
CREATE INDEX sessions_account ON {p}sessions (account);
CREATE INDEX sessions_idle ON {p}sessions (idle_until);
CREATE INDEX sessions_ends ON {p}sessions (ends_at);

CREATE TABLE {p}tokens (
    digest BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    kind TEXT COLLATE "C" NOT NULL,
    account UUID NOT NULL REFERENCES {p}accounts (id) ON DELETE CASCADE,
    email TEXT COLLATE "C",
    assurance TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX tokens_account ON {p}tokens (account, kind);
CREATE UNIQUE INDEX tokens_single ON {p}tokens (account, kind) WHERE kind <> 'sign_in';
CREATE INDEX tokens_expires ON {p}tokens (expires_at);

CREATE TABLE {p}recovery_cases (
    account UUID NOT NULL PRIMARY KEY REFERENCES {p}accounts (id) ON DELETE CASCADE,
    id UUID NOT NULL UNIQUE,
    kind TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    email_confirmed_at BIGINT,
    opened_by TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    opened_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CHECK ((kind = 'email') = (email IS NOT NULL))
);
CREATE INDEX recovery_cases_expires ON {p}recovery_cases (expires_at);

CREATE TABLE {p}counters (
    key BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(key) = 32),
    charged BIGINT,
    until BIGINT,
    touched_at BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX counters_touched ON {p}counters (touched_at);

CREATE TABLE {p}workspaces (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    personal_of UUID UNIQUE,
    service_ceiling TEXT COLLATE "C",
    require_second_factor BIGINT NOT NULL CHECK (require_second_factor IN (0, 1)),
    entitlements TEXT COLLATE "C" NOT NULL,
    archived_at BIGINT,
    suspended_at BIGINT,
    suspended_reason TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
) WITH (fillfactor = 85);

CREATE TABLE {p}projects (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C",
    require_second_factor BIGINT NOT NULL CHECK (require_second_factor IN (0, 1)),
    rate_limit TEXT COLLATE "C",
    archived_at BIGINT,
    suspended_at BIGINT,
    suspended_reason TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    UNIQUE (workspace, name),
    UNIQUE (workspace, id),
    CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
);

CREATE TABLE {p}memberships (
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    account UUID NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (workspace, account)
);
CREATE INDEX memberships_account ON {p}memberships (account);

-- A project role dies with its project and with the membership beside which it stands.
CREATE TABLE {p}project_memberships (
    workspace UUID NOT NULL,
    project UUID NOT NULL,
    account UUID NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project, account),
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace, account) REFERENCES {p}memberships (workspace, account) ON DELETE CASCADE
);
CREATE INDEX project_memberships_member ON {p}project_memberships (workspace, account);
CREATE INDEX project_memberships_project ON {p}project_memberships (workspace, project);

CREATE TABLE {p}entries (
    id UUID NOT NULL PRIMARY KEY,
    session UUID NOT NULL,
    account UUID NOT NULL,
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    ended_at BIGINT,
    UNIQUE (session, workspace),
    FOREIGN KEY (session, account) REFERENCES {p}sessions (id, account) ON DELETE CASCADE
);
CREATE INDEX entries_member ON {p}entries (workspace, account);

-- Who invited may be gone by the time it is accepted, and so may a project that it names.
CREATE TABLE {p}invitations (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    email TEXT COLLATE "C" NOT NULL,
    email_canonical TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    projects TEXT COLLATE "C" NOT NULL,
    token BYTEA NOT NULL UNIQUE CHECK (octet_length(token) = 32),
    invited_by UUID NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (workspace, email_canonical)
);
CREATE INDEX invitations_email ON {p}invitations (email_canonical);
CREATE INDEX invitations_expires ON {p}invitations (expires_at);

CREATE TABLE {p}roles (
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    permissions TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, id)
);

CREATE TABLE {p}keys (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL,
    project UUID NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    holder UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    allowlist TEXT COLLATE "C",
    rate_limit TEXT COLLATE "C",
    suspended_at BIGINT,
    suspended_by UUID,
    operator_suspended_at BIGINT,
    operator_suspended_reason TEXT COLLATE "C",
    revoked_at BIGINT,
    created_by UUID NOT NULL,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    CHECK ((operator_suspended_at IS NULL) = (operator_suspended_reason IS NULL)),
    CHECK ((suspended_at IS NULL) = (suspended_by IS NULL))
);
CREATE INDEX keys_project ON {p}keys (project, id);
CREATE INDEX keys_workspace ON {p}keys (workspace, id, project);
CREATE INDEX keys_holder ON {p}keys (holder, workspace, id);
CREATE INDEX keys_created_by ON {p}keys (created_by);

-- The id of a secret is 64 random bits, kept as the signed number with the same bits.
CREATE TABLE {p}secrets (
    id BIGINT NOT NULL PRIMARY KEY,
    key UUID NOT NULL REFERENCES {p}keys (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
    shown_to UUID NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT
);
CREATE INDEX secrets_key ON {p}secrets (key);
CREATE INDEX secrets_shown_to ON {p}secrets (shown_to);

-- What each spender used in each hour. It may arrive after its key is gone and outlives it, so nothing is referenced.
-- One spender's rows of a span of time lie together.
CREATE TABLE {p}usage (
    project UUID NOT NULL,
    spender BYTEA NOT NULL CHECK (octet_length(spender) = 17),
    hour BIGINT NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    allowed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    units BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (project, spender, hour, label, scope)
);
CREATE INDEX usage_hour ON {p}usage (hour);

-- The same over all spenders: always the sum of those rows.
CREATE TABLE {p}usage_rollup (
    project UUID NOT NULL,
    hour BIGINT NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    allowed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    units BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (project, hour, label, scope)
);
CREATE INDEX usage_rollup_hour ON {p}usage_rollup (hour);

-- What each key has done so far with each scope: kept as long as the key.
CREATE TABLE {p}usage_totals (
    key UUID NOT NULL REFERENCES {p}keys (id) ON DELETE CASCADE,
    scope TEXT COLLATE "C" NOT NULL,
    allowed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    last_allowed_at BIGINT,
    last_refused_at BIGINT,
    PRIMARY KEY (key, scope)
);

CREATE TABLE {p}operations (
    account UUID NOT NULL,
    id UUID NOT NULL,
    key UUID NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

-- What may be spent, and the pool of each workspace: the one without a project, under the workspace's own id. A spender is
-- its kind in a byte and its id. Amounts are millionths of a credit.
CREATE TABLE {p}limits (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    project UUID,
    spender BYTEA CHECK (octet_length(spender) = 17),
    period TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    UNIQUE (workspace, project, spender, period),
    FOREIGN KEY (workspace, project) REFERENCES {p}projects (workspace, id) ON DELETE CASCADE,
    CHECK (spender IS NULL OR project IS NOT NULL),
    CHECK (project IS NOT NULL OR period = 'total')
) WITH (fillfactor = 70);
CREATE INDEX limits_workspace ON {p}limits (workspace, id);
-- NULL is never equal to NULL, so the constraint above is one for spenders alone.
CREATE UNIQUE INDEX limits_pool ON {p}limits (workspace) WHERE project IS NULL;
CREATE UNIQUE INDEX limits_project ON {p}limits (workspace, project, period)
    WHERE spender IS NULL AND project IS NOT NULL;

-- What was spent of a limit in the period that begins with a day, which is a number of days since 1970.
CREATE TABLE {p}meters (
    limit_id UUID NOT NULL REFERENCES {p}limits (id) ON DELETE CASCADE,
    day BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    held BIGINT NOT NULL,
    unaccounted BIGINT NOT NULL,
    overrun BIGINT NOT NULL,
    PRIMARY KEY (limit_id, day)
) WITH (fillfactor = 70);

-- A hold outlives its project, which is not referenced: what is left of it still counts against the pool.
CREATE TABLE {p}holds (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    project UUID NOT NULL,
    line BYTEA CHECK (octet_length(line) = 17),
    node UUID NOT NULL,
    day BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    slice BIGINT NOT NULL CHECK (slice IN (0, 1)),
    epoch BIGINT NOT NULL,
    step BIGINT NOT NULL,
    recall BIGINT NOT NULL,
    answered BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX holds_workspace ON {p}holds (workspace, state, id);
CREATE INDEX holds_expires ON {p}holds (state, expires_at, id);
CREATE INDEX holds_recalled ON {p}holds (node, id) WHERE recall > answered;

-- The last number that a recall of the workspace's holds was given.
CREATE TABLE {p}recalls (
    workspace UUID NOT NULL PRIMARY KEY REFERENCES {p}workspaces (id) ON DELETE CASCADE,
    number BIGINT NOT NULL
);

-- Every balance is a sum of these. They are never changed and outlive what they tell of, so nothing is referenced.
CREATE TABLE {p}ledger (
    id UUID NOT NULL,
    workspace UUID NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    project UUID,
    line BYTEA CHECK (octet_length(line) = 17),
    spender BYTEA CHECK (octet_length(spender) = 17),
    hold UUID,
    granted BIGINT NOT NULL,
    held BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    unaccounted BIGINT NOT NULL,
    idempotency_key TEXT COLLATE "C",
    PRIMARY KEY (workspace, id)
);
CREATE INDEX ledger_project ON {p}ledger (workspace, project, day);
CREATE UNIQUE INDEX ledger_key ON {p}ledger (workspace, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- `raised` is whether it keeps another one from being raised, `taken` whether somebody has been given it.
CREATE TABLE {p}alerts (
    id UUID NOT NULL PRIMARY KEY,
    workspace UUID NOT NULL,
    limit_id UUID NOT NULL REFERENCES {p}limits (id) ON DELETE CASCADE,
    project UUID,
    spender BYTEA CHECK (octet_length(spender) = 17),
    period TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    percent BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    used BIGINT NOT NULL,
    at BIGINT NOT NULL,
    raised BIGINT NOT NULL CHECK (raised IN (0, 1)),
    taken BIGINT NOT NULL CHECK (taken IN (0, 1))
);
CREATE INDEX alerts_limit ON {p}alerts (limit_id);
CREATE UNIQUE INDEX alerts_raised ON {p}alerts (limit_id, day, percent) WHERE raised = 1;
CREATE INDEX alerts_untaken ON {p}alerts (taken, id) WHERE taken = 0;

-- Which mailboxes have had their starter credit, by a keyed hash. They are kept for ever, or an account that is made anew
-- would have it again.
CREATE TABLE {p}starter_credits (
    mailbox BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(mailbox) = 32),
    at BIGINT NOT NULL
);

-- An entry outlives what it tells of, so nothing is referenced. It is never changed but for its seal, which it
-- gets once: the place in its chain and the link there. The entries without a workspace are a chain of their own.
CREATE TABLE {p}audit (
    id UUID NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    workspace UUID,
    actor_kind TEXT COLLATE "C" NOT NULL,
    actor_account UUID,
    actor_name TEXT COLLATE "C",
    action TEXT COLLATE "C" NOT NULL,
    target_kind TEXT COLLATE "C" NOT NULL,
    target_id UUID NOT NULL,
    value_before TEXT COLLATE "C",
    value_after TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    sequence BIGINT CHECK (sequence > 0),
    link BYTEA CHECK (octet_length(link) = 32),
    CHECK ((sequence IS NULL) = (link IS NULL))
);
CREATE INDEX audit_workspace ON {p}audit (workspace, id);
CREATE INDEX audit_time ON {p}audit (workspace, at, id);
-- The time behind the id is looked at without a look at the entry.
CREATE INDEX audit_action ON {p}audit (workspace, action, id, at);
CREATE INDEX audit_actor ON {p}audit (actor_account, workspace, id, at);
CREATE INDEX audit_target ON {p}audit (target_id, target_kind, workspace, id, at);
CREATE INDEX audit_unsealed ON {p}audit (workspace, id) WHERE sequence IS NULL;
-- The second is for the chain without a workspace: NULL is never equal to NULL.
CREATE UNIQUE INDEX audit_places ON {p}audit (workspace, sequence) WHERE sequence IS NOT NULL;
CREATE UNIQUE INDEX audit_account_places ON {p}audit (sequence)
    WHERE sequence IS NOT NULL AND workspace IS NULL;

-- What can be erased of an entry: then only the name and the commitment are left.
CREATE TABLE {p}audit_personal (
    entry UUID NOT NULL REFERENCES {p}audit (id) ON DELETE CASCADE,
    field TEXT COLLATE "C" NOT NULL,
    subject BYTEA CHECK (octet_length(subject) = 32),
    commitment BYTEA NOT NULL CHECK (octet_length(commitment) = 32),
    salt BYTEA CHECK (octet_length(salt) = 32),
    value TEXT COLLATE "C",
    PRIMARY KEY (entry, field),
    CHECK ((salt IS NULL) = (value IS NULL)),
    CHECK (subject IS NULL OR value IS NOT NULL)
);
CREATE INDEX audit_personal_subject ON {p}audit_personal (subject) WHERE subject IS NOT NULL;

-- Where each chain ends. The chain of account events is under 16 zero bytes.
CREATE TABLE {p}audit_chains (
    chain UUID NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL CHECK (sequence >= 0),
    link BYTEA NOT NULL CHECK (octet_length(link) = 32),
    version BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE {p}outbox (
    id UUID NOT NULL PRIMARY KEY,
    content BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL
);
CREATE INDEX outbox_due ON {p}outbox (due_at, id);

-- What the API door must hear of, with the transaction that wrote it: readers go by that, since ids are not in the order
-- of commits.
CREATE TABLE {p}changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    change TEXT COLLATE "C" NOT NULL
);
CREATE INDEX changes_xid ON {p}changes (xid);

-- One row. `epoch` names this database; of changes that are deleted none is of a later transaction than `swept`; `barrier`
-- counts how often somebody asked to be told when all nodes have caught up.
CREATE TABLE {p}stream (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch BYTEA NOT NULL CHECK (octet_length(epoch) = 16),
    swept XID8 NOT NULL,
    barrier BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Who follows the changes: for how long at most it trusts what it has heard, and up to which barrier it has caught up.
CREATE TABLE {p}followers (
    id UUID NOT NULL PRIMARY KEY,
    trust BIGINT NOT NULL,
    caught_up BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT statement_timestamp()
) WITH (fillfactor = 50);
