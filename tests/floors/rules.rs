//! The floors, and what may be imported across them (ARCHITECTURE, "Floors").

use std::collections::{BTreeMap, BTreeSet};

use super::resolve::Target;
use super::source::Source;

/// The floors, lowest first. A room is a module of the crate root, or of `store`, whose rooms are inside.
pub(crate) const FLOORS: &[(&str, &[&str])] = &[
    ("values", &["name", "id", "secret", "email", "money", "source", "error"]),
    ("pure rules", &["password", "totp", "recovery", "key", "access", "throttle", "spend", "sso", "audit"]),
    ("ports", &["ports", "hashing"]),
    ("store: records", &["store::error", "store::locked", "store::record"]),
    ("store: contract", &["store::contract"]),
    ("store: joining", &["store::within"]),
    ("store: adapters", &["store", "store::memory", "store::sql", "store::conformance"]),
    ("spending", &["budget", "usage"]),
    ("doors", &["dashboard", "api", "directory"]),
    ("web", &["web"]),
];

/// Imports between rooms of one floor: nothing else is allowed there.
const BESIDE: &[(&str, &[&str])] = &[
    ("id", &["error"]),
    ("name", &["error"]),
    ("secret", &["error"]),
    ("email", &["error"]),
    ("money", &["error"]),
    ("source", &["error"]),
];

/// What a room never imports, not even in its tests and though it lies below.
const NEVER: &[(&str, &[&str])] = &[
    ("api", &["dashboard", "directory", "password", "totp", "recovery", "sso", "hashing"]),
    ("dashboard", &["api", "directory"]),
    ("directory", &["api", "dashboard"]),
];

/// Crates that only these modules may name.
const FOREIGN: &[(&str, &[&str])] = &[
    ("rusqlite", &["store::sql"]),
    ("libsqlite3_sys", &["store::sql"]),
    ("sqlx", &["store::sql"]),
    ("sqlx_core", &["store::sql"]),
    ("sqlx_postgres", &["store::sql"]),
    ("axum", &["web"]),
    ("axum_core", &["web"]),
    ("http", &["web"]),
    ("http_body_util", &["web"]),
    ("hyper", &["web"]),
    ("tower", &["web"]),
    ("tower_layer", &["web"]),
    ("tower_service", &["web"]),
    ("ring", &["secret", "ports::entropy", "audit::checkpoint"]),
];

/// Who imports whom, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) faults: Vec<String>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// Checks every path of the crate.
pub(crate) fn check(source: &Source) -> Report {
    let mut report = Report { faults: source.faults.clone(), imports: BTreeMap::new() };
    for (place, module) in &source.modules {
        // The root names every room: it is the roof.
        let Some(from) = room(place) else { continue };
        report.imports.entry(from.clone()).or_default();
        if floor(&from).is_none() {
            report.faults.push(format!("`{from}` has no floor: give it one in tests/floors/rules.rs"));
            continue;
        }
        for mention in &module.mentions {
            let fault = match source.resolve(place, mention) {
                Target::Foreign(name) => {
                    let named = mention.import || mention.absolute || mention.segments.len() > 1;
                    if named { foreign_fault(&place.join("::"), &name) } else { None }
                }
                Target::Module(target) => match room(&target) {
                    Some(to) if !place.starts_with(&target) && from != to => {
                        // A facade may name what it is made of.
                        if target.starts_with(place) {
                            continue;
                        }
                        if !mention.test {
                            report.imports.entry(from.clone()).or_default().insert(to.clone());
                        }
                        import_fault(&from, &to, mention.test)
                    }
                    _ => None,
                },
            };
            if let Some(fault) = fault {
                report.faults.push(format!("{}: `{}`: {fault}", mention.at, mention.segments.join("::")));
            }
        }
    }
    report.faults.extend(circles(&report.imports));
    report.faults.sort();
    report.faults.dedup();
    report
}

impl Report {
    /// The module graph, highest floor first.
    pub(crate) fn drawing(&self) -> String {
        let mut text = String::new();
        for (name, rooms) in FLOORS.iter().rev() {
            let present: Vec<&&str> = rooms.iter().filter(|r| self.imports.contains_key(**r)).collect();
            if present.is_empty() {
                continue;
            }
            let rule = "─".repeat(96_usize.saturating_sub(name.chars().count()));
            text.extend(["── ", name, " ", &rule, "\n"]);
            for room in present {
                let imports: Vec<&str> =
                    self.imports.get(*room).into_iter().flatten().map(String::as_str).collect();
                let mut line = format!("   {room:<20}");
                line.push_str(if imports.is_empty() { "" } else { "→" });
                for import in imports {
                    if line.chars().count() + 1 + import.len() > 100 {
                        text.push_str(line.trim_end());
                        text.push('\n');
                        line = " ".repeat(24);
                    }
                    line.push(' ');
                    line.push_str(import);
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// The room that a module belongs to; the root belongs to none.
fn room(place: &[String]) -> Option<String> {
    match place {
        [] => None,
        [store, inner, ..] if store == "store" => Some(format!("store::{inner}")),
        [room, ..] => Some(room.clone()),
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

fn import_fault(from: &str, to: &str, test: bool) -> Option<String> {
    let Some(height) = floor(to) else { return Some(format!("`{to}` has no floor")) };
    let own = floor(from)?;
    if listed(NEVER, from, to) {
        Some(format!("`{from}` never imports `{to}`"))
    } else if height > own {
        Some(format!("`{from}` imports upward from `{to}`"))
    } else if height == own && !test && !listed(BESIDE, from, to) {
        Some(format!("`{from}` imports `{to}` on its own floor"))
    } else {
        None
    }
}

fn foreign_fault(place: &str, name: &str) -> Option<String> {
    let (_, homes) = FOREIGN.iter().find(|(foreign, _)| *foreign == name)?;
    let at_home =
        homes.iter().any(|h| place == *h || place.strip_prefix(h).is_some_and(|r| r.starts_with("::")));
    (!at_home).then(|| format!("`{name}` is named only in {}", homes.join(", ")))
}

fn listed(table: &[(&str, &[&str])], from: &str, to: &str) -> bool {
    table.iter().any(|(room, others)| *room == from && others.contains(&to))
}

/// Rooms from which the imports lead back to them.
pub(crate) fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reaches_itself = |start: &String| {
        let mut seen: BTreeSet<&String> = BTreeSet::new();
        let mut ahead: Vec<&String> = imports.get(start).into_iter().flatten().collect();
        while let Some(room) = ahead.pop() {
            if room == start {
                return true;
            }
            if seen.insert(room) {
                ahead.extend(imports.get(room).into_iter().flatten());
            }
        }
        false
    };
    imports
        .keys()
        .filter(|r| reaches_itself(r))
        .map(|r| format!("`{r}` stands in a circle of imports"))
        .collect()
}
