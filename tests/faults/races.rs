//! Many callers at once, each with the same right to something that there is one of.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::Throttles;
use portcullis::dashboard::{Dashboard, KeyError, NewKeyKind, Rotation, SecondFactor, SignIn};
use portcullis::email::EmailAddress;
use portcullis::error::Coded;
use portcullis::id::{Id, OperationId};
use portcullis::ports::ManualClock;
use portcullis::secret::{ChangeEmailToken, ExposeSecret, ResetToken, SignInToken, VerifyEmailToken};
use portcullis::store::Store;
use portcullis::store::record::{Account, Action, AuditEntry};
use portcullis::throttle::Backoff;
use tokio::task::JoinSet;

use crate::cases::many;
use crate::on_every_store;
use crate::people::{LATER, NEXT_PASSWORD, PASSWORD, People, World, email, later, new_key, secret, totp};
use crate::stage::{Any, Mailbox, Stage, dashboard};

const CALLERS: u64 = 200;

/// A door in front of a fresh copy of what was prepared.
struct Scene {
    people: Arc<People>,
    any: Any,
    door: Dashboard,
}

impl Scene {
    fn of(world: &World) -> Self {
        let any = world.base.fork();
        let clock = Arc::new(ManualClock::at(later(LATER)));
        // The budget of codes is another test's; here it must not be what keeps callers out.
        let second = Duration::from_secs(1);
        let mut throttles = Throttles::standard().unwrap();
        throttles.totp = Backoff::new(100, second, second, 100).unwrap();
        let door = dashboard(Stage::over(any.clone()), &clock, |builder| builder.throttles(throttles));
        Self { people: Arc::clone(&world.people), any, door }
    }

    async fn account(&self, email: &EmailAddress) -> Option<Account> {
        self.any.begin_read().await.unwrap().account_by_email(email).await.unwrap()
    }

    async fn audit(&self, email: &EmailAddress) -> Vec<AuditEntry> {
        let account = self.account(email).await.unwrap().id;
        let mut snapshot = self.any.begin_read().await.unwrap();
        snapshot.audit_of_account(account, None, 10_000).await.unwrap()
    }
}

fn times(audit: &[AuditEntry], action: Action) -> usize {
    audit.iter().filter(|entry| entry.action == action).count()
}

/// Runs all callers at once, and counts their answers; `Ok` answers stand under what they said.
async fn race<Fut>(callers: u64, call: impl Fn(u64) -> Fut) -> BTreeMap<String, u64>
where
    Fut: Future<Output = String> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(usize::try_from(callers).unwrap()));
    let mut tasks = JoinSet::new();
    for number in 0..callers {
        let (call, start) = (call(number), Arc::clone(&start));
        tasks.spawn(async move {
            start.wait().await;
            call.await
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = tasks.join_next().await {
        *answers.entry(answer.unwrap()).or_insert(0) += 1;
    }
    answers
}

fn told<T, E: Coded>(answer: Result<T, E>) -> String {
    answer.map_or_else(|error| error.code().to_owned(), |_| "done".to_owned())
}

on_every_store! {
    async fn of_200_followers_of_one_link_one_opens_the_account(world: &World) {
        let scene = Scene::of(world);
        let answers = race(CALLERS, |number| {
            let (door, link) = (scene.door.clone(), scene.people.carol_link.clone());
            async move {
                let token = VerifyEmailToken::parse(&link).unwrap();
                told(door.verify_email(&token, secret(PASSWORD), &many(number)).await)
            }
        })
        .await;
        assert_eq!(answers.get("done"), Some(&1), "{answers:?}");
        assert_eq!(answers.get("invalid_link"), Some(&(CALLERS - 1)), "{answers:?}");
        let account = scene.account(&scene.people.carol).await.unwrap();
        let audit = scene.audit(&scene.people.carol).await;
        assert_eq!(times(&audit, Action::AccountCreated), 1);
        let mut snapshot = scene.any.begin_read().await.unwrap();
        assert_eq!(snapshot.workspaces_of(account.id).await.unwrap().len(), 1);
        assert_eq!(snapshot.sessions_of(account.id).await.unwrap().len(), 1);
    }

    async fn of_200_holders_of_one_reset_link_one_sets_the_password(world: &World) {
        let scene = Scene::of(world);
        let answers = race(CALLERS, |number| {
            let (door, link) = (scene.door.clone(), scene.people.ada_reset.clone());
            async move {
                let token = ResetToken::parse(&link).unwrap();
                let next = format!("{NEXT_PASSWORD} {number}");
                told(door.reset_password(&token, secret(&next), &many(number)).await)
            }
        })
        .await;
        assert_eq!(answers.get("done"), Some(&1), "{answers:?}");
        assert_eq!(answers.get("invalid_link"), Some(&(CALLERS - 1)), "{answers:?}");
        assert_eq!(times(&scene.audit(&scene.people.ada.email).await, Action::PasswordReset), 1);
    }

    async fn of_200_tries_with_one_code_on_many_pending_sign_ins_one_signs_in(world: &World) {
        let scene = Scene::of(world);
        let bob = &scene.people.bob;
        let mut pendings = Vec::new();
        for number in 0..10 {
            let answer = scene.door.sign_in(&bob.person.email, secret(PASSWORD), &many(number)).await.unwrap();
            let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
            pendings.push(pending.token().expose_secret().to_owned());
        }
        let before = times(&scene.audit(&bob.person.email).await, Action::SessionStarted);
        let answers = race(CALLERS, |number| {
            let door = scene.door.clone();
            let pending = SignInToken::parse(&pendings[usize::try_from(number % 10).unwrap()]).unwrap();
            let code = SecondFactor::Totp(totp(&bob.secret, later(LATER)));
            async move { told(door.second_factor(&pending, code, &many(number)).await) }
        })
        .await;
        assert_eq!(answers.get("done"), Some(&1), "{answers:?}");
        assert!(answers.get("invalid_code").is_some_and(|refused| *refused > 50), "{answers:?}");
        let audit = scene.audit(&bob.person.email).await;
        assert_eq!(times(&audit, Action::SessionStarted), before + 1);
    }

    async fn of_200_sign_ups_and_their_links_one_becomes_the_account(world: &World) {
        let scene = Scene::of(world);
        let new = email("crowd");
        let answers = race(CALLERS, |number| {
            let (door, new) = (scene.door.clone(), new.clone());
            async move { told(door.sign_up(&new, secret(PASSWORD), &many(number)).await) }
        })
        .await;
        assert!(answers.get("done").is_some_and(|done| *done > 1), "{answers:?}");
        let mailbox = Arc::new(Mailbox::default());
        while scene.door.send_mail(&*mailbox).await.unwrap().sent > 0 {}
        let mails = mailbox.mails();
        let mut links = Vec::new();
        for mail in mails.iter().filter(|mail| mail.to == new) {
            links.push(mail.message.link().unwrap().split_once("#token=").unwrap().1.to_owned());
        }
        assert_eq!(links.len() as u64, answers["done"]);
        let answers = race(links.len() as u64, |number| {
            let (door, link) = (scene.door.clone(), links[usize::try_from(number).unwrap()].clone());
            async move {
                let token = VerifyEmailToken::parse(&link).unwrap();
                told(door.verify_email(&token, secret(PASSWORD), &many(number)).await)
            }
        })
        .await;
        assert_eq!(answers.get("done"), Some(&1), "{answers:?}");
        assert_eq!(times(&scene.audit(&new).await, Action::AccountCreated), 1);
    }

    async fn of_200_confirmations_of_two_accounts_one_gets_the_address(world: &World) {
        let scene = Scene::of(world);
        let answers = race(CALLERS, |number| {
            let (door, people) = (scene.door.clone(), Arc::clone(&scene.people));
            async move {
                let (session, link) = if number % 2 == 0 {
                    (&people.ada.session, &people.ada_next)
                } else {
                    (&people.eve.session, &people.eve_next)
                };
                // Their sessions come from one address each, so some are told to wait.
                let token = ChangeEmailToken::parse(link).unwrap();
                told(door.confirm_email_change(session, &token).await)
            }
        })
        .await;
        assert_eq!(answers.get("done"), Some(&1), "{answers:?}");
        assert!(!answers.keys().any(|code| code.starts_with("store") || code == "internal"), "{answers:?}");
        let owner = scene.account(&email("shared")).await.unwrap();
        let (ada, eve) = (scene.account(&email("ada")).await, scene.account(&email("eve")).await);
        let left = match (ada, eve) {
            (Some(left), None) | (None, Some(left)) => left,
            other => panic!("one of them keeps the old address: {other:?}"),
        };
        assert_ne!(left.id, owner.id);
    }

    async fn of_200_rotations_never_more_than_two_secrets_are_left(world: &World) {
        for (rotation, left) in [(Rotation::AtOnce, 1), (Rotation::Overlap(Duration::from_mins(1)), 2)] {
            let scene = Scene::of(world);
            let answers = race(CALLERS, |_| {
                let (door, people) = (scene.door.clone(), Arc::clone(&scene.people));
                async move { told(door.rotate_key(&people.ada.member, people.key, rotation, None).await) }
            })
            .await;
            assert_eq!(answers.get("done"), Some(&CALLERS), "{answers:?}");
            let key = scene.door.key(&scene.people.ada.member, scene.people.key).await.unwrap();
            assert_eq!(key.secrets.len(), left);
            assert_eq!(key.secrets.iter().filter(|secret| secret.ends_at.is_none()).count(), 1);
        }
    }

    async fn of_200_tries_under_one_operation_id_one_makes_a_key(world: &World) {
        let scene = Scene::of(world);
        let keys = async || {
            let people = &scene.people;
            scene.door.keys(&people.ada.member, people.ada.project, None, 100).await.unwrap().keys
        };
        let before = keys().await.len();
        let mut new = new_key(scene.people.ada.project, NewKeyKind::Personal);
        new.operation = Some(OperationId::from_uuid(uuid::Uuid::from_u128(3)));
        let answers = race(CALLERS, |_| {
            let (door, people, new) = (scene.door.clone(), Arc::clone(&scene.people), new.clone());
            async move {
                match door.issue_key(&people.ada.member, &new).await {
                    Ok(issued) => format!("made {}", issued.key.id),
                    Err(KeyError::AlreadyDone { key }) => format!("told of {key}"),
                    Err(error) => error.code().to_owned(),
                }
            }
        })
        .await;
        let counts: Vec<u64> = answers.values().copied().collect();
        assert_eq!(counts, [1, CALLERS - 1], "{answers:?}");
        let ids: Vec<&str> = answers.keys().filter_map(|said| said.rsplit(' ').next()).collect();
        assert_eq!(ids[0], ids[1], "all are told of the one key");
        assert_eq!(keys().await.len(), before + 1);
    }
}
