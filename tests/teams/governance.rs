//! Looking after keys: which end soon, which are of no use, whose care they are in, and how wide they may be.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::access::{AccessChange, ProjectRole, Question, Role, Scope};
use portcullis::api::Reason;
use portcullis::dashboard::{Expiry, KeyQuestion, KeyView, Member, NewKey, NewKeyKind, TeamError};
use portcullis::error::Coded;
use portcullis::id::KeyId;
use portcullis::ports::{Clock, EventKind, Message};
use portcullis::spend::Spender;
use portcullis::store::UsageSink;
use portcullis::store::record::{Action, KeyKind, UsageDelta};

use crate::stage::{Team, name, told};
use crate::world::{World, on_every_store};

const DAY: Duration = Duration::from_hours(24);

fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn ids(keys: &[KeyView]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

async fn ending(team: &Team, member: &Member, after: Duration) -> KeyId {
    let at = team.world.clock.now() + jiff::SignedDuration::try_from(after).unwrap();
    let new = NewKey { expiry: Expiry::At(at), ..team.new_key(NewKeyKind::Personal, &[]) };
    team.door().issue_key(member, &new).await.unwrap().key.id
}

async fn used(team: &Team, key: KeyId) {
    let delta = UsageDelta::requests(
        Spender::Key(key),
        team.project,
        "models.read".parse().unwrap(),
        (1, 0),
        team.world.clock.now(),
    );
    team.world.store.add_usage(&[delta]).await.unwrap();
}

on_every_store! {
    /// ASVS-5.0-6.4.5: the keys that end within a time are listed, those that end first in front; neither those that end
    /// later or never, nor those that are over or revoked
    async fn keys_that_end_soon_are_listed_in_their_order(world: World) {
        let team = Team::of(world).await;
        let (_, member) = team.member("member", Role::Developer).await;
        let soon = ending(&team, &team.at, 3 * DAY).await;
        let sooner = ending(&team, &member, DAY).await;
        ending(&team, &member, 8 * DAY).await;
        let on_the_day = ending(&team, &member, 7 * DAY).await;
        let gone = ending(&team, &member, 2 * DAY).await;
        let _ = team.door().revoke_key(&member, gone).await.unwrap();
        let never = NewKey { expiry: Expiry::Never, ..team.new_key(NewKeyKind::Service, &[]) };
        team.door().issue_key(&member, &never).await.unwrap();
        let ask = async |time| team.door().keys_to_review(&team.at, KeyQuestion::ExpiringWithin(time)).await.unwrap();
        assert_eq!(ids(&ask(7 * DAY).await), [sooner, soon, on_the_day]);
        assert_eq!(ids(&ask(Duration::from_hours(1)).await), []);
        assert_eq!(ask(Duration::MAX).await.len(), 4);
        team.world.pass(23 * Duration::from_hours(1));
        assert_eq!(ids(&ask(Duration::from_hours(1)).await), [sooner]);
        let boss = team.world.session_of(team.boss.account, &crate::stage::place(3)).await;
        let boss = team.door().enter(&boss, team.workspace).await.unwrap();
        team.world.pass(Duration::from_hours(1));
        let left = team.door().keys_to_review(&boss, KeyQuestion::ExpiringWithin(7 * DAY)).await.unwrap();
        assert_eq!(ids(&left)[..2], [soon, on_the_day], "what is over is not to be reviewed");
    }

    /// B11, ASVS-5.0-6.4.5: keys that were not used for a time, and are older than that, are listed, the longest unused
    /// first
    async fn keys_that_nobody_uses_are_listed(world: World) {
        let team = Team::of(world).await;
        let (never, early, late) =
            (team.personal_key(&team.at).await, team.personal_key(&team.at).await, team.personal_key(&team.at).await);
        used(&team, early.key.id).await;
        team.world.pass(Duration::from_hours(5));
        used(&team, late.key.id).await;
        let young = team.personal_key(&team.at).await;
        team.world.pass(Duration::from_hours(5));
        let ask = async |hours| {
            let question = KeyQuestion::UnusedFor(Duration::from_hours(hours));
            ids(&team.door().keys_to_review(&team.at, question).await.unwrap())
        };
        let mut first = vec![never.key.id, early.key.id];
        first.sort();
        assert_eq!(ask(6).await, first);
        let mut then = vec![late.key.id, young.key.id];
        then.sort();
        assert_eq!(ask(5).await, [first, then].concat());
        used(&team, never.key.id).await;
        assert_eq!(ask(6).await, [early.key.id]);
        assert_eq!(ask(11).await, []);
    }

    /// ASVS-5.0-8.2.2: a review is of the projects whose keys the member may list, and of no other workspace
    async fn a_review_covers_what_the_member_may_list(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let secret = door.create_project(&team.at, &name("Secret"), None).await.unwrap();
        let here = team.personal_key(&team.at).await.key.id;
        let new = NewKey { project: secret, ..team.new_key(NewKeyKind::Service, &[]) };
        let there = door.issue_key(&team.at, &new).await.unwrap().key.id;
        let (hand, member) = team.member("member", Role::Developer).await;
        let all = KeyQuestion::UnusedFor(Duration::ZERO);
        let seen = async |member: &Member| {
            ids(&door.keys_to_review(member, all).await.unwrap()).into_iter().collect::<BTreeSet<_>>()
        };
        assert_eq!(seen(&member).await, BTreeSet::from([here, there]));
        let _ = door.set_project_role(&team.at, hand.account, secret, Some(ProjectRole::None)).await.unwrap();
        assert_eq!(seen(&member).await, BTreeSet::from([here]));
        let (_, viewer) = team.member("viewer", Role::Viewer).await;
        assert_eq!(seen(&viewer).await, BTreeSet::new());
        let home = door.create_workspace(&hand.session, &name("Own")).await.unwrap();
        let home = door.enter(&hand.session, home).await.unwrap();
        assert_eq!(seen(&home).await, BTreeSet::new());
    }

    /// M18: a service key goes into the care of a member who could have issued it: given by its custodian or by who
    /// manages keys; the new one is told; a personal key is nobody's to give
    async fn a_service_key_is_in_the_care_of_who_could_have_issued_it(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (hand, member) = team.member("member", Role::Developer).await;
        let (heir, inherits) = team.member("heir", Role::Developer).await;
        let (viewer, _) = team.member("viewer", Role::Viewer).await;
        let (suspended, _) = team.member("suspended", Role::Developer).await;
        let _ = team.world.operator().suspend_account(suspended.account, "a test").await.unwrap();
        let stranger = team.world.hand("stranger").await;
        let key = team.service_key(&member).await.key.id;
        for account in [viewer.account, suspended.account, stranger.account] {
            for member in [&member, &team.at] {
                let refused = door.set_custodian(member, key, account).await.unwrap_err();
                assert!(matches!(refused, TeamError::BadSuccessor), "{refused:?}");
            }
        }
        assert_eq!(told(door.set_custodian(&inherits, key, heir.account).await), "role_lacks", "not theirs to take");
        let _ = door.set_custodian(&member, key, heir.account).await.unwrap();
        let view = door.key(&team.at, key).await.unwrap();
        assert_eq!(view.kind, KeyKind::Service(heir.account));
        assert_eq!(view.secrets[0].shown_to, hand.account, "who was shown the secret stays on the record");
        assert!(team.world.mail_to(&heir.email).await.iter().any(|mail| matches!(mail, Message::KeysHandedOver { .. })));
        assert_eq!(told(door.set_custodian(&member, key, hand.account).await), "role_lacks", "given is given");
        let _ = door.set_custodian(&team.at, key, hand.account).await.unwrap();
        let _ = door.set_custodian(&team.at, key, hand.account).await.unwrap();
        let log = team.world.audit_of_workspace(team.workspace).await;
        assert_eq!(log.iter().filter(|entry| entry.action == Action::CustodianChanged).count(), 2);
        let told_of = team.world.events(EventKind::KeyChanged);
        assert!(told_of.iter().any(|event| event.code == Some("custodian_changed") && event.key == Some(key)));
        let personal = team.personal_key(&member).await.key.id;
        assert_eq!(told(door.set_custodian(&team.at, personal, heir.account).await), "not_found");
    }

    /// ARCHITECTURE 6, M20: the ceiling holds for service keys that exist, at their next use and in both directions;
    /// personal keys do not mind it
    async fn the_ceiling_of_service_keys_is_live(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let wide = ["models.read", "completions.create"];
        let service = door.issue_key(&team.at, &team.new_key(NewKeyKind::Service, &wide)).await.unwrap();
        let personal = door.issue_key(&team.at, &team.new_key(NewKeyKind::Personal, &wide)).await.unwrap();
        let api = team.world.api();
        let works = async || {
            (
                api.refused_for(&service.text, "completions.create").await,
                api.refused_for(&service.text, "models.read").await,
                api.refused_for(&personal.text, "completions.create").await,
            )
        };
        assert_eq!(works().await, (None, None, None));
        let narrow = scopes(&["models.read"]);
        let foretold = door.dry_run(&team.at, &AccessChange::ServiceCeiling(Some(narrow.clone()))).await.unwrap();
        assert_eq!(foretold.keys.len(), 1);
        assert_eq!((foretold.keys[0].key, &foretold.keys[0].loses), (service.key.id, &scopes(&["completions.create"])));
        let _ = door.set_service_ceiling(&team.at, Some(&narrow)).await.unwrap();
        assert_eq!(works().await, (Some(Reason::ScopeBeyondCeiling), None, None));
        let beyond = door.issue_key(&team.at, &team.new_key(NewKeyKind::Service, &wide)).await.unwrap_err();
        assert_eq!(beyond.code(), "scopes_too_wide");
        let who = door.who_can(&team.at, &Question::Scope("completions.create".parse().unwrap()), Some(team.project)).await;
        assert_eq!(who.unwrap().keys.iter().map(|key| key.id).collect::<Vec<_>>(), [personal.key.id]);
        let _ = door.set_service_ceiling(&team.at, Some(&BTreeSet::new())).await.unwrap();
        assert_eq!(works().await, (Some(Reason::ScopeBeyondCeiling), Some(Reason::ScopeBeyondCeiling), None));
        let _ = door.set_service_ceiling(&team.at, None).await.unwrap();
        assert_eq!(works().await, (None, None, None));
        let unknown = door.set_service_ceiling(&team.at, Some(&scopes(&["models.write"]))).await.unwrap_err();
        assert!(matches!(unknown, TeamError::UnknownNames(_)), "{unknown:?}");
    }

    /// ATK-AUTHZ-02: a ceiling is lowered by who manages policies, and raised by who has what it adds, everywhere
    async fn a_ceiling_is_raised_only_by_who_has_what_it_adds(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let rights = ["policy.manage", "project.read"];
        let role = Role::Custom(team.role("Policies", &rights, &["models.read"]).await);
        let (_, member) = team.member("member", role).await;
        let one = scopes(&["models.read"]);
        let two = scopes(&["models.read", "files.delete"]);
        let _ = door.set_service_ceiling(&member, Some(&two)).await.unwrap();
        let _ = door.set_service_ceiling(&member, Some(&one)).await.unwrap();
        for ceiling in [Some(&two), None] {
            let refused = door.set_service_ceiling(&member, ceiling).await.unwrap_err();
            assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
        }
        let _ = door.set_service_ceiling(&member, Some(&BTreeSet::new())).await.unwrap();
        let _ = door.set_service_ceiling(&member, Some(&one)).await.unwrap();
        let _ = door.set_service_ceiling(&team.at, None).await.unwrap();
        let log = team.world.audit_of_workspace(team.workspace).await;
        let changes: Vec<_> = log.iter().filter(|entry| entry.action == Action::ServiceCeilingChanged).collect();
        assert_eq!(changes.len(), 5);
    }

    /// M18: who holds the key of an earlier maker: a custodian who was demoted can no longer give it away, and an
    /// administrator can
    async fn a_custodian_who_was_demoted_keeps_the_care_and_loses_the_say(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (hand, member) = team.member("member", Role::Developer).await;
        let (heir, _) = team.member("heir", Role::Developer).await;
        let key = team.service_key(&member).await.key.id;
        let _ = door.set_role(&team.at, hand.account, Role::Viewer).await.unwrap();
        assert_eq!(told(door.set_custodian(&member, key, heir.account).await), "role_lacks");
        let preview = door.preview_offboarding(&team.at, hand.account).await.unwrap();
        assert_eq!(preview.custodianships.iter().map(|key| key.id).collect::<Vec<_>>(), [key]);
        let _ = door.set_custodian(&team.at, key, heir.account).await.unwrap();
    }
}
