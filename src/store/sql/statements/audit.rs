//! The audit log: its entries, their personal values, and where its chains end.

macro_rules! audit {
    () => {
        "id, at, workspace, actor_kind, actor_account, actor_name, action, target_kind, target_id, \
         value_before, value_after, request_id"
    };
}

/// Some entries with their seals and personal values, a row for each value: `which` picks and orders at most a page
/// of them, `order` puts the rows in the same order.
macro_rules! page {
    ($which:expr, $order:literal) => {
        concat!(
            "SELECT page.id, v.field, v.subject, v.commitment, v.salt, v.value, page.at, page.workspace, \
             page.actor_kind, page.actor_account, page.actor_name, page.action, page.target_kind, \
             page.target_id, page.value_before, page.value_after, page.request_id, page.sequence, page.link \
             FROM (SELECT ",
            audit!(),
            ", sequence, link FROM {p}audit WHERE ",
            $which,
            ") AS page LEFT JOIN {p}audit_personal AS v ON v.entry = page.id ORDER BY ",
            $order,
            ", v.field"
        )
    };
}

/// The latest of those that pass `by` and whatever else is given; what is NULL is not asked for.
macro_rules! found_by {
    ($by:literal, $chain:literal) => {
        page!(
            concat!(
                "id < $1 AND ($2 IS NULL OR actor_account = $2) AND ($3 IS NULL OR target_kind = $3) \
                 AND ($4 IS NULL OR target_id = $4) AND ($5 IS NULL OR action = $5) \
                 AND ($6 IS NULL OR at >= $6) AND ($7 IS NULL OR at < $7) AND ",
                $by,
                $chain
            ),
            "page.id DESC"
        )
    };
}

/// The latest of a span of time. The index of times is to lead: the one of ids gives the order for nothing, but walks
/// through all that came later, so it is hidden behind a function.
macro_rules! in_time {
    ($chain:literal, $limit:literal) => {
        page!(
            concat!(
                "id IN (SELECT id FROM {p}audit WHERE COALESCE(id, id) < $1 AND at >= $2 AND at < $3",
                $chain,
                " ORDER BY COALESCE(id, id) DESC LIMIT ",
                $limit,
                ") ORDER BY id DESC"
            ),
            "page.id DESC"
        )
    };
}

statements! {
    AUDIT_OF_WORKSPACE = page!("workspace = $1 AND id > $2 ORDER BY id LIMIT $3", "page.id");
    AUDIT_OF_ACCOUNT =
        page!(
            "id IN (SELECT id FROM {p}audit WHERE actor_account = $1 AND id > $2 \
             UNION SELECT id FROM {p}audit WHERE target_id = $1 AND target_kind = 'account' AND id > $2 \
             ORDER BY id LIMIT $3) ORDER BY id",
            "page.id"
        );

    // One statement for each index that can lead, and each once more for the chain that has no workspace.
    FIND =
        page!("id < $1 AND workspace = $2 ORDER BY id DESC LIMIT $3", "page.id DESC");
    FIND_OF_ACCOUNTS =
        page!("id < $1 AND workspace IS NULL ORDER BY id DESC LIMIT $2", "page.id DESC");
    // The same among the next few by id alone. Ids are made in the order of time, which is likely and not promised, so
    // this finds all but the first and the last page of a span, however long it is.
    FIND_NEARBY =
        page!(
            "id IN (SELECT id FROM (SELECT id, at FROM {p}audit WHERE id < $1 AND workspace = $2 \
             ORDER BY id DESC LIMIT $3) AS nearby WHERE at >= $4 AND at < $5 ORDER BY id DESC LIMIT $6) \
             ORDER BY id DESC",
            "page.id DESC"
        );
    FIND_NEARBY_OF_ACCOUNTS =
        page!(
            "id IN (SELECT id FROM (SELECT id, at FROM {p}audit WHERE id < $1 AND workspace IS NULL \
             ORDER BY id DESC LIMIT $2) AS nearby WHERE at >= $3 AND at < $4 ORDER BY id DESC LIMIT $5) \
             ORDER BY id DESC",
            "page.id DESC"
        );
    FIND_IN_TIME = in_time!(" AND workspace = $4", "$5");
    FIND_IN_TIME_OF_ACCOUNTS = in_time!(" AND workspace IS NULL", "$4");
    FIND_BY_ACTION =
        found_by!("action = $5", " AND workspace = $8 ORDER BY id DESC LIMIT $9");
    FIND_BY_ACTION_OF_ACCOUNTS =
        found_by!("action = $5", " AND workspace IS NULL ORDER BY id DESC LIMIT $8");
    FIND_BY_ACTOR =
        found_by!("actor_account = $2", " AND workspace = $8 ORDER BY id DESC LIMIT $9");
    FIND_BY_ACTOR_OF_ACCOUNTS =
        found_by!("actor_account = $2", " AND workspace IS NULL ORDER BY id DESC LIMIT $8");
    FIND_BY_TARGET =
        found_by!("target_id = $4 AND target_kind = $3", " AND workspace = $8 ORDER BY id DESC LIMIT $9");
    FIND_BY_TARGET_OF_ACCOUNTS =
        found_by!("target_id = $4 AND target_kind = $3", " AND workspace IS NULL ORDER BY id DESC LIMIT $8");

    SEALED = page!("workspace = $1 AND sequence > $2 ORDER BY sequence LIMIT $3", "page.sequence");
    SEALED_OF_ACCOUNTS =
        page!("workspace IS NULL AND sequence > $1 ORDER BY sequence LIMIT $2", "page.sequence");
    UNSEALED = page!("workspace = $1 AND sequence IS NULL ORDER BY id LIMIT $2", "page.id");
    UNSEALED_OF_ACCOUNTS =
        page!("workspace IS NULL AND sequence IS NULL ORDER BY id LIMIT $1", "page.id");
    HAS_UNSEALED_OF_ACCOUNTS =
        "SELECT 1 FROM {p}audit WHERE workspace IS NULL AND sequence IS NULL LIMIT 1";
    // From one workspace to the next, so that a long tail of one is not read to the end.
    UNSEALED_WORKSPACES =
        "WITH RECURSIVE chain (workspace) AS (\
         SELECT (SELECT workspace FROM {p}audit WHERE workspace IS NOT NULL AND sequence IS NULL \
         ORDER BY workspace LIMIT 1) \
         UNION ALL \
         SELECT (SELECT a.workspace FROM {p}audit AS a \
         WHERE a.workspace > chain.workspace AND a.sequence IS NULL ORDER BY a.workspace LIMIT 1) \
         FROM chain WHERE chain.workspace IS NOT NULL) \
         SELECT workspace FROM chain WHERE workspace IS NOT NULL LIMIT $1";

    APPEND_AUDIT =
        "INSERT INTO {p}audit (", audit!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    APPEND_PERSONAL =
        "INSERT INTO {p}audit_personal (entry, field, subject, commitment, salt, value) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    ERASE_PERSONAL =
        "UPDATE {p}audit_personal SET subject = NULL, salt = NULL, value = NULL WHERE subject = $1";

    HEAD = "SELECT sequence, link FROM {p}audit_chains WHERE chain = $1";
    // Where to lock is to read, where a chain begins is of no use.
    HEAD_ALONE = "SELECT sequence, link FROM {p}audit_chains WHERE chain = $1 AND $2 IS NOT NULL";
    PUT_HEAD =
        "INSERT INTO {p}audit_chains (chain, sequence, link) VALUES ($1, $2, $3) \
         ON CONFLICT (chain) DO UPDATE SET sequence = excluded.sequence, link = excluded.link";
    // An entry has one seal, and it is of its own chain.
    SEAL =
        "UPDATE {p}audit AS a SET sequence = s.column1, link = s.column2 FROM (VALUES ($1, $2, $3, $4)) AS s \
         WHERE a.id = s.column3 AND a.workspace = s.column4 AND a.sequence IS NULL";
    SEAL_OF_ACCOUNTS =
        "UPDATE {p}audit AS a SET sequence = s.column1, link = s.column2 FROM (VALUES ($1, $2, $3)) AS s \
         WHERE a.id = s.column3 AND a.workspace IS NULL AND a.sequence IS NULL";
}
