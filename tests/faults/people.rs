//! Who and what is there before a use case runs: prepared once for each adapter, through the public door.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::dashboard::{
    Activity, Dashboard, Expiry, Grant, Member, NewKey, NewKeyKind, NewLimit, Operator, SecondFactor,
    Session, SignIn, SignedIn,
};
use portcullis::email::EmailAddress;
use portcullis::id::{HoldId, KeyId, LimitId, ProjectId, SessionId};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::ports::{ManualClock, SystemEntropy};
use portcullis::recovery::TypedRecoveryCode;
use portcullis::secret::{ExposeSecret, SecretString, VerifyEmailToken};
use portcullis::source::Source;
use portcullis::spend::Period;
use portcullis::store::record::LimitMode;
use portcullis::totp::{TotpCode, TotpSecret, parse_otpauth};

use crate::stage::{Any, Base, Kind, Mailbox, START, Stage, dashboard};
use crate::team::Team;

pub const PASSWORD: &str = "a horse walks into a bar";
pub const NEXT_PASSWORD: &str = "and the barman asks why";
pub const WRONG_PASSWORD: &str = "why such a long face then";

/// An account with a fresh session in its own workspace.
#[derive(Clone)]
pub struct Person {
    pub email: EmailAddress,
    pub session: Session,
    pub token: String,
    pub member: Member,
    pub project: ProjectId,
}

/// A person with a second factor.
#[derive(Clone)]
pub struct Strong {
    pub person: Person,
    pub secret: Vec<u8>,
    pub codes: Vec<String>,
    /// A sign-in that owes the second factor.
    pub pending: String,
}

#[derive(Clone)]
pub struct People {
    /// Has keys, a second session, and a reset link and a change of address under way.
    pub ada: Person,
    pub ada_other: Session,
    pub ada_reset: String,
    pub ada_next: String,
    pub key: KeyId,
    pub service_key: KeyId,
    pub suspended_key: KeyId,
    pub key_suspended_by_operator: KeyId,
    /// Of Ada's project, more than half used up by a node that is gone: nobody was told yet, and it is unaccounted.
    pub limit: LimitId,
    pub hold: HoldId,
    pub bob: Strong,
    /// Has begun to set up a second factor, and asked for the same address as Ada.
    pub eve: Person,
    pub eve_secret: Vec<u8>,
    pub eve_next: String,
    /// Suspended by the operator.
    pub dan: Person,
    /// With a compromised password.
    pub fay: Person,
    /// With a suspended workspace and project, and four wrong passwords.
    pub gus: Person,
    /// With four wrong codes.
    pub kay: Strong,
    /// Signed up, not verified.
    pub carol: EmailAddress,
    pub carol_link: String,
    pub team: Team,
    pub ended: Session,
    pub ended_token: String,
    /// Takes the mail of a run.
    pub mailbox: Arc<Mailbox>,
}

/// What is prepared, and the store that holds it.
pub struct World {
    pub people: Arc<People>,
    pub base: Base,
}

pub fn email(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@example.test")).unwrap()
}

pub fn secret(text: &str) -> SecretString {
    text.into()
}

pub fn from(last: u8) -> Source {
    Source::from_address(std::net::IpAddr::from([198, 51, 100, last])).with_user_agent("tests/1.0")
}

/// The address that the use cases under test come from.
pub fn source() -> Source {
    from(7)
}

/// The code that an authenticator app shows.
pub fn totp(secret: &[u8], at: Timestamp) -> TotpCode {
    TotpCode::parse(&shown(secret, at)).unwrap()
}

/// A code that no step near this moment has.
pub fn wrong_totp(secret: &[u8], at: Timestamp) -> TotpCode {
    let near: Vec<String> =
        (-4..=4).map(|step| shown(secret, at + jiff::SignedDuration::from_secs(30 * step))).collect();
    let wrong = (0..100).map(|number| format!("{number:06}")).find(|text| !near.contains(text)).unwrap();
    TotpCode::parse(&wrong).unwrap()
}

/// RFC 4226, section 5.3; RFC 6238, section 4.
fn shown(secret: &[u8], at: Timestamp) -> String {
    let step = u64::try_from(at.as_second()).unwrap() / 30;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let place = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[place..place + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

pub fn recovery(code: &str) -> SecondFactor {
    SecondFactor::Recovery(TypedRecoveryCode::parse(code).unwrap())
}

pub fn new_key(project: ProjectId, kind: NewKeyKind) -> NewKey {
    NewKey {
        project,
        kind,
        name: "a key".parse().unwrap(),
        environment: "live".to_owned(),
        scopes: [portcullis::access::Scope::parse("models.read").unwrap()].into(),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation: None,
    }
}

/// Makes everything, on an empty store.
pub struct Making {
    pub door: Dashboard,
    mailbox: Mailbox,
}

impl Making {
    pub async fn link(&self, to: &EmailAddress) -> String {
        while self.door.send_mail(&self.mailbox).await.unwrap().sent > 0 {}
        let mails = self.mailbox.mails();
        let link = mails.iter().rev().filter(|mail| mail.to == *to).find_map(|mail| mail.message.link());
        link.unwrap().split_once("#token=").unwrap().1.to_owned()
    }

    async fn at_home(&self, email: EmailAddress, signed_in: &SignedIn, from: &Source) -> Person {
        let session = self.door.session(signed_in.token(), Activity::Person, from).await.unwrap();
        let home = self.door.workspaces(&session).await.unwrap()[0].id;
        let member = self.door.enter(&session, home).await.unwrap();
        let project = self.door.projects(&member).await.unwrap()[0].id;
        Person { email, session, token: signed_in.token().expose_secret().to_owned(), member, project }
    }

    pub async fn person(&self, name: &str, last: u8) -> Person {
        let email = email(name);
        self.door.sign_up(&email, secret(PASSWORD), &from(last)).await.unwrap();
        let link = VerifyEmailToken::parse(&self.link(&email).await).unwrap();
        let signed_in = self.door.verify_email(&link, secret(PASSWORD), &from(last)).await.unwrap();
        self.at_home(email, &signed_in, &from(last)).await
    }

    async fn begin_totp(&self, person: &Person) -> Vec<u8> {
        let setup = self.door.begin_totp(&person.session).await.unwrap();
        let url = setup.provisioning().otpauth_url();
        let secret: TotpSecret = parse_otpauth(url.expose_secret()).unwrap().secret;
        secret.expose_bytes().to_vec()
    }

    pub async fn sign_in(&self, email: &EmailAddress, from: &Source) -> SignIn {
        self.door.sign_in(email, secret(PASSWORD), from).await.unwrap()
    }

    pub async fn strong(&self, name: &str, last: u8) -> Strong {
        let person = self.person(name, last).await;
        let secret = self.begin_totp(&person).await;
        let confirmed = self.door.confirm_totp(&person.session, &totp(&secret, START)).await.unwrap();
        let codes = confirmed.codes.iter().map(|code| code.shown().expose_secret().to_owned()).collect();
        let person = self.at_home(person.email, &confirmed.signed_in, &from(last)).await;
        let SignIn::SecondFactorNeeded(pending) = self.sign_in(&person.email, &from(last)).await else {
            panic!("a second factor is owed")
        };
        Strong { person, secret, codes, pending: pending.token().expose_secret().to_owned() }
    }
}

pub async fn prepare(kind: Kind) -> World {
    let any = Any::empty(kind);
    let clock = Arc::new(ManualClock::at(START));
    let door = dashboard(Stage::over(any.clone()), &clock, |builder| builder);
    let making = Making { door, mailbox: Mailbox::default() };
    let door = &making.door;
    let operator = Operator::of(door, "preparation").unwrap();

    let ada = making.person("ada", 20).await;
    let mut keys = Vec::new();
    for kind in [NewKeyKind::Personal, NewKeyKind::Service, NewKeyKind::Personal, NewKeyKind::Personal] {
        let issued = door.issue_key(&ada.member, &new_key(ada.project, kind)).await.unwrap();
        keys.push(issued.key.id);
    }
    let _ = door.suspend_key(&ada.member, keys[2]).await.unwrap();
    let _ = operator.suspend_key(keys[3], "abuse").await.unwrap();
    let mut others = Vec::new();
    for _ in 0..2 {
        let SignIn::SignedIn(other) = making.sign_in(&ada.email, &from(20)).await else { panic!() };
        let session = door.session(other.token(), Activity::Person, &from(20)).await.unwrap();
        others.push((session, other.token().expose_secret().to_owned()));
    }
    let (ended, ended_token) = others.pop().unwrap();
    door.sign_out(&ended).await.unwrap();
    door.request_email_change(&ada.session, &email("shared")).await.unwrap();
    let ada_next = making.link(&email("shared")).await;
    door.forgot_password(&ada.email, &from(20)).await.unwrap();
    let ada_reset = making.link(&ada.email).await;

    let bob = making.strong("bob", 21).await;
    let eve = making.person("eve", 22).await;
    let eve_secret = making.begin_totp(&eve).await;
    door.request_email_change(&eve.session, &email("shared")).await.unwrap();
    let eve_next = making.link(&email("shared")).await;
    let dan = making.person("dan", 23).await;
    let fay = making.person("fay", 24).await;
    let gus = making.person("gus", 25).await;
    let kay = making.strong("kay", 26).await;
    let _ = operator.suspend_account(dan.session.account(), "abuse").await.unwrap();
    operator.mark_password_compromised(fay.session.account(), "seen in a dump").await.unwrap();
    let _ = operator.suspend_workspace(gus.member.workspace(), "abuse").await.unwrap();
    let _ = operator.suspend_project(gus.project, "abuse").await.unwrap();
    for _ in 0..4 {
        door.sign_in(&gus.email, secret(WRONG_PASSWORD), &from(25)).await.unwrap_err();
        let pending = portcullis::secret::SignInToken::parse(&kay.pending).unwrap();
        let wrong = SecondFactor::Totp(wrong_totp(&kay.secret, START));
        door.second_factor(&pending, wrong, &from(26)).await.unwrap_err();
    }
    let team = making.team(&any, &clock, (&ada, &bob.person, &eve), (&kay.person, &fay, &gus)).await;
    let carol = email("carol");
    door.sign_up(&carol, secret(PASSWORD), &from(27)).await.unwrap();
    let carol_link = making.link(&carol).await;
    // Two mails are owed when a use case begins.
    for name in ["ada", "bob"] {
        door.sign_up(&email(name), secret(PASSWORD), &from(28)).await.unwrap();
    }

    let (limit, hold) = money(&any, door, &ada).await;

    let base = Base::of(&any);
    let people = Arc::new(People {
        ada_other: others.pop().unwrap().0,
        ada_reset,
        ada_next,
        key: keys[0],
        service_key: keys[1],
        suspended_key: keys[2],
        key_suspended_by_operator: keys[3],
        limit,
        hold,
        ada,
        bob,
        eve,
        eve_secret,
        eve_next,
        dan,
        fay,
        gus,
        kay,
        carol,
        carol_link,
        team,
        ended,
        ended_token,
        mailbox: Arc::default(),
    });
    World { people, base }
}

/// Credit, a limit, and money that a node has reserved and never given back.
async fn money(any: &Any, door: &Dashboard, ada: &Person) -> (LimitId, HoldId) {
    let operator = Operator::of(door, "preparation").unwrap();
    let workspace = ada.member.workspace();
    operator.grant_credit(workspace, Grant::Purchase(credits(1_000)), "first").await.unwrap();
    let limit = door.set_limit(&ada.member, &new_limit(ada.project, Period::Month, 100)).await.unwrap();
    let node = |at: Timestamp| {
        let (clock, entropy) = (Arc::new(ManualClock::at(at)), Arc::new(SystemEntropy::new()));
        Budget::with_ports(any.clone(), BudgetOptions::new(), clock, entropy).unwrap()
    };
    let purse = door.playground(&ada.member, ada.project).await.unwrap();
    let held = node(START).reserve(purse, Amount::new(credits(60)).unwrap()).await.unwrap();
    node(START + jiff::SignedDuration::from_secs(11)).beat().await.unwrap();
    let holds = operator.unaccounted(workspace, None).await.unwrap();
    drop(held);
    (limit, holds[0].id)
}

pub fn credits(millionths: i64) -> Credits {
    Credits::from_millionths(millionths)
}

pub fn new_limit(project: ProjectId, period: Period, millionths: i64) -> NewLimit {
    let amount = Cost::new(credits(millionths)).unwrap();
    NewLimit { project, spender: None, period, amount, mode: LimitMode::Leased }
}

/// When a use case runs: late enough that a session is touched and a TOTP code is a new one, early enough that
/// proofs are recent.
pub const LATER: Duration = Duration::from_secs(90);

pub fn later(by: Duration) -> Timestamp {
    START + by
}

pub fn other_session(people: &People) -> SessionId {
    people.ada_other.id()
}

/// Every name whose address may have an account.
pub fn many_people() -> [&'static str; 18] {
    [
        "ada", "bob", "eve", "dan", "fay", "gus", "kay", "carol", "shared", "new", "next", "lea", "tim",
        "tom", "uma", "zoe", "fay-next", "gus-next",
    ]
}

/// The world of an adapter, prepared by whichever test comes first.
pub async fn prepared(kind: Kind) -> Arc<World> {
    static WORLDS: [tokio::sync::OnceCell<Arc<World>>; 3] = [const { tokio::sync::OnceCell::const_new() }; 3];
    let place = match kind {
        Kind::Memory => 0,
        Kind::Sqlite => 1,
        #[cfg(feature = "postgres")]
        Kind::Postgres => 2,
    };
    Arc::clone(WORLDS[place].get_or_init(|| async { Arc::new(Box::pin(prepare(kind)).await) }).await)
}
