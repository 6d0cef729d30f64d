//! Mail: owed in the transaction that causes it, sent once, put off, given up; and what is told by mail and in logs.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::dashboard::{Activity, Proof, Rotation, SecondFactor, SignIn};
use portcullis::ports::{Clock, EventKind, Mail, Mailer, MailerError, Outcome, TracingEvents};
use portcullis::recovery::TypedRecoveryCode;
use portcullis::secret::{ChangeEmailToken, ExposeSecret, ResetToken, SecretString, VerifyEmailToken};
use portcullis::store::Store;
use tokio::sync::Notify;

use crate::sign_in::{code, digits, enrol, wrong_code};
use crate::world::{
    BASE, OTHER_PASSWORD, PASSWORD, Person, World, email, from, on_every_store, password, source,
};

const MINUTE: Duration = Duration::from_mins(1);

/// Mails in the outbox, due or not.
async fn owed(world: &World) -> usize {
    // There a dropped transaction gives its claims up a moment later, and a sender passes over them.
    #[cfg(feature = "postgres")]
    if let Some(schema) = world.store.schema() {
        return schema.column("SELECT id::text FROM {p}outbox").len();
    }
    let far = "2100-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let mut tx = world.store.begin().await.unwrap();
    // Dropped, so that nothing is claimed.
    tx.claim_mail(far, far, 1_000).await.unwrap().len()
}

async fn kinds_to(world: &World, address: &str) -> Vec<&'static str> {
    world.mail_to(&email(address)).await.iter().map(portcullis::ports::Message::kind).collect()
}

/// A mailer that refuses and notes when it was asked.
#[derive(Default)]
struct Refusing(Mutex<Vec<Mail>>);

#[async_trait]
impl Mailer for Refusing {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        self.0.lock().unwrap().push(mail.clone());
        Err(MailerError)
    }
}

/// A mailer that begins and waits until it is let go on.
#[derive(Default)]
struct Slow {
    begun: Notify,
    go_on: Notify,
    mails: Mutex<Vec<Mail>>,
}

#[async_trait]
impl Mailer for Slow {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        self.mails.lock().unwrap().push(mail.clone());
        self.begun.notify_one();
        self.go_on.notified().await;
        Ok(())
    }
}

async fn sign_up(world: &World, address: &str) {
    world.dashboard.sign_up(&email(address), password(PASSWORD), &source()).await.unwrap();
}

on_every_store! {
    /// A mail is sent once, and wiped.
    async fn a_mail_is_sent_once_and_then_wiped(world: World) {
        sign_up(&world, "ann@example.com").await;
        assert_eq!(owed(&world).await, 1);
        let delivered = world.dashboard.send_mail(&*world.mailbox).await.unwrap();
        assert_eq!((delivered.sent, delivered.put_off, delivered.given_up), (1, 0, 0));
        assert_eq!(owed(&world).await, 0);
        world.pass(Duration::from_hours(168));
        assert_eq!(world.dashboard.send_mail(&*world.mailbox).await.unwrap().sent, 0);
        assert_eq!(kinds_to(&world, "ann@example.com").await, ["verify_email"]);
    }

    /// ASVS-5.0-16.3.4 (mailer): a refused mail is tried again after longer and longer waits, and given up at last;
    /// each time is told, and no secret with it
    async fn a_refused_mail_waits_longer_each_time_and_is_given_up_at_last(world: World) {
        sign_up(&world, "ann@example.com").await;
        let mailer = Refusing::default();
        let (mut tried_at, mut put_off, mut given_up) = (Vec::new(), 0, 0);
        for _ in 0..3 * 24 * 60 * 4 {
            let delivered = world.dashboard.send_mail(&mailer).await.unwrap();
            if delivered.put_off + delivered.given_up > 0 {
                tried_at.push(world.clock.now());
            }
            (put_off, given_up) = (put_off + delivered.put_off, given_up + delivered.given_up);
            if given_up > 0 {
                break;
            }
            world.pass(Duration::from_secs(15));
        }
        assert_eq!((put_off, given_up), (11, 1));
        let waits: Vec<_> = tried_at.windows(2).map(|two| two[1].duration_since(two[0]).as_secs()).collect();
        let doubling: Vec<_> = (0..11).map(|n| 30_i64 << n).collect();
        assert_eq!(waits, doubling);
        assert_eq!(owed(&world).await, 0);
        let told = world.events(EventKind::MailFailed);
        assert_eq!(told.len(), 12);
        assert_eq!(told.iter().filter(|event| event.code == Some("put_off")).count(), 11);
        assert_eq!(told.last().unwrap().code, Some("given_up"));
        let link = mailer.0.lock().unwrap()[0].message.link().unwrap().to_owned();
        let token = link.split_once("#token=").unwrap().1.to_owned();
        for event in told {
            let text = format!("{event:?}{}", serde_json::to_string(&event).unwrap());
            assert!(event.outcome == Outcome::Failed && !text.contains(&token) && !text.contains("ann@"));
        }
    }

    /// A mail that one sender holds is left alone by others, until it has held it too long: then the same id again.
    async fn a_claimed_mail_is_left_to_its_sender(world: World) {
        sign_up(&world, "ann@example.com").await;
        let slow = Arc::new(Slow::default());
        let (mailer, door) = (Arc::clone(&slow), world.dashboard.clone());
        let sending = tokio::spawn(async move { door.send_mail(&*mailer).await });
        slow.begun.notified().await;
        let node = world.node();
        assert_eq!(node.send_mail(&*world.mailbox).await.unwrap().sent, 0);
        world.pass(5 * MINUTE);
        let again = Refusing::default();
        assert_eq!(node.send_mail(&again).await.unwrap().put_off, 1);
        assert_eq!(again.0.lock().unwrap()[0].id, slow.mails.lock().unwrap()[0].id);
        slow.go_on.notify_one();
        assert_eq!(sending.await.unwrap().unwrap().sent, 1);
        assert_eq!(owed(&world).await, 0);
    }

    /// ATK-ENUM-04, ASVS-5.0-6.3.8: forgot-password answers alike, hashes nothing, and sends nothing within the call
    async fn forgot_password_answers_alike_and_mails_outside_the_call(world: World) {
        let ann = world.person("ann@example.com").await;
        world.mail_to(&ann.email).await;
        let mut seen = Vec::new();
        for address in ["ann@example.com", "nobody@example.com"] {
            let before = world.dashboard.hashes_computed();
            let answer = world.dashboard.forgot_password(&email(address), &source()).await;
            seen.push((format!("{answer:?}"), world.dashboard.hashes_computed() - before));
        }
        assert_eq!(seen[0], ("Ok(())".to_owned(), 0));
        assert_eq!(seen[0], seen[1]);
        // Owed, and not sent before a sender comes round.
        assert_eq!(owed(&world).await, 1);
        assert_eq!(kinds_to(&world, "ann@example.com").await, ["verify_email", "reset_password"]);
        let told = world.events(EventKind::ResetRequested);
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|event| event.account.is_none() && event.code == told[0].code));
    }

    /// ASVS-5.0-2.4.1: resets, by address and by source
    async fn a_flood_of_resets_mails_no_more_than_its_budget(world: World) {
        let ann = world.person("ann@example.com").await;
        for n in 0..20 {
            let _ = world.dashboard.forgot_password(&ann.email, &from(&format!("198.51.100.{n}"))).await;
        }
        let mails = kinds_to(&world, "ann@example.com").await;
        assert_eq!(mails.iter().filter(|kind| **kind == "reset_password").count(), 5);
        let mut taken = 0;
        for n in 0..60 {
            let address = email(&format!("p{n}@example.com"));
            taken += u32::from(world.dashboard.forgot_password(&address, &from("203.0.113.9")).await.is_ok());
        }
        assert_eq!(taken, 30);
    }

    /// Links lead to the configured base and carry nothing of the request that caused them.
    async fn mailed_links_lead_to_the_configured_base_alone(world: World) {
        let evil = from("192.0.2.66").with_user_agent("https://evil.example").with_request_id("evil.example");
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &evil).await.unwrap();
        let token = VerifyEmailToken::parse(&world.mailed_token(&ann).await).unwrap();
        let signed_in = world.dashboard.verify_email(&token, password(PASSWORD), &evil).await.unwrap();
        let session = world.dashboard.session(signed_in.token(), Activity::Person, &evil).await.unwrap();
        world.dashboard.forgot_password(&ann, &evil).await.unwrap();
        world.dashboard.sign_up(&ann, password(OTHER_PASSWORD), &evil).await.unwrap();
        let next = email("ann@example.org");
        world.dashboard.request_email_change(&session, &next).await.unwrap();
        let mut mails = world.mail_to(&ann).await;
        mails.extend(world.mail_to(&next).await);
        assert!(mails.iter().filter(|mail| mail.link().is_some()).count() >= 3);
        for mail in mails {
            if let Some(link) = mail.link() {
                let rest = link.strip_prefix(BASE).expect("the base");
                assert!(rest.starts_with('/') && rest.matches("#token=").count() == 1);
                assert!(mail.text().contains(link));
            }
            assert!(!mail.text().contains("evil") && !mail.subject().contains("evil"));
        }
    }

    /// ASVS-5.0-6.3.7: each change of what proves a person is told once, to the old and the new address; a mailer that
    /// fails undoes nothing
    async fn each_change_of_credentials_is_told_once_even_when_the_mailer_fails_at_first(world: World) {
        let ann = world.person("ann@example.com").await;
        world.mail_to(&ann.email).await;
        world.mailbox.refuses.store(true, Ordering::SeqCst);

        world.dashboard.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), false).await.unwrap();
        world.dashboard.send_mail(&*world.mailbox).await.unwrap();
        let ann = world.sign_in(&ann.email, OTHER_PASSWORD).await;
        let (totp, confirmed) = enrol(&world, &ann).await;
        let ann = world.signed_in(ann.email, confirmed.signed_in).await;
        world.dashboard.regenerate_recovery_codes(&ann.session).await.unwrap();
        world.dashboard.send_mail(&*world.mailbox).await.unwrap();
        world.dashboard.disable_totp(&ann.session).await.unwrap();
        assert!(world.dashboard.second_factor_status(&ann.session).await.unwrap().totp_since.is_none());
        drop(totp);

        world.mailbox.refuses.store(false, Ordering::SeqCst);
        let next = email("ann@example.org");
        world.dashboard.request_email_change(&ann.session, &next).await.unwrap();
        let token = ChangeEmailToken::parse(&world.mailed_token(&next).await).unwrap();
        world.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
        world.dashboard.forgot_password(&next, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&next).await).unwrap();
        world.dashboard.reset_password(&token, password(PASSWORD), &source()).await.unwrap();
        world.sign_in(&next, PASSWORD).await;

        world.pass(20 * MINUTE);
        let mut to_old = kinds_to(&world, "ann@example.com").await;
        let mut to_new = kinds_to(&world, "ann@example.org").await;
        to_old.sort_unstable();
        to_new.sort_unstable();
        assert_eq!(
            to_old,
            [
                "email_change_requested",
                "email_changed",
                "password_changed",
                "recovery_codes_replaced",
                "second_factor_disabled",
                "second_factor_enabled",
                "verify_email",
            ]
        );
        assert_eq!(to_new, ["confirm_new_email", "email_changed", "password_reset", "reset_password"]);
        assert_eq!(owed(&world).await, 0);
    }

    /// ASVS-5.0-16.2.5, ATK-LEAK-01: a whole story at TRACE, and every secret of it searched for in what was traced,
    /// told and printed
    async fn no_secret_of_a_whole_story_is_logged_or_printed(world: World) {
        let traced = tracing_at_trace();
        let world = world.with(|builder| builder.events(Arc::new(TracingEvents)));
        tracing::trace!("the subscriber hears of this");
        let mut secrets: Vec<String> = [PASSWORD, OTHER_PASSWORD, "a wrong password, all in all"].map(String::from).into();
        let mut printed = String::new();
        let mut see = |value: &dyn std::fmt::Debug| printed.push_str(&format!("{value:?}\n{value:#?}\n"));

        // Signing up.
        let ann = email("ann@example.com");
        see(&world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await);
        world.mailbox.refuses.store(true, Ordering::SeqCst);
        see(&world.dashboard.send_mail(&*world.mailbox).await);
        world.mailbox.refuses.store(false, Ordering::SeqCst);
        world.pass(MINUTE);
        let mailed = world.mailed_token(&ann).await;
        secrets.push(mailed.clone());
        let token = VerifyEmailToken::parse(&mailed).unwrap();
        see(&token);
        see(&world.dashboard.verify_email(&token, password(OTHER_PASSWORD), &source()).await);
        let signed_in = world.dashboard.verify_email(&token, password(PASSWORD), &source()).await.unwrap();
        see(&signed_in);
        secrets.push(signed_in.token().expose_secret().to_owned());
        let person = world.signed_in(ann.clone(), signed_in).await;
        see(&person.session);

        // A second factor and signing in with it.
        let setup = world.dashboard.begin_totp(&person.session).await.unwrap();
        see(&setup);
        let secret = portcullis::totp::parse_otpauth(setup.provisioning().otpauth_url().expose_secret()).unwrap().secret;
        secrets.push(setup.provisioning().manual_entry().expose_secret().to_owned());
        secrets.push(setup.provisioning().manual_entry().expose_secret().replace(' ', ""));
        let hex: String = secret.expose_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        secrets.push(hex);
        secrets.push(format!("{:?}", secret.expose_bytes()));
        see(&secret);
        let mut codes = vec![digits(&world, &secret)];
        let confirmed = world.dashboard.confirm_totp(&person.session, &code(&world, &secret)).await.unwrap();
        see(&confirmed);
        secrets.push(confirmed.signed_in.token().expose_secret().to_owned());
        for code in &confirmed.codes {
            secrets.push(code.shown().expose_secret().to_owned());
            secrets.push(code.secret().expose_secret().to_owned());
        }
        see(&world.dashboard.sign_in(&ann, password("a wrong password, all in all"), &source()).await);
        world.pass(MINUTE);
        let mut person = Person { email: ann.clone(), ..world.signed_in(ann.clone(), confirmed.signed_in).await };
        for round in 0..2 {
            let answer = world.dashboard.sign_in(&ann, password(PASSWORD), &source()).await.unwrap();
            see(&answer);
            let SignIn::SecondFactorNeeded(pending) = answer else { panic!("no second factor asked for") };
            secrets.push(pending.token().expose_secret().to_owned());
            let wrong = SecondFactor::Totp(wrong_code(&world, &secret));
            see(&wrong);
            see(&world.dashboard.second_factor(pending.token(), wrong, &source()).await);
            let right = if round == 0 {
                codes.push(digits(&world, &secret));
                SecondFactor::Totp(code(&world, &secret))
            } else {
                let shown = confirmed.codes.iter().next().unwrap().shown();
                SecondFactor::Recovery(TypedRecoveryCode::parse(shown.expose_secret()).unwrap())
            };
            see(&right);
            let signed_in = world.dashboard.second_factor(pending.token(), right, &source()).await.unwrap();
            see(&signed_in);
            secrets.push(signed_in.token().expose_secret().to_owned());
            person = world.signed_in(ann.clone(), signed_in).await;
        }

        // Stepping up, keys, another address, a reset.
        world.pass(MINUTE);
        codes.push(digits(&world, &secret));
        let proof = Proof {
            password: password(PASSWORD),
            second_factor: Some(SecondFactor::Totp(code(&world, &secret))),
        };
        see(&proof);
        let signed_in = world.dashboard.step_up(&person.session, proof).await.unwrap();
        secrets.push(signed_in.token().expose_secret().to_owned());
        let person = world.signed_in(ann.clone(), signed_in).await;
        let home = world.at_home(&person).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
        see(&issued);
        secrets.push(issued.text.expose_secret().to_owned());
        let rotated = world.dashboard.rotate_key(&home, issued.key.id, Rotation::AtOnce, None).await.unwrap();
        see(&rotated);
        secrets.push(rotated.text.expose_secret().to_owned());
        let next = email("ann@example.org");
        see(&world.dashboard.request_email_change(&person.session, &next).await);
        let mailed = world.mailed_token(&next).await;
        secrets.push(mailed.clone());
        let token = ChangeEmailToken::parse(&mailed).unwrap();
        see(&world.dashboard.confirm_email_change(&person.session, &token).await);
        see(&world.dashboard.change_password(&person.session, password(PASSWORD), password(OTHER_PASSWORD), true).await);
        world.dashboard.forgot_password(&next, &source()).await.unwrap();
        let mailed = world.mailed_token(&next).await;
        secrets.push(mailed.clone());
        let token = ResetToken::parse(&mailed).unwrap();
        see(&world.dashboard.reset_password(&token, password("Acme"), &source()).await);
        see(&world.dashboard.reset_password(&token, password(PASSWORD), &source()).await);
        see(&world.dashboard.reset_password(&token, password(PASSWORD), &source()).await);
        for mail in world.mail_to(&next).await {
            see(&mail);
        }
        see(&SecretString::from(PASSWORD));
        see(&world.dashboard);

        let traced = String::from_utf8_lossy(&traced.lock().unwrap()).into_owned();
        assert!(traced.contains("the subscriber hears of this"));
        assert!(traced.contains("second_factor_needed") && traced.contains("mail_failed"));
        assert!(secrets.len() > 30);
        for (what, text) in [("trace", &traced), ("debug", &printed)] {
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{what} shows {secret}");
                // Not a token's or a key's random part alone, either.
                let tail = if secret.starts_with("acme_") {
                    secret.rsplit('_').next().unwrap()
                } else {
                    secret.split_once('_').map_or(secret.as_str(), |(_, tail)| tail)
                };
                assert!(!text.contains(tail), "{what} shows {tail}");
            }
            for code in &codes {
                let shown = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == code);
                assert!(!shown, "{what} shows {code}");
            }
        }
    }
}

type Captured = Arc<Mutex<Vec<u8>>>;

#[derive(Clone)]
struct Capture(Captured);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the whole process traces from now on: hashing threads and other tests included.
fn tracing_at_trace() -> Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    let captured = CAPTURED.get_or_init(|| {
        let captured = Captured::default();
        let capture = Capture(Arc::clone(&captured));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .without_time()
            .with_ansi(false)
            .with_writer(move || capture.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        captured
    });
    Arc::clone(captured)
}
