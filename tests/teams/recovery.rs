//! Operator-assisted recovery: it waits, everybody who may be concerned is told and can stop it, and it never yields
//! more than the way back in.

use std::time::Duration;

use portcullis::dashboard::{
    Activity, Operator, OperatorError, RecoveryError, RecoveryView, SecondFactor, SignIn, SignInError,
};
use portcullis::email::EmailAddress;
use portcullis::error::Coded;
use portcullis::id::AccountId;
use portcullis::ports::{Clock, EventKind, Message, RecoveryOf};
use portcullis::recovery::RecoveryCodes;
use portcullis::secret::{CancelRecoveryToken, ExposeSecret, RecoveryEmailToken, ResetToken};
use portcullis::store::Store;
use portcullis::store::record::{Action, Actor, RecoveryKind};

use crate::stage::{place, race, times, told};
use crate::story::{Phone, fresh, proof, typed};
use crate::world::{OTHER_PASSWORD, PASSWORD, Person, World, email, from, on_every_store, password, source};

const WAIT: Duration = Duration::from_hours(72);
const MICRO: Duration = Duration::from_micros(1);

struct Scene {
    world: World,
    operator: Operator,
    ann: Person,
    phone: Phone,
    codes: RecoveryCodes,
}

impl Scene {
    async fn of(world: World) -> Self {
        let world = world.roomy();
        let mut ann = world.person("ann@example.com").await;
        let (phone, codes) = world.enrol(&mut ann).await;
        let operator = world.operator();
        Self { world, operator, ann, phone, codes }
    }

    fn account(&self) -> AccountId {
        self.ann.session.account()
    }

    async fn open(&self, kind: &RecoveryKind) -> RecoveryView {
        self.operator.open_recovery(self.account(), kind, "called, and knew the invoice").await.unwrap()
    }

    async fn finish(&self, case: &RecoveryView) -> String {
        told(self.operator.finish_recovery(self.account(), case.id).await)
    }

    /// The link of the latest mail of a kind.
    async fn link(&self, to: &EmailAddress, kind: &str) -> String {
        let mails = self.world.mail_to(to).await;
        let mail = mails.iter().rev().find(|mail| mail.kind() == kind).expect("a mail of that kind");
        mail.link().unwrap().split_once("#token=").unwrap().1.to_owned()
    }

    async fn count(&self, to: &EmailAddress, kind: &str) -> usize {
        self.world.mail_to(to).await.iter().filter(|mail| mail.kind() == kind).count()
    }

    async fn audited(&self, action: Action) -> Vec<portcullis::store::record::AuditEntry> {
        let log = self.world.audit_of_account(self.account()).await;
        log.into_iter().filter(|entry| entry.action == action).collect()
    }

    async fn has_second_factor(&self) -> bool {
        let mut snapshot = self.world.store.begin_read().await.unwrap();
        let codes = snapshot.count_recovery_codes(self.account()).await.unwrap();
        let factor = snapshot.totp(self.account()).await.unwrap().is_some();
        assert_eq!(factor, codes > 0);
        factor
    }
}

fn second_factor() -> RecoveryKind {
    RecoveryKind::SecondFactor
}

fn to(address: &str) -> RecoveryKind {
    RecoveryKind::Email(email(address))
}

on_every_store! {
    /// M9, ASVS-5.0-6.4.4, SP800-63B-4-4.2.2.2: a lost second factor is taken away by the operator after the wait and not a
    /// moment before; the owner was told at the beginning and at the end; each step is on the record with the operator's
    /// name and reason
    async fn a_second_factor_is_taken_away_after_the_wait_and_not_before(world: World) {
        let scene = Scene::of(world).await;
        let now = scene.world.clock.now();
        let case = scene.open(&second_factor()).await;
        assert_eq!(case.due_at, now + jiff::SignedDuration::from_hours(72));
        assert_eq!((case.what, case.confirmed, case.opened_at), (RecoveryOf::SecondFactor, false, now));
        assert_eq!(scene.operator.recovery(scene.account()).await.unwrap(), case);
        assert_eq!(scene.world.dashboard.recovery(&scene.ann.session).await.unwrap(), Some(case.clone()));
        for wait in [Duration::ZERO, WAIT - MICRO] {
            scene.world.pass(wait);
            let refused = scene.operator.finish_recovery(scene.account(), case.id).await.unwrap_err();
            assert!(matches!(refused, OperatorError::RecoveryNotDue { due_at } if due_at == case.due_at), "{refused:?}");
            assert!(scene.has_second_factor().await);
        }
        // Until then everything is as it was: the factor is asked for, and works.
        scene.ann_signs_in_with_her_phone().await;
        scene.world.pass(MICRO);
        assert_eq!(scene.finish(&case).await, "done");
        assert!(!scene.has_second_factor().await, "with its recovery codes");
        assert_eq!(scene.count(&scene.ann.email, "recovery_opened").await, 1);
        assert!(scene.world.mail_to(&scene.ann.email).await.contains(&Message::RecoveryFinished { what: RecoveryOf::SecondFactor }));

        for (action, said) in [(Action::RecoveryOpened, "knew the invoice"), (Action::RecoveryFinished, "second_factor")] {
            let entries = scene.audited(action).await;
            assert_eq!(entries.len(), 1, "{action:?}");
            assert_eq!(entries[0].actor, Actor::Operator("olive".to_owned()));
            assert!(entries[0].after.as_ref().unwrap().to_string().contains(said), "{:?}", entries[0]);
        }
        let codes: Vec<_> = scene.world.events(EventKind::RecoveryChanged).iter().filter_map(|event| event.code).collect();
        assert_eq!(codes, ["opened", "finished"]);
    }

    /// M9, ASVS-5.0-6.3.6, ASVS-5.0-6.4.6: finishing yields no session and no password: all sessions, pending sign-ins and
    /// links end; the person signs in with the password they had, and sets a factor up anew
    async fn a_finished_recovery_opens_nothing_by_itself(world: World) {
        let scene = Scene::of(world).await;
        let door = scene.world.dashboard.clone();
        let case = scene.open(&second_factor()).await;
        scene.world.pass(WAIT);
        let ann = scene.ann_signs_in_with_her_phone().await;
        let answer = door.sign_in(&scene.ann.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        door.forgot_password(&scene.ann.email, &source()).await.unwrap();
        let reset = ResetToken::parse(&scene.link(&scene.ann.email, "reset_password").await).unwrap();
        door.begin_totp(&ann.session).await.unwrap();
        let sessions = scene.world.events(EventKind::SessionStarted).len();
        assert_eq!(scene.finish(&case).await, "done");

        assert_eq!(scene.world.events(EventKind::SessionStarted).len(), sessions);
        for session in [&scene.ann.session, &ann.session] {
            assert_eq!(told(door.account(session).await), "not_signed_in");
        }
        scene.world.pass(Duration::from_mins(1));
        let code = SecondFactor::Totp(scene.phone.code(&scene.world));
        assert_eq!(told(door.second_factor(pending.token(), code, &source()).await), "pending_sign_in_over");
        assert_eq!(told(door.reset_password(&reset, password(OTHER_PASSWORD), &source()).await), "invalid_link");
        let answer = door.sign_in(&scene.ann.email, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::InvalidCredentials)), "the password is the one it was");
        let mut back = scene.world.sign_in(&scene.ann.email, PASSWORD).await;
        scene.world.enrol(&mut back).await;
    }

    /// SP800-63B-4-4.2.2.2, ASVS-5.0-6.4.4: before it is due, an open recovery makes nothing easier: the factor is not
    /// turned off without itself, not by the password, not by a reset link, not by the links of the recovery
    async fn an_open_recovery_makes_nothing_easier(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        scene.open(&second_factor()).await;
        scene.world.pass(Duration::from_mins(11));
        assert_eq!(told(door.disable_totp(&scene.ann.session).await), "step_up_required");
        assert_eq!(told(door.step_up(&scene.ann.session, proof(None)).await), "step_up_required");
        let answer = door.sign_in(&scene.ann.email, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SecondFactorNeeded(_)));
        door.forgot_password(&scene.ann.email, &source()).await.unwrap();
        let reset = ResetToken::parse(&scene.link(&scene.ann.email, "reset_password").await).unwrap();
        door.reset_password(&reset, password(OTHER_PASSWORD), &source()).await.unwrap();
        let answer = door.sign_in(&scene.ann.email, password(OTHER_PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        // A recovery code is the other factor that may do it, and then the recovery is still there to be seen.
        let signed_in = door.second_factor(pending.token(), typed(&scene.codes, 0), &source()).await.unwrap();
        let session = door.session(signed_in.token(), Activity::Person, &source()).await.unwrap();
        assert!(door.recovery(&session).await.unwrap().is_some());
        let case = scene.operator.recovery(scene.account()).await.unwrap();
        door.disable_totp(&session).await.unwrap();
        // Turned off by its owner, there is nothing left to take away, and nothing waits any more.
        assert!(door.recovery(&session).await.unwrap().is_none());
        scene.world.pass(WAIT);
        assert_eq!(scene.finish(&case).await, "not_found");
    }

    /// M9: with the mailbox lost, the account gets another address once that was proven and the wait is over; then a new
    /// password is asked for there; the second factor is as it was
    async fn a_lost_mailbox_is_replaced_by_a_proven_address_after_the_wait(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let (old, next) = (scene.ann.email.clone(), email("ann.new@example.net"));
        let case = scene.open(&to("ann.new@example.net")).await;
        assert_eq!((scene.count(&old, "recovery_opened").await, scene.count(&next, "confirm_recovery_email").await), (1, 1));
        assert_eq!((scene.count(&next, "recovery_opened").await, scene.count(&old, "confirm_recovery_email").await), (0, 0));
        let token = scene.link(&next, "confirm_recovery_email").await;
        let token = RecoveryEmailToken::parse(&token).unwrap();
        door.confirm_recovery_email(&token, &place(3)).await.unwrap();
        assert!(scene.operator.recovery(scene.account()).await.unwrap().confirmed);
        let sessions = scene.world.events(EventKind::SessionStarted).len();
        assert_eq!(told(door.confirm_recovery_email(&token, &place(3)).await), "invalid_link", "once");
        assert_eq!(scene.finish(&case).await, "recovery_not_due", "proving it shortens nothing");
        assert_eq!(told(door.account(&scene.ann.session).await), "done");
        scene.world.pass(WAIT);
        assert_eq!(scene.finish(&case).await, "done");
        assert_eq!(scene.world.events(EventKind::SessionStarted).len(), sessions, "no link of it signs in");

        assert!(scene.has_second_factor().await);
        for address in [&old, &next] {
            assert!(scene.world.mail_to(address).await.contains(&Message::RecoveryFinished { what: RecoveryOf::Email }));
        }
        assert_eq!(told(door.account(&scene.ann.session).await), "not_signed_in");
        door.forgot_password(&old, &source()).await.unwrap();
        assert_eq!(scene.count(&old, "reset_password").await, 0, "the old mailbox opens nothing any more");
        door.forgot_password(&next, &source()).await.unwrap();
        let reset = ResetToken::parse(&scene.link(&next, "reset_password").await).unwrap();
        door.reset_password(&reset, password(OTHER_PASSWORD), &source()).await.unwrap();
        let answer = door.sign_in(&next, password(OTHER_PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SecondFactorNeeded(_)), "{answer:?}");
        let confirmed = scene.audited(Action::RecoveryEmailConfirmed).await;
        assert_eq!(confirmed.len(), 1);
        assert!(crate::world::came_from(&confirmed[0], &place(3)));
        let finished = scene.audited(Action::RecoveryFinished).await;
        assert_eq!((finished[0].personal("before.email"), finished[0].personal("after.email")),
            (Some("ann@example.com"), Some("ann.new@example.net")));
    }

    /// SP800-63B-4-4.2.1.2#address: an address that was not proven does not become the account's, however long one waits;
    /// the link that proves it works for a day, and no other token does
    async fn an_address_that_was_not_proven_does_not_become_the_accounts(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let next = email("ann.new@example.net");
        let case = scene.open(&to("ann.new@example.net")).await;
        let text = scene.link(&next, "confirm_recovery_email").await;
        let cancel = scene.link(&scene.ann.email, "recovery_opened").await;
        assert!(RecoveryEmailToken::parse(&cancel).is_err() && CancelRecoveryToken::parse(&text).is_err());
        scene.world.pass(Duration::from_hours(24));
        let token = RecoveryEmailToken::parse(&text).unwrap();
        assert_eq!(told(door.confirm_recovery_email(&token, &source()).await), "invalid_link");
        scene.world.pass(WAIT);
        assert_eq!(scene.finish(&case).await, "recovery_unconfirmed");
        let mut snapshot = scene.world.store.begin_read().await.unwrap();
        assert!(snapshot.account_by_email(&next).await.unwrap().is_none());
    }

    /// M9: whoever reads one of the known addresses stops it with the link that was mailed, without signing in; whoever is
    /// signed in stops it there; the operator takes it back; and all known addresses are told
    async fn a_recovery_can_be_stopped_by_whoever_it_concerns(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let next = email("ann.new@example.net");
        for (round, way) in ["link", "session", "operator"].into_iter().enumerate() {
            let kind = if round == 1 { to("ann.new@example.net") } else { second_factor() };
            let case = scene.open(&kind).await;
            scene.world.send_all().await;
            if round == 1 {
                let token = scene.link(&next, "confirm_recovery_email").await;
                door.confirm_recovery_email(&RecoveryEmailToken::parse(&token).unwrap(), &source()).await.unwrap();
            }
            match way {
                "link" => {
                    let text = scene.link(&scene.ann.email, "recovery_opened").await;
                    let token = CancelRecoveryToken::parse(&text).unwrap();
                    door.cancel_recovery(&token, &place(9)).await.unwrap();
                    let again = door.cancel_recovery(&token, &place(9)).await.unwrap_err();
                    assert!(matches!(again, RecoveryError::InvalidLink), "{again:?}");
                }
                "session" => door.stop_recovery(&scene.ann.session).await.unwrap(),
                _ => scene.operator.cancel_recovery(scene.account()).await.unwrap(),
            }
            assert_eq!(scene.count(&scene.ann.email, "recovery_cancelled").await, round + 1, "{way}");
            assert_eq!(door.recovery(&scene.ann.session).await.unwrap(), None);
            assert_eq!(told(scene.operator.recovery(scene.account()).await), "not_found");
            assert_eq!(scene.finish(&case).await, "not_found");
            assert_eq!(scene.audited(Action::RecoveryCancelled).await.len(), round + 1, "{way}");
        }
        // One that had proven the new address is a known one.
        assert_eq!(scene.count(&next, "recovery_cancelled").await, 1);
        // Stopping what is not there is no error for its owner.
        door.stop_recovery(&scene.ann.session).await.unwrap();
        assert_eq!(told(scene.operator.cancel_recovery(scene.account()).await), "not_found");
        assert_eq!(scene.audited(Action::RecoveryCancelled).await.len(), 3);
        scene.world.pass(WAIT);
        assert!(scene.has_second_factor().await);
    }

    /// M9: an account has one recovery at a time, it works once, and it is void two weeks after it was due; then another
    /// may be opened, and the links of the earlier one do nothing to it
    async fn a_recovery_works_once_one_at_a_time_and_not_for_ever(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let first = scene.open(&second_factor()).await;
        let early = CancelRecoveryToken::parse(&scene.link(&scene.ann.email, "recovery_opened").await).unwrap();
        let again = scene.operator.open_recovery(scene.account(), &to("x@example.com"), "again").await.unwrap_err();
        assert!(matches!(again, OperatorError::RecoveryPending { due_at } if due_at == first.due_at), "{again:?}");
        assert_eq!(scene.count(&email("x@example.com"), "confirm_recovery_email").await, 0);
        assert_eq!(told(scene.operator.finish_recovery(scene.account(), fresh(scene.world.clock.now())).await), "not_found");
        scene.world.pass(WAIT + Duration::from_hours(24 * 14) - MICRO);
        assert!(scene.operator.recovery(scene.account()).await.is_ok());
        scene.world.pass(MICRO);
        assert_eq!(scene.finish(&first).await, "not_found");
        assert_eq!(told(scene.operator.recovery(scene.account()).await), "not_found");
        assert!(scene.has_second_factor().await);
        assert_eq!(told(door.cancel_recovery(&early, &source()).await), "invalid_link");

        let second = scene.open(&second_factor()).await;
        assert_eq!(told(door.cancel_recovery(&early, &source()).await), "invalid_link");
        scene.world.pass(WAIT);
        assert_eq!(scene.finish(&first).await, "not_found", "the id of another one");
        assert_eq!(scene.finish(&second).await, "done");
        assert_eq!(scene.finish(&second).await, "not_found");
        let nothing = scene.operator.open_recovery(scene.account(), &second_factor(), "again").await.unwrap_err();
        assert_eq!(nothing.code(), "no_second_factor");
    }

    /// M9: two hundred operators and owners at once: a recovery is finished or cancelled, once, never both
    async fn a_recovery_is_finished_or_cancelled_never_both(world: World) {
        let scene = Scene::of(world).await;
        let case = scene.open(&second_factor()).await;
        let link = scene.link(&scene.ann.email, "recovery_opened").await;
        scene.world.pass(WAIT);
        let nodes = scene.world.nodes();
        let mut calls = Vec::new();
        for number in 0..crate::stage::CALLERS {
            let (door, account, id) = (nodes[number % 2].clone(), scene.account(), case.id);
            let link = CancelRecoveryToken::parse(&link).unwrap();
            calls.push(crate::stage::call(async move {
                let operator = Operator::of(&door, "oscar").unwrap();
                match number % 3 {
                    0 => format!("finished {}", told(operator.finish_recovery(account, id).await)),
                    1 => format!("cancelled {}", told(operator.cancel_recovery(account).await)),
                    _ => format!("stopped {}", told(door.cancel_recovery(&link, &place(number)).await)),
                }
            }));
        }
        let answers = race(calls).await;
        let finished = times(&answers, "finished done");
        let cancelled = times(&answers, "cancelled done") + times(&answers, "stopped done");
        assert_eq!(finished + cancelled, 1, "{answers:?}");
        assert_eq!(scene.has_second_factor().await, cancelled == 1);
        let steps = scene.audited(Action::RecoveryFinished).await.len() + scene.audited(Action::RecoveryCancelled).await.len();
        assert_eq!(steps, 1);
    }

    /// M9: what there is nothing to recover of, whom there is nothing known of, and addresses that are taken, at the
    /// beginning or meanwhile
    async fn a_recovery_needs_something_to_recover(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let bob = scene.world.person("bob@example.com").await;
        let open = async |account, kind: &RecoveryKind, reason: &str| {
            told(scene.operator.open_recovery(account, kind, reason).await)
        };
        let his = bob.session.account();
        assert_eq!(open(his, &second_factor(), "called").await, "no_second_factor");
        assert_eq!(open(his, &to("ann@example.com"), "called").await, "email_taken");
        assert_eq!(open(fresh(scene.world.clock.now()), &second_factor(), "called").await, "not_found");
        for reason in ["", "  ", "two\nlines", &"a".repeat(501)] {
            assert_eq!(open(his, &to("bob.new@example.com"), reason).await, "bad_reason");
        }
        assert_eq!(scene.world.events(EventKind::RecoveryChanged).len(), 0);
        // Somebody else gets an account of the address while it waits.
        let case = scene.operator.open_recovery(his, &to("bob.new@example.com"), "called").await.unwrap();
        let token = scene.link(&email("bob.new@example.com"), "confirm_recovery_email").await;
        door.confirm_recovery_email(&RecoveryEmailToken::parse(&token).unwrap(), &source()).await.unwrap();
        let other = scene.world.person("bob.new@example.com").await;
        scene.world.pass(WAIT);
        assert_eq!(told(scene.operator.finish_recovery(his, case.id).await), "email_taken");
        let mut snapshot = scene.world.store.begin_read().await.unwrap();
        let found = snapshot.account_by_email(&other.email).await.unwrap().unwrap();
        assert_eq!(found.id, other.session.account());
        assert_eq!(snapshot.account(his).await.unwrap().unwrap().email, bob.email);
    }

    /// M9, ASVS-5.0-6.4.6: neither what the operator is shown nor what the owner is shown holds a link, a password, or the
    /// address that it leads to
    async fn nobody_is_shown_a_secret_or_the_next_address(world: World) {
        let scene = Scene::of(world).await;
        let case = scene.open(&to("ann.new@example.net")).await;
        let cancel = scene.link(&scene.ann.email, "recovery_opened").await;
        let confirm = scene.link(&email("ann.new@example.net"), "confirm_recovery_email").await;
        let seen = scene.world.dashboard.recovery(&scene.ann.session).await.unwrap();
        let shown = format!("{case:?} {seen:?} {}", serde_json::to_string(&case).unwrap());
        let events = serde_json::to_string(&scene.world.all_events()).unwrap();
        let log = format!("{:?}", scene.world.audit_of_account(scene.account()).await);
        for secret in [cancel.as_str(), confirm.as_str(), PASSWORD] {
            assert!(!shown.contains(secret) && !events.contains(secret) && !log.contains(secret));
        }
        assert!(!shown.contains("example.net") && !events.contains("example.net"));
    }

    /// ASVS-5.0-6.6.3: links of recoveries that are guessed are throttled by where they come from
    async fn guessing_recovery_links_is_throttled(world: World) {
        let door = &world.dashboard;
        let mut answers = std::collections::BTreeMap::new();
        for guess in 0..60_u8 {
            let cancel = CancelRecoveryToken::from_random([guess; 32]);
            let confirm = RecoveryEmailToken::from_random([guess; 32]);
            let at = from("203.0.113.8");
            for code in [told(door.cancel_recovery(&cancel, &at).await), told(door.confirm_recovery_email(&confirm, &at).await)] {
                *answers.entry(code).or_insert(0) += 1;
            }
        }
        assert_eq!(answers, [("invalid_link".to_owned(), 100), ("throttled".to_owned(), 20)].into());
    }

    /// M9: how long it waits is the service's choice, more than nothing and at most thirty days
    async fn the_wait_is_the_services_choice(world: World) {
        let builder = |time| {
            let store = world.store.clone();
            let seals = portcullis::secret::SealingKeys::new(portcullis::secret::SealingKey::new(1, [7; 32]).unwrap());
            let (catalogue, format) = (world.catalogue.clone(), world.format.clone());
            portcullis::dashboard::Dashboard::builder(store, "Acme", crate::world::BASE, catalogue, format, seals)
                .unwrap()
                .clock(world.clock.clone())
                .recovery_wait(time)
        };
        assert!(builder(Duration::ZERO).is_err());
        assert!(builder(Duration::from_hours(24 * 30) + MICRO).is_err());
        let short = builder(Duration::from_mins(5)).unwrap().build().unwrap();
        let hand = world.hand("ann").await;
        let operator = Operator::of(&short, "olive").unwrap();
        let case = operator.open_recovery(hand.account, &to("x@example.com"), "called").await.unwrap();
        assert_eq!(case.due_at, world.clock.now() + jiff::SignedDuration::from_mins(5));
    }
}

impl Scene {
    async fn ann_signs_in_with_her_phone(&self) -> Person {
        let ann = self.world.sign_in_with(&self.ann.email, &self.phone).await;
        assert!(!ann.signed_in.token().expose_secret().is_empty());
        ann
    }
}
