//! Making and minding keys from the dashboard.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::access::{Role, Scope};
use portcullis::dashboard::{
    Activity, Dashboard, Expiry, IssuedKey, KeyError, MAX_OVERLAP, Member, NewKey, NewKeyKind, Operator,
    Rotation, WorkspaceError,
};
use portcullis::id::OperationId;
use portcullis::key::{Allowlist, KeyFormat, RateLimit, SecretId};
use portcullis::ports::{Clock, EventKind};
use portcullis::secret::{ExposeSecret, SealingKey, SealingKeys};
use portcullis::store::KeyDirectory;
use portcullis::store::record::{Action, KeyKind};

use crate::story::{fresh, proof};
use crate::world::{BASE, OTHER_PASSWORD, PASSWORD, World, came_from, on_every_store, password, source};

const HOUR: Duration = Duration::from_hours(1);

impl World {
    async fn issue(&self, member: &Member, scopes: &[&str]) -> IssuedKey {
        self.dashboard.issue_key(member, &self.new_key(member, scopes).await).await.unwrap()
    }

    /// Whether the API door would find this secret and take it now, as far as its own end goes.
    async fn finds(&self, id: SecretId) -> bool {
        let grant = self.store.resolve(&[id]).await.unwrap().remove(0);
        grant.is_some_and(|grant| {
            grant.key.revoked_at.is_none() && grant.secret.ends_at.is_none_or(|end| self.clock.now() < end)
        })
    }
}

fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn denied<T: std::fmt::Debug>(answer: &Result<T, KeyError>) -> bool {
    matches!(answer, Err(KeyError::Workspace(WorkspaceError::Denied(_))))
}

on_every_store! {
    /// ASVS-5.0-14.2.6, ASVS-5.0-15.3.1, M16: the text is shown once; what is shown ever after is a hint, and no digest
    async fn a_key_is_shown_once_and_hinted_at_ever_after(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &["models.read"]).await;
        let text = issued.text.expose_secret().to_owned();
        assert_eq!(world.format.parse(text.as_bytes()).unwrap().digest(), issued.text.digest());

        let page = world.dashboard.keys(&home, issued.key.project, None, 10).await.unwrap();
        assert_eq!(page.keys, [world.dashboard.key(&home, issued.key.id).await.unwrap()]);
        assert_eq!(page.keys[0], issued.key);
        let shown = serde_json::to_value(&page).unwrap();
        let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let key = &shown["keys"][0];
        let expected = [
            "account", "allowlist", "created_at", "created_by", "environment", "expires_at", "id", "kind",
            "last_refused_at", "last_used_at", "name", "project", "rate_limit", "refusals", "requests",
            "revoked_at", "scopes", "secrets", "suspended_at", "suspended_by_operator_at",
        ];
        assert_eq!(fields(key), expected.map(String::from).into());
        let expected = ["created_at", "ends_at", "hint", "id", "shown_to"];
        assert_eq!(fields(&key["secrets"][0]), expected.map(String::from).into());

        let hint = issued.key.secrets[0].hint.trim_end_matches('…').to_owned();
        assert!(text.starts_with(&hint));
        let secret_part = &text[hint.len()..];
        let digest = issued.text.digest();
        let shown = format!("{shown} {page:?} {issued:?} {digest:?}");
        for at in 0..secret_part.len() - 6 {
            assert!(!shown.contains(&secret_part[at..at + 6]), "{at}");
        }
    }

    /// ASVS-5.0-13.2.2, ATK-KEY-01 (on the dashboard), M16: no scope beyond the maker's role, no unknown scope; a
    /// key without scopes is one
    async fn a_key_gets_no_scope_that_its_maker_may_not_give(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (_, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let wide = world.new_key(&his, &["models.read", "files.delete"]).await;
        let answer = world.dashboard.issue_key(&his, &wide).await;
        let Err(KeyError::ScopesTooWide(beyond)) = answer else { panic!("{answer:?}") };
        assert_eq!(beyond, scopes(&["files.delete"]));
        assert!(world.dashboard.issue_key(&hers, &wide).await.is_ok());

        for unknown in ["models.write", "models", "models.read.all"] {
            let new = world.new_key(&hers, &["models.read", unknown]).await;
            let answer = world.dashboard.issue_key(&hers, &new).await;
            assert!(matches!(answer, Err(KeyError::UnknownScope(name)) if name.as_str() == unknown));
        }
        assert!(world.issue(&his, &[]).await.key.scopes.is_empty());
        assert_eq!(world.key_rows(&hers).await.len(), 2);
    }

    /// ASVS-5.0-13.2.1, ASVS-5.0-1.4.2: 90 days when nobody says, never only when asked for, never in the past,
    /// whatever the number
    async fn a_key_ends_in_ninety_days_unless_told_otherwise(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let now = world.clock.now();
        let ninety = now + SignedDuration::from_hours(24 * 90);
        assert_eq!(Expiry::default(), Expiry::Default);
        let just_after = now + SignedDuration::from_micros(1);
        let kept = [
            (Expiry::Default, Some(ninety)),
            (Expiry::Never, None),
            (Expiry::At(just_after), Some(just_after)),
            (Expiry::At(just_after + SignedDuration::from_nanos(999)), Some(just_after)),
            // The last moment that reads back from a number of microseconds.
            (Expiry::At(Timestamp::MAX), Timestamp::from_second(Timestamp::MAX.as_second()).ok()),
        ];
        for (expiry, end) in kept {
            let new = NewKey { expiry, ..world.new_key(&home, &[]).await };
            let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
            assert_eq!(issued.key.expires_at, end, "{expiry:?}");
            assert_eq!(world.dashboard.key(&home, issued.key.id).await.unwrap().expires_at, end);
        }
        let sub = now + SignedDuration::from_nanos(999);
        for past in [now, sub, now - Duration::from_micros(1), Timestamp::UNIX_EPOCH, Timestamp::MIN] {
            let new = NewKey { expiry: Expiry::At(past), ..world.new_key(&home, &[]).await };
            let answer = world.dashboard.issue_key(&home, &new).await;
            assert!(matches!(answer, Err(KeyError::ExpiryNotInFuture)), "{past}");
        }
        let trail = world.audit_of_workspace(home.workspace()).await;
        let never: Vec<_> = trail
            .iter()
            .filter(|entry| entry.action == Action::KeyIssued)
            .map(|entry| entry.after.as_ref().unwrap()["never_expires"].as_bool().unwrap())
            .collect();
        assert_eq!(never.iter().filter(|never| **never).count(), 1);
    }

    /// M16: what was asked for is what is kept
    async fn a_key_keeps_what_it_was_made_with(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let allowlist = Allowlist::parse(&["192.0.2.0/24", "2001:db8::/32"]).unwrap();
        let new = NewKey {
            name: "Nightly build".parse().unwrap(),
            environment: "test".to_owned(),
            allowlist: Some(allowlist.clone()),
            rate_limit: Some(RateLimit::new(10, 60).unwrap()),
            ..world.new_key(&home, &["models.read"]).await
        };
        let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
        assert!(issued.text.expose_secret().starts_with("acme_test_"));
        let grant = world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap();
        assert_eq!(grant.key.allowlist, Some(allowlist));
        assert_eq!(grant.key.rate_limit, new.rate_limit);
        assert_eq!(grant.key.scopes, new.scopes);
        assert_eq!(grant.key.kind, KeyKind::Personal(ann.session.account()));
        assert_eq!((issued.key.name, issued.key.environment), (new.name.clone(), new.environment.clone()));
        for environment in ["prod", "", "LIVE", "live "] {
            let new = NewKey { environment: environment.to_owned(), ..new.clone() };
            let answer = world.dashboard.issue_key(&home, &new).await;
            assert!(matches!(answer, Err(KeyError::UnknownEnvironment)), "{environment}");
        }
    }

    /// ATK-DOS-02: so that the API door knows them from made-up ones.
    async fn every_new_secret_bears_the_mark_of_the_service(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &["models.read"]).await;
        let key = issued.key.id;
        let rotated = world.dashboard.rotate_key(&home, key, Rotation::AtOnce, None).await.unwrap();
        for text in [issued.text, rotated.text] {
            assert!(world.format.is_marked(text.id()));
        }
    }

    /// M18: rotated at once, the former secret is found no more, and the key is the same key
    async fn a_key_rotated_at_once_has_one_secret(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &["models.read"]).await;
        world.pass(HOUR);
        let rotated = world.dashboard.rotate_key(&home, issued.key.id, Rotation::AtOnce, None).await.unwrap();
        assert_eq!(rotated.key.id, issued.key.id);
        assert_eq!(rotated.key.expires_at, issued.key.expires_at);
        assert_ne!(rotated.text.id(), issued.text.id());
        assert!(!world.finds(issued.text.id()).await && world.finds(rotated.text.id()).await);
        // An overlap that was under way ends with it.
        let overlapped = Rotation::Overlap(HOUR);
        let next = world.dashboard.rotate_key(&home, issued.key.id, overlapped, None).await.unwrap();
        let last = world.dashboard.rotate_key(&home, issued.key.id, Rotation::AtOnce, None).await.unwrap();
        assert_eq!(last.key.secrets.len(), 1);
        for gone in [rotated.text.id(), next.text.id()] {
            assert!(!world.finds(gone).await);
        }
    }

    /// ATK-KEY-03: the former secret works to the end of the overlap and no longer, and rotating again never
    /// lengthens it
    async fn an_overlap_ends_when_it_was_said_to(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let first = world.issue(&home, &[]).await;
        let began = world.clock.now();
        let rotate = async |rotation| world.dashboard.rotate_key(&home, first.key.id, rotation, None).await;
        let second = rotate(Rotation::Overlap(HOUR)).await.unwrap();
        let ends_at = second.key.secrets.iter().find(|secret| secret.id == first.text.id()).unwrap().ends_at;
        assert_eq!(ends_at, Some(began + HOUR));
        world.pass(HOUR - Duration::from_micros(1));
        assert!(world.finds(first.text.id()).await);
        world.pass(Duration::from_micros(1));
        assert!(!world.finds(first.text.id()).await && world.finds(second.text.id()).await);

        // Again within the overlap: the one on its way out goes at once.
        let third = rotate(Rotation::Overlap(HOUR)).await.unwrap();
        world.pass(HOUR / 2);
        let fourth = rotate(Rotation::Overlap(MAX_OVERLAP)).await.unwrap();
        assert!(!world.finds(second.text.id()).await);
        assert!(world.finds(third.text.id()).await && world.finds(fourth.text.id()).await);

        for bad in [Duration::ZERO, MAX_OVERLAP + Duration::from_nanos(1), Duration::MAX] {
            assert!(matches!(rotate(Rotation::Overlap(bad)).await, Err(KeyError::BadOverlap)), "{bad:?}");
        }
        assert!(world.finds(third.text.id()).await);
    }

    /// ATK-KEY-04: never more than two secrets, however often a key is rotated
    async fn ten_rotations_leave_two_secrets(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &[]).await;
        let mut made = vec![issued.text.id()];
        for _ in 0..10 {
            let overlap = Rotation::Overlap(MAX_OVERLAP);
            let rotated = world.dashboard.rotate_key(&home, issued.key.id, overlap, None).await.unwrap();
            made.push(rotated.text.id());
            assert_eq!(rotated.key.secrets.len(), 2);
        }
        for (at, id) in made.iter().enumerate() {
            assert_eq!(world.finds(*id).await, at >= made.len() - 2, "{at}");
        }
    }

    /// ATK-KEY-05: revoked during an overlap, both secrets die, for good
    async fn revoking_during_an_overlap_kills_both_secrets(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &[]).await;
        let id = issued.key.id;
        let rotated = world.dashboard.rotate_key(&home, id, Rotation::Overlap(HOUR), None).await.unwrap();
        let _ = world.dashboard.revoke_key(&home, id).await.unwrap();
        let revoked = world.dashboard.key(&home, id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(world.clock.now()));
        for gone in [issued.text.id(), rotated.text.id()] {
            assert!(!world.finds(gone).await);
        }
        // They stay on the list: who was shown what is still worth knowing.
        assert_eq!(revoked.secrets.len(), 2);
        // For good; again is no error and moves nothing.
        let when = world.clock.now();
        world.pass(HOUR);
        let _ = world.dashboard.revoke_key(&home, id).await.unwrap();
        assert_eq!(world.dashboard.key(&home, id).await.unwrap().revoked_at, Some(when));
        for rotation in [Rotation::AtOnce, Rotation::Overlap(HOUR)] {
            let answer = world.dashboard.rotate_key(&home, id, rotation, None).await;
            assert!(matches!(answer, Err(KeyError::Revoked)));
        }
        assert!(matches!(world.dashboard.resume_key(&home, id).await, Err(KeyError::Revoked)));
        assert!(matches!(world.dashboard.suspend_key(&home, id).await, Err(KeyError::Revoked)));
    }

    /// M18: suspended and resumed by a member; what the operator suspended, no member resumes
    async fn a_member_resumes_what_a_member_suspended_and_no_more(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &[]).await;
        let id = issued.key.id;
        let _ = world.dashboard.suspend_key(&home, id).await.unwrap();
        let grant = world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap();
        assert!(grant.key.suspended.is_some() && grant.key.suspended_by_operator.is_none());
        let _ = world.dashboard.resume_key(&home, id).await.unwrap();
        assert!(world.dashboard.key(&home, id).await.unwrap().suspended_at.is_none());

        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let _ = operator.suspend_key(id, "leaked").await.unwrap();
        let _ = world.dashboard.suspend_key(&home, id).await.unwrap();
        let _ = world.dashboard.resume_key(&home, id).await.unwrap();
        // Not even by rotating it.
        let rotated = world.dashboard.rotate_key(&home, id, Rotation::AtOnce, None).await.unwrap();
        let grant = world.store.resolve(&[rotated.text.id()]).await.unwrap().remove(0).unwrap();
        assert!(grant.key.suspended.is_none() && grant.key.suspended_by_operator.is_some());
    }

    /// M18: what a manager of keys suspended, the owner of the key does not resume
    async fn an_owner_does_not_resume_what_a_manager_suspended(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (_bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let id = world.issue(&his, &[]).await.key.id;
        let _ = world.dashboard.suspend_key(&hers, id).await.unwrap();
        assert!(denied(&world.dashboard.resume_key(&his, id).await));
        // Nor by suspending it himself and resuming that.
        assert!(denied(&world.dashboard.suspend_key(&his, id).await));
        assert!(world.dashboard.key(&his, id).await.unwrap().suspended_at.is_some());
        let _ = world.dashboard.resume_key(&hers, id).await.unwrap();
        let _ = world.dashboard.suspend_key(&his, id).await.unwrap();
        let _ = world.dashboard.resume_key(&his, id).await.unwrap();
    }

    /// M18: each secret records whom it was shown to; a personal key is rotated by its owner alone, and stopped by
    /// who manages keys
    async fn the_key_of_another_is_stopped_but_never_seen(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let issued = world.issue(&his, &["completions.create"]).await;
        assert_eq!(issued.key.secrets[0].shown_to, bob.session.account());
        for rotation in [Rotation::AtOnce, Rotation::Overlap(HOUR)] {
            let answer = world.dashboard.rotate_key(&hers, issued.key.id, rotation, None).await;
            assert!(matches!(answer, Err(KeyError::NotYours)));
        }
        assert!(world.finds(issued.text.id()).await);
        let _ = world.dashboard.suspend_key(&hers, issued.key.id).await.unwrap();
        let _ = world.dashboard.resume_key(&hers, issued.key.id).await.unwrap();
        let _ = world.dashboard.revoke_key(&hers, issued.key.id).await.unwrap();
        assert!(!world.finds(issued.text.id()).await);

        // Not the other way round: a Developer manages no keys but their own.
        let admins = world.issue(&hers, &[]).await;
        assert!(denied(&world.dashboard.suspend_key(&his, admins.key.id).await));
        assert!(denied(&world.dashboard.resume_key(&his, admins.key.id).await));
        assert!(denied(&world.dashboard.revoke_key(&his, admins.key.id).await));
        assert!(matches!(
            world.dashboard.rotate_key(&his, admins.key.id, Rotation::AtOnce, None).await,
            Err(KeyError::NotYours)
        ));
    }

    /// M18: a service key belongs to the workspace: within its ceiling, in the care of who made it, rotated by who
    /// holds all of its scopes
    async fn a_service_key_stays_within_the_ceiling(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let service = |new: NewKey| NewKey { kind: NewKeyKind::Service, ..new };
        let wide = service(world.new_key(&hers, &["files.delete"]).await);
        let deleting = world.dashboard.issue_key(&hers, &wide).await.unwrap();
        assert_eq!(deleting.key.kind, KeyKind::Service(ann.session.account()));
        // Its new secret would be worth more than Bob is.
        let answer = world.dashboard.rotate_key(&his, deleting.key.id, Rotation::AtOnce, None).await;
        assert!(matches!(answer, Err(KeyError::ScopesTooWide(_))), "{answer:?}");
        assert!(world.finds(deleting.text.id()).await);

        let narrow = service(world.new_key(&his, &["completions.create"]).await);
        let reading = world.dashboard.issue_key(&his, &narrow).await.unwrap();
        assert_eq!(reading.key.kind, KeyKind::Service(bob.session.account()));
        let rotated = world.dashboard.rotate_key(&hers, reading.key.id, Rotation::Overlap(HOUR), None).await.unwrap();
        let shown: Vec<_> = rotated.key.secrets.iter().map(|secret| (secret.id, secret.shown_to)).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown.contains(&(reading.text.id(), bob.session.account())));
        assert!(shown.contains(&(rotated.text.id(), ann.session.account())));

        world
            .write(async |tx| {
                let mut locked = tx.lock_workspace(hers.workspace()).await.unwrap().unwrap();
                locked.service_ceiling = Some(scopes(&["models.read"]));
                tx.update_workspace(&locked).await.unwrap();
            })
            .await;
        let answer = world.dashboard.issue_key(&hers, &wide).await;
        assert!(matches!(answer, Err(KeyError::ScopesTooWide(_))));
        let answer = world.dashboard.issue_key(&his, &narrow).await;
        assert!(matches!(answer, Err(KeyError::ScopesTooWide(_))));
        // A personal key knows no ceiling but its owner.
        assert!(world.dashboard.issue_key(&his, &NewKey { kind: NewKeyKind::Personal, ..narrow }).await.is_ok());
        // Under the ceiling the key is worth nothing that Bob lacks; but the secret would outlast the ceiling.
        let answer = world.dashboard.rotate_key(&his, deleting.key.id, Rotation::AtOnce, None).await;
        assert!(matches!(answer, Err(KeyError::ScopesTooWide(_))), "{answer:?}");
    }

    /// M16: a Viewer issues nothing and sees no keys; a Developer does
    async fn a_viewer_issues_no_key(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (_, his) = world.colleague("bob@example.com", &hers, Role::Viewer).await;
        let issued = world.issue(&hers, &[]).await;
        for kind in [NewKeyKind::Personal, NewKeyKind::Service] {
            let new = NewKey { kind, ..world.new_key(&his, &[]).await };
            assert!(denied(&world.dashboard.issue_key(&his, &new).await));
        }
        assert!(denied(&world.dashboard.keys(&his, issued.key.project, None, 10).await));
        assert!(denied(&world.dashboard.key(&his, issued.key.id).await));
        assert!(denied(&world.dashboard.revoke_key(&his, issued.key.id).await));
        assert!(!world.events(EventKind::AccessDenied).is_empty());
        let (_, cleos) = world.colleague("cleo@example.com", &hers, Role::Developer).await;
        world.issue(&cleos, &["models.read", "completions.create"]).await;
    }

    /// ATK-KEY-02 (on the dashboard): who was demoted can stop their own key, and see no new secret of it
    async fn a_demoted_owner_can_still_stop_their_key(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let issued = world.issue(&his, &["models.read"]).await;
        world.join(hers.workspace(), bob.session.account(), Role::Viewer).await;
        assert!(denied(&world.dashboard.rotate_key(&his, issued.key.id, Rotation::AtOnce, None).await));
        let _ = world.dashboard.suspend_key(&his, issued.key.id).await.unwrap();
        let _ = world.dashboard.revoke_key(&his, issued.key.id).await.unwrap();
        assert!(!world.finds(issued.text.id()).await);
    }

    /// An operation id makes a lost answer harmless: the second try names the key of the first and makes none.
    async fn an_operation_is_done_once_under_its_id(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (_, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let id: OperationId = fresh(world.clock.now());
        let new = NewKey { operation: Some(id), ..world.new_key(&hers, &[]).await };
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (dashboard, member, new) = (world.dashboard.clone(), hers.clone(), new.clone());
                tokio::spawn(async move { dashboard.issue_key(&member, &new).await })
            })
            .collect();
        let (mut made, mut named) = (Vec::new(), Vec::new());
        for task in tasks {
            match task.await.unwrap() {
                Ok(issued) => made.push(issued),
                Err(KeyError::AlreadyDone { key }) => named.push(key),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((made.len(), named.len()), (1, 9));
        assert!(named.iter().all(|key| *key == made[0].key.id));
        assert_eq!(world.key_rows(&hers).await.len(), 1);

        // The same id of another account is another operation.
        let own = NewKey { operation: Some(id), ..world.new_key(&his, &[]).await };
        assert!(world.dashboard.issue_key(&his, &own).await.is_ok());

        let id: OperationId = fresh(world.clock.now());
        let key = made[0].key.id;
        let rotated = world.dashboard.rotate_key(&hers, key, Rotation::AtOnce, Some(id)).await.unwrap();
        let again = world.dashboard.rotate_key(&hers, key, Rotation::AtOnce, Some(id)).await;
        assert!(matches!(again, Err(KeyError::AlreadyDone { key: done }) if done == key));
        assert!(world.finds(rotated.text.id()).await);
    }

    /// ATK-KEY-04: two hundred rotations at once leave at most two secrets
    async fn parallel_rotations_leave_two_secrets(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &[]).await;
        let id = issued.key.id;
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let (dashboard, home) = (world.dashboard.clone(), home.clone());
                let rotation = if n % 4 == 0 { Rotation::AtOnce } else { Rotation::Overlap(HOUR) };
                tokio::spawn(async move { dashboard.rotate_key(&home, id, rotation, None).await.unwrap() })
            })
            .collect();
        let mut made = vec![issued.text.id()];
        for task in tasks {
            let rotated = task.await.unwrap();
            assert!(rotated.key.secrets.len() <= 2);
            made.push(rotated.text.id());
        }
        let left = world.dashboard.key(&home, id).await.unwrap().secrets;
        assert!((1..=2).contains(&left.len()));
        assert_eq!(left.iter().filter(|secret| secret.ends_at.is_none()).count(), 1);
        let mut found = 0;
        for id in made {
            found += usize::from(world.finds(id).await);
        }
        assert_eq!(found, left.len());
    }

    /// M3: what happens to a key happens to no session
    async fn rotating_and_revoking_keys_leaves_sessions_alone(world: World) {
        let ann = world.person("ann@example.com").await;
        let other = world.sign_in(&ann.email, PASSWORD).await;
        let home = world.at_home(&ann).await;
        let before = world.dashboard.sessions(&ann.session).await.unwrap();
        let issued = world.issue(&home, &[]).await;
        let id = issued.key.id;
        let _ = world.dashboard.rotate_key(&home, id, Rotation::Overlap(HOUR), None).await.unwrap();
        let _ = world.dashboard.suspend_key(&home, id).await.unwrap();
        let _ = world.dashboard.revoke_key(&home, id).await.unwrap();
        assert_eq!(world.dashboard.sessions(&ann.session).await.unwrap(), before);
        for person in [&ann, &other] {
            let shown = world.dashboard.session(person.signed_in.token(), Activity::Background, &source()).await;
            assert!(shown.is_ok());
        }
    }

    /// M3: a changed password, a reset, a changed second factor, a step-up and a sign-out leave every key as it was
    async fn changes_of_credentials_leave_keys_alone(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &["models.read"]).await;
        let _ = world.dashboard.rotate_key(&home, issued.key.id, Rotation::Overlap(MAX_OVERLAP), None).await.unwrap();
        let service = NewKey { kind: NewKeyKind::Service, ..world.new_key(&home, &[]).await };
        let _ = world.dashboard.issue_key(&home, &service).await.unwrap();
        let before = world.key_rows(&home).await;
        assert_eq!(before.len(), 2);

        let (_, codes) = world.enrol(&mut ann).await;
        let typed = crate::story::typed(&codes, 0);
        let signed_in = world.dashboard.step_up(&ann.session, proof(Some(typed))).await.unwrap();
        world.go_on(&mut ann, signed_in).await;
        world.dashboard.regenerate_recovery_codes(&ann.session).await.unwrap();
        world.dashboard.disable_totp(&ann.session).await.unwrap();
        let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
        world.dashboard.change_password(&ann.session, old, new, true).await.unwrap();
        world.reset_to(&ann.email, PASSWORD).await;
        ann = world.sign_in(&ann.email, PASSWORD).await;
        world.dashboard.sign_out_everywhere_else(&ann.session).await.unwrap();
        world.dashboard.sign_out(&ann.session).await.unwrap();
        world.dashboard.sweep().await.unwrap();
        assert_eq!(world.key_rows(&home).await, before);
    }

    /// M18: pages follow on one another and miss nothing
    async fn keys_are_listed_in_pages(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let mut made = BTreeSet::new();
        let mut project = None;
        for _ in 0..5 {
            let issued = world.issue(&home, &[]).await;
            made.insert(issued.key.id);
            project = Some(issued.key.project);
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = world.dashboard.keys(&home, project.unwrap(), after, 2).await.unwrap();
            assert!(page.keys.len() <= 2);
            seen.extend(page.keys.iter().map(|key| key.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
        // Any limit is brought within bounds.
        for limit in [0, u32::MAX] {
            assert!(world.dashboard.keys(&home, project.unwrap(), None, limit).await.is_ok());
        }
    }

    /// ASVS-5.0-13.2.1: each step in a key's life is on the record, with who, what and to which key
    async fn the_life_of_a_key_is_on_the_record(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.issue(&home, &["models.read"]).await;
        let id = issued.key.id;
        let rotated = world.dashboard.rotate_key(&home, id, Rotation::AtOnce, None).await.unwrap();
        let _ = world.dashboard.suspend_key(&home, id).await.unwrap();
        let _ = world.dashboard.resume_key(&home, id).await.unwrap();
        let _ = world.dashboard.revoke_key(&home, id).await.unwrap();
        let trail = world.audit_of_workspace(home.workspace()).await;
        let of_key: Vec<_> =
            trail.iter().filter(|e| e.target == portcullis::store::record::Target::Key(id)).collect();
        let actions: BTreeSet<_> = of_key.iter().map(|entry| entry.action.name()).collect();
        let expected = ["key.issued", "key.resumed", "key.revoked", "key.rotated", "key.suspended"];
        assert_eq!(actions.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(of_key.len(), 5);
        let actor = portcullis::store::record::Actor::Account(ann.session.account());
        assert!(of_key.iter().all(|entry| entry.actor == actor && came_from(entry, &source())));
        let said = format!("{of_key:?}");
        for text in [&issued.text, &rotated.text] {
            assert!(said.contains(&text.id().to_string()));
            assert!(!said.contains(text.expose_secret()));
        }
        assert_eq!(world.events(EventKind::KeyChanged).len(), 5);
    }

    /// A service that gives up an environment still shows, and stops, the keys that bear its label.
    async fn a_key_of_a_forgotten_environment_can_be_seen_and_stopped(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let new = NewKey { environment: "test".to_owned(), ..world.new_key(&home, &[]).await };
        let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
        let format = std::sync::Arc::new(KeyFormat::new("acme", &["live"]).unwrap());
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let catalogue = std::sync::Arc::clone(&world.catalogue);
        let later = Dashboard::builder(world.store.clone(), "Acme", BASE, catalogue, format, seals)
            .unwrap()
            .clock(std::sync::Arc::clone(&world.clock) as _)
            .build()
            .unwrap();
        let page = later.keys(&home, new.project, None, 10).await.unwrap();
        assert!(page.keys[0].secrets[0].hint.starts_with(&issued.text.id().to_string()));
        let answer = later.rotate_key(&home, issued.key.id, Rotation::AtOnce, None).await;
        assert!(matches!(answer, Err(KeyError::UnknownEnvironment)));
        let _ = later.revoke_key(&home, issued.key.id).await.unwrap();
        assert!(!world.finds(issued.text.id()).await);
    }
}
