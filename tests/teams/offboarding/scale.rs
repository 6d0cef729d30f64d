//! One leaves; a thousand others notice nothing.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::dashboard::{Exposure, Member, Offboarding};
use portcullis::key::{KeyText, SecretId};
use portcullis::secret::ExposeSecret;
use portcullis::store::record::{Entry, Key, KeyKind, KeySecret};

use crate::stage::{CALLERS, Hand, Team, call, changed, race, times, told};
use crate::story::fresh;
use crate::world::{World, on_every_store};

const OTHERS: usize = 1_000;

struct Place {
    team: Team,
    others: Vec<Member>,
    /// The texts of their keys: one each, personal or service by turns.
    keys: Vec<KeyText>,
}

/// A workspace with a thousand people who have entered, each with a key.
async fn crowded(world: World) -> Place {
    let team = Team::of(world).await;
    let hands = team.world.crowd("other", OTHERS).await;
    team.world.join_all(team.workspace, &hands, Role::Developer).await;
    let now = portcullis::ports::Clock::now(&*team.world.clock);
    let live = team.world.format.environment("live").unwrap();
    let mut keys = Vec::with_capacity(OTHERS);
    team.world
        .write(async |tx| {
            let locked = tx.lock_workspace(team.workspace).await.unwrap().unwrap();
            for (number, Hand { account, session, .. }) in hands.iter().enumerate() {
                let (account, session) = (*account, session.id());
                let workspace = team.workspace;
                let entry = Entry { id: fresh(now), session, account, workspace, at: now, ended_at: None };
                assert!(tx.insert_entry(&locked, &entry).await.unwrap());
                let kind =
                    if number % 2 == 0 { KeyKind::Personal(account) } else { KeyKind::Service(account) };
                let key = Key {
                    id: fresh(now),
                    workspace,
                    project: team.project,
                    kind,
                    name: crate::stage::name("a key"),
                    environment: "live".to_owned(),
                    scopes: BTreeSet::from(["models.read".parse().unwrap()]),
                    expires_at: None,
                    allowlist: None,
                    rate_limit: None,
                    suspended: None,
                    suspended_by_operator: None,
                    revoked_at: None,
                    created_by: account,
                    created_at: now,
                };
                tx.insert_key(&locked, &key).await.unwrap();
                let id = SecretId::from_bits(1_000_000 + number as u64);
                let text = team.world.format.mint(&live, id, [number.to_be_bytes()[7]; 32]).unwrap();
                let secret = KeySecret {
                    id,
                    key: key.id,
                    digest: text.digest(),
                    shown_to: account,
                    created_at: now,
                    ends_at: None,
                };
                assert!(tx.insert_secret(&locked, &secret).await.unwrap());
                keys.push(text);
            }
        })
        .await;
    let mut others = Vec::with_capacity(OTHERS);
    for hand in &hands {
        others.push(team.door().enter(&hand.session, team.workspace).await.unwrap());
    }
    Place { team, others, keys }
}

on_every_store! {
    /// M24, B2: the leaver is out at once, everywhere; of a thousand others every session still enters by the same
    /// entry, and every key still authenticates without being looked up again; the leaver's other workspaces work on; and
    /// the preview said beforehand exactly what then happened
    async fn one_of_a_thousand_is_removed_and_nobody_else_notices(world: World) {
        let Place { team, others, keys } = crowded(world).await;
        let (door, api) = (team.door(), team.world.api());
        let (hand, leaver) = team.member("leaver", Role::Developer).await;
        // What the leaver has: keys of both kinds, some revoked already, a project role, a second session, invitations.
        let mut own = Vec::new();
        for _ in 0..5 {
            own.push(team.personal_key(&leaver).await);
        }
        let known = [team.service_key(&leaver).await, team.service_key(&leaver).await];
        let gone = team.personal_key(&leaver).await;
        let _ = door.revoke_key(&leaver, gone.key.id).await.unwrap();
        let second = team.world.session_of(hand.account, &crate::stage::place(9)).await;
        door.enter(&second, team.workspace).await.unwrap();
        // And elsewhere: a workspace of their own, with a key.
        let elsewhere = door.create_workspace(&hand.session, &crate::stage::name("Elsewhere")).await.unwrap();
        let there = door.enter(&hand.session, elsewhere).await.unwrap();
        let project = door.create_project(&there, &crate::stage::name("Main"), None).await.unwrap();
        let mut new = team.new_key(portcullis::dashboard::NewKeyKind::Personal, &["models.read"]);
        new.project = project;
        let other_key = door.issue_key(&there, &new).await.unwrap();

        for key in keys.iter().chain([&other_key.text]) {
            assert_eq!(api.refused(key).await, None);
        }
        let looked_up = api.resolved();
        assert_eq!(looked_up, OTHERS + 1);
        let before = team.world.rows(team.workspace).await;
        let rows_there = team.world.rows(elsewhere).await;
        let preview = door.preview_offboarding(&team.at, hand.account).await.unwrap();

        let plan = Offboarding {
            successor: Some(team.boss.account),
            default: Exposure::RotateNow,
            exposed: BTreeMap::new(),
        };
        let done = door.offboard(&team.at, hand.account, &plan).await.unwrap();

        // The leaver is out.
        assert_eq!(told(door.projects(&leaver).await), "not_found");
        for session in [&hand.session, &second] {
            assert_eq!(told(door.enter(session, team.workspace).await), "not_found");
        }
        for key in own.iter().chain([&gone]) {
            assert_eq!(api.refused(&key.text).await, Some(Reason::Revoked));
        }
        for key in &known {
            assert_eq!(api.refused(&key.text).await, Some(Reason::SecretEnded));
        }

        // Nobody else noticed.
        let looked_up = api.resolved();
        for key in keys.iter().chain([&other_key.text]) {
            assert_eq!(api.refused(key).await, None);
        }
        assert_eq!(api.resolved(), looked_up, "no key of anybody else was looked up again");
        for other in &others {
            let back = door.enter(other.session(), team.workspace).await.unwrap();
            assert_eq!(back.entry(), other.entry());
            assert_eq!(door.projects(other).await.unwrap().len(), 1);
        }
        // Not the person's other workspaces either.
        assert_eq!(team.world.rows(elsewhere).await, rows_there);
        assert_eq!(door.projects(&there).await.unwrap().len(), 1);

        // The preview was the whole of it.
        let after = team.world.rows(team.workspace).await;
        let mut foretold = BTreeSet::from([format!("gone: member {}", hand.account)]);
        foretold.extend(preview.entries.iter().map(|entry| format!("gone: entry {}", entry.id)));
        let custody = preview.custodianships.iter().map(|key| key.id);
        let revoked = preview.personal_keys.iter().map(|key| key.key.id);
        foretold.extend(custody.chain(revoked).map(|id| format!("changed: key {id}")));
        for key in &preview.exposed_keys {
            foretold.extend(key.secrets.iter().map(|id| format!("changed: secret {id}")));
            assert!(key.current);
        }
        let fresh = done.rotated.iter().map(|key| format!("new: secret {}", key.text.id()));
        foretold.extend(fresh);
        assert_eq!(changed(&before, &after), foretold);
        assert_eq!((preview.entries.len(), preview.personal_keys.len()), (2, own.len()));
        assert_eq!((preview.exposed_keys.len(), preview.custodianships.len()), (2, 2));
        assert_eq!(done.rotated.len(), 2);
        assert!(!preview.last_administrator && preview.role == Role::Developer);
    }

    /// M24: two hundred leave a place of a thousand at once; eight hundred notice nothing
    async fn two_hundred_leave_at_once_and_eight_hundred_notice_nothing(world: World) {
        let Place { team, others, keys } = crowded(world).await;
        let api = team.world.api();
        for key in &keys {
            assert_eq!(api.refused(key).await, None);
        }
        let (leavers, stayers) = others.split_at(CALLERS);
        let nodes = team.world.nodes();
        let plan = Offboarding { successor: Some(team.boss.account), ..Offboarding::default() };
        let calls = leavers.iter().enumerate().map(|(number, leaver)| {
            let (door, at, plan) = (nodes[number % 2].clone(), team.at.clone(), plan.clone());
            let leaver = leaver.clone();
            call(async move {
                if number % 3 == 0 {
                    told(door.leave(leaver.session(), leaver.workspace(), &plan).await)
                } else {
                    told(door.offboard(&at, leaver.account(), &plan).await)
                }
            })
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done"), CALLERS, "{answers:?}");
        // What the second node has committed reaches this one in the time that it trusts what it has heard.
        tokio::time::sleep(2 * portcullis::store::ChangeStream::trust(&team.world.store)).await;
        let looked_up = api.resolved();
        for (number, key) in keys.iter().enumerate().skip(CALLERS) {
            assert_eq!(api.refused(key).await, None, "{number}");
        }
        assert_eq!(api.resolved(), looked_up, "no key of anybody else was looked up again");
        for (number, key) in keys.iter().enumerate().take(CALLERS) {
            // A personal key is dead; a service key has its day.
            let expected = (number % 2 == 0).then_some(Reason::Revoked);
            assert_eq!(api.refused(key).await, expected, "{number}");
        }
        for stayer in stayers {
            assert_eq!(team.door().enter(stayer.session(), team.workspace).await.unwrap().entry(), stayer.entry());
        }
        assert_eq!(team.roles().await.len(), 1 + OTHERS - CALLERS);
        assert!(keys[0].expose_secret().starts_with("acme"));
    }
}
