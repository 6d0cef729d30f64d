//! Showing proofs again: what asks for it, what it gives, and what it ends.

use std::time::Duration;

use jiff::Timestamp;
use portcullis::dashboard::{AccountError, Activity, Proof, SecondFactor, Session, SessionError};
use portcullis::id::SessionId;
use portcullis::ports::{Clock, EventKind, Message, Outcome};
use portcullis::secret::{ExposeSecret, ResetToken, SessionToken};
use portcullis::store::record::{Action, Actor, Factor};
use portcullis::totp::parse_otpauth;

use crate::story::{Phone, proof, typed};
use crate::world::{OTHER_PASSWORD, PASSWORD, World, came_from, email, on_every_store, password, source};

const SECOND: Duration = Duration::from_secs(1);
/// The step-up window.
const WINDOW: Duration = Duration::from_mins(10);

/// Every sensitive operation of an account. A new one belongs here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sensitive {
    BeginTotp,
    ConfirmTotp,
    RegenerateRecoveryCodes,
    RequestEmailChange,
    EndSession,
    SignOutEverywhereElse,
    DisableTotp,
}

const ALL: [Sensitive; 7] = [
    Sensitive::BeginTotp,
    Sensitive::RegenerateRecoveryCodes,
    Sensitive::RequestEmailChange,
    Sensitive::EndSession,
    Sensitive::SignOutEverywhereElse,
    Sensitive::ConfirmTotp,
    Sensitive::DisableTotp,
];

impl Sensitive {
    async fn run(
        self,
        world: &World,
        session: &Session,
        other: SessionId,
        next_phone: Option<&Phone>,
    ) -> Result<(), AccountError> {
        let dashboard = &world.dashboard;
        match self {
            Self::BeginTotp => dashboard.begin_totp(session).await.map(drop),
            Self::ConfirmTotp => {
                dashboard.confirm_totp(session, &next_phone.unwrap().code(world)).await.map(drop)
            }
            Self::RegenerateRecoveryCodes => dashboard.regenerate_recovery_codes(session).await.map(drop),
            Self::RequestEmailChange => {
                dashboard.request_email_change(session, &email("new@example.com")).await
            }
            Self::EndSession => dashboard.end_session(session, other).await,
            Self::SignOutEverywhereElse => dashboard.sign_out_everywhere_else(session).await.map(drop),
            Self::DisableTotp => dashboard.disable_totp(session).await,
        }
    }
}

on_every_store! {
    /// ASVS-5.0-7.5.1, ASVS-5.0-7.5.2, ASVS-5.0-7.5.3: each sensitive operation is refused without recent proofs of
    /// every factor, without any effect, and goes through after a step-up
    async fn sensitive_operations_ask_for_recent_proofs(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let other = world.sign_in(&ann.email, PASSWORD).await.session.id();
        let (mut phone, _) = world.enrol(&mut ann).await;
        for operation in ALL {
            let mut next_phone = None;
            if operation == Sensitive::ConfirmTotp {
                let setup = world.dashboard.begin_totp(&ann.session).await.unwrap();
                let url = setup.provisioning().otpauth_url();
                next_phone = Some(Phone { secret: parse_otpauth(url.expose_secret()).unwrap().secret });
            }
            world.pass(WINDOW + SECOND);
            let recorded = world.audit_of_account(ann.session.account()).await;
            let refused = operation.run(&world, &ann.session, other, next_phone.as_ref()).await;
            let asks = matches!(refused, Err(AccountError::StepUpRequired { second_factor: true }));
            assert!(asks, "{operation:?}: {refused:?}");
            assert_eq!(world.audit_of_account(ann.session.account()).await, recorded, "{operation:?}");

            // The password alone is not enough of an account with a second factor.
            let short = world.dashboard.step_up(&ann.session, proof(None)).await;
            assert!(matches!(short, Err(AccountError::StepUpRequired { second_factor: true })));
            let refused = operation.run(&world, &ann.session, other, next_phone.as_ref()).await;
            assert!(matches!(refused, Err(AccountError::StepUpRequired { .. })), "{operation:?}");

            let signed_in = world.dashboard.step_up(&ann.session, phone.proof(&world)).await.unwrap();
            world.go_on(&mut ann, signed_in).await;
            let done = operation.run(&world, &ann.session, other, next_phone.as_ref()).await;
            assert!(done.is_ok(), "{operation:?}: {done:?}");
            if let Some(confirmed) = next_phone {
                phone = confirmed;
                ann = world.sign_in_with(&ann.email, &phone).await;
            }
        }
    }

    /// ASVS-5.0-7.5.3: turning the second factor off asks for it
    async fn turning_the_second_factor_off_asks_for_it(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let (_, codes) = world.enrol(&mut ann).await;
        world.pass(WINDOW + SECOND);
        let refused = Sensitive::DisableTotp.run(&world, &ann.session, ann.session.id(), None).await;
        assert!(matches!(refused, Err(AccountError::StepUpRequired { second_factor: true })));
        let wrong = world.dashboard.step_up(&ann.session, proof(Some(SecondFactor::Totp(Phone { secret: other_secret() }.code(&world))))).await;
        assert!(matches!(wrong, Err(AccountError::InvalidCode)), "{wrong:?}");
        let refused = Sensitive::DisableTotp.run(&world, &ann.session, ann.session.id(), None).await;
        assert!(matches!(refused, Err(AccountError::StepUpRequired { .. })));
        let signed_in = world.dashboard.step_up(&ann.session, proof(Some(typed(&codes, 3)))).await.unwrap();
        world.go_on(&mut ann, signed_in).await;
        Sensitive::DisableTotp.run(&world, &ann.session, ann.session.id(), None).await.unwrap();
    }

    /// ASVS-5.0-7.5.1: recent is up to the end of the window, and never from a clock that ran ahead
    async fn proofs_are_recent_until_the_window_ends(world: World) {
        let ann = world.person("ann@example.com").await;
        let shown = world.clock.now();
        world.pass(WINDOW);
        assert!(world.dashboard.begin_totp(&ann.session).await.is_ok());
        world.pass(Duration::from_micros(1));
        let refused = world.dashboard.begin_totp(&ann.session).await;
        assert!(matches!(refused, Err(AccountError::StepUpRequired { second_factor: false })));
        world.clock.set_wall(shown - Duration::from_secs(61));
        assert!(world.dashboard.begin_totp(&ann.session).await.is_err());
        world.clock.set_wall(shown - Duration::from_secs(59));
        assert!(world.dashboard.begin_totp(&ann.session).await.is_ok());
    }

    /// ASVS-5.0-7.2.4, SP800-63B-4-5.2: a step-up gives the session a new token and new time, and the old token is
    /// dead on every node
    async fn a_step_up_replaces_the_token_and_starts_both_timers_anew(world: World) {
        let node = world.node();
        let ann = world.person("ann@example.com").await;
        let old = SessionToken::parse(ann.signed_in.token().expose_secret()).unwrap();
        world.pass(Duration::from_hours(1));
        node.session(&old, Activity::Background, &source()).await.unwrap();
        let signed_in = world.dashboard.step_up(&ann.session, proof(None)).await.unwrap();
        for door in [&world.dashboard, &node] {
            let refused = door.session(&old, Activity::Person, &source()).await;
            assert!(matches!(refused, Err(SessionError::NotSignedIn)));
            assert!(door.session(signed_in.token(), Activity::Person, &source()).await.is_ok());
        }
        let (before, after) = (ann.signed_in.session(), signed_in.session());
        let hour = jiff::SignedDuration::from_hours(1);
        assert_eq!(after.id, before.id);
        assert_eq!(after.created_at, before.created_at);
        assert_eq!(after.ends_at.duration_since(before.ends_at), hour);
        assert_eq!(after.idle_until.duration_since(before.idle_until), hour);
        assert_eq!(after.factors.len(), 1);
        assert_eq!((after.factors[0].factor, after.factors[0].at), (Factor::Password, world.clock.now()));
    }

    /// ATK-SESS-07: of parallel step-ups with one token, one succeeds, and one token lives
    async fn parallel_step_ups_leave_one_live_token(world: World) {
        let ann = world.person("ann@example.com").await;
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (dashboard, session) = (world.dashboard.clone(), ann.session.clone());
                tokio::spawn(async move { dashboard.step_up(&session, proof(None)).await })
            })
            .collect();
        let mut given = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(signed_in) => given.push(signed_in),
                Err(AccountError::NotSignedIn) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(given.len(), 1);
        assert!(world.dashboard.session(given[0].token(), Activity::Person, &source()).await.is_ok());
        assert!(world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await.is_err());
        assert_eq!(world.dashboard.sessions(&ann.session).await.map_or(1, |all| all.len()), 1);
    }

    /// Somebody in a stolen session guesses no password: tries are charged as at sign-in, and the owner is told.
    /// ASVS-5.0-7.5.1
    async fn guessing_in_a_stolen_session_is_charged_and_told(world: World) {
        let ann = world.person("ann@example.com").await;
        let guess = || Proof { password: password("not the password at all"), second_factor: None };
        for _ in 0..5 {
            let wrong = world.dashboard.step_up(&ann.session, guess()).await;
            assert!(matches!(wrong, Err(AccountError::WrongPassword)), "{wrong:?}");
        }
        let refused = world.dashboard.step_up(&ann.session, proof(None)).await;
        assert!(matches!(refused, Err(AccountError::Throttled(_))));
        let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
        let refused = world.dashboard.change_password(&ann.session, old, new, false).await;
        assert!(matches!(refused, Err(AccountError::Throttled(_))));
        assert!(world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.is_err());
        let told = world.mail_to(&ann.email).await;
        assert_eq!(told.iter().filter(|mail| matches!(mail, Message::PasswordLocked)).count(), 1);
        let events = world.events(EventKind::StepUp);
        assert_eq!(events.len(), 5);
        assert!(events.iter().all(|event| event.outcome == Outcome::Refused && event.account.is_some()));
    }

    /// SP800-63B-4-4.1#record: what happens to each authenticator of an account is kept with who, when and from
    /// where
    async fn the_life_of_every_authenticator_is_on_the_record(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let account = ann.session.account();
        let mut expected: Vec<(Action, Timestamp)> =
            vec![(Action::AccountCreated, world.clock.now()), (Action::SessionStarted, world.clock.now())];
        world.pass(SECOND);
        let (_, codes) = world.enrol(&mut ann).await;
        expected.push((Action::TotpEnrolmentStarted, world.clock.now()));
        expected.push((Action::TotpEnabled, world.clock.now()));
        world.pass(SECOND);
        let signed_in = world.dashboard.step_up(&ann.session, proof(Some(typed(&codes, 0)))).await.unwrap();
        world.go_on(&mut ann, signed_in).await;
        expected.push((Action::RecoveryCodeUsed, world.clock.now()));
        expected.push((Action::SteppedUp, world.clock.now()));
        world.pass(SECOND);
        world.dashboard.regenerate_recovery_codes(&ann.session).await.unwrap();
        expected.push((Action::RecoveryCodesReplaced, world.clock.now()));
        world.pass(SECOND);
        world.dashboard.disable_totp(&ann.session).await.unwrap();
        expected.push((Action::TotpDisabled, world.clock.now()));
        world.pass(SECOND);
        let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
        world.dashboard.change_password(&ann.session, old, new, false).await.unwrap();
        expected.push((Action::PasswordChanged, world.clock.now()));
        world.pass(SECOND);
        world.reset_to(&ann.email, PASSWORD).await;
        expected.push((Action::PasswordReset, world.clock.now()));

        let kept = world.audit_of_account(account).await;
        for (action, at) in expected {
            let found = kept.iter().find(|entry| entry.action == action && entry.at == at);
            let entry = found.unwrap_or_else(|| panic!("{action:?} is not on the record"));
            assert_eq!(entry.actor, Actor::Account(account), "{action:?}");
            assert!(came_from(entry, &source()), "{action:?}");
        }
    }
}

fn other_secret() -> portcullis::totp::TotpSecret {
    portcullis::totp::TotpSecret::from_random([1; 20])
}

impl World {
    /// Replaces a password through a mailed link.
    pub async fn reset_to(&self, email: &portcullis::email::EmailAddress, next: &str) {
        self.dashboard.forgot_password(email, &source()).await.unwrap();
        let link = ResetToken::parse(&self.mailed_token(email).await).unwrap();
        self.dashboard.reset_password(&link, password(next), &source()).await.unwrap();
    }
}
