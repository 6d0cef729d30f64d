//! What tests of second factors share: an authenticator app of our own, enrolment, nodes with choices, an entropy spy.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use portcullis::dashboard::{
    Dashboard, DashboardBuilder, PendingSignIn, Proof, SecondFactor, SignIn, SignInError, SignedIn, Throttles,
};
use portcullis::email::EmailAddress;
use portcullis::ports::{Clock as _, Entropy, EntropyFailed};
use portcullis::recovery::TypedRecoveryCode;
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::throttle::{Backoff, Budget, Refused};
use portcullis::totp::{TotpCode, parse_otpauth};

use crate::world::{BASE, PASSWORD, Person, World, password, source};

/// One step of an authenticator app.
pub const STEP: Duration = Duration::from_secs(30);

/// An authenticator app: RFC 6238 written once more, apart from the crate.
#[derive(Clone)]
pub struct App {
    pub seed: Vec<u8>,
}

impl App {
    /// Scans the code.
    pub fn scan(setup: &portcullis::dashboard::TotpSetup) -> Self {
        let url = setup.provisioning().otpauth_url();
        Self { seed: parse_otpauth(url.expose_secret()).unwrap().secret.expose_bytes().to_vec() }
    }

    /// The code shown at a moment, as digits.
    pub fn digits(&self, at: Timestamp) -> String {
        let counter = u64::try_from(at.as_second()).unwrap() / 30;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.seed);
        let tag = ring::hmac::sign(&key, &counter.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[19] & 15);
        let word = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", word % 1_000_000)
    }

    pub fn at(&self, at: Timestamp) -> TotpCode {
        TotpCode::parse(&self.digits(at)).unwrap()
    }

    /// The code that the world's clock asks for now.
    pub fn now(&self, world: &World) -> TotpCode {
        self.at(world.clock.now())
    }

    /// A code of no step near the present one.
    pub fn wrong(&self, world: &World) -> TotpCode {
        let now = world.clock.now();
        let near: BTreeSet<String> = (-20..=20).map(|step| self.digits(shifted(now, step * 30))).collect();
        let wrong = (0..100).map(|n| format!("{n:06}")).find(|digits| !near.contains(digits)).unwrap();
        TotpCode::parse(&wrong).unwrap()
    }
}

/// A person with a second factor.
pub struct Enrolled {
    pub person: Person,
    pub app: App,
    /// The recovery codes, as shown.
    pub codes: Vec<String>,
}

impl Enrolled {
    pub fn recovery(&self, number: usize) -> SecondFactor {
        SecondFactor::Recovery(TypedRecoveryCode::parse(&self.codes[number]).unwrap())
    }

    pub fn totp(&self, world: &World) -> SecondFactor {
        SecondFactor::Totp(self.app.now(world))
    }

    pub fn wrong(&self, world: &World) -> SecondFactor {
        SecondFactor::Totp(self.app.wrong(world))
    }
}

pub fn shifted(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

/// Signs a person up and turns on the second factor; the clock then stands in the next step.
pub async fn enrolled(world: &World, address: &str) -> Enrolled {
    let person = world.person(address).await;
    enrol(world, person).await
}

pub async fn enrol(world: &World, person: Person) -> Enrolled {
    let setup = world.dashboard.begin_totp(&person.session).await.unwrap();
    let app = App::scan(&setup);
    let confirmed = world.dashboard.confirm_totp(&person.session, &app.now(world)).await.unwrap();
    let codes = confirmed.codes.iter().map(|code| code.shown().expose_secret().to_owned()).collect();
    let person = world.signed_in(person.email, confirmed.signed_in).await;
    world.pass(STEP);
    Enrolled { person, app, codes }
}

/// A sign-in that has shown the password and owes the second factor.
pub async fn pend(dashboard: &Dashboard, email: &EmailAddress, text: &str) -> PendingSignIn {
    match dashboard.sign_in(email, password(text), &source()).await.unwrap() {
        SignIn::SecondFactorNeeded(pending) => pending,
        other => panic!("no second factor asked for: {other:?}"),
    }
}

pub async fn finish(
    dashboard: &Dashboard,
    pending: &PendingSignIn,
    shown: SecondFactor,
) -> Result<SignedIn, SignInError> {
    dashboard.second_factor(pending.token(), shown, &source()).await
}

/// Throttles that let a test try often, where something else than throttling has to refuse.
pub fn lenient() -> Throttles {
    let backoff = || Backoff::new(100, Duration::from_secs(1), Duration::from_secs(1), 100).unwrap();
    // Long enough that a clock a day ahead is within it.
    let budget = || Budget::new(u32::MAX, Duration::from_hours(720)).unwrap();
    let mut throttles = Throttles::standard().unwrap();
    throttles.password = backoff();
    throttles.totp = backoff();
    throttles.recovery = backoff();
    throttles.source = budget();
    throttles.site = budget();
    throttles.everywhere = budget();
    throttles.mail_to_address = budget();
    throttles.mail_from_source = budget();
    throttles.mail_from_site = budget();
    throttles
}

/// Another node over the same store, with these throttles and the time of this one.
pub fn node_with(world: &World, throttles: Throttles) -> World {
    let node = World::over(world.store.clone(), None, |builder| builder.throttles(throttles));
    node.clock.set_wall(world.clock.now());
    node
}

pub fn refused(error: &SignInError) -> Option<Refused> {
    if let SignInError::Throttled(refused) = error { Some(*refused) } else { None }
}

pub async fn kinds(world: &World, to: &EmailAddress) -> Vec<&'static str> {
    world.mail_to(to).await.iter().map(portcullis::ports::Message::kind).collect()
}

pub fn proof(second_factor: Option<SecondFactor>) -> Proof {
    Proof { password: password(PASSWORD), second_factor }
}

/// A sealing key of these numbers.
pub fn seal(id: u32, byte: u8) -> SealingKey {
    SealingKey::new(id, [byte; 32]).unwrap()
}

/// A dashboard over the same store and clock with other sealing keys.
pub fn sealed_with(world: &World, seals: SealingKeys) -> Dashboard {
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    let builder = Dashboard::builder(world.store.clone(), "Acme", BASE, catalogue, format, seals).unwrap();
    builder.clock(Arc::clone(&world.clock) as _).build().unwrap()
}

/// A builder with nothing chosen yet.
pub fn builder(world: &World) -> DashboardBuilder {
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    let seals = SealingKeys::new(seal(1, 7));
    Dashboard::builder(world.store.clone(), "Acme", BASE, catalogue, format, seals).unwrap()
}

/// Random bytes that can be predicted, remembered and withheld.
pub struct Spy {
    counter: AtomicU64,
    left: AtomicI64,
    handed_out: Mutex<Vec<Vec<u8>>>,
}

impl Spy {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            counter: AtomicU64::new(0),
            left: AtomicI64::new(i64::MAX),
            handed_out: Mutex::default(),
        })
    }

    /// Gives `fills` more times, then nothing.
    pub fn fails_after(&self, fills: i64) {
        self.left.store(fills, Ordering::SeqCst);
    }

    pub fn works(&self) {
        self.fails_after(i64::MAX);
    }

    /// What was handed out since the last call.
    pub fn taken(&self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.handed_out.lock().unwrap())
    }
}

impl Entropy for Spy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(EntropyFailed);
        }
        for chunk in buffer.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::SeqCst);
            let digest = portcullis::secret::sha256(&[b"spy", &count.to_be_bytes()]);
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
        self.handed_out.lock().unwrap().push(buffer.to_vec());
        Ok(())
    }
}

/// The whole database with what is not yet checkpointed.
pub fn dump(world: &World) -> Option<Vec<u8>> {
    #[cfg(feature = "postgres")]
    if let Some(schema) = world.store.schema() {
        return Some(schema.bytes());
    }
    let folder = world.folder.as_ref()?;
    let files = std::fs::read_dir(folder.path()).unwrap();
    Some(files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect())
}

pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub fn raw(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder.as_ref().unwrap().path().join("test.db")).unwrap()
}

/// What stands in a column of text or bytes, as the database itself has it; nothing on the adapter in memory.
pub fn stored(world: &World, table: &str, column: &str) -> Vec<Vec<u8>> {
    #[cfg(feature = "postgres")]
    if let Some(schema) = world.store.schema() {
        let columns = schema.columns();
        let (.., kind) = columns.iter().find(|(of, name, _)| of == table && name == column).unwrap();
        let values = schema.values(table, column, kind);
        assert!(!values.is_empty(), "{table}.{column}");
        return values;
    }
    if world.folder.is_none() {
        return Vec::new();
    }
    let file = raw(world);
    let mut rows = file.prepare(&format!("SELECT {column} FROM portcullis_{table}")).unwrap();
    let bytes = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes().unwrap().to_owned());
    let values: Vec<Vec<u8>> = rows.query_map([], bytes).unwrap().map(Result::unwrap).collect();
    assert!(!values.is_empty(), "{table}.{column}");
    values
}
