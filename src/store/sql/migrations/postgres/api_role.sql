-- The API door's role resolves keys, follows changes, reserves and settles, and writes usage. It reads no password hash,
-- second factor, session, token or e-mail address, and writes no key, limit or role.
-- Everything is granted column by column: what a later migration adds is not included, and without a right to a whole
-- table nobody can lock it.
GRANT USAGE ON SCHEMA {schema} TO {role};
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
GRANT SELECT (version) ON {p}schema TO {role};

-- What a verification reads.
GRANT SELECT (id, workspace, project, kind, holder, name, environment, scopes, expires_at, allowlist, rate_limit,
    suspended_at, suspended_by, operator_suspended_at, operator_suspended_reason, revoked_at, created_by, created_at)
    ON {p}keys TO {role};
GRANT SELECT (id, key, digest, shown_to, created_at, ends_at) ON {p}secrets TO {role};
GRANT SELECT (workspace, account, role) ON {p}memberships TO {role};
GRANT SELECT (project, account, role) ON {p}project_memberships TO {role};
GRANT SELECT (workspace, id, name, permissions, scopes) ON {p}roles TO {role};
GRANT SELECT (id, suspended_at, archived_at, service_ceiling) ON {p}workspaces TO {role};
GRANT SELECT (id, workspace, suspended_at, archived_at, rate_limit) ON {p}projects TO {role};
GRANT SELECT (id, suspended_at) ON {p}accounts TO {role};

-- The stream of changes, and how far this node has come.
GRANT SELECT (id, xid, change) ON {p}changes TO {role};
GRANT SELECT (epoch, swept, barrier) ON {p}stream TO {role};
GRANT SELECT (id, caught_up, seen_at), INSERT (id, trust, caught_up), UPDATE (caught_up, seen_at)
    ON {p}followers TO {role};

-- Spending. A ledger is locked by its pool's version.
GRANT SELECT (id, workspace, project, spender, period, amount, mode, version), UPDATE (version)
    ON {p}limits TO {role};
GRANT SELECT (limit_id, day, settled, held, unaccounted, overrun),
    INSERT (limit_id, day, settled, held, unaccounted, overrun),
    UPDATE (settled, held, unaccounted, overrun) ON {p}meters TO {role};
GRANT SELECT (id, workspace, project, line, node, day, amount, state, slice, epoch, step, recall, answered, expires_at),
    INSERT (id, workspace, project, line, node, day, amount, state, slice, epoch, step, recall, answered, expires_at),
    UPDATE (amount, state, slice, epoch, step, recall, answered, expires_at) ON {p}holds TO {role};
GRANT SELECT (workspace, number), INSERT (workspace, number), UPDATE (number) ON {p}recalls TO {role};
-- Added to, and added up.
GRANT SELECT (workspace, day, project, line, spender, granted, held, settled, unaccounted),
    INSERT (id, workspace, at, kind, day, project, line, spender, hold, granted, held, settled, unaccounted,
        idempotency_key) ON {p}ledger TO {role};
-- The columns that say whether one is raised already.
GRANT SELECT (limit_id, day, percent, raised),
    INSERT (id, workspace, limit_id, project, spender, period, day, percent, amount, used, at, raised, taken)
    ON {p}alerts TO {role};

-- Usage: added to, never taken away.
GRANT SELECT (project, spender, hour, label, scope, allowed, refused, units, cost),
    INSERT (project, spender, hour, label, scope, allowed, refused, units, cost),
    UPDATE (allowed, refused, units, cost) ON {p}usage TO {role};
GRANT SELECT (project, hour, label, scope, allowed, refused, units, cost),
    INSERT (project, hour, label, scope, allowed, refused, units, cost),
    UPDATE (allowed, refused, units, cost) ON {p}usage_rollup TO {role};
GRANT SELECT (key, scope, allowed, refused, last_allowed_at, last_refused_at),
    INSERT (key, scope, allowed, refused, last_allowed_at, last_refused_at),
    UPDATE (allowed, refused, last_allowed_at, last_refused_at) ON {p}usage_totals TO {role};
