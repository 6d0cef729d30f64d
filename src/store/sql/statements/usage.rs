//! What was used: hourly buckets, their rollup over all spenders, and the totals of keys.

/// What a sum becomes, cut off at the largest number there is: SQLite would make it a float, PostgreSQL an error, and
/// either would hold up everything that is flushed with it.
macro_rules! plus {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN present.",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ELSE present.",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}

/// The later of two moments, either of which may be none.
macro_rules! latest {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN present.",
            $column,
            " IS NULL OR excluded.",
            $column,
            " > present.",
            $column,
            " THEN excluded.",
            $column,
            " ELSE present.",
            $column,
            " END"
        )
    };
}

macro_rules! add {
    () => {
        concat!(plus!("allowed"), ", ", plus!("refused"), ", ", plus!("units"), ", ", plus!("cost"))
    };
}

macro_rules! of_scope {
    () => {
        "t.scope, t.allowed, t.refused, t.last_allowed_at, t.last_refused_at"
    };
}

statements! {
    ADD_BUCKET =
        "INSERT INTO {p}usage AS present \
         (project, spender, hour, label, scope, allowed, refused, units, cost) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (project, spender, hour, label, scope) DO UPDATE SET ", add!();
    ADD_ROLLUP =
        "INSERT INTO {p}usage_rollup AS present \
         (project, hour, label, scope, allowed, refused, units, cost) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (project, hour, label, scope) DO UPDATE SET ", add!();
    // Of a key that is there.
    ADD_TOTAL =
        "INSERT INTO {p}usage_totals AS present \
         (key, scope, allowed, refused, last_allowed_at, last_refused_at) \
         SELECT k.id, d.column1, d.column2, d.column3, d.column4, d.column5 \
         FROM (VALUES ($1, $2, $3, $4, $5, $6)) AS d JOIN {p}keys AS k ON k.id = d.column6 WHERE true \
         ON CONFLICT (key, scope) DO UPDATE SET ",
        plus!("allowed"), ", ", plus!("refused"), ", ",
        latest!("last_allowed_at"), ", ", latest!("last_refused_at");

    ROLLUP =
        "SELECT hour, label, scope, allowed, refused, units, cost FROM {p}usage_rollup \
         WHERE project = $1 AND hour >= $2 AND hour < $3 ORDER BY hour";
    BUCKETS =
        "SELECT hour, label, scope, allowed, refused, units, cost FROM {p}usage \
         WHERE project = $1 AND spender = $2 AND hour >= $3 AND hour < $4 ORDER BY hour";
    SPENDER_FROM =
        "SELECT spender FROM {p}usage WHERE project = $1 AND spender >= $2 ORDER BY spender LIMIT 1";
    SPENDER_BEHIND =
        "SELECT spender FROM {p}usage WHERE project = $1 AND spender > $2 ORDER BY spender LIMIT 1";

    BY_SCOPE =
        "SELECT ", of_scope!(), " FROM {p}usage_totals AS t WHERE t.key = $1 ORDER BY t.scope";
    BY_SCOPE_OF_EACH =
        "SELECT t.key, ", of_scope!(),
        " FROM (VALUES ($1)) AS d CROSS JOIN {p}usage_totals AS t WHERE t.key = d.column1";
    BY_SCOPE_IN =
        "SELECT k.id, ", of_scope!(), " FROM {p}keys AS k JOIN {p}usage_totals AS t ON t.key = k.id \
         WHERE k.workspace = $1 ORDER BY k.id, t.scope";

    SWEEP_BUCKETS =
        "DELETE FROM {p}usage WHERE (project, spender, hour, label, scope) IN \
         (SELECT project, spender, hour, label, scope FROM {p}usage WHERE hour < $1 LIMIT $2{skip})";
    SWEEP_ROLLUP =
        "DELETE FROM {p}usage_rollup WHERE (project, hour, label, scope) IN \
         (SELECT project, hour, label, scope FROM {p}usage_rollup WHERE hour < $1 LIMIT $2{skip})";
}
