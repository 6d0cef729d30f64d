//! Use cases at random, by many tasks, with futures dropped midway; then everything must still fit together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::dashboard::SignIn;
use portcullis::id::AccountId;
use portcullis::ports::ManualClock;
use portcullis::store::Store;
use portcullis::store::conformance::{Storm, storm};

use crate::cases::{Case, all};
use crate::look::Look;
use crate::on_every_store;
use crate::people::{LATER, PASSWORD, email, later, many_people, secret};
use crate::stage::{Adapter, Any, Mailbox, Stage, dashboard};
use crate::team::Team;

/// What ends the sessions that most others need: rarely drawn.
const ENDS: &[&str] = &[
    "Dashboard::archive_workspace",
    "Dashboard::delete_account",
    "Dashboard::delete_project",
    "Dashboard::delete_workspace",
    "Dashboard::leave",
    "Dashboard::offboard",
    "Dashboard::require_second_factor",
    "Dashboard::reset_password",
    "Dashboard::sign_out",
    "Operator::suspend_account",
    "Operator::suspend_workspace",
];

/// What must hold of every account, whatever happened.
async fn accounts_fit_together(any: &Any, seen: &mut BTreeSet<AccountId>) {
    let mut snapshot = any.begin_read().await.unwrap();
    for name in many_people() {
        let Some(account) = snapshot.account_by_email(&email(name)).await.unwrap() else { continue };
        assert!(seen.insert(account.id), "{name} has an address of their own");
        let workspaces = snapshot.workspaces_of(account.id).await.unwrap();
        let personal: Vec<_> =
            workspaces.iter().filter(|(workspace, _)| workspace.personal_of == Some(account.id)).collect();
        assert_eq!(personal.len(), 1, "{name} has one personal workspace");
        assert_eq!(personal[0].1.role, Role::Admin, "{name} is its administrator");
        let strong = snapshot.totp(account.id).await.unwrap().is_some();
        let codes = snapshot.count_recovery_codes(account.id).await.unwrap();
        assert!(codes == 0 || strong, "{name} has {codes} recovery codes and no factor");
        assert!(codes <= 10);
        let sessions = snapshot.sessions_of(account.id).await.unwrap();
        assert!(account.is_active() || sessions.is_empty(), "{name} is suspended and has sessions");
        for project in snapshot.projects(personal[0].0.id).await.unwrap() {
            for key in snapshot.keys_of_project(project.id, None, 1_000).await.unwrap() {
                let secrets = snapshot.secrets_of(key.id).await.unwrap();
                let new = secrets.iter().filter(|secret| secret.ends_at.is_none()).count();
                assert!(new == 1 && secrets.len() <= 2, "{new} new secrets of {}", secrets.len());
            }
        }
    }
}

/// What must hold of the team: while somebody is in it, one of them administers it and can sign in, and each live key
/// is a member's or in a member's care.
async fn team_fits_together(any: &Any, team: &Team) {
    let mut snapshot = any.begin_read().await.unwrap();
    for id in [team.id, team.umas.workspace(), team.archived.workspace()] {
        let people = snapshot.people(id).await.unwrap();
        let members: BTreeSet<AccountId> =
            snapshot.memberships(id).await.unwrap().iter().map(|member| member.account).collect();
        assert_eq!(members.len(), people.len(), "a member is somebody");
        assert_eq!(members.is_empty(), snapshot.workspace(id).await.unwrap().is_none());
        // The operator's danger switch is the one way out of it.
        let switched = people.iter().any(|person| !person.active && person.membership.role == Role::Admin);
        let administered = people.iter().any(|person| person.active && person.membership.role == Role::Admin);
        assert!(administered || switched || members.is_empty(), "{people:?}");
        for key in snapshot.keys_of_workspace(id, None, 1_000).await.unwrap() {
            assert!(key.revoked_at.is_some() || members.contains(&key.kind.account()), "{key:?}");
        }
        let promised = snapshot.invitations(id).await.unwrap();
        assert!(promised.iter().all(|invitation| members.contains(&invitation.invited_by)), "{promised:?}");
    }
}

/// What a database itself can tell: no session without an account, no row without what it refers to.
fn tables_fit_together(any: &Any) {
    #[cfg(feature = "postgres")]
    if let Adapter::Postgres(_, schema) = &any.adapter {
        // What refers to something is checked there at each write.
        let sql = "SELECT id::text FROM {p}accounts WHERE id NOT IN
            (SELECT personal_of FROM {p}workspaces WHERE personal_of IS NOT NULL)";
        assert_eq!(schema.column(sql), Vec::<String>::new());
    }
    let Adapter::Sqlite(_, folder) = &any.adapter else { return };
    let raw = rusqlite::Connection::open(folder.path().join("test.db")).unwrap();
    let whole: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut check = raw.prepare("PRAGMA foreign_key_check").unwrap();
    assert!(check.query([]).unwrap().next().unwrap().is_none(), "a row refers to nothing");
    let sql = "SELECT count(*) FROM portcullis_accounts WHERE id NOT IN
        (SELECT personal_of FROM portcullis_workspaces WHERE personal_of IS NOT NULL)";
    let homeless: i64 = raw.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(homeless, 0);
}

on_every_store! {
    /// ATK-SQL-04, ASVS-5.0-2.3.3
    async fn a_storm_of_use_cases_dropped_midway_leaves_everything_fitting_together(world: &World) {
        for seed in [1, 2] {
            let any = world.base.fork();
            let clock = Arc::new(ManualClock::at(later(LATER)));
            let stage = Stage::over(any.clone());
            stage.faulty().yield_at_each_call();
            let door = dashboard(stage, &clock, |builder| builder);
            let people = Arc::new(crate::people::People {
                mailbox: Arc::default(),
                ..(*world.people).clone()
            });
            let cases: Vec<Case> = all().into_iter().filter(|case| case.after == LATER).collect();
            let cases = Arc::new(cases);
            let plan = Storm { tasks: 120, rounds: 3, dropped_percent: 50, most_polls: 20, seed };
            let work = {
                let (door, people) = (door.clone(), Arc::clone(&people));
                move |number: u64| {
                    let (cases, door, people) = (Arc::clone(&cases), door.clone(), Arc::clone(&people));
                    async move {
                        // Stepping by a number that has no factor in common with the table goes through all of it.
                        let place = usize::try_from(number * 31 + seed).unwrap() % cases.len();
                        let rare = cases[place].slow || ENDS.contains(&cases[place].of);
                        let place = if rare && !number.is_multiple_of(8) { 0 } else { place };
                        ((cases[place].run)(door, people).await).map_err(|failed| failed.code)
                    }
                }
            };
            let aftermath = storm(&any, plan, work).await.unwrap();
            assert!(aftermath.dropped > 30, "{} dropped", aftermath.dropped);
            let done = aftermath.ended.iter().filter(|answer| answer.is_ok()).count();
            assert!(done > 40, "{done} done");
            for failed in aftermath.ended.iter().filter_map(|answer| answer.as_ref().err()) {
                assert!(
                    !failed.starts_with("store") && *failed != "internal" && *failed != "commit_unknown",
                    "{failed}"
                );
            }

            let mut seen = BTreeSet::new();
            accounts_fit_together(&any, &mut seen).await;
            assert!(seen.len() >= 6, "{seen:?}");
            tables_fit_together(&any);
            team_fits_together(&any, &people.team).await;

            // It still works, and what is owed is sent, the mails of dropped senders included.
            clock.advance(Duration::from_mins(10));
            let mailbox = Mailbox::default();
            while door.send_mail(&mailbox).await.unwrap().sent > 0 {}
            let look = Look::at(&any);
            assert_eq!(look.rows("outbox") + look.rows("mails"), 0);
            let signed_in = door.sign_in(&email("kay"), secret(PASSWORD), &crate::cases::many(9)).await;
            assert!(matches!(signed_in, Ok(SignIn::SecondFactorNeeded(_))), "{signed_in:?}");
        }
    }
}
