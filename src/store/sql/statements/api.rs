//! What the API door needs: one lookup, the stream of changes.

statements! {
    RESOLVE = "SELECT ", grant!(), granted!(), "WHERE s.id = $1";

    APPEND_CHANGE = "INSERT INTO {p}changes (change) VALUES ($1)";
    EPOCH = "SELECT value FROM {p}meta WHERE name = 'epoch'";
    // Two lookups; both at once would read the whole table.
    CHANGES_KEPT = "SELECT (SELECT MIN(id) FROM {p}changes), (SELECT MAX(id) FROM {p}changes)";
    CHANGES_SINCE = "SELECT change FROM {p}changes WHERE id > $1 AND id <= $2 ORDER BY id";
}
