//! What stands outside fails: the store for good, the mailer, the source of breached passwords; and an answer
//! that was lost is asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::dashboard::{Activity, KeyError, NewKeyKind, Rotation, SignIn};
use portcullis::error::Coded;
use portcullis::id::{Id, OperationId};
use portcullis::password::{BreachFailure, PasswordPolicy};
use portcullis::ports::{BreachedPasswords, BreachedUnavailable, EventKind, ManualClock};
use portcullis::secret::{SecretString, SessionToken};
use portcullis::store::conformance::Fault;
use portcullis::store::memory::MemoryStore;
use portcullis::store::{ChangeStream, Polled, Position, Snapshot, Store, StoreError, Transaction};

use crate::look::Look;
use crate::on_every_store;
use crate::people::{LATER, PASSWORD, email, later, new_key, secret, source};
use crate::stage::{Events, Mailbox, Stage, dashboard};

/// A store on which another transaction always comes first.
struct Crowded(MemoryStore, Arc<AtomicU64>);

#[async_trait]
impl Store for Crowded {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::Conflict)
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.0.begin_read().await
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        self.0.everywhere().await
    }
}

#[async_trait]
impl ChangeStream for Crowded {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        self.0.poll(since).await
    }

    fn trust(&self) -> Duration {
        self.0.trust()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        self.0.local_commits()
    }
}

#[tokio::test]
async fn a_conflict_that_does_not_end_is_given_up_after_six_tries() {
    let tries = Arc::new(AtomicU64::new(0));
    let clock = Arc::new(ManualClock::at(later(LATER)));
    let store = Crowded(MemoryStore::new(), Arc::clone(&tries));
    let door = dashboard(store, &clock, |builder| builder);
    assert_eq!(door.sweep().await.unwrap_err().code(), "store_conflict");
    assert_eq!(tries.load(Ordering::SeqCst), 6);
}

/// A source of breached passwords that cannot be reached.
struct Down;

#[async_trait]
impl BreachedPasswords for Down {
    async fn contains(&self, _: &SecretString) -> Result<bool, BreachedUnavailable> {
        Err(BreachedUnavailable)
    }
}

on_every_store! {
    /// ASVS-5.0-16.5.2
    async fn a_mailer_that_is_down_loses_no_mail_and_closes_no_door(world: &World) {
        let clock = Arc::new(ManualClock::at(later(LATER)));
        let any = world.base.fork();
        let door = dashboard(Stage::over(any.clone()), &clock, |builder| builder);
        let mailbox = Mailbox::default();
        mailbox.refuses.store(true, Ordering::SeqCst);
        let delivered = door.send_mail(&mailbox).await.unwrap();
        assert_eq!((delivered.sent, delivered.put_off, delivered.given_up), (0, 2, 0));

        let token = SessionToken::parse(&world.people.ada.token).unwrap();
        door.session(&token, Activity::Person, &source()).await.unwrap();
        let signed_in = door.sign_in(&world.people.ada.email, secret(PASSWORD), &source()).await.unwrap();
        assert!(matches!(signed_in, SignIn::SignedIn(_)));
        door.forgot_password(&world.people.ada.email, &source()).await.unwrap();
        assert_eq!(door.send_mail(&mailbox).await.unwrap().put_off, 1, "the others wait");

        mailbox.refuses.store(false, Ordering::SeqCst);
        clock.advance(Duration::from_mins(1));
        assert_eq!(door.send_mail(&mailbox).await.unwrap().sent, 3);
        assert_eq!(mailbox.ids().len(), 3);
    }

    /// ASVS-5.0-16.5.2
    async fn a_breach_source_that_is_down_is_told_and_answered_as_the_service_chose(world: &World) {
        let token = SessionToken::parse(&world.people.ada.token).unwrap();
        for (choice, accepted) in [(BreachFailure::Accept, true), (BreachFailure::Refuse, false)] {
            let any = world.base.fork();
            let before = Look::at(&any);
            let clock = Arc::new(ManualClock::at(later(LATER)));
            let events = Arc::new(Events::default());
            let told = Arc::clone(&events);
            let policy = PasswordPolicy::builder().breach_source_failure(choice);
            let door = dashboard(Stage::over(any.clone()), &clock, |builder| {
                builder.breached_passwords(Down).passwords(policy).events(told)
            });
            let answer = door.sign_up(&email("new"), secret(PASSWORD), &source()).await;
            assert_eq!(answer.is_ok(), accepted, "{answer:?}");
            // What was asked of the source is charged all the same.
            let written = Look::at(&any).differing(&before);
            let only_charged = written.iter().all(|table| table.starts_with("counter"));
            assert_eq!(only_charged, !accepted, "{written:?}");
            let failed = events.0.lock().unwrap().iter().any(|e| e.kind == EventKind::BreachCheckFailed);
            assert!(failed, "the operator hears of it");
            // Sessions and sign-ins ask no source.
            door.session(&token, Activity::Person, &source()).await.unwrap();
            door.sign_in(&world.people.ada.email, secret(PASSWORD), &source()).await.unwrap();
        }
    }

    /// ASVS-5.0-2.3.3
    async fn an_operation_id_tells_whether_a_lost_commit_happened(world: &World) {
        let people = &world.people;
        for (fault, happened) in [(Fault::CommitLost, true), (Fault::CommitRefused, false)] {
            let clock = Arc::new(ManualClock::at(later(LATER)));
            let stage = Stage::over(world.base.fork());
            let door = dashboard(stage.clone(), &clock, |builder| builder);
            let faulty = stage.faulty();
            let keys = async || door.keys(&people.ada.member, people.ada.project, None, 100).await.unwrap().keys;
            let before = keys().await.len();

            let mut new = new_key(people.ada.project, NewKeyKind::Personal);
            new.operation = Some(OperationId::from_uuid(uuid::Uuid::from_u128(1)));
            faulty.reset();
            faulty.fail_at(1, fault);
            assert_eq!(door.issue_key(&people.ada.member, &new).await.unwrap_err().code(), "commit_unknown");
            assert_eq!(keys().await.len(), before + usize::from(happened));
            match door.issue_key(&people.ada.member, &new).await {
                Err(KeyError::AlreadyDone { key }) if happened => {
                    door.key(&people.ada.member, key).await.unwrap();
                }
                Ok(issued) if !happened => assert_eq!(issued.key.secrets.len(), 1),
                other => panic!("{other:?}"),
            }
            assert_eq!(keys().await.len(), before + 1, "one key");

            let operation = OperationId::from_uuid(uuid::Uuid::from_u128(2));
            let former = door.key(&people.ada.member, people.key).await.unwrap().secrets;
            let rotate = async || {
                door.rotate_key(&people.ada.member, people.key, Rotation::AtOnce, Some(operation)).await
            };
            faulty.reset();
            faulty.fail_at(1, fault);
            assert_eq!(rotate().await.unwrap_err().code(), "commit_unknown");
            let second = rotate().await;
            let now = door.key(&people.ada.member, people.key).await.unwrap().secrets;
            match second {
                Err(KeyError::AlreadyDone { key }) if happened => assert_eq!(key, people.key),
                Ok(issued) if !happened => assert_eq!(issued.key.secrets, now),
                other => panic!("{other:?}"),
            }
            assert_eq!(now.len(), 1);
            assert_ne!(now, former, "rotated once");
            let mut snapshot = faulty.inner().begin_read().await.unwrap();
            let row = snapshot.operation(people.ada.session.account(), operation).await.unwrap();
            assert_eq!(row.unwrap().key, people.key);
        }
    }
}
