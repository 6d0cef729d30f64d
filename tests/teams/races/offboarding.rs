//! Removing somebody while their keys are in use, and while somebody else removes them as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::dashboard::{Exposure, Member, Offboarding};
use portcullis::key::KeyText;
use portcullis::secret::ExposeSecret;
use portcullis::store::record::{Action, KeyKind};
use tokio::task::JoinSet;

use crate::stage::{Api, CALLERS, Team, call, race, times, told};
use crate::world::{World, on_every_store};

/// Callers that use keys all the time, until told to stop.
struct Users {
    tasks: JoinSet<(usize, usize)>,
    /// Set once the removal has returned.
    returned: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl Users {
    fn of(api: &Api, keys: &[&KeyText]) -> Self {
        let (returned, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..CALLERS {
            let (api, key) = (api.clone(), keys[number % keys.len()].expose_secret().to_owned());
            let (returned, stop) = (Arc::clone(&returned), Arc::clone(&stop));
            let accepted = Arc::clone(&accepted);
            tasks.spawn(async move {
                let (mut late, mut refused) = (0, 0);
                while !stop.load(Ordering::SeqCst) {
                    // A request that begins after the removal has returned.
                    let begins_after = returned.load(Ordering::SeqCst);
                    match api.refused_text(&key, "models.read").await {
                        None => {
                            accepted.fetch_add(1, Ordering::SeqCst);
                            late += usize::from(begins_after);
                        }
                        Some(Reason::Unavailable) => panic!("the store was not there"),
                        Some(_) => refused += usize::from(begins_after),
                    }
                    tokio::task::yield_now().await;
                }
                (late, refused)
            });
        }
        Self { tasks, returned, stop, accepted }
    }

    /// Waits until the keys are in use.
    async fn busy(&self) {
        while self.accepted.load(Ordering::SeqCst) < 2 * CALLERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many requests that began after the removal were accepted, and how many refused.
    async fn after(mut self) -> (usize, usize) {
        self.returned.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.stop.store(true, Ordering::SeqCst);
        let mut sum = (0, 0);
        while let Some(counted) = self.tasks.join_next().await {
            let (late, refused) = counted.unwrap();
            sum = (sum.0 + late, sum.1 + refused);
        }
        sum
    }
}

fn rotating(successor: &Member) -> Offboarding {
    Offboarding {
        successor: Some(successor.account()),
        default: Exposure::RotateNow,
        exposed: BTreeMap::new(),
    }
}

on_every_store! {
    /// M24, B2, ATK-KEY-02, ASVS-5.0-8.3.2: once the call has returned, not one request with a key of the leaver's, or
    /// with a secret that they know and that was rotated, is accepted in this process
    async fn no_request_that_begins_after_an_offboarding_is_accepted(world: World) {
        let team = Team::of(world).await;
        let (_, leaver) = team.member("leaver", Role::Developer).await;
        let (personal, service) = (team.personal_key(&leaver).await, team.service_key(&leaver).await);
        let kept = team.service_key(&team.at).await;
        let api = team.world.api();
        let users = Users::of(&api, &[&personal.text, &service.text]);
        users.busy().await;
        let done = team.door().offboard(&team.at, leaver.account(), &rotating(&team.at)).await.unwrap();
        let (late, refused) = users.after().await;
        assert_eq!(late, 0);
        assert!(refused > CALLERS, "{refused}");
        // The keys died for the right reasons, and the new secret works.
        assert_eq!(api.refused(&personal.text).await, Some(Reason::Revoked));
        assert_eq!(api.refused(&service.text).await, Some(Reason::SecretEnded));
        assert_eq!(done.rotated.len(), 1);
        assert_eq!(api.refused(&done.rotated[0].text).await, None);
        assert_eq!(api.refused(&kept.text).await, None);
    }

    /// M24, B6: on another node nothing is accepted once `everywhere` has returned
    async fn once_everywhere_has_returned_no_node_accepts_the_leaver(world: World) {
        let team = Team::of(world).await;
        let (_, leaver) = team.member("leaver", Role::Developer).await;
        let (personal, service) = (team.personal_key(&leaver).await, team.service_key(&leaver).await);
        let (_, elsewhere) = team.world.second_node();
        let users = Users::of(&team.world.api_over(elsewhere), &[&personal.text, &service.text]);
        users.busy().await;
        let done = team.door().offboard(&team.at, leaver.account(), &rotating(&team.at)).await.unwrap();
        done.committed.everywhere().await;
        let (late, refused) = users.after().await;
        assert_eq!(late, 0);
        assert!(refused > CALLERS, "{refused}");
    }

    /// M24: suspending, demoting and leaving have the same promise: no later request is accepted
    async fn no_request_that_begins_after_the_owner_is_gone_or_weaker_is_accepted(world: World) {
        let team = Team::of(world).await;
        let operator = team.world.operator();
        for way in ["suspended", "demoted", "left", "deleted"] {
            let (hand, member) = team.member(way, Role::Developer).await;
            let new = team.new_key(portcullis::dashboard::NewKeyKind::Personal, &["models.read"]);
            let key = team.door().issue_key(&member, &new).await.unwrap();
            let users = Users::of(&team.world.api(), &[&key.text]);
            users.busy().await;
            match way {
                "suspended" => {
                    let _ = operator.suspend_account(hand.account, "a test").await.unwrap();
                }
                "demoted" => {
                    let role = Role::Custom(team.role("Nothing", &[], &[]).await);
                    let _ = team.door().set_role(&team.at, hand.account, role).await.unwrap();
                }
                "left" => {
                    let plan = Offboarding::default();
                    drop(team.door().leave(&hand.session, team.workspace, &plan).await.unwrap());
                }
                _ => {
                    let _ = team.door().delete_account(&hand.session, &BTreeMap::new()).await.unwrap();
                }
            }
            let (late, refused) = users.after().await;
            assert_eq!(late, 0, "{way}");
            assert!(refused > CALLERS, "{way}: {refused}");
        }
    }

    /// M24: 200 removals of one person by 200 administrators, on two nodes: one happens, once
    async fn of_200_offboardings_of_one_person_one_happens(world: World) {
        let team = Team::of(world).await;
        let (_, leaver) = team.member("leaver", Role::Developer).await;
        let personal = team.personal_key(&leaver).await;
        let service = team.service_key(&leaver).await;
        let admins = team.members("admin", CALLERS, Role::Admin).await;
        let nodes = team.world.nodes();
        let account = leaver.account();
        let calls = admins.iter().enumerate().map(|(number, (_, admin))| {
            let (door, admin) = (nodes[number % 2].clone(), admin.clone());
            call(async move {
                match door.offboard(&admin, account, &rotating(&admin)).await {
                    Ok(done) => format!("done {}", done.rotated.len()),
                    Err(error) => told::<(), _>(Err(error)),
                }
            })
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done 1"), 1, "{answers:?}");
        assert_eq!(times(&answers, "not_found"), CALLERS - 1, "{answers:?}");
        let trail = team.world.audit_of_workspace(team.workspace).await;
        let count = |action: Action| trail.iter().filter(|entry| entry.action == action).count();
        for action in [Action::MemberRemoved, Action::CustodianChanged, Action::KeyRotated, Action::KeyRevoked] {
            assert_eq!(count(action), 1, "{action:?}");
        }
        let rows = team.world.key_rows(&team.at).await;
        for (key, secrets) in rows {
            if key.id == personal.key.id {
                assert!(key.revoked_at.is_some());
            } else {
                // One administrator has both the key and its new secret.
                assert_eq!(key.id, service.key.id);
                let KeyKind::Service(custodian) = key.kind else { panic!("{key:?}") };
                let live: Vec<_> = secrets.iter().filter(|secret| secret.ends_at.is_none()).collect();
                assert!(live.len() == 1 && live[0].shown_to == custodian, "{secrets:?}");
            }
        }
    }

    /// M24: being removed, leaving and issuing at once: nobody is out with a key that lives
    async fn no_key_is_issued_past_an_offboarding(world: World) {
        let team = Team::of(world).await;
        let leavers = team.members("leaver", CALLERS / 4, Role::Developer).await;
        let nodes = team.world.nodes();
        let mut calls = Vec::new();
        for (number, (_, member)) in leavers.iter().enumerate() {
            let new = team.new_key(portcullis::dashboard::NewKeyKind::Personal, &["models.read"]);
            for door in &nodes {
                let (door, member, new) = (door.clone(), member.clone(), new.clone());
                calls.push(call(async move { format!("issued {}", told(door.issue_key(&member, &new).await)) }));
            }
            let (door, at, member) = (nodes[number % 2].clone(), team.at.clone(), member.clone());
            let (other, leaves) = (nodes[(number + 1) % 2].clone(), member.clone());
            calls.push(call(async move {
                format!("removed {}", told(door.offboard(&at, member.account(), &Offboarding::default()).await))
            }));
            calls.push(call(async move {
                let plan = Offboarding::default();
                format!("left {}", told(other.leave(leaves.session(), leaves.workspace(), &plan).await))
            }));
        }
        let answers = race(calls).await;
        assert_eq!(times(&answers, "removed done") + times(&answers, "left done"), CALLERS / 4, "{answers:?}");
        assert_eq!(
            times(&answers, "removed not_found") + times(&answers, "left not_found"),
            CALLERS / 4,
            "{answers:?}"
        );
        assert_eq!(team.roles().await.len(), 1);
        let rows = team.world.key_rows(&team.at).await;
        assert_eq!(rows.len(), times(&answers, "issued done"), "{answers:?}");
        assert!(rows.iter().all(|(key, _)| key.revoked_at.is_some()), "{answers:?}");
    }
}
