//! The whole tour in one process: no network, no set-up, SQLite in a temporary file.
//!
//! `cargo run --example quickstart`

#![allow(
    clippy::too_many_lines,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a tour in one piece, on the machine's clock"
)]

mod money;
mod team;

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::access::{BuiltinRole, Catalogue, Question, Scope};
use portcullis::api::{ApiDoor, ApiRequest, Caller, Denied};
use portcullis::dashboard::{
    Activity, Dashboard, Expiry, NewKey, NewKeyKind, Operator, Rotation, SecondFactor, SignIn,
};
use portcullis::email::EmailAddress;
use portcullis::key::KeyFormat;
use portcullis::name::DisplayName;
use portcullis::ports::{Mail, Mailer, MailerError};
use portcullis::secret::{
    ExposeSecret, SealingKey, SealingKeys, SecretString, SessionToken, VerifyEmailToken,
};
use portcullis::source::Source;
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::totp::{TotpCode, parse_otpauth};

type Done = Result<(), Box<dyn Error>>;

/// A mailer that shows each mail and remembers the latest link.
#[derive(Default)]
struct Terminal {
    link: Mutex<Option<String>>,
}

#[async_trait]
impl Mailer for Terminal {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        println!("   ✉ to {}: {}", mail.to, mail.message.subject());
        if let (Some(link), Ok(mut latest)) = (mail.message.link(), self.link.lock()) {
            println!("     {link}");
            *latest = Some(link.to_owned());
        }
        Ok(())
    }
}

impl Terminal {
    fn token(&self) -> Option<String> {
        let link = self.link.lock().ok()?.clone()?;
        link.split_once("#token=").map(|(_, token)| token.to_owned())
    }
}

#[tokio::main]
async fn main() -> Done {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("quickstart.db"), SqliteOptions::default())?;

    step("A service says what there is to do with its API, and how its keys look");
    let catalogue = Arc::new(
        Catalogue::builder()
            .scope("models.read", Some(BuiltinRole::Viewer), "List the models")
            .scope("completions.create", Some(BuiltinRole::Developer), "Run a model")
            .build()?,
    );
    let format = Arc::new(KeyFormat::new("acme", &["live", "test"])?);
    println!("   secret scanners find its keys by {}", format.scanner_pattern());

    // The sealing key comes from the service's secret store; this one lives as long as the tour.
    let seals = SealingKeys::new(SealingKey::new(1, random()?)?);
    let people = Dashboard::builder(
        store.clone(),
        "Acme",
        "https://console.acme.example",
        Arc::clone(&catalogue),
        Arc::clone(&format),
        seals,
    )?
    .build()?;
    let programs = ApiDoor::builder(store.clone(), store.clone(), Arc::clone(&catalogue), format)
        .usage(store.clone())
        .build();
    let source = Source::from_address("192.0.2.10".parse()?).with_user_agent("quickstart");
    let mail = Terminal::default();

    step("Ann signs up; nothing works before she shows the mailed link and her password");
    let ann = EmailAddress::parse("ann@example.com")?;
    let password = || SecretString::from("correct horse, wrong battery");
    people.sign_up(&ann, password(), &source).await?;
    people.send_mail(&mail).await?;
    let early = people.sign_in(&ann, password(), &source).await?;
    println!("   signing in too early: {early:?}");
    let token = VerifyEmailToken::parse(&mail.token().ok_or("no link")?)?;
    let signed_in = people.verify_email(&token, password(), &source).await?;
    let session = people.session(signed_in.token(), Activity::Person, &source).await?;
    println!("   next step of her onboarding: {:?}", people.onboarding(&session).await?.next);

    step("She turns a second factor on: scan this");
    let setup = people.begin_totp(&session).await?;
    println!("{}", setup.provisioning().qr_terminal()?.expose_secret());
    let url = setup.provisioning().otpauth_url();
    // A code works once, so the tour confirms with the one before and signs in with the present one.
    let code = TotpCode::parse(&authenticator(&url, Timestamp::now() - Duration::from_secs(30))?)?;
    let confirmed = people.confirm_totp(&session, &code).await?;
    println!("{}", confirmed.download.expose_secret());

    step("She signs out and in again: the password alone is only half of it");
    people.sign_out(&session).await?;
    let SignIn::SecondFactorNeeded(pending) = people.sign_in(&ann, password(), &source).await? else {
        return Err("a second factor was expected".into());
    };
    println!("   pending until {}; it opens nothing", pending.expires_at());
    let code = SecondFactor::Totp(TotpCode::parse(&authenticator(&url, Timestamp::now())?)?);
    let signed_in = people.second_factor(pending.token(), code, &source).await?;
    let session = people.session(signed_in.token(), Activity::Person, &source).await?;
    println!(
        "   the session records: {:?}",
        signed_in.session().factors.iter().map(|f| f.factor).collect::<Vec<_>>()
    );

    step("She enters her workspace and issues a key; its text is shown this once");
    let home = people.workspaces(&session).await?.first().ok_or("no workspace")?.id;
    let member = people.enter(&session, home).await?;
    let project = people.projects(&member).await?.first().ok_or("no project")?.id;
    let new = NewKey {
        project,
        kind: NewKeyKind::Personal,
        name: DisplayName::parse("first key")?,
        environment: "live".to_owned(),
        scopes: BTreeSet::from([Scope::parse("models.read")?]),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation: None,
    };
    let issued = people.issue_key(&member, &new).await?;
    println!("   {}", issued.text.expose_secret());
    println!(
        "   lists show {:?}, expires {:?}",
        issued.key.secrets.first().map(|s| &s.hint),
        issued.key.expires_at
    );

    step("A program calls with it");
    call(&programs, issued.text.expose_secret(), "models.read").await?;
    println!("   what its role does not reach is refused, and the operator's log says why:");
    call(&programs, issued.text.expose_secret(), "completions.create").await?;
    println!("   a typing error costs no lookup:");
    let mut typo = issued.text.expose_secret().to_owned();
    let last = if typo.pop() == Some('x') { 'y' } else { 'x' };
    typo.push(last);
    call(&programs, &typo, "models.read").await?;

    step("The doors do not mix");
    call(&programs, signed_in.token().expose_secret(), "models.read").await?;
    println!("   the key as a session: {:?}", SessionToken::parse(issued.text.expose_secret()).err());

    step("Rotation with an overlap: both secrets work for a day; never more than two");
    let rotated =
        people.rotate_key(&member, issued.key.id, Rotation::Overlap(Duration::from_hours(24)), None).await?;
    call(&programs, issued.text.expose_secret(), "models.read").await?;
    call(&programs, rotated.text.expose_secret(), "models.read").await?;

    step("The service's operator suspends the project, and resumes it");
    let operator = Operator::of(&people, "support: Kim")?;
    operator.suspend_project(project, "a bill is open").await?.everywhere().await;
    call(&programs, rotated.text.expose_secret(), "models.read").await?;
    operator.resume_project(project).await?.everywhere().await;
    call(&programs, rotated.text.expose_secret(), "models.read").await?;

    step("Revocation: in this process at once, everywhere when the promise returns");
    people.revoke_key(&member, issued.key.id).await?.everywhere().await;
    call(&programs, rotated.text.expose_secret(), "models.read").await?;
    println!(
        "   the session is none the wiser: {:?}",
        people.session(signed_in.token(), Activity::Person, &source).await?.id()
    );

    step("Every decision says why");
    let question = Question::Scope(Scope::parse("completions.create")?);
    println!(
        "   may Ann's keys run models? {:?}",
        people.may(&member, &question, Some(project)).await?.rule().code()
    );
    if let Some(usage) = programs.usage() {
        usage.flush().await?;
    }
    let key = people.key(&member, issued.key.id).await?;
    println!("   the key made {} allowed requests, the last at {:?}", key.requests, key.last_used_at);
    people.send_mail(&mail).await?;

    money::tour(&people, &operator, &member, project, store).await?;
    people.send_mail(&mail).await?;
    team::tour(&people, &programs, &mail, &session, &source).await?;
    people.send_mail(&mail).await?;
    println!("\nAll done. The database is deleted now.");
    Ok(())
}

/// One request of a program.
async fn call(door: &ApiDoor, key: &str, scope: &str) -> Done {
    let header = format!("Bearer {key}");
    let need = door.need(&Scope::parse(scope)?).ok_or("unknown scope")?;
    let request =
        ApiRequest { authorization: &[header.as_bytes()], peer: Some("198.51.100.7".parse()?), need };
    let answer: Result<Caller, Denied> = door.authenticate(&request).await;
    match answer {
        Ok(caller) => println!("   {scope}: allowed, as key {}", caller.key()),
        Err(denied) => {
            println!("   {scope}: {} {denied} [log: {}]", denied.face().status, denied.reason().code());
        }
    }
    Ok(())
}

/// What the app on Ann's phone does.
fn authenticator(url: &SecretString, now: Timestamp) -> Result<String, Box<dyn Error>> {
    let parsed = parse_otpauth(url.expose_secret())?;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, parsed.secret.expose_bytes());
    let step = u64::try_from(now.as_second())? / 30;
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag.last().copied().unwrap_or(0) & 0xf);
    let word = tag.get(at..at + 4).ok_or("a short tag")?.try_into()?;
    Ok(format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000))
}

fn random() -> Result<[u8; 32], Box<dyn Error>> {
    use portcullis::ports::EntropyExt as _;
    Ok(portcullis::ports::SystemEntropy::new().bytes()?)
}

fn step(title: &str) {
    println!("\n── {title}");
}
