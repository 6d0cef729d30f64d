//! What PostgreSQL alone is asked: how it locks, and how changes are followed there.

/// Secrets with all that a grant needs, and with the custom roles of their owners: a row for each role, or one without.
macro_rules! grants {
    () => {
        concat!(
            "SELECT ",
            grant!(),
            ", d.id, d.name, d.permissions, d.scopes",
            granted!(),
            "LEFT JOIN {p}roles AS d ON d.workspace = k.workspace AND d.id::text IN (m.role, r.role) "
        )
    };
}

statements! {
    // A lock is a write of the row that is locked: whoever waits for it reads what its earlier holder committed, and a
    // transaction that sees an older moment is refused it.
    LOCK_ACCOUNT = "UPDATE {p}accounts SET version = version + 1 WHERE id = $1 RETURNING ", account!();
    LOCK_WORKSPACE = "UPDATE {p}workspaces SET version = version + 1 WHERE id = $1 RETURNING ", workspace!();
    // By the pool, which has the workspace's own id.
    LOCK_LEDGER =
        "UPDATE {p}limits SET version = version + 1 WHERE id = $1 AND project IS NULL RETURNING workspace";
    // A chain without a sealed entry is at its genesis.
    LOCK_CHAIN =
        "INSERT INTO {p}audit_chains AS present (chain, sequence, link) VALUES ($1, 0, $2) \
         ON CONFLICT (chain) DO UPDATE SET version = present.version + 1 RETURNING sequence, link";
    // One that has counted nothing has NULL charged to it, and reads as if it were not there.
    LOCK_COUNTER =
        "INSERT INTO {p}counters AS present (key, charged, until, touched_at) VALUES ($1, NULL, NULL, $2) \
         ON CONFLICT (key) DO UPDATE SET touched_at = present.touched_at \
         RETURNING COALESCE(charged, 0), until, CASE WHEN charged IS NULL THEN $2 ELSE touched_at END";

    // Only what no snapshot can lack any more, and `swept` moves with it: a reader who lacks it nevertheless knows. Whoever
    // swept last did so below our own number, even while we waited for it; a higher one came with a dump from another
    // server.
    SWEEP_CHANGES =
        "WITH gone AS (DELETE FROM {p}changes WHERE id IN (SELECT id FROM {p}changes \
         WHERE id <= (SELECT MAX(id) FROM {p}changes) - $1 \
         AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id LIMIT $2{skip}) RETURNING xid) \
         UPDATE {p}stream SET swept = GREATEST(CASE WHEN swept < pg_current_xact_id() THEN swept END, \
         (SELECT xid FROM gone ORDER BY xid DESC LIMIT 1)) \
         WHERE EXISTS (SELECT 1 FROM gone)";

    RESOLVE_ALL = grants!(), "WHERE s.id = ANY($1)";
    // Of an array the server expects many ids, finds a plan for the one that it is given cheaper, and so plans anew each
    // time: that takes thirty times as long as the query.
    RESOLVE_ONE = grants!(), "WHERE s.id = $1";

    // Of one aggregate, ids are in the order of its locks, and so of commits. The snapshot is the one that the statement
    // itself reads with. What an earlier one lacked is of a transaction that was
    // under way then ($3) or had not begun ($2). The server is named by its timeline, which a fail-over or a restore
    // changes, and by when it started; and the table by its place there, which a dump that is read in again changes.
    POLL =
        "SELECT pg_current_snapshot()::text, s.epoch, s.swept::text, s.barrier, f.caught_up, \
         CASE WHEN f.seen_at < statement_timestamp() - interval '10 seconds' THEN 1 ELSE 0 END, \
         substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) || '-' || \
         (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text || '-' || \
         (SELECT oid FROM pg_database WHERE datname = current_database())::text || '-' || \
         '{p}stream'::regclass::oid::text, c.change \
         FROM {p}stream AS s LEFT JOIN {p}followers AS f ON f.id = $1 \
         LEFT JOIN {p}changes AS c ON c.xid < pg_snapshot_xmax(pg_current_snapshot()) \
         AND (c.xid >= $2::text::xid8 OR c.xid = ANY($3::text::xid8[])) \
         ORDER BY c.id";
    FOLLOW =
        "INSERT INTO {p}followers (id, trust, caught_up) SELECT $1, $2, barrier FROM {p}stream";
    CATCH_UP =
        "UPDATE {p}followers SET caught_up = GREATEST(caught_up, $1), seen_at = statement_timestamp() \
         WHERE id = $2";
    RAISE_BARRIER = "UPDATE {p}stream SET barrier = barrier + 1 RETURNING barrier";
    // A row for each node that is behind the barrier, or one without.
    BEHIND =
        "SELECT s.barrier, f.caught_up, f.trust FROM {p}stream AS s \
         LEFT JOIN {p}followers AS f ON f.caught_up < s.barrier";
    SWEEP_FOLLOWERS =
        "DELETE FROM {p}followers WHERE seen_at < statement_timestamp() - interval '1 minute' \
         AND seen_at < statement_timestamp() - 10 * trust * interval '1 millisecond'";
}
