//! What becomes of service keys whose secret a leaver was shown.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::dashboard::{
    Exposure, IssuedKey, MAX_LEAVER_OVERLAP, Member, NewKeyKind, Offboarding, Rotation, TeamError,
};
use portcullis::error::{Coded, Explained};
use portcullis::id::KeyId;
use portcullis::ports::{Clock, Message};
use portcullis::store::record::{Action, AuditEntry, Target};

use crate::stage::{Hand, Team, changed, told};
use crate::story::fresh;
use crate::world::{World, on_every_store};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

struct Scene {
    team: Team,
    hand: Hand,
    leaver: Member,
}

impl Scene {
    async fn of(world: World) -> Self {
        let team = Team::of(world).await;
        let (hand, leaver) = team.member("leaver", Role::Developer).await;
        Self { team, hand, leaver }
    }

    /// A service key whose secret the leaver was shown and that is in the boss's care, so that it needs no successor.
    async fn known(&self) -> IssuedKey {
        let issued = self.team.service_key(&self.leaver).await;
        let boss = self.team.boss.account;
        let _ = self.team.door().set_custodian(&self.leaver, issued.key.id, boss).await.unwrap();
        issued
    }

    async fn offboard(&self, plan: &Offboarding) -> Result<portcullis::dashboard::Offboarded, TeamError> {
        self.team.door().offboard(&self.team.at, self.hand.account, plan).await
    }

    async fn of_key(&self, key: KeyId, action: Action) -> Vec<AuditEntry> {
        let trail = self.team.world.audit_of_workspace(self.team.workspace).await;
        trail.into_iter().filter(|entry| entry.action == action && entry.target == Target::Key(key)).collect()
    }
}

fn all(decided: Exposure) -> Offboarding {
    Offboarding { successor: None, default: decided, exposed: BTreeMap::new() }
}

fn accept(reason: &str) -> Exposure {
    Exposure::Accept { reason: reason.to_owned() }
}

on_every_store! {
    /// B2: unless somebody decides otherwise, a secret that the leaver knows works for 24 hours more and no longer, and
    /// the custodian is told to rotate it before then
    async fn by_default_a_known_secret_runs_out_within_a_day(world: World) {
        let scene = Scene::of(world).await;
        let (known, other) = (scene.known().await, scene.team.service_key(&scene.team.at).await);
        let ends_at = scene.team.world.clock.now() + jiff::SignedDuration::from_hours(24);
        assert_eq!(Offboarding::default(), all(Exposure::Overlap(MAX_LEAVER_OVERLAP)));
        let done = scene.offboard(&Offboarding::default()).await.unwrap();
        assert!(done.rotated.is_empty(), "nothing is shown that nobody asked for");
        let api = scene.team.world.api();
        let told = scene.team.world.mail_to(&scene.team.boss.email).await;
        assert!(told.contains(&Message::SecretEnds {
            workspace: "Acme".to_owned(),
            key: "a key".to_owned(),
            ends_at,
        }));
        scene.team.world.pass(24 * HOUR - MINUTE);
        assert_eq!(api.refused(&known.text).await, None);
        scene.team.world.pass(MINUTE);
        assert_eq!(api.refused(&known.text).await, Some(Reason::SecretEnded));
        assert_eq!(api.refused(&other.text).await, None, "a secret that they were never shown stays");
        let entry = &scene.of_key(known.key.id, Action::ExposureEnded).await[0];
        assert!(entry.after.as_ref().unwrap().to_string().contains("2026-03-02T12:00:00Z"), "{entry:?}");
    }

    /// B2: each key has its own decision: rotated now, an overlap, or knowingly kept with the reason on the record
    async fn each_key_is_decided_about_by_itself(world: World) {
        let scene = Scene::of(world).await;
        let (rotated, runs_out) = (scene.known().await, scene.known().await);
        let (kept, by_default) = (scene.known().await, scene.known().await);
        let plan = Offboarding {
            successor: None,
            default: Exposure::Overlap(2 * HOUR),
            exposed: BTreeMap::from([
                (rotated.key.id, Exposure::RotateNow),
                (runs_out.key.id, Exposure::Overlap(HOUR)),
                (kept.key.id, accept("read-only, behind the firewall")),
            ]),
        };
        let preview = scene.team.door().preview_offboarding(&scene.team.at, scene.hand.account).await.unwrap();
        assert_eq!(preview.exposed_keys.len(), 4);
        let done = scene.offboard(&plan).await.unwrap();

        // Rotated: the new text is shown to whoever removed the leaver, this once.
        let [new] = &done.rotated[..] else { panic!("{done:?}") };
        assert_eq!(new.key.id, rotated.key.id);
        let live: Vec<_> = new.key.secrets.iter().filter(|secret| secret.ends_at.is_none()).collect();
        assert!(live.len() == 1 && live[0].shown_to == scene.team.boss.account && live[0].id == new.text.id());
        let api = scene.team.world.api();
        assert_eq!(api.refused(&rotated.text).await, Some(Reason::SecretEnded));
        assert_eq!(api.refused(&new.text).await, None);
        assert_eq!(scene.of_key(rotated.key.id, Action::KeyRotated).await.len(), 1);

        scene.team.world.pass(HOUR - MINUTE);
        assert_eq!(api.refused(&runs_out.text).await, None);
        scene.team.world.pass(MINUTE);
        assert_eq!(api.refused(&runs_out.text).await, Some(Reason::SecretEnded));
        assert_eq!(api.refused(&by_default.text).await, None);
        scene.team.world.pass(HOUR);
        assert_eq!(api.refused(&by_default.text).await, Some(Reason::SecretEnded));
        // Kept for good, and it says who decided so and why.
        scene.team.world.pass(30 * HOUR);
        assert_eq!(api.refused(&kept.text).await, None);
        assert_eq!(api.refused(&new.text).await, None);
        let entry = &scene.of_key(kept.key.id, Action::ExposureAccepted).await[0];
        assert!(entry.after.as_ref().unwrap().to_string().contains("behind the firewall"));
        assert_eq!(entry.actor, portcullis::store::record::Actor::Account(scene.team.boss.account));
    }

    /// B2: an overlap is more than nothing and at most 24 hours, a reason is there and can be logged; otherwise nothing
    /// at all is done
    async fn a_plan_beyond_its_bounds_is_refused_and_nothing_is_done(world: World) {
        let scene = Scene::of(world).await;
        let known = scene.known().await;
        let before = scene.team.world.rows(scene.team.workspace).await;
        let long = "a".repeat(501);
        let bad = [
            (Exposure::Overlap(Duration::ZERO), "bad_overlap"),
            (Exposure::Overlap(24 * HOUR + Duration::from_nanos(1)), "bad_overlap"),
            (Exposure::Overlap(Duration::MAX), "bad_overlap"),
            (accept(""), "bad_reason"),
            (accept("  \t "), "bad_reason"),
            (accept("two\nlines"), "bad_reason"),
            (accept(&long), "bad_reason"),
        ];
        for (decided, code) in bad {
            let single = Offboarding {
                exposed: BTreeMap::from([(known.key.id, decided.clone())]),
                ..Offboarding::default()
            };
            for plan in [all(decided.clone()), single] {
                assert_eq!(told(scene.offboard(&plan).await), code, "{plan:?}");
                let door = scene.team.door();
                let left = door.leave(&scene.hand.session, scene.team.workspace, &plan).await;
                assert_eq!(told(left), code, "{plan:?}");
            }
        }
        assert_eq!(scene.team.world.rows(scene.team.workspace).await, before);
        // The bounds themselves hold.
        let plan = Offboarding {
            exposed: BTreeMap::from([(known.key.id, Exposure::Overlap(24 * HOUR))]),
            default: accept(&long[..500]),
            ..Offboarding::default()
        };
        let _ = scene.offboard(&plan).await.unwrap();
    }

    /// B2: a decision about a key that the leaver was never shown is refused, whichever key it is: a slip would
    /// otherwise go unnoticed
    async fn a_decision_about_a_key_that_was_never_shown_is_refused(world: World) {
        let scene = Scene::of(world).await;
        let (door, now) = (scene.team.door(), scene.team.world.clock.now());
        scene.known().await;
        let personal = scene.team.personal_key(&scene.leaver).await;
        let never = scene.team.service_key(&scene.team.at).await;
        // Shown once, but that secret is over: rotated, ended, or revoked with its key.
        let rotated = scene.known().await;
        let _ = door.rotate_key(&scene.team.at, rotated.key.id, Rotation::AtOnce, None).await.unwrap();
        let revoked = scene.known().await;
        let _ = door.revoke_key(&scene.team.at, revoked.key.id).await.unwrap();
        let overlapped = scene.known().await;
        let overlap = Rotation::Overlap(MINUTE);
        let _ = door.rotate_key(&scene.team.at, overlapped.key.id, overlap, None).await.unwrap();
        scene.team.world.pass(MINUTE);
        let before = scene.team.world.rows(scene.team.workspace).await;
        let ids = [personal.key.id, never.key.id, rotated.key.id, revoked.key.id, overlapped.key.id, fresh(now)];
        for id in ids {
            let plan = Offboarding {
                exposed: BTreeMap::from([(id, Exposure::RotateNow)]),
                ..Offboarding::default()
            };
            let refused = scene.offboard(&plan).await.unwrap_err();
            assert!(matches!(refused, TeamError::NotExposed { key } if key == id), "{refused:?}");
        }
        assert_eq!(scene.team.world.rows(scene.team.workspace).await, before);
        let preview = door.preview_offboarding(&scene.team.at, scene.hand.account).await.unwrap();
        assert_eq!(preview.exposed_keys.len(), 1, "the preview lists none of them");
    }

    /// B2: who leaves is shown no new secret and keeps none in use; what they know can only run out
    async fn a_leaver_decides_nothing_in_their_own_favour(world: World) {
        let scene = Scene::of(world).await;
        let (door, known) = (scene.team.door(), scene.known().await);
        let before = scene.team.world.rows(scene.team.workspace).await;
        for decided in [Exposure::RotateNow, accept("trust me")] {
            let single = Offboarding {
                exposed: BTreeMap::from([(known.key.id, decided.clone())]),
                ..Offboarding::default()
            };
            for plan in [all(decided.clone()), single] {
                let refused = door.leave(&scene.hand.session, scene.team.workspace, &plan).await.unwrap_err();
                assert_eq!(refused.code(), "leaver_cannot_decide");
                assert!(!refused.allowed_by().is_empty());
                // Removing oneself is leaving.
                let refused = door.offboard(&scene.leaver, scene.hand.account, &plan).await;
                assert_eq!(told(refused), "leaver_cannot_decide");
                let plans = BTreeMap::from([(scene.team.workspace, plan)]);
                let refused = door.delete_account(&scene.hand.session, &plans).await;
                assert_eq!(told(refused), "leaver_cannot_decide");
            }
        }
        assert_eq!(scene.team.world.rows(scene.team.workspace).await, before);
        let done = door.leave(&scene.hand.session, scene.team.workspace, &all(Exposure::Overlap(HOUR))).await;
        assert!(done.unwrap().rotated.is_empty());
        let api = scene.team.world.api();
        scene.team.world.pass(HOUR - MINUTE);
        assert_eq!(api.refused(&known.text).await, None);
        scene.team.world.pass(MINUTE);
        assert_eq!(api.refused(&known.text).await, Some(Reason::SecretEnded));
    }

    /// B2: of a key with two secrets, only the one that the leaver was shown ends; one that is on its way out already
    /// is never given longer, and ending it at once shows no new one
    async fn only_the_leavers_own_secret_ends_and_never_later_than_it_would_have(world: World) {
        let scene = Scene::of(world).await;
        let (door, api) = (scene.team.door(), scene.team.world.api());
        let (one, other) = (scene.known().await, scene.known().await);
        let mut present = Vec::new();
        for key in [&one, &other] {
            let overlap = Rotation::Overlap(HOUR);
            present.push(door.rotate_key(&scene.team.at, key.key.id, overlap, None).await.unwrap());
        }
        let preview = door.preview_offboarding(&scene.team.at, scene.hand.account).await.unwrap();
        assert!(preview.exposed_keys.iter().all(|key| !key.current && key.secrets.len() == 1));
        let plan = Offboarding {
            exposed: BTreeMap::from([(one.key.id, Exposure::RotateNow)]),
            ..Offboarding::default()
        };
        let done = scene.offboard(&plan).await.unwrap();
        assert!(done.rotated.is_empty());
        assert_eq!(api.refused(&one.text).await, Some(Reason::SecretEnded));
        assert_eq!(scene.of_key(one.key.id, Action::ExposureEnded).await.len(), 1);
        scene.team.world.pass(HOUR - MINUTE);
        assert_eq!(api.refused(&other.text).await, None);
        scene.team.world.pass(MINUTE);
        assert_eq!(api.refused(&other.text).await, Some(Reason::SecretEnded), "not a day, but its own hour");
        for key in present {
            assert_eq!(api.refused(&key.text).await, None);
        }
    }

    /// ATK-AUTHZ-02: whoever removes somebody gets no secret that they could not have been shown otherwise
    async fn a_new_secret_is_shown_only_to_who_may_rotate_the_key(world: World) {
        let team = Team::of(world).await;
        let manages = ["members.read", "members.manage", "project.read"];
        let role = Role::Custom(team.role("People", &manages, &[]).await);
        let (_, manager) = team.member("manager", role).await;
        let (hand, leaver) = team.member("leaver", Role::Admin).await;
        let new = team.new_key(NewKeyKind::Service, &["files.delete"]);
        let known = team.door().issue_key(&leaver, &new).await.unwrap();
        let boss = team.boss.account;
        let _ = team.door().set_custodian(&team.at, known.key.id, boss).await.unwrap();
        let harmless = Role::Custom(team.role("Harmless", &["project.read"], &[]).await);
        let _ = team.door().set_role(&team.at, hand.account, harmless).await.unwrap();
        let before = team.world.rows(team.workspace).await;
        let refused = team.door().offboard(&manager, hand.account, &all(Exposure::RotateNow)).await;
        assert_eq!(told(refused), "role_lacks");
        assert_eq!(team.world.rows(team.workspace).await, before);
        // With the right to keys, but not to what this one may do.
        let keys = ["members.read", "members.manage", "project.read", "keys.read", "keys.service"];
        let role = Role::Custom(team.role("People and keys", &keys, &["models.read"]).await);
        let _ = team.door().set_role(&team.at, manager.account(), role).await.unwrap();
        let before = team.world.rows(team.workspace).await;
        let refused = team.door().offboard(&manager, hand.account, &all(Exposure::RotateNow)).await;
        assert_eq!(told(refused), "scopes_too_wide");
        assert_eq!(team.world.rows(team.workspace).await, before);
        // Ending the secret asks for nothing of the kind.
        let done = team.door().offboard(&manager, hand.account, &all(Exposure::Overlap(HOUR))).await.unwrap();
        assert!(done.rotated.is_empty());
        let after = team.world.rows(team.workspace).await;
        assert!(changed(&before, &after).contains(&format!("changed: secret {}", known.text.id())));
    }

    /// B2: an archive keeps nobody, and what a leaver knows can be ended at once
    async fn a_workspace_that_is_archived_lets_people_go(world: World) {
        let scene = Scene::of(world).await;
        let (door, known) = (scene.team.door(), scene.known().await);
        let _ = door.archive_workspace(&scene.team.at).await.unwrap();
        let gone = scene.offboard(&all(Exposure::RotateNow)).await.unwrap();
        let _ = door.restore_workspace(&scene.team.at).await.unwrap();
        assert_eq!(gone.rotated.len(), 1);
        assert_eq!(scene.team.world.api().refused(&gone.rotated[0].text).await, None);
        assert_eq!(scene.team.world.api().refused(&known.text).await, Some(Reason::SecretEnded));
    }
}
