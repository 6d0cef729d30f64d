//! The programs' door, through its public face, on every store.

#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

#[path = "api_door/flood.rs"]
mod flood;
#[path = "api_door/following.rs"]
mod following;
#[path = "api_door/sharing.rs"]
mod sharing;
#[path = "api_door/world.rs"]
mod world;

use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use portcullis::access::{ProjectRole, Role, RoleDefinition};
use portcullis::api::{Caller, Denied, LimitOf, Need, REMEMBERED_UNKNOWN, Reason, Suspended};
use portcullis::error::Coded;
use portcullis::id::{Id, RoleId};
use portcullis::key::{Allowlist, RateLimit};
use portcullis::ports::{Clock, ManualClock};
use portcullis::store::record::{AccountStatus, KeyKind, MemberSuspension, ProjectMembership};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use uuid::Uuid;
use world::{
    TRUST, World, bearer, key_id, now, on_every_store, owner, project_id, scopes, secret_record, send,
    suspension, workspace,
};

on_every_store! {
    /// RFC6750-2.1
    a_bearer_header_is_read_as_the_rfc_says;
    /// RFC6750-2#one-method
    two_authorization_headers_are_malformed;
    /// ATK-BRUTE-09, SP800-63B-4-4.4 (told to the operator alone; the one face goes before)
    all_keys_that_may_not_be_used_look_alike_and_the_operator_sees_why;
    /// ATK-KEY-15, SP800-63B-4-4.4
    a_key_is_refused_from_the_microsecond_it_expires;
    /// ATK-KEY-03
    the_older_secret_of_a_rotation_ends_when_its_overlap_does;
    /// ATK-KEY-05
    revoking_a_key_ends_both_secrets_of_a_rotation;
    /// ATK-KEY-06, ASVS-5.0-14.2.2
    a_revoked_key_is_refused_at_once_at_two_doors_and_leaves_their_caches;
    /// ATK-KEY-06
    a_change_made_elsewhere_takes_effect_within_the_trust;
    /// ATK-KEY-02, ASVS-5.0-8.3.2
    a_personal_key_is_worth_what_its_owner_may_do_now;
    /// ATK-KEY-02, ASVS-5.0-8.3.2
    a_service_key_is_worth_what_its_workspace_allows_now;
    /// ASVS-5.0-10.3.2
    a_valid_key_needs_the_scope_and_the_project_as_well;
    /// ASVS-5.0-13.2.2
    a_key_without_scopes_or_with_unknown_ones_may_do_nothing;
    /// ATK-KEY-07, ATK-KEY-08, ASVS-5.0-8.2.4
    the_allowlist_is_asked_at_every_call_about_the_address_handed_in;
    the_environment_in_the_text_must_be_the_keys;
    limits_hold_for_a_key_and_for_its_project_across_a_dropped_grant;
    /// ATK-DOS-02
    a_flood_of_unknown_keys_takes_bounded_room_and_drops_no_known_key;
    a_thousand_requests_for_one_missing_key_make_one_lookup;
    requests_for_one_known_key_share_a_lookup;
    a_grant_read_before_a_change_is_not_kept_after_it;
    a_request_does_not_share_a_lookup_that_began_before_it;
    without_the_change_stream_the_directory_is_asked_every_time;
    a_stream_that_stalls_is_given_up;
    requests_of_proven_keys_are_counted_and_others_are_not;
    refusals_raise_bounded_events_without_secrets_and_successes_none;
}

fn reason(answer: Result<Caller, Denied>) -> Reason {
    answer.map(|caller| panic!("{caller:?} was let in")).unwrap_err().reason()
}

async fn a_bearer_header_is_read_as_the_rfc_says(world: World) {
    let (key, door, need) = (world.key(1, |_| {}).await, world.door(), world.need("models.read"));
    let text = key.expose_secret();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert!(send(&door, &[&format!("{scheme} {text}")], None, need).await.is_ok(), "{scheme}");
    }
    for header in [
        String::new(),
        " ".to_owned(),
        format!(" Bearer {text}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer  {text}"),
        format!("Bearer\t{text}"),
        format!("Bearer {text} "),
        format!("Bearer {text},"),
        format!("Bearer {text}\n"),
        format!("Bearer {text} {text}"),
        format!("Bearer {text}, Bearer {text}"),
        "Bearer =".to_owned(),
        "Bearer a=b".to_owned(),
        "Bearer \u{e9}".to_owned(),
        "Be\u{e9}rer x".to_owned(),
    ] {
        let denied = send(&door, &[&header], None, need).await.unwrap_err();
        assert!(matches!(denied, Denied::Malformed(_)), "{header:?}: {denied:?}");
        assert_eq!((denied.face().status, denied.face().bearer_error), (400, Some("invalid_request")));
    }
    for headers in [&[] as &[&str], &["Basic YTpi"], &["Bearers x"], &[text]] {
        let denied = send(&door, headers, None, need).await.unwrap_err();
        assert!(matches!(denied, Denied::Missing), "{headers:?}: {denied:?}");
        assert_eq!((denied.face().status, denied.face().bearer_error), (401, None));
    }
    let padded = send(&door, &["Bearer some-other._~+/token=="], None, need).await.unwrap_err();
    assert!(matches!(padded, Denied::NotValid(_)), "a token, but no key: {padded:?}");
}

async fn two_authorization_headers_are_malformed(world: World) {
    let (key, door, need) = (world.key(1, |_| {}).await, world.door(), world.need("models.read"));
    let good = bearer(&key);
    for headers in [[good.as_str(), good.as_str()], [&good, "Basic YTpi"], ["", &good]] {
        let denied = send(&door, &headers, None, need).await.unwrap_err();
        assert!(matches!(denied, Denied::Malformed(_)), "{headers:?}: {denied:?}");
    }
}

async fn all_keys_that_may_not_be_used_look_alike_and_the_operator_sees_why(world: World) {
    let door = world.door();
    let mut faces = Vec::new();
    let mut check = |expected: Reason, denied: Denied| {
        assert_eq!(denied.reason(), expected);
        faces.push((denied.face(), denied.to_string(), denied.code()));
    };
    let revoked = world.key(1, |key| key.revoked_at = Some(now())).await;
    check(Reason::Revoked, world.call(&door, &revoked).await.unwrap_err());
    let expired = world.key(2, |key| key.expires_at = Some(now())).await;
    check(Reason::Expired, world.call(&door, &expired).await.unwrap_err());
    let suspended =
        world.key(3, |key| key.suspended = Some(MemberSuspension { since: now(), by: owner() })).await;
    check(Reason::Suspended(Suspended::Key), world.call(&door, &suspended).await.unwrap_err());
    let by_operator = world.key(5, |key| key.suspended_by_operator = Some(suspension())).await;
    check(Reason::Suspended(Suspended::KeyByOperator), world.call(&door, &by_operator).await.unwrap_err());
    let key = world.key(4, |_| {}).await;
    assert!(world.call(&door, &key).await.is_ok());
    world.edit_project(1, |project| project.suspended = Some(suspension())).await;
    check(Reason::Suspended(Suspended::Project), world.call(&door, &key).await.unwrap_err());
    world.edit_project(1, |_| {}).await;
    world.edit_workspace(|workspace| workspace.suspended = Some(suspension())).await;
    check(Reason::Suspended(Suspended::Workspace), world.call(&door, &key).await.unwrap_err());
    world.edit_workspace(|workspace| workspace.suspended = None).await;
    world.set_account(AccountStatus::Suspended(suspension())).await;
    check(Reason::OwnerSuspended, world.call(&door, &key).await.unwrap_err());
    world.set_account(AccountStatus::Active).await;
    assert!(world.call(&door, &key).await.is_ok());
    check(Reason::NoSuchSecret, world.call(&door, &world.text(99, "live")).await.unwrap_err());
    // The id of each of these with another secret: nobody learns that it expired or was revoked.
    for number in [1, 2, 3, 4, 5] {
        let environment = world.format.environment("live").unwrap();
        let id = portcullis::key::SecretId::from_bits(number);
        let wrong = world.format.mint(&environment, id, [0xEE; 32]).unwrap();
        check(Reason::DigestMismatch, world.call(&door, &wrong).await.unwrap_err());
    }
    let mut work = world.work().await;
    work.tx.delete_membership(&work.locked, owner()).await.unwrap();
    work.commit().await;
    check(Reason::OwnerGone, world.call(&door, &key).await.unwrap_err());
    let need = world.need("models.read");
    let garbled = send(&door, &["Bearer acme_live_000"], None, need).await.unwrap_err();
    assert!(matches!(garbled.reason(), Reason::MalformedKey(_)));
    let reason = garbled.reason();
    check(reason, garbled);
    let (first, rest) = faces.split_first().unwrap();
    assert_eq!(first.0.status, 401);
    assert!(rest.iter().all(|face| face == first), "{faces:?}");
}

async fn a_key_is_refused_from_the_microsecond_it_expires(world: World) {
    let end = now() + SignedDuration::new(5, 123_457_000);
    let (key, door) = (world.key(1, |key| key.expires_at = Some(end)).await, world.door());
    assert!(world.call(&door, &key).await.is_ok());
    let before = end - SignedDuration::from_micros(1);
    world.clock.set_wall(before);
    assert!(world.call(&door, &key).await.is_ok(), "warm");
    assert!(world.call(&world.door(), &key).await.is_ok(), "cold");
    for at in [end, end + SignedDuration::from_micros(1), Timestamp::MAX] {
        world.clock.set_wall(at);
        assert_eq!(reason(world.call(&door, &key).await), Reason::Expired, "warm");
        assert_eq!(reason(world.call(&world.door(), &key).await), Reason::Expired, "cold");
    }
}

/// Adds a second secret to key 1 and ends the first one at a moment.
async fn rotate(world: &World, ends_at: Timestamp) -> portcullis::key::KeyText {
    let text = world.text(101, "live");
    let mut work = world.work().await;
    assert!(work.tx.insert_secret(&work.locked, &secret_record(key_id(1), &text)).await.unwrap());
    let first = world.text(1, "live").id();
    assert!(work.tx.end_secret(&work.locked, first, ends_at).await.unwrap());
    work.commit().await;
    text
}

async fn the_older_secret_of_a_rotation_ends_when_its_overlap_does(world: World) {
    let (older, door) = (world.key(1, |_| {}).await, world.door());
    assert!(world.call(&door, &older).await.is_ok());
    let end = now() + SignedDuration::from_secs(60);
    let newer = rotate(&world, end).await;
    world.clock.set_wall(end - SignedDuration::from_micros(1));
    let (by_older, by_newer) =
        (world.call(&door, &older).await.unwrap(), world.call(&door, &newer).await.unwrap());
    assert_eq!(by_older.key(), by_newer.key());
    assert_ne!(by_older.secret(), by_newer.secret());
    world.clock.set_wall(end);
    assert_eq!(reason(world.call(&door, &older).await), Reason::SecretEnded);
    assert!(world.call(&door, &newer).await.is_ok());
}

async fn revoking_a_key_ends_both_secrets_of_a_rotation(world: World) {
    let (older, door) = (world.key(1, |_| {}).await, world.door());
    let newer = rotate(&world, now() + SignedDuration::from_secs(60)).await;
    assert!(world.call(&door, &older).await.is_ok() && world.call(&door, &newer).await.is_ok());
    world.revoke(1).await;
    assert_eq!(reason(world.call(&door, &older).await), Reason::Revoked);
    assert_eq!(reason(world.call(&door, &newer).await), Reason::Revoked);
}

async fn a_revoked_key_is_refused_at_once_at_two_doors_and_leaves_their_caches(world: World) {
    let doors = [world.door(), world.door()];
    let (key, other) = (world.key(1, |_| {}).await, world.key(2, |_| {}).await);
    for door in &doors {
        assert!(world.call(door, &key).await.is_ok() && world.call(door, &other).await.is_ok());
        assert_eq!(door.gauges().cached, 2);
    }
    let resolved = world.seam.resolved();
    assert!(world.call(&doors[0], &key).await.is_ok());
    assert_eq!(world.seam.resolved(), resolved, "it was warm");
    world.revoke(1).await;
    for door in &doors {
        // Any request finds out; the grant is gone before anybody asks for it again.
        assert!(world.call(door, &other).await.is_ok());
        assert_eq!(door.gauges().cached, 1);
        assert_eq!(reason(world.call(door, &key).await), Reason::Revoked);
    }
}

async fn a_change_made_elsewhere_takes_effect_within_the_trust(world: World) {
    world.seam.is_elsewhere();
    let (key, door) = (world.key(1, |_| {}).await, world.door());
    assert!(world.call(&door, &key).await.is_ok());
    world.revoke(1).await;
    world.clock.advance(TRUST.checked_sub(Duration::from_micros(1)).unwrap());
    assert!(world.call(&door, &key).await.is_ok(), "or the lease is not what is tested here");
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(reason(world.call(&door, &key).await), Reason::Revoked);
}

async fn a_personal_key_is_worth_what_its_owner_may_do_now(world: World) {
    let (key, doors) = (world.key(1, |_| {}).await, [world.door(), world.door()]);
    let create = world.need("completions.create");
    let read = world.need("models.read");
    for door in &doors {
        let caller = world.call_for(door, &key, create).await.unwrap();
        assert_eq!(
            (caller.owner(), caller.project(), caller.workspace()),
            (Some(owner()), project_id(1), workspace())
        );
        let denied = world.call_for(door, &key, world.need("files.delete")).await;
        assert_eq!(reason(denied), Reason::ScopeBeyondRole, "the key has it, a Developer has not");
    }
    world.set_role(Role::Viewer).await;
    for door in &doors {
        assert_eq!(reason(world.call_for(door, &key, create).await), Reason::ScopeBeyondRole);
        assert!(world.call_for(door, &key, read).await.is_ok());
    }
    world.set_role(Role::Admin).await;
    for door in &doors {
        assert!(
            world.call_for(door, &key, world.need("files.delete")).await.is_ok(),
            "promotion counts, too"
        );
    }
    // A custom role, then its definition narrowed, then gone.
    let mut role = RoleDefinition {
        id: RoleId::from_uuid(Uuid::from_u128(7)),
        name: "Reader".to_owned(),
        permissions: [].into(),
        scopes: scopes(&["models.read", "completions.create"]),
    };
    for (names, may_create) in
        [(&["models.read", "completions.create"] as &[_], true), (&["models.read"], false)]
    {
        role.scopes = scopes(names);
        let mut work = world.work().await;
        work.tx.put_role(&work.locked, &role).await.unwrap();
        work.commit().await;
        world.set_role(Role::Custom(role.id)).await;
        for door in &doors {
            assert!(world.call_for(door, &key, read).await.is_ok());
            assert_eq!(world.call_for(door, &key, create).await.is_ok(), may_create);
        }
    }
    // The project's word replaces the workspace's.
    let mut work = world.work().await;
    let none = ProjectMembership {
        workspace: workspace(),
        project: project_id(1),
        account: owner(),
        role: ProjectRole::None,
    };
    work.tx.put_project_membership(&work.locked, &none).await.unwrap();
    work.commit().await;
    for door in &doors {
        assert_eq!(reason(world.call_for(door, &key, read).await), Reason::ScopeBeyondRole);
    }
    let mut work = world.work().await;
    work.tx.delete_membership(&work.locked, owner()).await.unwrap();
    work.commit().await;
    for door in &doors {
        assert_eq!(reason(world.call_for(door, &key, read).await), Reason::OwnerGone);
    }
}

async fn a_service_key_is_worth_what_its_workspace_allows_now(world: World) {
    let (key, door) = (world.key(1, |key| key.kind = KeyKind::Service(owner())).await, world.door());
    let delete = world.need("files.delete");
    assert_eq!(world.call_for(&door, &key, delete).await.unwrap().owner(), None);
    world.edit_workspace(|workspace| workspace.service_ceiling = Some(scopes(&["models.read"]))).await;
    assert_eq!(reason(world.call_for(&door, &key, delete).await), Reason::ScopeBeyondCeiling);
    assert!(world.call(&door, &key).await.is_ok());
    world.edit_workspace(|workspace| workspace.service_ceiling = Some(scopes(&[]))).await;
    assert_eq!(reason(world.call(&door, &key).await), Reason::ScopeBeyondCeiling);
    // It outlives its custodian.
    world.edit_workspace(|workspace| workspace.service_ceiling = None).await;
    world.set_account(AccountStatus::Suspended(suspension())).await;
    assert!(world.call_for(&door, &key, delete).await.is_ok());
}

async fn a_valid_key_needs_the_scope_and_the_project_as_well(world: World) {
    let (key, door) = (world.key(1, |key| key.scopes = scopes(&["models.read"])).await, world.door());
    let denied = world.call_for(&door, &key, world.need("completions.create")).await.unwrap_err();
    assert_eq!(denied.reason(), Reason::ScopeNotHeld);
    let face = denied.face();
    assert_eq!(
        (face.status, face.code, face.bearer_error),
        (403, "insufficient_scope", Some("insufficient_scope"))
    );
    assert_eq!(face.scope, Some("completions.create".parse().unwrap()));
    let read = world.need("models.read");
    let caller = world.call_for(&door, &key, read.in_project(project_id(1))).await.unwrap();
    assert!(caller.may(world.catalogue.scope_bit(&"models.read".parse().unwrap()).unwrap()));
    assert!(!caller.may(world.catalogue.scope_bit(&"files.delete".parse().unwrap()).unwrap()));
    let elsewhere = world.call_for(&door, &key, read.in_project(project_id(2))).await.unwrap_err();
    assert_eq!((elsewhere.reason(), elsewhere.face().status), (Reason::OtherProject, 404));
    let unmapped = world.call_for(&door, &key, Need::UNMAPPED).await.unwrap_err();
    assert_eq!((unmapped.reason(), unmapped.face().status), (Reason::EndpointUnmapped, 403));
}

async fn a_key_without_scopes_or_with_unknown_ones_may_do_nothing(world: World) {
    let door = world.door();
    for (number, names) in [(1, &[] as &[&str]), (2, &["models.write", "models"])] {
        let key = world.key(number, |key| key.scopes = scopes(names)).await;
        for scope in ["models.read", "completions.create", "files.delete"] {
            assert_eq!(reason(world.call_for(&door, &key, world.need(scope)).await), Reason::ScopeNotHeld);
        }
    }
}

async fn the_allowlist_is_asked_at_every_call_about_the_address_handed_in(world: World) {
    let list = |entries: &[&str]| Some(Allowlist::parse(entries).unwrap());
    let key = world.key(1, |key| key.allowlist = list(&["192.0.2.0/24", "2001:db8::/32"])).await;
    let door = world.door();
    for address in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
        assert!(world.call_from(&door, &key, address).await.is_ok(), "{address}");
    }
    for address in ["192.0.3.7", "::ffff:192.0.3.7", "::192.0.2.7", "64:ff9b::192.0.2.7", "2001:db9::1"] {
        let denied = world.call_from(&door, &key, address).await.unwrap_err();
        assert_eq!(denied.reason(), Reason::AddressNotAllowed, "{address}");
        let face = denied.face();
        assert_eq!((face.status, face.code, face.bearer_error), (403, "address_not_allowed", None));
    }
    assert_eq!(reason(world.call(&door, &key).await), Reason::AddressNotAllowed, "from nowhere known");
    // Who does not know the secret does not learn of the list.
    let environment = world.format.environment("live").unwrap();
    let wrong = world.format.mint(&environment, key.id(), [9; 32]).unwrap();
    assert_eq!(reason(world.call_from(&door, &wrong, "192.0.3.7").await), Reason::DigestMismatch);
    world.edit_key(1, |key| key.allowlist = list(&["192.0.2.8"])).await;
    assert_eq!(
        reason(world.call_from(&door, &key, "192.0.2.7").await),
        Reason::AddressNotAllowed,
        "narrowed"
    );
    assert!(world.call_from(&door, &key, "192.0.2.8").await.is_ok());
}

async fn the_environment_in_the_text_must_be_the_keys(world: World) {
    let (key, door) = (world.key(1, |_| {}).await, world.door());
    let relabelled = world.text(1, "test");
    assert_eq!(relabelled.digest(), key.digest(), "or this tests nothing");
    assert_eq!(reason(world.call(&door, &relabelled).await), Reason::WrongEnvironment);
    assert!(world.call(&door, &key).await.is_ok());
    let unknown = world.key(2, |key| "test".clone_into(&mut key.environment)).await;
    world.edit_key(2, |key| "gone".clone_into(&mut key.environment)).await;
    assert_eq!(reason(world.call(&door, &unknown).await), Reason::WrongEnvironment);
}

async fn limits_hold_for_a_key_and_for_its_project_across_a_dropped_grant(world: World) {
    let limited = world.key(1, |key| key.rate_limit = Some(RateLimit::new(2, 10).unwrap())).await;
    let (second, third) = (world.key(2, |_| {}).await, world.key(3, |_| {}).await);
    world.edit_project(1, |project| project.rate_limit = Some(RateLimit::new(4, 10).unwrap())).await;
    let door = world.door();
    let throttled = |answer: Result<Caller, Denied>| match answer {
        Err(Denied::Throttled(why)) => (why.by, why.retry_after),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(world.call_for(&door, &limited, world.need("files.delete")).await),
        Reason::ScopeBeyondRole
    );
    assert!(world.call(&door, &limited).await.is_ok() && world.call(&door, &limited).await.is_ok());
    let wait = Duration::from_secs(5);
    assert_eq!(throttled(world.call(&door, &limited).await), (LimitOf::Key, wait));
    // What is dropped and read again is as used up as before.
    world.edit_key(1, |key| key.scopes = scopes(&["models.read"])).await;
    let denied = world.call(&door, &limited).await;
    assert_eq!(denied.as_ref().unwrap_err().face().retry_after, Some(5));
    assert_eq!(throttled(denied), (LimitOf::Key, wait));
    // Its refused requests used up nothing of the project's: two more fit, of any key.
    assert!(world.call(&door, &second).await.is_ok() && world.call(&door, &third).await.is_ok());
    assert_eq!(throttled(world.call(&door, &second).await), (LimitOf::Project, Duration::from_millis(2_500)));
    assert!(
        world.call(&world.door(), &second).await.is_ok(),
        "another process counts for itself, as documented"
    );
    world.clock.advance(Duration::from_secs(5));
    assert!(world.call(&door, &limited).await.is_ok());
}

async fn a_flood_of_unknown_keys_takes_bounded_room_and_drops_no_known_key(world: World) {
    let (key, door) = (world.key(1, |_| {}).await, world.door());
    assert!(world.call(&door, &key).await.is_ok());
    let world = Arc::new(world);
    for from in (1_000..6_000).step_by(200) {
        let calls = (from..from + 200).map(|number| {
            let (world, door) = (Arc::clone(&world), Arc::clone(&door));
            async move { reason(world.call(&door, &world.text(number, "live")).await) }
        });
        let reasons = calls.collect::<JoinSet<_>>().join_all().await;
        assert!(reasons.iter().all(|reason| *reason == Reason::NoSuchSecret), "{reasons:?}");
    }
    let gauges = door.gauges();
    assert_eq!((gauges.cached, gauges.unknown, gauges.lookups), (1, REMEMBERED_UNKNOWN, 0));
    let resolved = world.seam.resolved();
    assert!(world.call(&door, &key).await.is_ok());
    assert_eq!(world.seam.resolved(), resolved, "the known key is still warm");
    assert!(world.events.all().len() <= 100 && gauges.events_suppressed >= 4_900);
}

async fn a_thousand_requests_for_one_missing_key_make_one_lookup(world: World) {
    let (door, world) = (world.door(), Arc::new(world));
    world.key(1, |_| {}).await;
    let missing = Arc::new(world.text(50, "live"));
    world.seam.slow.store(true, SeqCst);
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let (world, door, missing) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&missing));
            tokio::spawn(async move { reason(world.call(&door, &missing).await) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Reason::NoSuchSecret);
    }
    assert_eq!((world.seam.resolved(), door.gauges().lookups), (1, 0));
    // And once there is such a key, it works at once.
    let made = world.key(50, |_| {}).await;
    assert!(world.call(&door, &made).await.is_ok());
}

async fn requests_for_one_known_key_share_a_lookup(world: World) {
    let (key, door, world) = (Arc::new(world.key(1, |_| {}).await), world.door(), Arc::new(world));
    world.seam.slow.store(true, SeqCst);
    // Without the stream, too: then two lookups at most, since nobody shares one that began before.
    for (polls_fail, most) in [(false, 1), (true, 2)] {
        world.seam.polls_fail.store(polls_fail, SeqCst);
        world.clock.advance(TRUST);
        let (resolved, door) =
            (world.seam.resolved(), if polls_fail { Arc::clone(&door) } else { world.door() });
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let (world, door, key) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&key));
                tokio::spawn(async move { world.call(&door, &key).await.is_ok() })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap());
        }
        let made = world.seam.resolved() - resolved;
        assert!((1..=most).contains(&made), "{made} lookups");
    }
}

async fn a_grant_read_before_a_change_is_not_kept_after_it(world: World) {
    let (key, other) = (Arc::new(world.key(1, |_| {}).await), world.key(2, |_| {}).await);
    let (door, world) = (world.door(), Arc::new(world));
    assert!(world.call(&door, &other).await.is_ok());
    let (has_read, go_on) = world.seam.hold_next();
    let slow = tokio::spawn({
        let (world, door, key) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&key));
        async move { world.call(&door, &key).await }
    });
    has_read.await.unwrap();
    world.revoke(1).await;
    // Another request polls and applies the revocation while the first still holds what it read.
    assert!(world.call(&door, &other).await.is_ok());
    go_on.send(()).unwrap();
    assert!(slow.await.unwrap().is_ok(), "it came before the revocation");
    assert_eq!(door.gauges().cached, 1, "and is not kept");
    assert_eq!(reason(world.call(&door, &key).await), Reason::Revoked);
}

async fn a_request_does_not_share_a_lookup_that_began_before_it(world: World) {
    let (key, door, world) = (Arc::new(world.key(1, |_| {}).await), world.door(), Arc::new(world));
    let (has_read, go_on) = world.seam.hold_next();
    let call = || {
        let (world, door, key) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&key));
        tokio::spawn(async move { world.call(&door, &key).await })
    };
    let before = call();
    has_read.await.unwrap();
    world.revoke(1).await;
    let after = call();
    // Until it waits for its turn (it has polled by then).
    while world.seam.polls.load(SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    go_on.send(()).unwrap();
    assert!(before.await.unwrap().is_ok());
    assert_eq!(reason(after.await.unwrap()), Reason::Revoked);
}

async fn without_the_change_stream_the_directory_is_asked_every_time(world: World) {
    let (key, door) = (world.key(1, |_| {}).await, world.door());
    assert!(world.call(&door, &key).await.is_ok());
    world.clock.advance(TRUST);
    world.seam.polls_fail.store(true, SeqCst);
    let resolved = world.seam.resolved();
    for _ in 0..3 {
        assert!(world.call(&door, &key).await.is_ok());
    }
    assert_eq!(world.seam.resolved(), resolved + 3);
    world.revoke(1).await;
    assert_eq!(reason(world.call(&door, &key).await), Reason::Revoked);
    world.seam.resolves_fail.store(true, SeqCst);
    let denied = world.call(&door, &key).await.unwrap_err();
    assert_eq!((denied.reason(), denied.face().status), (Reason::Unavailable, 503));
    world.seam.resolves_fail.store(false, SeqCst);
    world.seam.polls_fail.store(false, SeqCst);
    world.edit_key(1, |key| key.revoked_at = None).await;
    world.clock.advance(TRUST);
    assert!(world.call(&door, &key).await.is_ok());
    let resolved = world.seam.resolved();
    assert!(world.call(&door, &key).await.is_ok());
    assert_eq!(world.seam.resolved(), resolved, "it has caught up");
}

async fn a_stream_that_stalls_is_given_up(world: World) {
    let (key, door) = (world.key(1, |_| {}).await, world.door());
    assert!(world.call(&door, &key).await.is_ok());
    world.clock.advance(TRUST);
    world.seam.polls_hang.store(true, SeqCst);
    world.revoke(1).await;
    let polls = world.seam.polls.load(SeqCst);
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(10), world.call(&door, &key)).await;
        assert_eq!(reason(answer.unwrap()), Reason::Revoked);
    }
    assert_eq!(world.seam.polls.load(SeqCst), polls + 1, "one request in each time of trust waits for it");
}

async fn requests_of_proven_keys_are_counted_and_others_are_not(world: World) {
    let key = world.key(1, |_| {}).await;
    let door = world.builder().usage(world.seam.clone()).build();
    let usage = Arc::clone(door.usage().unwrap());
    for scope in ["models.read", "models.read", "completions.create", "files.delete"] {
        let _ = world.call_for(&door, &key, world.need(scope)).await;
    }
    let environment = world.format.environment("live").unwrap();
    let wrong = world.format.mint(&environment, key.id(), [9; 32]).unwrap();
    assert!(world.call(&door, &wrong).await.is_err());
    assert!(world.call(&door, &world.text(99, "live")).await.is_err());
    assert_eq!(usage.flush().await.unwrap(), 3);
    let mut tx = world.store.begin_read().await.unwrap();
    let counted = tx.usage_of(key_id(1)).await.unwrap();
    assert_eq!((counted.allowed, counted.refused), (3, 1));
    assert_eq!((counted.last_allowed_at, counted.last_refused_at), (Some(now()), Some(now())));
}

async fn refusals_raise_bounded_events_without_secrets_and_successes_none(world: World) {
    let key = world.key(1, |_| {}).await;
    let door = world.builder().events_per_second(3).build();
    assert!(world.call(&door, &key).await.is_ok());
    assert!(world.events.all().is_empty());
    world.revoke(1).await;
    assert!(world.call_from(&door, &key, "192.0.2.7").await.is_err());
    let event = world.events.all().remove(0);
    assert_eq!(
        (event.code, event.key, event.workspace),
        (Some("revoked"), Some(key_id(1)), Some(workspace()))
    );
    assert_eq!(event.source.address(), Some("192.0.2.7".parse().unwrap()));
    let written = serde_json::to_string(&event).unwrap();
    assert!(!written.contains(&key.expose_secret()[21..]), "{written}");
    for _ in 0..5 {
        assert!(world.call(&door, &key).await.is_err());
    }
    assert_eq!((world.events.codes().len(), door.gauges().events_suppressed), (3, 3));
    world.clock.advance(Duration::from_secs(1));
    assert!(world.call(&door, &key).await.is_err());
    assert_eq!(world.events.codes().len(), 4, "a second later there is room again");
}

/// The doors of two processes on one file: two handles that know nothing of each other's commits.
///
/// ATK-KEY-06
#[tokio::test]
async fn a_revocation_through_another_handle_of_the_file_takes_effect_within_the_trust() {
    use portcullis::store::sql::{SqliteOptions, SqliteStore};

    let world = World::sqlite().await;
    let file = world.folder.as_ref().unwrap().path().join("door.db");
    let other = SqliteStore::open(file, SqliteOptions::new().trust(TRUST)).unwrap();
    a_revocation_is_heard_of(&world, other).await;
}

/// The same of two processes on one schema. ATK-KEY-06
#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_revocation_through_another_handle_of_the_schema_takes_effect_within_the_trust() {
    let world = World::postgres().await;
    let other = world.schema.as_ref().unwrap().open_with(world::pg::options().trust(TRUST));
    a_revocation_is_heard_of(&world, other).await;
}

async fn a_revocation_is_heard_of<S>(world: &World, other: S)
where
    S: portcullis::store::KeyDirectory + portcullis::store::ChangeStream + Clone,
{
    let key = world.key(1, |_| {}).await;
    let clock = Arc::new(ManualClock::at(now()));
    let door = portcullis::api::ApiDoor::builder(
        other.clone(),
        other,
        Arc::clone(&world.catalogue),
        Arc::clone(&world.format),
    )
    .clock(Arc::clone(&clock) as Arc<dyn Clock>)
    .build();
    assert!(world.call(&door, &key).await.is_ok());
    world.revoke(1).await;
    clock.advance(TRUST);
    assert_eq!(reason(world.call(&door, &key).await), Reason::Revoked);
}

/// A full cache keeps to its capacity, and what falls out is read again.
///
/// ATK-DOS-02
#[tokio::test]
async fn the_cache_keeps_to_its_capacity() {
    let world = World::memory().await;
    let door = world.builder().cache_capacity(64).build();
    let mut keys = Vec::new();
    for number in 0..=200 {
        keys.push(world.key(number, |_| {}).await);
    }
    for key in keys.iter().chain(&keys) {
        assert!(world.call(&door, key).await.is_ok());
        assert!(door.gauges().cached <= door.gauges().cache_capacity);
    }
    assert_eq!(door.gauges().cache_capacity, 64);
}
