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
        };
        // The memory store's rows are shown with secrets redacted, so a fork is kept to compare with.
        let any = match &any.adapter {
            Adapter::Memory(store) => Any::new(Adapter::Memory(store.fork())),
            Adapter::Sqlite(..) => any.clone(),
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

    /// The rows with every random value that is not known put into one word.
    pub fn plain(&self, known: &HashSet<String>) -> Tables {
        // What is as short as a locator may come out the same by chance.
        let random = |found: &str| found.len() < 8 || !known.contains(found);
        let plain =
            |row: &String| scan(row, |found| random(found).then(|| format!("<new, {}>", found.len())));
        let mut tables = Tables::new();
        for (name, rows) in &self.tables {
            let mut rows: Vec<String> = rows.iter().map(plain).collect();
            rows.sort_unstable();
            tables.insert(name.clone(), rows);
        }
        tables
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
                            write!(text, "{byte:02x}").unwrap();
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

/// Calls `replace` with each random value in a row's text, and puts what it answers in its place.
fn scan(row: &str, mut replace: impl FnMut(&str) -> Option<String>) -> String {
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
    let mut out = String::with_capacity(row.len());
    let mut rest = row;
    'scan: while !rest.is_empty() {
        for (mark, end) in MARKS {
            if let Some(behind) = rest.strip_prefix(mark) {
                let (found, after) = behind.split_at(behind.find(*end).unwrap_or(behind.len()));
                out.push_str(mark);
                out.push_str(&replace(found).unwrap_or_else(|| found.to_owned()));
                rest = after;
                continue 'scan;
            }
        }
        if let Some(found) = rest.get(..36).filter(|text| is_uuid(text)) {
            // Ids say when they were made; a retried use case makes them anew.
            out.push_str(&replace(found).unwrap_or_else(|| found.to_owned()));
            rest = &rest[36..];
            continue;
        }
        let next = rest.chars().next().unwrap();
        out.push(next);
        rest = &rest[next.len_utf8()..];
    }
    out
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
