//! The checker checked: whatever is bent behind its back, it says so.

use std::path::Path;

use crate::check::Checker;
use crate::house::Place;
use crate::journal::{Intent, Line, Promised, Said, append, appending};
use crate::rounds::Rounds;

/// What is bent, how, and what has to be found.
const BENDS: [(&str, &str, &str); 13] = [
    (
        "a key is lost",
        "DELETE FROM portcullis_keys WHERE id = (SELECT max(id) FROM portcullis_keys)",
        "is lost",
    ),
    (
        "a revocation is lost",
        "UPDATE portcullis_keys SET revoked_at = NULL WHERE name LIKE 'key-%'",
        "its revocation is not what",
    ),
    (
        "a rotation is lost",
        "DELETE FROM portcullis_secrets WHERE ends_at IS NULL AND key IN \
         (SELECT id FROM portcullis_keys WHERE name LIKE 'key-%')",
        "was given last",
    ),
    ("an operation is lost", "DELETE FROM portcullis_operations", "what its operation came to"),
    (
        "a membership comes back",
        "INSERT INTO portcullis_memberships (workspace, account, role, since) \
         SELECT (SELECT workspace FROM portcullis_memberships GROUP BY 1 HAVING count(*) >= 1 AND workspace IN \
         (SELECT id FROM portcullis_workspaces WHERE name = 'Team 0')), id, 'viewer', 0 FROM portcullis_accounts \
         WHERE email LIKE '%@signs-up.example' LIMIT 1",
        "is a member of team 0",
    ),
    (
        "an account is lost",
        "DELETE FROM portcullis_accounts WHERE id = (SELECT id FROM portcullis_accounts \
         WHERE email LIKE '%@signs-up.example' LIMIT 1)",
        "is lost",
    ),
    (
        "a project of a new account is lost",
        "DELETE FROM portcullis_projects WHERE name = 'First project'",
        "acknowledged, and [\"a project\"",
    ),
    (
        "a session of a new account is lost",
        "DELETE FROM portcullis_sessions WHERE account IN (SELECT id FROM portcullis_accounts WHERE email LIKE 'p-%')",
        "\"a session\"",
    ),
    ("an entry of a log is altered", "UPDATE portcullis_audit SET at = at + 1 WHERE sequence = 3", "Altered"),
    (
        "the end of a log is cut off",
        "DELETE FROM portcullis_audit WHERE sequence = (SELECT max(sequence) FROM portcullis_audit)",
        "is kept",
    ),
    ("a settlement is lost", "UPDATE portcullis_meters SET settled = settled / 2", "the books do not fit"),
    ("a grant is lost", "DELETE FROM portcullis_ledger WHERE idempotency_key LIKE 'grant-%'", "is granted"),
    ("a limit is lost", "UPDATE portcullis_limits SET amount = 7 WHERE amount < 100000", "the limit of slot"),
];

/// A service that has run for a moment, with nothing wrong.
struct Ran {
    folder: tempfile::TempDir,
}

impl Ran {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::on_sqlite(folder.path());
        let mut test = Rounds::begin(place.sqlite(), place).await;
        for _ in 0..4 {
            test.work().await;
        }
        test.quiet().await;
        test.checker.check_all().await;
        test.checker.assert_sound("with nothing bent");
        Self { folder }
    }

    /// A copy, to be bent.
    fn copy(&self, into: &Path) -> Place {
        let from = Place::on_sqlite(self.folder.path());
        let to = Place::on_sqlite(into);
        let database = rusqlite::Connection::open(&from.database).unwrap();
        database.execute("VACUUM INTO ?1", [&to.database]).unwrap();
        for name in ["journal", "mails", "deed"] {
            std::fs::copy(from.folder.join(name), into.join(name)).unwrap();
        }
        to
    }

    /// What the checker finds in a copy that was bent.
    async fn found(&self, bend: impl FnOnce(&Place)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let place = self.copy(folder.path());
        bend(&place);
        let mut checker = Checker::new(place.sqlite(), &place);
        checker.check_all().await;
        checker.found.join("\n")
    }
}

/// ASVS-5.0-2.3.3: what a crash could have taken away, or left behind by halves, is noticed, whatever it is
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_lost_or_made_up_is_found() {
    let ran = Ran::new().await;
    assert_eq!(ran.found(|_| {}).await, "", "nothing was bent");
    for (what, sql, wanted) in BENDS {
        let found = ran
            .found(|place| {
                let database = rusqlite::Connection::open(&place.database).unwrap();
                assert!(database.execute(sql, []).unwrap() > 0, "{what}: nothing to bend");
            })
            .await;
        assert!(found.contains(wanted), "{what}: {found}");
    }

    let found = ran
        .found(|place| {
            let mails = std::fs::read_to_string(place.mails()).unwrap();
            let rest: String = mails.lines().skip(1).flat_map(|line| [line, "\n"]).collect();
            std::fs::write(place.mails(), rest).unwrap();
        })
        .await;
    assert!(found.contains("was never sent"), "a mail is lost: {found}");

    let email = || "nobody@signs-up.example".to_owned();
    let made_up = [
        (Intent::SignUp { email: email() }, "nobody@signs-up.example signs up: acknowledged"),
        (Intent::Verify { email: email() }, "nobody@signs-up.example verifies: acknowledged"),
        (Intent::Grant { grant: "none".to_owned(), millionths: 1 }, "none is granted: acknowledged"),
        (Intent::Limit { slot: 0, millionths: 1 }, "the limit of slot 0"),
        (Intent::Settle { exact: true, millionths: 1_000_000 }, "exact: "),
        (Intent::Settle { exact: false, millionths: 1_000_000 }, "leased: "),
    ];
    for (intent, wanted) in made_up {
        let found = ran
            .found(|place| {
                let journal = appending(&place.journal());
                for said in [Said::Intends(intent), Said::Did(Promised::default())] {
                    append(&journal, &Line { node: 0, number: 0, said });
                }
            })
            .await;
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}
