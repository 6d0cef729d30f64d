//! What a deleted account leaves behind: ids that name nobody, and chains that are whole.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::Role;
use portcullis::audit::{ChainId, Checkpoint, CheckpointKey, Report, verify};
use portcullis::dashboard::{Activity, AuditPage, NewInvitation, Operator};
use portcullis::secret::{ChangeEmailToken, VerifyEmailToken};
use portcullis::source::Source;
use portcullis::store::AuditFilter;
use portcullis::store::record::RecoveryKind;

use crate::stage::Team;
use crate::world::{AnyStore, PASSWORD, Person, World, email, on_every_store, password, source};

/// What can only have come from the person: addresses, networks, a client.
const FIRST: &str = "zoe.first@zebra.example";
const SECOND: &str = "zoe.second@zebra.example";
const WISHED: &str = "zoe.wished@zebra.example";
const TRACES: &[&str] = &["zebra", "203.0.113.77"];

fn from_zebra() -> Source {
    Source::from_address("203.0.113.77".parse().unwrap()).with_user_agent("zebra-browser/9.1")
}

/// Everything that the store holds, as text.
fn dump(world: &World) -> String {
    match &world.store {
        AnyStore::Memory(store) => {
            // Each row as its `Debug` shows it: an address is masked there, so this looks at the rest.
            store.shown().into_iter().flat_map(|(_, rows)| rows).collect::<Vec<_>>().join("\n")
        }
        AnyStore::Sqlite(_) => {
            let folder = world.folder.as_ref().unwrap().path();
            let raw = rusqlite::Connection::open(folder.join("test.db")).unwrap();
            raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            let mut bytes = Vec::new();
            for file in std::fs::read_dir(folder).unwrap() {
                bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        #[cfg(feature = "postgres")]
        AnyStore::Postgres(_, schema) => String::from_utf8_lossy(&schema.bytes()).into_owned(),
    }
}

/// The traces of the person that stand in a text.
fn traces(text: &str) -> BTreeSet<&'static str> {
    TRACES.iter().copied().filter(|trace| text.contains(trace)).collect()
}

/// Zoe signed up from her own network, was invited by the boss, changed her address, and asked for another.
async fn zoe(team: &Team) -> Person {
    let (world, door) = (&team.world, team.door());
    let first = email(FIRST);
    door.sign_up(&first, password(PASSWORD), &from_zebra()).await.unwrap();
    let link = VerifyEmailToken::parse(&world.mailed_token(&first).await).unwrap();
    let signed_in = door.verify_email(&link, password(PASSWORD), &from_zebra()).await.unwrap();
    let session = door.session(signed_in.token(), Activity::Person, &from_zebra()).await.unwrap();
    let zoe = Person { email: first.clone(), signed_in, session };
    let (_, token) = team.invite(&first, Role::Developer).await;
    door.accept_invitation(&zoe.session, &token).await.unwrap();
    let there = door.enter(&zoe.session, team.workspace).await.unwrap();
    team.personal_key(&there).await;

    let second = email(SECOND);
    door.request_email_change(&zoe.session, &second).await.unwrap();
    let link = ChangeEmailToken::parse(&world.mailed_token(&second).await).unwrap();
    door.confirm_email_change(&zoe.session, &link).await.unwrap();
    // An invitation that waits, to the new address; a recovery that was begun; a change that was not confirmed.
    let elsewhere = world.hand("elsewhere").await;
    let other = door.create_workspace(&elsewhere.session, &crate::stage::name("Other")).await.unwrap();
    let other = door.enter(&elsewhere.session, other).await.unwrap();
    let new = NewInvitation { email: second.clone(), role: Role::Viewer, projects: BTreeMap::new() };
    door.invite(&other, &new).await.unwrap();
    let kind = RecoveryKind::Email(email(WISHED));
    world.operator().open_recovery(zoe.session.account(), &kind, "she called").await.unwrap();
    door.request_email_change(&zoe.session, &email(WISHED)).await.unwrap();
    world.send_all().await;
    zoe
}

async fn export(operator: &Operator, chain: ChainId) -> String {
    let export = operator.export_audit(chain, 0, 1_000).await.unwrap();
    assert_eq!(export.next, None);
    export.lines
}

async fn whole(operator: &Operator, chain: ChainId, checkpoints: &[Checkpoint]) -> Report {
    let report = verify(chain, export(operator, chain).await.lines(), checkpoints);
    assert_eq!(report.finding, None, "{chain}");
    assert_eq!(report.unsealed, 0);
    report
}

fn shown(pages: &[AuditPage]) -> String {
    serde_json::to_string(pages).unwrap()
}

on_every_store! {
    /// M24, SP800-63B-4-4.1#record: after the deletion nothing in the database, in the exports and in what anybody is
    /// shown names the person; the chains are whole up to checkpoints from before it, and each report lists the values
    /// that were erased
    async fn a_deleted_account_leaves_nothing_that_names_the_person(world: World) {
        let team = Team::of(world).await;
        let zoe = zoe(&team).await;
        let (world, operator) = (&team.world, team.world.operator());
        let chains = [ChainId::Accounts, ChainId::Workspace(team.workspace)];
        let key = CheckpointKey::new(1, [3; 32]);
        while world.dashboard.seal_audit().await.unwrap().more {}
        let mut checkpoints = Vec::new();
        for chain in chains {
            let text = operator.audit_checkpoint(chain, &key).await.unwrap();
            checkpoints.push(Checkpoint::open(&text, std::slice::from_ref(&key)).unwrap());
        }
        // Before it, all of that is there to be found.
        let mut logs = String::new();
        for chain in chains {
            logs += &export(&operator, chain).await;
        }
        assert_eq!(traces(&logs).len(), TRACES.len());
        assert!(logs.contains(FIRST) && logs.contains(SECOND) && logs.contains(WISHED));
        assert!(!traces(&dump(world)).is_empty());

        let _ = world.dashboard.delete_account(&zoe.session, &BTreeMap::new()).await.unwrap();
        world.send_all().await;
        while world.dashboard.seal_audit().await.unwrap().more {}

        let found: Vec<String> = dump(world)
            .match_indices("zebra")
            .map(|(at, _)| at.to_string())
            .collect();
        assert_eq!(found, Vec::<String>::new(), "the database names the person");
        assert_eq!(traces(&dump(world)), BTreeSet::new());
        let mut pages = Vec::new();
        for chain in chains {
            let lines = export(&operator, chain).await;
            assert_eq!(traces(&lines), BTreeSet::new(), "the export of {chain} names the person");
            pages.push(operator.audit_log(chain, &AuditFilter::default(), 1_000).await.unwrap());
        }
        pages.push(world.dashboard.audit_log(&team.at, &AuditFilter::default(), 1_000).await.unwrap());
        assert_eq!(traces(&shown(&pages)), BTreeSet::new());

        // What was there can still be told to have been there, and the rest is untouched.
        let log = &pages[2];
        let invited = log.entries.iter().find(|entry| entry.action == "member.invited").unwrap();
        assert_eq!(invited.personal["invited.email"], None);
        assert!(invited.personal["source.address"].is_some(), "the boss's own stays");
        for (chain, about) in chains.into_iter().zip(["after.email", "invited.email"]) {
            let report = whole(&operator, chain, &checkpoints).await;
            assert_eq!(report.checkpoints, 1, "{chain}");
            assert_eq!(report.erased_values, report.erased.len() as u64);
            assert!(report.erased.iter().any(|value| value.field == about), "{:?}", report.erased);
            let erased_of_boss = pages[2].entries.iter().filter(|entry| {
                entry.actor == portcullis::store::record::Actor::Account(team.boss.account)
                    && entry.personal.get("source.address") == Some(&None)
            });
            assert_eq!(erased_of_boss.count(), 0);
        }
    }

    /// Only the person's own values go: of two who were invited, changed addresses and came from one network, the other
    /// one's stay
    async fn erasing_one_person_leaves_anothers_values(world: World) {
        let team = Team::of(world).await;
        let zoe = zoe(&team).await;
        let (bob, token) = (email("bob@yak.example"), team.invite(&email("bob@yak.example"), Role::Viewer).await.1);
        let signed_in =
            team.door().sign_up_with_invitation(&token, password(PASSWORD), &from_zebra()).await.unwrap();
        let bob = team.world.signed_in(bob, signed_in).await;
        let _ = team.world.dashboard.delete_account(&zoe.session, &BTreeMap::new()).await.unwrap();
        let log = team.world.dashboard.audit_log(&team.at, &AuditFilter::default(), 1_000).await.unwrap();
        let by_bob = |entry: &&portcullis::dashboard::AuditView| {
            entry.actor == portcullis::store::record::Actor::Account(bob.session.account())
        };
        let values: Vec<_> = log.entries.iter().filter(by_bob).flat_map(|entry| entry.personal.values()).collect();
        assert!(!values.is_empty() && values.iter().all(|value| value.is_some()), "{values:?}");
        let invited = log.entries.iter().filter_map(|entry| entry.personal.get("invited.email"));
        let left: Vec<_> = invited.flatten().collect();
        assert_eq!(left, ["bob@yak.example"]);
        assert_ne!(source(), from_zebra());
    }
}
