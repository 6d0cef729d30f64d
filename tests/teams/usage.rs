//! What was used, as each role may see it; what keys carry and do not need.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::access::{ProjectRole, Role, Scope};
use portcullis::api::Reason;
use portcullis::dashboard::{Expiry, Member, NewKey, NewKeyKind, UsagePage};
use portcullis::id::{Id, KeyId, ProjectId};
use portcullis::money::{Cost, Credits};
use portcullis::name::UsageLabel;
use portcullis::ports::{Clock, EventKind};
use portcullis::spend::Spender;
use portcullis::store::record::{Action, UsageCounts, UsageDelta};
use portcullis::store::{
    Store, UsageCursor, UsagePoint, UsageQuery, UsageSeries, UsageSink, UsageSplit, UsageStep,
};
use portcullis::usage::{UsageRecorder, Work};

use crate::stage::{Team, name, told};
use crate::world::{World, on_every_store};

const HOUR: Duration = Duration::from_hours(1);

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| scope(name)).collect()
}

fn label(text: &str) -> UsageLabel {
    text.parse().unwrap()
}

impl Team {
    fn hours_ago(&self, hours: i64) -> Timestamp {
        self.world.clock.now() - SignedDuration::from_hours(hours)
    }

    /// All of the last days.
    fn days(&self, project: ProjectId, days: i64) -> UsageQuery {
        let (from, to) = (self.hours_ago(days * 24), self.hours_ago(-1));
        UsageQuery::new(project, from, to, UsageStep::Day).unwrap()
    }

    async fn asked(&self, key: KeyId, name: &str, counts: (u64, u64), hours_ago: i64) {
        let at = self.hours_ago(hours_ago);
        let delta = UsageDelta::requests(Spender::Key(key), self.project, scope(name), counts, at);
        self.world.store.add_usage(&[delta]).await.unwrap();
    }

    async fn see(&self, member: &Member, query: &UsageQuery) -> Vec<UsagePoint> {
        self.door().usage(member, query, None, 1_000).await.unwrap().points
    }
}

fn sum(points: &[UsagePoint]) -> UsageCounts {
    let mut sum = UsageCounts::default();
    for point in points {
        sum.add(&point.counts);
    }
    sum
}

on_every_store! {
    /// M23, B3: what the door counted and what the work used is there after a flush, by project, key, label and time
    async fn usage_is_seen_by_project_key_label_and_time(world: World) {
        let team = Team::of(world).await;
        let (one, two) = (team.personal_key(&team.at).await.key.id, team.service_key(&team.at).await.key.id);
        let recorder = Arc::new(UsageRecorder::new(team.world.store.clone(), 100));
        let (read, play) = (scope("models.read"), Spender::Member(team.boss.account));
        for (spender, label, hours) in [
            (Spender::Key(one), label("large"), 30),
            (Spender::Key(one), label("small"), 1),
            (Spender::Key(two), label("small"), 0),
            (play, label("small"), 0),
        ] {
            let at = team.hours_ago(hours);
            recorder.record(spender, team.project, &read, true, at);
            let cost = Cost::new(Credits::from_millionths(250)).unwrap();
            let work = Work { spender, project: team.project, scope: &read, label: &label, units: 40, cost };
            recorder.record_work(&work, at);
        }
        assert_eq!(team.see(&team.at, &team.days(team.project, 3)).await, [], "nothing before a flush");
        recorder.flush().await.unwrap();

        let all = team.see(&team.at, &team.days(team.project, 3)).await;
        let four = UsageCounts { allowed: 4, refused: 0, units: 160, cost: Credits::from_millionths(1_000) };
        assert_eq!(sum(&all), four);
        assert_eq!(all.len(), 2, "two days");
        assert!(all.iter().all(|point| point.series == UsageSeries::All));
        let of_one = team.days(team.project, 3).of_spender(Spender::Key(one)).split(UsageSplit::Label);
        let seen: Vec<_> = team.see(&team.at, &of_one).await.into_iter().map(|point| (point.series, point.counts.units)).collect();
        let series = |text| UsageSeries::Label(label(text));
        // Requests carry no label: at the door nobody knows what the work will be.
        assert_eq!(seen, [(series(""), 0), (series(""), 0), (series("large"), 40), (series("small"), 40)]);
        let by_spender = team.days(team.project, 3).of_label(label("small")).split(UsageSplit::Spender);
        let mut expected = vec![Spender::Key(one), Spender::Key(two), play];
        expected.sort();
        let seen: Vec<_> = team.see(&team.at, &by_spender).await.into_iter().map(|point| point.series).collect();
        assert_eq!(seen, expected.into_iter().map(UsageSeries::Spender).collect::<Vec<_>>());
        let now = team.world.clock.now();
        let hour = UsageQuery::new(team.project, now - SignedDuration::from_mins(1), now, UsageStep::Hour).unwrap();
        assert!(sum(&team.see(&team.at, &hour).await).allowed <= 3);
    }

    /// M23, B3: pages are stable and none is left out
    async fn usage_comes_in_pages(world: World) {
        let team = Team::of(world).await;
        let key = team.personal_key(&team.at).await.key.id;
        for hours in 0..40 {
            team.asked(key, "models.read", (1, 0), hours).await;
        }
        let now = team.world.clock.now();
        let query = UsageQuery::new(team.project, now - SignedDuration::from_hours(48), now + HOUR, UsageStep::Hour);
        let query = query.unwrap().split(UsageSplit::Spender);
        let (mut points, mut next, mut pages): (Vec<UsagePoint>, Option<UsageCursor>, usize) = (Vec::new(), None, 0);
        loop {
            let page = team.door().usage(&team.at, &query, next.as_ref(), 7).await.unwrap();
            let UsagePage { points: found, next: then, .. } = page;
            points.extend(found);
            pages += 1;
            match then {
                // As it comes back from a client.
                Some(cursor) => next = Some(cursor.to_string().parse().unwrap()),
                None => break,
            }
        }
        assert_eq!((points.len(), pages), (40, 6));
        assert!(points.is_sorted_by(|a, b| a.at < b.at));
        assert_eq!(team.door().usage(&team.at, &query, None, 0).await.unwrap().points.len(), 1);
    }

    /// M23, ASVS-5.0-8.2.2: usage is seen as the role in the project allows, whatever has become of the key, and never of
    /// another project or workspace
    async fn usage_is_seen_as_the_role_in_the_project_allows(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let key = team.personal_key(&team.at).await.key.id;
        team.asked(key, "models.read", (5, 0), 0).await;
        let (hand, viewer) = team.member("viewer", Role::Viewer).await;
        let query = team.days(team.project, 2);
        assert_eq!(sum(&team.see(&viewer, &query).await).allowed, 5);
        let _ = door.revoke_key(&team.at, key).await.unwrap();
        assert_eq!(sum(&team.see(&viewer, &query).await).allowed, 5);
        let _ = door.set_project_role(&team.at, hand.account, team.project, Some(ProjectRole::None)).await.unwrap();
        assert_eq!(told(door.usage(&viewer, &query, None, 9).await), "not_found");
        let blind = Role::Custom(team.role("Blind", &["project.read", "keys.read"], &[]).await);
        let _ = door.set_project_role(&team.at, hand.account, team.project, Some(ProjectRole::Is(blind))).await.unwrap();
        assert_eq!(told(door.usage(&viewer, &query, None, 9).await), "project_role_lacks");

        let other = door.create_project(&team.at, &name("Other"), None).await.unwrap();
        let there = team.days(other, 2).of_spender(Spender::Key(key));
        assert_eq!(team.see(&team.at, &there).await, []);
        let stranger = team.world.hand("stranger").await;
        let home = door.create_workspace(&stranger.session, &name("Own")).await.unwrap();
        let home = door.enter(&stranger.session, home).await.unwrap();
        assert_eq!(told(door.usage(&home, &query, None, 9).await), "not_found");
        let _ = door.archive_project(&team.at, team.project).await.unwrap();
        assert_eq!(sum(&team.see(&team.at, &query).await).allowed, 5, "an archived project is looked at");
    }

    /// M29: where a project requires a second factor of whoever sees its keys, nobody without one sees them in its usage
    async fn usage_names_no_key_of_a_project_that_requires_a_second_factor(world: World) {
        let team = Team::of(world).await;
        let key = team.personal_key(&team.at).await.key.id;
        team.asked(key, "models.read", (1, 0), 0).await;
        team.world
            .write(async |tx| {
                let locked = tx.lock_workspace(team.workspace).await.unwrap().unwrap();
                let mut project = tx.project(team.project).await.unwrap().unwrap();
                project.require_second_factor = true;
                assert!(tx.update_project(&locked, &project).await.unwrap());
            })
            .await;
        let query = team.days(team.project, 2);
        let ask = async |query: UsageQuery| told(team.door().usage(&team.at, &query, None, 9).await);
        assert_eq!(ask(query.clone()).await, "done");
        assert_eq!(ask(query.clone().split(UsageSplit::Label)).await, "done");
        assert_eq!(ask(query.clone().split(UsageSplit::Spender)).await, "enrolment_needed");
        assert_eq!(ask(query.of_spender(Spender::Key(key))).await, "enrolment_needed");
        assert_eq!(team.door().unused_scopes(&team.at, Duration::ZERO).await.unwrap(), []);
        assert_eq!(told(team.door().least_scopes(&team.at, key, HOUR).await), "enrolment_needed");
    }

    /// B3: hours beyond the retention are not shown, and are swept; what a key has done in all stays
    async fn old_usage_is_hidden_and_swept_and_totals_stay(world: World) {
        let team = Team::of(world).await;
        let world = team.world.with(|builder| builder.usage_retention(Duration::from_hours(48)).unwrap());
        let team = Team { world, ..team };
        let key = team.personal_key(&team.at).await.key.id;
        let rows = 2_100;
        let deltas: Vec<_> = (0..rows).map(|number| {
            let at = team.hours_ago(24 * 5);
            let spender = Spender::Key(KeyId::from_uuid(uuid::Uuid::from_u128(number)));
            UsageDelta::requests(spender, team.project, scope("models.read"), (1, 0), at)
        }).collect();
        team.world.store.add_usage(&deltas).await.unwrap();
        team.asked(key, "models.read", (7, 0), 24 * 5).await;
        team.asked(key, "models.read", (2, 0), 1).await;
        let query = team.days(team.project, 9);
        assert_eq!(sum(&team.see(&team.at, &query).await).allowed, 2, "hidden before it is swept");
        assert_eq!(sum(&team.see(&team.at, &query.clone().split(UsageSplit::Spender)).await).allowed, 2);
        let first = team.door().sweep().await.unwrap();
        assert!(first.more);
        let mut swept = first.rows;
        while team.door().sweep().await.map(|round| { swept += round.rows; round.more }).unwrap() {}
        // A bucket of each key, and one row of the rollup.
        assert!(swept >= u32::try_from(rows).unwrap() + 2, "{swept}");
        let mut read = team.world.store.begin_read().await.unwrap();
        let left = read.usage_series(&query, None, 99).await.unwrap();
        assert_eq!(sum(&left).allowed, 2);
        assert_eq!(team.door().key(&team.at, key).await.unwrap().requests, 9);
        assert_eq!(team.door().sweep().await.unwrap().rows, 0);
    }

    /// B3: flushes of many nodes at once lose nothing, and the rollup is the sum of its buckets
    async fn flushes_of_many_nodes_at_once_add_up(world: World) {
        let team = Arc::new(Team::of(world.roomy()).await);
        let keys = [team.personal_key(&team.at).await.key.id, team.service_key(&team.at).await.key.id];
        let now = team.world.clock.now();
        let tasks: Vec<_> = (0..20).map(|node: usize| {
            let team = Arc::clone(&team);
            tokio::spawn(async move {
                let recorder = UsageRecorder::new(team.world.store.clone(), 100);
                for request in 0..50 {
                    recorder.record(Spender::Key(keys[(node + request) % 2]), team.project, &scope("models.read"), request % 5 > 0, now);
                    if request % 10 == 9 {
                        recorder.flush().await.unwrap();
                    }
                }
                assert_eq!((recorder.pending(), recorder.lost()), (0, 0));
            })
        }).collect();
        for task in tasks {
            task.await.unwrap();
        }
        for split in [UsageSplit::Nothing, UsageSplit::Spender, UsageSplit::Scope] {
            let seen = sum(&team.see(&team.at, &team.days(team.project, 2).split(split)).await);
            assert_eq!((seen.allowed, seen.refused), (800, 200), "{split:?}");
        }
        let views = [team.door().key(&team.at, keys[0]).await.unwrap(), team.door().key(&team.at, keys[1]).await.unwrap()];
        assert_eq!((views[0].requests + views[1].requests, views[0].refusals + views[1].refusals), (800, 200));
    }

    /// B11: scopes that a live key did not use for a time are listed; of a young key nothing is said
    async fn scopes_that_nobody_uses_are_listed(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let wide = team.new_key(NewKeyKind::Service, &["models.read", "completions.create", "files.delete"]);
        let key = door.issue_key(&team.at, &wide).await.unwrap().key.id;
        let narrow = team.personal_key(&team.at).await.key.id;
        let revoked = door.issue_key(&team.at, &wide).await.unwrap().key.id;
        let _ = door.revoke_key(&team.at, revoked).await.unwrap();
        let ending = NewKey { expiry: Expiry::At(team.hours_ago(-2)), ..wide.clone() };
        door.issue_key(&team.at, &ending).await.unwrap();
        let (hand, blind) = team.member("blind", Role::Developer).await;
        let _ = door.set_project_role(&team.at, hand.account, team.project, Some(ProjectRole::None)).await.unwrap();
        let (_, member) = team.member("member", Role::Developer).await;
        team.world.pass(10 * HOUR);
        door.issue_key(&team.at, &wide).await.unwrap();
        team.asked(key, "models.read", (1, 0), 1).await;
        team.asked(key, "completions.create", (3, 0), 9).await;
        // Trying in vain is no use.
        team.asked(key, "files.delete", (0, 4), 1).await;
        team.asked(narrow, "models.read", (1, 0), 0).await;
        let ask = async |member: &Member, hours| {
            let unused = door.unused_scopes(member, hours * HOUR).await.unwrap();
            unused.into_iter().map(|unused| (unused.key, unused.scopes, unused.of)).collect::<Vec<_>>()
        };
        assert_eq!(ask(&team.at, 5).await, [(key, scopes(&["completions.create", "files.delete"]), 3)]);
        assert_eq!(ask(&team.at, 10).await, [(key, scopes(&["files.delete"]), 3)]);
        assert_eq!(ask(&team.at, 11).await, [], "no key is that old");
        assert_eq!(ask(&member, 10).await.len(), 1);
        assert_eq!(ask(&blind, 10).await, [], "only of projects whose keys the member may list");
    }

    /// B11: the least scopes are those that were used in time, and are ready to apply; the key then does just that
    async fn the_least_scopes_of_a_key_are_worked_out_and_applied(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let wide = team.new_key(NewKeyKind::Service, &["models.read", "completions.create", "files.delete"]);
        let issued = door.issue_key(&team.at, &wide).await.unwrap();
        let key = issued.key.id;
        let api = team.world.api();
        let works = async |name: &str| api.refused_for(&issued.text, name).await;
        assert_eq!(works("completions.create").await, None);
        let least = door.least_scopes(&team.at, key, HOUR).await.unwrap();
        assert!(least.young && least.needed.is_empty() && least.last_used_at.is_none(), "{least:?}");
        assert_eq!(least.since, least.since.max(issued.key.created_at));

        team.world.pass(10 * HOUR);
        team.asked(key, "models.read", (1, 0), 1).await;
        team.asked(key, "completions.create", (3, 0), 9).await;
        team.asked(key, "files.delete", (0, 4), 1).await;
        let least = door.least_scopes(&team.at, key, 5 * HOUR).await.unwrap();
        assert_eq!((&least.needed, least.young), (&scopes(&["models.read"]), false));
        assert_eq!((least.present, least.last_used_at), (wide.scopes.clone(), Some(team.hours_ago(1))));
        let least = door.least_scopes(&team.at, key, 30 * 24 * HOUR).await.unwrap();
        assert_eq!((&least.needed, least.young), (&scopes(&["completions.create", "models.read"]), true));

        let _ = door.narrow_key(&team.at, key, &least.needed).await.unwrap();
        assert_eq!(works("completions.create").await, None);
        assert_eq!(works("files.delete").await, Some(Reason::ScopeNotHeld));
        assert_eq!(door.key(&team.at, key).await.unwrap().scopes, least.needed);
        assert_eq!(told(door.narrow_key(&team.at, key, &wide.scopes).await), "scopes_not_carried");
        // As it is, it is no change.
        let _ = door.narrow_key(&team.at, key, &least.needed).await.unwrap();
        let log = team.world.audit_of_workspace(team.workspace).await;
        let narrowed: Vec<_> = log.iter().filter(|entry| entry.action == Action::KeyNarrowed).collect();
        assert_eq!(narrowed.len(), 1);
        let after = serde_json::json!({ "scopes": ["completions.create", "models.read"] });
        assert_eq!(narrowed[0].after, Some(after));
        let events = team.world.events(EventKind::KeyChanged);
        assert!(events.iter().any(|event| event.code == Some("narrowed") && event.key == Some(key)));
    }

    /// B11: a key is narrowed by its owner or by who manages keys, and a revoked one by nobody
    async fn a_key_is_narrowed_by_its_owner_or_by_who_manages_keys(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (_, member) = team.member("member", Role::Developer).await;
        let (_, other) = team.member("other", Role::Developer).await;
        let none = BTreeSet::new();
        let (mine, ours) = (team.personal_key(&member).await.key.id, team.service_key(&member).await.key.id);
        assert_eq!(told(door.narrow_key(&other, mine, &none).await), "role_lacks");
        assert_eq!(told(door.narrow_key(&member, ours, &none).await), "role_lacks");
        assert_eq!(told(door.narrow_key(&member, mine, &none).await), "done");
        assert_eq!(told(door.narrow_key(&team.at, ours, &none).await), "done");
        let _ = door.revoke_key(&team.at, ours).await.unwrap();
        assert_eq!(told(door.narrow_key(&team.at, ours, &none).await), "key_revoked");
    }

    /// B11: a key that is only ever refused is an unused key
    async fn a_key_that_is_only_refused_is_unused(world: World) {
        use portcullis::dashboard::KeyQuestion;

        let team = Team::of(world).await;
        let key = team.personal_key(&team.at).await.key.id;
        team.world.pass(10 * HOUR);
        team.asked(key, "models.read", (0, 9), 0).await;
        let seen = team.door().keys_to_review(&team.at, KeyQuestion::UnusedFor(5 * HOUR)).await.unwrap();
        assert_eq!(seen.iter().map(|key| key.id).collect::<Vec<_>>(), [key]);
        assert_eq!((seen[0].requests, seen[0].last_used_at), (0, None));
        assert_eq!((seen[0].refusals, seen[0].last_refused_at), (9, Some(team.hours_ago(0))));
        team.asked(key, "models.read", (1, 0), 0).await;
        assert!(team.door().keys_to_review(&team.at, KeyQuestion::UnusedFor(5 * HOUR)).await.unwrap().is_empty());
    }
}
