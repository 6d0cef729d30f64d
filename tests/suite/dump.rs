//! Whoever gets the database gets nothing to use.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::dashboard::{Activity, NewKey, NewKeyKind, Rotation, SecondFactor, SignIn};
use portcullis::key::KeyText;
use portcullis::ports::{Mail, Mailer, MailerError, Message};
use portcullis::recovery::RecoveryCodes;
use portcullis::secret::{ChangeEmailToken, ExposeSecret, ResetToken, SealContext, SealingKey, SealingKeys};
use portcullis::store::Store;
use portcullis::totp::TotpSecret;

use crate::story::{Phone, proof, typed};
use crate::world::{OTHER_PASSWORD, PASSWORD, World, email, password, source};

/// Everything that was ever issued or chosen, in each form in which it could stand somewhere.
#[derive(Default)]
struct Secrets(BTreeMap<Vec<u8>, String>);

impl Secrets {
    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        assert!(bytes.len() >= 12, "{what} is too short to be told from chance");
        self.0.insert(bytes.to_vec(), what.to_owned());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(hex.to_uppercase().into_bytes(), format!("{what} in upper hex"));
        self.0.insert(hex.into_bytes(), format!("{what} in hex"));
        // Inside a longer base64 text, it stands at one of three offsets; its edges are left out.
        for offset in 0..3 {
            let padded = [&vec![b'.'; offset][..], bytes].concat();
            for engine in [STANDARD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                let inner = engine.trim_end_matches('=');
                let inner = inner[4.min(offset * 4)..inner.len() - 2].as_bytes().to_vec();
                self.0.insert(inner, format!("{what} in base64 at {offset}"));
            }
        }
    }

    fn text(&mut self, what: &str, text: &str) {
        self.bytes(what, text.as_bytes());
        self.0.insert(text.to_lowercase().into_bytes(), format!("{what} in lower case"));
        if text.len() >= 32 {
            self.0.insert(text.as_bytes()[..text.len() / 2].to_vec(), format!("the first half of {what}"));
            self.0.insert(text.as_bytes()[text.len() / 2..].to_vec(), format!("the second half of {what}"));
        }
    }

    /// A token: its text, what follows the label, and the random bytes behind it.
    fn token(&mut self, what: &str, text: &str) {
        let body = text.split_once('_').unwrap().1;
        self.text(what, body);
        self.0.insert(text.as_bytes().to_vec(), what.to_owned());
        self.bytes(&format!("the bytes of {what}"), &URL_SAFE_NO_PAD.decode(body).unwrap());
    }

    /// A key: its text and the secret in it. Its id is public.
    fn key(&mut self, what: &str, text: &KeyText) {
        let whole = text.expose_secret();
        let head = text.hint().to_string();
        self.0.insert(whole.as_bytes().to_vec(), what.to_owned());
        self.text(&format!("the secret of {what}"), &whole[head.trim_end_matches('…').len()..]);
    }

    fn totp(&mut self, what: &str, phone: &Phone, manual: &str) {
        self.bytes(what, phone.secret.expose_bytes());
        self.text(&format!("{what} in base32"), &manual.replace(' ', ""));
        self.text(&format!("{what} in groups"), manual);
    }

    fn codes(&mut self, what: &str, codes: &RecoveryCodes) {
        for (number, code) in codes.iter().enumerate() {
            self.text(&format!("{what} {number}"), code.secret().expose_secret());
            self.text(&format!("{what} {number} with hyphens"), code.shown().expose_secret());
            // Without its locator, which is no secret.
            self.text(&format!("the rest of {what} {number}"), &code.secret().expose_secret()[2..]);
        }
    }

    /// The names of those that stand in these bytes.
    fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut starts: BTreeMap<[u8; 4], Vec<(&[u8], &str)>> = BTreeMap::new();
        for (secret, what) in &self.0 {
            starts.entry(secret[..4].try_into().unwrap()).or_default().push((secret, what));
        }
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(3) {
            let start: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
            for (secret, what) in starts.get(&start).into_iter().flatten() {
                if bytes[at..].starts_with(secret) {
                    found.push(*what);
                }
            }
        }
        found
    }
}

/// Reads each mail and says that it could not be delivered, so that it stays in the outbox.
#[derive(Default)]
struct Lost(Mutex<Vec<Message>>);

#[async_trait]
impl Mailer for Lost {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        self.0.lock().unwrap().push(mail.message.clone());
        Err(MailerError)
    }
}

/// ATK-LEAK-04, ASVS-5.0-13.3.1, ASVS-5.0-11.3.2, ATK-SESS-03: after a whole story, the database file, its log and its
/// index hold nothing that was ever issued, in no form; and the same search finds what does stand there
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_the_database_holds_nothing_to_use() {
    nothing_to_use(World::sqlite().await, |world| {
        // What a thief copies: every file there is.
        let mut everything = Vec::new();
        let mut files = Vec::new();
        for file in std::fs::read_dir(world.folder.as_ref().unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            files.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            everything.extend(std::fs::read(path).unwrap());
        }
        files.sort();
        assert_eq!(files, ["test.db", "test.db-shm", "test.db-wal"]);
        everything
    })
    .await;
}

/// The same on PostgreSQL, where a thief has every value of every column. ATK-LEAK-04, ASVS-5.0-13.3.1, ASVS-5.0-11.3.2,
/// ATK-SESS-03
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_the_schema_holds_nothing_to_use() {
    nothing_to_use(World::postgres().await, |world| {
        let everything = world.store.schema().unwrap().bytes();
        assert!(everything.len() > 10_000, "{}", everything.len());
        everything
    })
    .await;
}

async fn nothing_to_use(world: World, read: impl FnOnce(&World) -> Vec<u8>) {
    let mut secrets = Secrets::default();
    for (what, text) in [("a password", PASSWORD), ("another password", OTHER_PASSWORD)] {
        secrets.text(what, text);
    }
    secrets.bytes("the sealing key", &[7; 32]);

    // Sign-up, with a link that was used, one that was replaced and one that still waits.
    let ann_address = email("ann@example.com");
    world.dashboard.sign_up(&ann_address, password(PASSWORD), &source()).await.unwrap();
    secrets.token("a replaced link", &world.mailed_token(&ann_address).await);
    world.dashboard.resend_verification(&ann_address, &source()).await.unwrap();
    let link = world.mailed_token(&ann_address).await;
    secrets.token("a verification link", &link);
    let link = portcullis::secret::VerifyEmailToken::parse(&link).unwrap();
    let signed_in = world.dashboard.verify_email(&link, password(PASSWORD), &source()).await.unwrap();
    let mut ann = world.signed_in(ann_address.clone(), signed_in).await;
    secrets.token("the first session", ann.signed_in.token().expose_secret());

    // A second factor: a setup that came to nothing, one that was confirmed, one that waits.
    for round in 0..3 {
        let setup = world.dashboard.begin_totp(&ann.session).await.unwrap();
        let url = setup.provisioning().otpauth_url();
        let phone = Phone { secret: portcullis::totp::parse_otpauth(url.expose_secret()).unwrap().secret };
        let manual = setup.provisioning().manual_entry();
        secrets.totp(&format!("TOTP secret {round}"), &phone, manual.expose_secret());
        if round == 1 {
            let confirmed = world.dashboard.confirm_totp(&ann.session, &phone.code(&world)).await.unwrap();
            secrets.codes("recovery code", &confirmed.codes);
            secrets.token("the session with a second factor", confirmed.signed_in.token().expose_secret());
            world.go_on(&mut ann, confirmed.signed_in).await;

            world.pass(Duration::from_mins(1));
            let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
            let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
            secrets.token("a pending sign-in", pending.token().expose_secret());
            let code = SecondFactor::Totp(phone.code(&world));
            let signed_in = world.dashboard.second_factor(pending.token(), code, &source()).await.unwrap();
            secrets.token("another session", signed_in.token().expose_secret());
            let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
            let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
            secrets.token("a sign-in that still waits", pending.token().expose_secret());

            let signed_in =
                world.dashboard.step_up(&ann.session, proof(Some(typed(&confirmed.codes, 0)))).await;
            let signed_in = signed_in.unwrap();
            secrets.token("the session after a step-up", signed_in.token().expose_secret());
            world.go_on(&mut ann, signed_in).await;
            let (codes, _) = world.dashboard.regenerate_recovery_codes(&ann.session).await.unwrap();
            secrets.codes("second recovery code", &codes);
        }
    }

    // Keys: issued, rotated both ways, revoked; personal and service.
    let home = world.at_home(&ann).await;
    let issued =
        world.dashboard.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
    secrets.key("a key", &issued.text);
    for (number, rotation) in
        [Rotation::Overlap(Duration::from_mins(1)), Rotation::AtOnce].into_iter().enumerate()
    {
        let rotated = world.dashboard.rotate_key(&home, issued.key.id, rotation, None).await.unwrap();
        secrets.key(&format!("rotated key {number}"), &rotated.text);
    }
    let service = NewKey { kind: NewKeyKind::Service, ..world.new_key(&home, &[]).await };
    let service = world.dashboard.issue_key(&home, &service).await.unwrap();
    secrets.key("a revoked key", &service.text);
    let _ = world.dashboard.revoke_key(&home, service.key.id).await.unwrap();

    // Another address.
    let next = email("ann.next@example.com");
    world.dashboard.request_email_change(&ann.session, &next).await.unwrap();
    let link = world.mailed_token(&next).await;
    secrets.token("a change-of-address link", &link);
    let link = ChangeEmailToken::parse(&link).unwrap();
    world.dashboard.confirm_email_change(&ann.session, &link).await.unwrap();

    // A changed password, a used reset link, and one whose mail still lies in the outbox.
    let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
    world.dashboard.change_password(&ann.session, old, new, false).await.unwrap();
    world.dashboard.forgot_password(&next, &source()).await.unwrap();
    let link = world.mailed_token(&next).await;
    secrets.token("a reset link", &link);
    world
        .dashboard
        .reset_password(&ResetToken::parse(&link).unwrap(), password(PASSWORD), &source())
        .await
        .unwrap();
    world.mail_to(&next).await;
    let lost = Lost::default();
    world.dashboard.forgot_password(&next, &source()).await.unwrap();
    world.dashboard.sign_up(&email("bob@example.com"), password(OTHER_PASSWORD), &source()).await.unwrap();
    world.dashboard.send_mail(&lost).await.unwrap();
    let unsent = std::mem::take(&mut *lost.0.lock().unwrap());
    assert_eq!(unsent.len(), 2);
    for message in &unsent {
        let (_, token) = message.link().unwrap().split_once("#token=").unwrap();
        secrets.token("a link that was not delivered", token);
    }
    let ended = world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await;
    assert!(ended.is_err());
    assert!(secrets.0.len() > 300, "{}", secrets.0.len());

    let everything = read(&world);
    assert_eq!(secrets.found_in(&everything), Vec::<&str>::new());

    // The search does find what stands there: an address, digests, and the sealed TOTP secret.
    let mut controls = Secrets::default();
    controls.0.insert(b"ann.next@example.com".to_vec(), "the address".to_owned());
    let mut snapshot = world.store.begin_read().await.unwrap();
    let account = snapshot.account(ann.session.account()).await.unwrap().unwrap();
    let factor = snapshot.totp(account.id).await.unwrap().unwrap();
    let key = snapshot.secrets_of(issued.key.id).await.unwrap();
    drop(snapshot);
    controls.0.insert(key[0].digest.as_bytes().to_vec(), "a key's digest".to_owned());
    controls.0.insert(factor.secret.as_bytes().to_vec(), "the sealed secret".to_owned());
    let found = controls.found_in(&everything);
    for what in ["the address", "a key's digest", "the sealed secret"] {
        assert!(found.contains(&what), "{what} was not found");
    }
    // It is sealed with AES-256-GCM: version 1, key 1, a nonce, the secret and a tag; for its row and key alone.
    assert_eq!(factor.secret.as_bytes()[..5], [1, 0, 0, 0, 1]);
    assert_eq!(factor.secret.as_bytes().len(), 1 + 4 + 12 + 20 + 16);
    let uuid = portcullis::id::Id::uuid;
    let context =
        SealContext { kind: "totp", row: uuid(factor.id), owner: portcullis::id::Id::uuid(account.id) };
    let right = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let opened = right.open(context, &factor.secret).unwrap();
    assert!(TotpSecret::from_bytes(&opened).is_ok());
    let wrong = SealingKeys::new(SealingKey::new(1, [8; 32]).unwrap());
    assert!(wrong.open(context, &factor.secret).is_err());
    let elsewhere = SealContext { row: context.owner, ..context };
    assert!(right.open(elsewhere, &factor.secret).is_err());
    let of_another = SealContext { owner: context.row, ..context };
    assert!(right.open(of_another, &factor.secret).is_err());
}
