-- The API door's role resolves keys, follows changes, reserves and settles, and writes usage. It reads no password hash,
-- second factor, session, token or e-mail address, and writes no key, limit or role.
GRANT USAGE ON SCHEMA {schema} TO {role};
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
GRANT SELECT ON {p}schema TO {role};

-- What a verification reads.
GRANT SELECT ON {p}keys, {p}secrets, {p}memberships, {p}project_memberships, {p}roles TO {role};
GRANT SELECT (id, suspended_at, archived_at, service_ceiling) ON {p}workspaces TO {role};
GRANT SELECT (id, workspace, suspended_at, archived_at, rate_limit) ON {p}projects TO {role};
GRANT SELECT (id, suspended_at) ON {p}accounts TO {role};

-- The stream of changes, and how far this node has come.
GRANT SELECT ON {p}changes, {p}stream TO {role};
GRANT SELECT, INSERT ON {p}followers TO {role};
GRANT UPDATE (caught_up, seen_at) ON {p}followers TO {role};

-- Spending. A ledger is locked by its pool's version.
GRANT SELECT ON {p}limits TO {role};
GRANT UPDATE (version) ON {p}limits TO {role};
GRANT SELECT, INSERT, UPDATE ON {p}meters, {p}holds, {p}recalls TO {role};
GRANT SELECT, INSERT ON {p}ledger, {p}alerts TO {role};

-- Usage: added to, never taken away.
GRANT SELECT, INSERT, UPDATE ON {p}usage, {p}usage_rollup, {p}usage_totals TO {role};
