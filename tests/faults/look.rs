//! All rows of a store as text, exactly and with what is made anew in each run taken out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use rusqlite::types::ValueRef;

use crate::stage::{Adapter, Any};

/// Rows as text, by table.
pub type Tables = BTreeMap<String, Vec<String>>;

/// Everything a store holds.
#[derive(Clone)]
pub struct Look {
    tables: Tables,
    any: Any,
}

impl Look {
    pub fn at(any: &Any) -> Self {
        let tables = match &any.adapter {
            Adapter::Memory(store) => {
                store.shown().into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect()
            }
            Adapter::Sqlite(_, folder) => dump(&folder.path().join("test.db")),
            #[cfg(feature = "postgres")]
            Adapter::Postgres(_, schema) => dump_of(schema),
        };
        // The memory store's rows are shown with secrets redacted, so a fork is kept to compare with.
        let any = match &any.adapter {
            Adapter::Memory(store) => Any::new(Adapter::Memory(store.fork())),
            Adapter::Sqlite(..) => any.clone(),
            #[cfg(feature = "postgres")]
            Adapter::Postgres(..) => any.clone(),
        };
        Self { tables, any }
    }

    pub fn rows(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, Vec::len)
    }

    /// The tables whose rows are not exactly the same.
    pub fn differing(&self, other: &Self) -> BTreeSet<String> {
        match (&self.any.adapter, &other.any.adapter) {
            (Adapter::Memory(here), Adapter::Memory(there)) => {
                here.differing(there).into_iter().map(str::to_owned).collect()
            }
            _ => differing(&self.tables, &other.tables),
        }
    }

    /// What is made at random: ids, digests, hashes, sealed values.
    pub fn made(&self) -> HashSet<String> {
        let mut made = HashSet::new();
        for row in self.tables.values().flatten() {
            scan(row, |found| {
                made.insert(found.to_owned());
                None
            });
        }
        made
    }

    /// The tables that are not as they were before, with every random value that is not known put into one word.
    pub fn changes(&self, before: &Self, known: &HashSet<String>) -> Tables {
        // What is as short as a locator may come out the same by chance.
        let random = |found: &str| found.len() < 8 || !known.contains(found);
        let plain =
            |row: &String| scan(row, |found| random(found).then(|| format!("<new, {}>", found.len())));
        let changed = self.differing(before).into_iter().map(|name| {
            let rows = self.tables.get(&name).into_iter().flatten();
            let mut rows: Vec<String> = rows.map(plain).collect();
            rows.sort_unstable();
            (name, rows)
        });
        changed.collect()
    }
}

/// The names of the tables whose rows differ.
pub fn differing(one: &Tables, other: &Tables) -> BTreeSet<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

fn dump(file: &std::path::Path) -> Tables {
    let raw = rusqlite::Connection::open(file).unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'portcullis_%'";
    let names: Vec<String> =
        raw.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut tables = Tables::new();
    for name in names {
        let short = name.trim_start_matches("portcullis_").to_owned();
        let mut statement = raw.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let mut text = String::new();
            for (number, column) in columns.iter().enumerate() {
                write!(text, "{column}=").unwrap();
                match row.get_ref(number).unwrap() {
                    ValueRef::Null => text.push('-'),
                    ValueRef::Integer(id) if short == "secrets" && column == "id" => {
                        write!(text, "SecretId({id:016x})").unwrap();
                    }
                    ValueRef::Integer(value) => write!(text, "{value}").unwrap(),
                    ValueRef::Real(value) => write!(text, "{value}").unwrap(),
                    ValueRef::Text(value) => text.push_str(std::str::from_utf8(value).unwrap()),
                    ValueRef::Blob(value) => {
                        text.push_str("x'");
                        for byte in value {
                            for nibble in [byte >> 4, byte & 15] {
                                text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
                            }
                        }
                        text.push('\'');
                    }
                }
                text.push_str(" | ");
            }
            all.push(text);
        }
        all.sort_unstable();
        tables.insert(short, all);
    }
    tables
}

/// The same on PostgreSQL, but for what no record shows: which rows were locked how often, who follows changes, and
/// counters that have counted nothing.
#[cfg(feature = "postgres")]
fn dump_of(schema: &crate::pg::Schema) -> Tables {
    static ALL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column, kind) in schema.columns() {
            let number = table == "changes" && ["id", "xid"].contains(&column.as_str());
            if ["schema", "stream", "followers"].contains(&table.as_str()) || column == "version" || number {
                continue;
            }
            let text = match kind.as_str() {
                "bytea" => format!("'x''' || encode({column}, 'hex') || ''''"),
                _ if table == "secrets" && column == "id" => {
                    format!("'SecretId(' || lpad(to_hex({column}), 16, '0') || ')'")
                }
                _ => format!("{column}::text"),
            };
            let cell = format!("'{column}=' || COALESCE({text}, '-') || ' | '");
            tables.entry(table).or_default().push(cell);
        }
        let table = |(name, cells): (&String, &Vec<String>)| {
            let counted = if name == "counters" { " WHERE charged IS NOT NULL" } else { "" };
            format!("SELECT '{name}', {} FROM {{p}}{name}{counted}", cells.join(" || "))
        };
        let empty = tables.keys().map(|name| format!("SELECT '{name}', NULL"));
        tables.iter().map(table).chain(empty).collect::<Vec<_>>().join(" UNION ALL ")
    });
    let mut tables = Tables::new();
    for row in schema.ask(all) {
        let [name, row] = row.try_into().unwrap();
        tables.entry(name.unwrap()).or_default().extend(row);
    }
    for rows in tables.values_mut() {
        rows.sort_unstable();
    }
    tables
}

/// What a random value follows, and what it ends before.
const MARKS: &[(&str, char)] = &[
    ("x'", '\''),
    ("SecretId(", ')'),
    ("\"secret\":\"", '"'),
    ("\"secret\": String(\"", '"'),
    ("$argon2id$", ' '),
    ("locator=", ' '),
    ("Locator(", ')'),
    ("Commitment(", ')'),
    ("Subject(", ')'),
    ("Link(", ')'),
];

/// Calls `replace` with each random value in a row's text, and puts what it answers in its place.
fn scan(row: &str, mut replace: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(row.len());
    // Up to where the row is copied, and how far it is looked through.
    let (mut copied, mut at) = (0, 0);
    let bytes = row.as_bytes();
    while at < bytes.len() {
        let (start, end) = if matches!(bytes[at], b'x' | b'S' | b'"' | b'$' | b'l' | b'L' | b'C') {
            let rest = &row[at..];
            let Some((mark, stop)) = MARKS.iter().find(|(mark, _)| rest.starts_with(mark)) else {
                at += 1;
                continue;
            };
            let start = at + mark.len();
            (start, row[start..].find(*stop).map_or(row.len(), |length| start + length))
        } else if bytes.get(at + 8) == Some(&b'-') && row.get(at..at + 36).is_some_and(is_uuid) {
            // Ids say when they were made; a retried use case makes them anew.
            (at, at + 36)
        } else {
            at += 1;
            continue;
        };
        out.push_str(&row[copied..start]);
        let found = &row[start..end];
        out.push_str(&replace(found).unwrap_or_else(|| found.to_owned()));
        (copied, at) = (end, end);
    }
    out.push_str(&row[copied..]);
    out
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
