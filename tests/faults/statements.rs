//! How often each use case and each call of a door asks the database: a bound for each, kept in `docs/statements.md`, that
//! does not grow with what there is.

#[path = "statements/doors.rs"]
mod doors;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use portcullis::store::Store as _;
use portcullis::store::sql::PostgresStore;

use portcullis::ports::ManualClock;

use crate::cases::{Case, Failed, all};
use crate::people::{People, World, later, prepared};
use crate::pg::Schema;
use crate::stage::{Adapter, Any, Kind, Stage, dashboard};

/// So many more of each thing are there in the grown world.
const MORE: u32 = 25;

/// So much more may be asked where there is anybody else at all.
const SLACK: u64 = 2;

/// Use cases that ask once more for each thing that they write or hand on, with what that is.
const FOR_EACH: &[(&str, &str)] = &[
    (
        "Dashboard::delete_account",
        "workspace that is left, key that is revoked, invitation that is withdrawn",
    ),
    ("Dashboard::leave", "key that is revoked or handed on, invitation that is withdrawn"),
    ("Dashboard::offboard", "key that is revoked or handed on, invitation that is withdrawn"),
    ("Dashboard::preview_account_deletion", "workspace"),
    ("Dashboard::require_second_factor", "member who is told"),
    ("Dashboard::delete_workspace", "member who is told"),
    ("Dashboard::seal_audit", "chain"),
    ("Dashboard::send_alerts", "alert, and administrator who is told"),
    ("Dashboard::send_mail", "mail"),
    ("Dashboard::limits", "limit of which nothing was spent in its period yet"),
    ("Operator::check_ledger", "limit and period"),
    ("Operator::suspend_account", "workspace of the account"),
    ("Operator::approve_recovery", "address that the account had"),
    ("Budget::beat, with a slice to write", "slice to write, hold that another node abandoned"),
    ("Budget::give_back, with a slice", "slice"),
    ("Budget::reserve, refused by a limit", "pause for what other nodes have idle"),
];

/// What a use case came to.
struct Asked {
    round_trips: u64,
    code: Option<&'static str>,
}

fn store_of(any: &Any) -> (PostgresStore, Arc<Schema>) {
    match &any.adapter {
        Adapter::Postgres(store, schema) => (store.clone(), Arc::clone(schema)),
        _ => panic!("not on PostgreSQL"),
    }
}

async fn ask(case: &Case, world: &World, more: u32) -> Asked {
    let any = world.base.fork();
    let (store, schema) = store_of(&any);
    if more > 0 {
        grow(&schema, more);
    }
    let people = Arc::new(People { mailbox: Arc::default(), ..(*world.people).clone() });
    let clock = Arc::new(ManualClock::at(later(case.after)));
    let door = dashboard(Stage::over(any), &clock, |builder| builder);
    // Connected beforehand: what is given back is rolled back beside, and meanwhile another connection is taken.
    let mut connected = Vec::new();
    for _ in 0..6 {
        connected.push(store.begin_read().await.unwrap());
    }
    drop(connected);
    let before = settled(&store).await;
    let answer = (case.run)(door, people).await;
    let round_trips = settled(&store).await - before;
    Asked { round_trips, code: answer.err().map(|Failed { code }| code) }
}

/// The round trips so far, once those under way have ended.
async fn settled(store: &PostgresStore) -> u64 {
    loop {
        let before = store.round_trips();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if store.round_trips() == before {
            return before;
        }
    }
}

/// More members, projects, keys with two secrets and usage, roles, invitations and sessions, everywhere.
fn grow(schema: &Schema, more: u32) {
    let each = format!("CROSS JOIN generate_series(1, {more}) AS n");
    let uuid = "gen_random_uuid()";
    let digest = "sha256(gen_random_uuid()::text::bytea)";
    for statement in [
        format!(
            "INSERT INTO {{p}}accounts (id, email, email_canonical, email_verified_at, created_at) \
             SELECT {uuid}, 'more' || n || '@example.net', 'more' || n || '@example.net', 1, 1 \
             FROM generate_series(1, {more}) AS n"
        ),
        "INSERT INTO {p}memberships (workspace, account, role, since) SELECT w.id, a.id, 'viewer', 1 \
         FROM {p}workspaces AS w CROSS JOIN {p}accounts AS a WHERE a.email LIKE 'more%' ON CONFLICT DO NOTHING"
            .to_owned(),
        format!(
            "INSERT INTO {{p}}projects (id, workspace, name, require_second_factor, created_at) \
             SELECT {uuid}, w.id, 'more ' || n, 0, 1 FROM {{p}}workspaces AS w {each}"
        ),
        "INSERT INTO {p}project_memberships (workspace, project, account, role) \
         SELECT m.workspace, p.id, m.account, 'developer' FROM {p}memberships AS m JOIN {p}accounts AS a ON a.id = m.account \
         JOIN LATERAL (SELECT id FROM {p}projects AS p WHERE p.workspace = m.workspace ORDER BY id LIMIT 1) AS p ON true \
         WHERE a.email LIKE 'more%' ON CONFLICT DO NOTHING"
            .to_owned(),
        format!(
            "INSERT INTO {{p}}keys (id, workspace, project, kind, holder, name, environment, scopes, created_by, created_at) \
             SELECT {uuid}, p.workspace, p.id, 'personal', a.id, 'more', 'live', '[\"models.read\"]', a.id, 1 \
             FROM {{p}}projects AS p JOIN LATERAL (SELECT id FROM {{p}}accounts AS a WHERE a.email LIKE 'more%' LIMIT 1) \
             AS a ON true {each} WHERE p.name NOT LIKE 'more%'"
        ),
        format!(
            "INSERT INTO {{p}}secrets (id, key, digest, shown_to, created_at) \
             SELECT ('x' || substr(md5(k.id::text || n), 1, 16))::bit(64)::bigint, k.id, {digest}, k.holder, 1 \
             FROM {{p}}keys AS k CROSS JOIN generate_series(1, 2) AS n WHERE k.name = 'more'"
        ),
        "INSERT INTO {p}usage_totals (key, scope, allowed, refused) SELECT k.id, 'models.read', 1, 0 FROM {p}keys AS k \
         WHERE k.name = 'more'"
            .to_owned(),
        format!(
            "INSERT INTO {{p}}roles (workspace, id, name, permissions, scopes) \
             SELECT w.id, {uuid}, 'more ' || n, '[]', '[]' FROM {{p}}workspaces AS w {each}"
        ),
        format!(
            "INSERT INTO {{p}}invitations (id, workspace, email, email_canonical, role, projects, token, invited_by, \
             created_at, sent_at, expires_at) SELECT {uuid}, w.id, 'asked' || n || '@example.net', \
             'asked' || n || '@example.net', 'viewer', '{{}}', sha256((w.id::text || n)::bytea), {uuid}, 1, 1, \
             9000000000000000 FROM {{p}}workspaces AS w {each}"
        ),
    ] {
        schema.ask(&statement);
    }
}

fn list(most: &BTreeMap<&str, u64>) -> String {
    let mut text = String::from(
        "# How often each use case asks the database\n\n\
         Round trips on PostgreSQL, `BEGIN` and `COMMIT` included, of the outcome that takes the most. A list may grow with\n\
         its pages; nothing else grows with how much there is, except where the last column names what is written or handed\n\
         on once more. A conflict with another transaction repeats a use case, five times at most. What is spent is under\n\
         all eight limits that can count: of the project and of the spender, each by day, week, month and in total. Keys\n\
         that are cold at once share a question where one thread serves them; *silence* is that nothing was heard of\n\
         changes for as long as `trust` says. A connection that runs a statement for the first time prepares it, once more.\n\n\
         `cargo test --features postgres --test faults statements` proves it, each use case also in a world with 25 more\n\
         members, projects, keys, roles and invitations in every workspace; `UPDATE=1` writes this file.\n\n\
         | use case | round trips | once more for each |\n|---|---:|---|\n",
    );
    for (of, round_trips) in most {
        let each = FOR_EACH.iter().find(|(name, _)| name == of).map_or("", |(_, each)| each);
        writeln!(text, "| `{of}` | {round_trips} | {each} |").unwrap();
    }
    text
}

/// B7: each use case has a bound on statements, and none asks once for each of what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_use_case_asks_the_database_a_bounded_number_of_times() {
    let world = prepared(Kind::Postgres).await;
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    let mut grown = Vec::new();
    for case in all().iter().filter(|case| !case.slow) {
        let plain = ask(case, &world, 0).await;
        let entry = most.entry(case.of).or_default();
        *entry = plain.round_trips.max(*entry);
        if FOR_EACH.iter().any(|(of, _)| *of == case.of) {
            continue;
        }
        let more = ask(case, &world, MORE).await;
        if more.round_trips > plain.round_trips + SLACK {
            grown.push(format!("{} {}: {} -> {}", case.of, case.name, plain.round_trips, more.round_trips));
        }
        // A limit on how many there may be is met earlier; nothing else ends otherwise.
        if more.code != plain.code && !more.code.is_some_and(|code| code.starts_with("too_many")) {
            grown.push(format!("{} {}: {:?} -> {:?}", case.of, case.name, plain.code, more.code));
        }
    }
    let (plain, more) = doors::asked_on_one_thread(&world).await;
    for (of, round_trips) in &more {
        if *round_trips > plain[of] + SLACK {
            grown.push(format!("{of}: {} -> {round_trips}", plain[of]));
        }
    }
    most.extend(plain);
    assert!(grown.is_empty(), "{grown:#?}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/statements.md");
    let now = list(&most);
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(path, &now).unwrap();
    }
    let kept = bounds(&std::fs::read_to_string(path).unwrap_or_default());
    let names = |bounds: &BTreeMap<String, u64>| bounds.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&bounds(&now)), "run it with UPDATE=1 and look at what changed");
    for (of, round_trips) in most {
        let bound = kept[of];
        assert!(round_trips <= bound, "{of} asks {round_trips} times, and at most {bound} is promised");
        // What is promised is not left behind either.
        assert!(
            round_trips + SLACK >= bound,
            "{of} asks {round_trips} times, {bound} is promised: run it with UPDATE=1"
        );
    }
}

/// What the file promises.
fn bounds(text: &str) -> BTreeMap<String, u64> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let (of, rest) = row.split_once("` | ").unwrap();
        (of.to_owned(), rest.split(' ').next().unwrap().parse().unwrap())
    };
    rows.map(row).collect()
}
