//! Limits, meters, holds and the ledger.

macro_rules! limit {
    () => {
        "id, workspace, project, spender, period, amount, mode"
    };
}

macro_rules! hold {
    () => {
        "id, workspace, project, line, node, day, amount, state, slice, epoch, step, recall, answered, \
         expires_at"
    };
}

macro_rules! entry {
    () => {
        "id, workspace, at, kind, day, project, line, spender, hold, granted, held, settled, unaccounted, \
         idempotency_key"
    };
}

macro_rules! alert {
    () => {
        "id, workspace, limit_id, project, spender, period, day, percent, amount, used, at"
    };
}

/// Limits with what was spent of them in the periods that begin with the first four parameters.
macro_rules! books {
    ($which:expr) => {
        concat!(
            "SELECT l.id, l.workspace, l.project, l.spender, l.period, l.amount, l.mode, \
             m.settled, m.held, m.unaccounted, m.overrun FROM {p}limits AS l \
             LEFT JOIN {p}meters AS m ON m.limit_id = l.id AND m.day = CASE l.period \
             WHEN 'day' THEN $1 WHEN 'week' THEN $2 WHEN 'month' THEN $3 ELSE $4 END WHERE l.workspace = $5",
            $which
        )
    };
}

/// The live slices that a recall asks: its number is the first parameter.
macro_rules! asked {
    () => {
        "answered < $1 AND workspace = $2 AND state = 'live' AND slice = 1 \
         AND ($3 IS NULL OR project = $3) AND ($4 IS NULL OR node <> $4)"
    };
}

/// Sums of the ledger; those of databases that add up in a wider type have to fit again.
macro_rules! sum {
    ($of:literal) => {
        concat!("CAST(COALESCE(SUM(", $of, "), 0) AS BIGINT)")
    };
}

statements! {
    // Three lookups in one: what compares with NULL finds nothing. Whoever reads them sorts the few that there are.
    BOOKS =
        books!(" AND l.project IS NULL"),
        " UNION ALL ", books!(" AND l.project = $6 AND l.spender IS NULL"),
        " UNION ALL ", books!(" AND l.project = $6 AND l.spender = $7");
    ALL_BOOKS = books!(" AND l.id > $6 ORDER BY l.id LIMIT $7");
    METERS =
        "SELECT m.day, l.amount, m.settled, m.held, m.unaccounted, m.overrun \
         FROM {p}meters AS m JOIN {p}limits AS l ON l.id = m.limit_id WHERE m.limit_id = $1 ORDER BY m.day";
    LIMIT = "SELECT ", limit!(), " FROM {p}limits WHERE id = $1";
    HOLD = "SELECT ", hold!(), " FROM {p}holds WHERE id = $1";
    // Both are read in the order of their index, and merged.
    OPEN_HOLDS =
        "SELECT ", hold!(), " FROM {p}holds WHERE workspace = $1 AND state = 'live' AND id > $2 \
         UNION ALL \
         SELECT ", hold!(), " FROM {p}holds WHERE workspace = $1 AND state = 'expired' AND id > $2 \
         ORDER BY id LIMIT $3";
    RECALLED_HOLDS =
        "SELECT id FROM {p}holds WHERE node = $1 AND state = 'live' AND recall > answered ORDER BY id";
    ABANDONED_HOLDS =
        "SELECT workspace, id FROM {p}holds WHERE state = 'live' AND expires_at <= $1 \
         ORDER BY expires_at, id LIMIT $2";
    LEDGER_ENTRIES =
        "SELECT ", entry!(), " FROM {p}ledger WHERE workspace = $1 AND id > $2 ORDER BY id LIMIT $3";
    LEDGER_ENTRY_BY_KEY =
        "SELECT ", entry!(), " FROM {p}ledger WHERE workspace = $1 AND idempotency_key = $2";
    SUMS_OF_POOL =
        "SELECT ", sum!("granted"), ", ", sum!("held"), ", ", sum!("settled"), ", ", sum!("unaccounted"),
        " FROM {p}ledger WHERE workspace = $1 AND day >= $2 AND day < $3";
    SUMS_OF_PROJECT =
        "SELECT ", sum!("granted"), ", ", sum!("held"), ", ", sum!("settled"), ", ", sum!("unaccounted"),
        " FROM {p}ledger WHERE workspace = $1 AND day >= $2 AND day < $3 AND project = $4";
    SUMS_OF_SPENDER =
        "SELECT ", sum!("CASE WHEN spender = $1 THEN granted ELSE 0 END"), ", ",
        sum!("CASE WHEN line = $1 THEN held ELSE 0 END"), ", ",
        sum!("CASE WHEN spender = $1 THEN settled ELSE 0 END"), ", ",
        sum!("CASE WHEN line = $1 THEN unaccounted ELSE 0 END"),
        " FROM {p}ledger WHERE workspace = $2 AND day >= $3 AND day < $4 AND project = $5 \
         AND (spender = $1 OR line = $1)";
    // By way of the project's workspace, which leads the index.
    LIMITED_SPENDERS =
        "SELECT DISTINCT spender FROM {p}limits WHERE project = $1 AND spender IS NOT NULL \
         AND workspace = (SELECT workspace FROM {p}projects WHERE id = $1)";
    ALERTS = "SELECT ", alert!(), " FROM {p}alerts WHERE id > $1 ORDER BY id LIMIT $2";

    // By the pool, which has the workspace's own id.
    LEDGER = "SELECT workspace FROM {p}limits WHERE id = $1 AND project IS NULL";
    INSERT_LIMIT = "INSERT INTO {p}limits (", limit!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)";
    // Whom it limits, and for how long, never changes.
    UPDATE_LIMIT = "UPDATE {p}limits SET amount = $1, mode = $2 WHERE workspace = $3 AND id = $4";
    // Its meters and alerts go with it.
    DELETE_LIMIT = "DELETE FROM {p}limits WHERE workspace = $1 AND id = $2 AND project IS NOT NULL";
    PUT_METER =
        "INSERT INTO {p}meters (limit_id, day, settled, held, unaccounted, overrun) \
         SELECT id, $1, $2, $3, $4, $5 FROM {p}limits WHERE workspace = $6 AND id = $7 \
         ON CONFLICT (limit_id, day) DO UPDATE SET settled = excluded.settled, held = excluded.held, \
         unaccounted = excluded.unaccounted, overrun = excluded.overrun";
    PUT_HOLD =
        "INSERT INTO {p}holds AS present (", hold!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, state = excluded.state, \
         slice = excluded.slice, epoch = excluded.epoch, step = excluded.step, recall = excluded.recall, \
         answered = excluded.answered, expires_at = excluded.expires_at \
         WHERE present.workspace = excluded.workspace";
    APPEND_LEDGER =
        "INSERT INTO {p}ledger (", entry!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    NEXT_RECALL =
        "INSERT INTO {p}recalls AS present (workspace, number) VALUES ($1, 1) \
         ON CONFLICT (workspace) DO UPDATE SET number = present.number + 1 RETURNING number";
    RECALL_HOLDS = "UPDATE {p}holds SET recall = $1 WHERE recall < $1 AND ", asked!();
    OUTSTANDING = "SELECT COUNT(*) FROM {p}holds WHERE ", asked!();
    LIMIT_IN = "SELECT 1 FROM {p}limits WHERE workspace = $1 AND id = $2";
    INSERT_ALERT =
        "INSERT INTO {p}alerts (", alert!(), ", raised, taken) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, 0) \
         ON CONFLICT (limit_id, day, percent) WHERE raised = 1 DO NOTHING";
    REOPEN_ALERTS = "UPDATE {p}alerts SET raised = 0 WHERE limit_id = $1 AND raised = 1";
    TAKE_ALERTS =
        "UPDATE {p}alerts SET taken = 1 WHERE taken = 0 AND id IN \
         (SELECT id FROM {p}alerts WHERE taken = 0 ORDER BY id LIMIT $1{skip}) RETURNING ", alert!();
    CLAIM_STARTER_CREDIT =
        "INSERT INTO {p}starter_credits (mailbox, at) VALUES ($1, $2) ON CONFLICT (mailbox) DO NOTHING";
    SWEEP_HOLDS =
        "DELETE FROM {p}holds WHERE id IN (SELECT id FROM {p}holds \
         WHERE state = 'closed' AND expires_at < $1 ORDER BY expires_at, id LIMIT $2{skip})";
}
