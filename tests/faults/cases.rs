//! Every use case of the people's door and of the operator, with each of its outcomes that writes, and the
//! refusals that a fault must not turn into an answer.

#[path = "cases/account.rs"]
mod account;
#[path = "cases/keys.rs"]
mod keys;
#[path = "cases/leaving.rs"]
mod leaving;
#[path = "cases/members.rs"]
mod members;
#[path = "cases/money.rs"]
mod money;
#[path = "cases/records.rs"]
mod records;
#[path = "cases/service.rs"]
mod service;
#[path = "cases/strangers.rs"]
mod strangers;
#[path = "cases/team.rs"]
mod team;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{Dashboard, Operator, Proof, SecondFactor, SignIn};
use portcullis::error::Coded;
use portcullis::key::SecretId;
use portcullis::secret::{ExposeSecret, SessionToken, SignInToken, TokenDigest};

use crate::people::{LATER, PASSWORD, People, secret};

/// What a use case handed out.
#[derive(Debug)]
pub enum Got {
    Nothing,
    Session(SessionToken),
    Pending(TokenDigest),
    Key(SecretId),
    /// What it said, in words that are the same in each run.
    Said(String),
}

/// How a use case ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub code: &'static str,
}

impl<E: Coded> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { code: error.code() }
    }
}

pub type Answer = Result<Got, Failed>;
type Boxed = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// In how many pieces a use case does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    One,
    /// Mail by mail: none is lost.
    Mails,
    /// In parts: run again, it adds those that are missing.
    Parts,
}

/// One use case with one outcome.
pub struct Case {
    /// The function, as `Type::name`.
    pub of: &'static str,
    pub name: &'static str,
    pub after: Duration,
    /// Tables, beside the counters, that count a try before it is judged: the rows stay, their counts may not.
    pub charges: &'static [&'static str],
    /// Whether the charge of a try also tells the owner that it locks.
    pub charge_tells: bool,
    /// In how many pieces it does its work, each whole or not at all.
    pub pieces: Pieces,
    /// The refusal that it ends with when nothing fails, if it does.
    pub refused: Option<&'static str>,
    /// Whether it computes ten hashes.
    pub slow: bool,
    pub run: Box<dyn Fn(Dashboard, Arc<People>) -> Boxed + Send + Sync>,
}

impl Case {
    fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    fn charges(mut self, tables: &'static [&'static str]) -> Self {
        self.charges = tables;
        self
    }

    fn charge_tells(mut self) -> Self {
        self.charge_tells = true;
        self
    }

    fn by_mail(mut self) -> Self {
        self.pieces = Pieces::Mails;
        self
    }

    fn in_parts(mut self) -> Self {
        self.pieces = Pieces::Parts;
        self
    }

    fn refused(mut self, code: &'static str) -> Self {
        self.refused = Some(code);
        self
    }

    fn slow(mut self) -> Self {
        self.slow = true;
        self
    }
}

fn case<F, Fut>(of: &'static str, name: &'static str, run: F) -> Case
where
    F: Fn(Dashboard, Arc<People>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let run = move |door, people| -> Boxed { Box::pin(run(door, people)) };
    Case {
        of,
        name,
        after: LATER,
        charges: &[],
        charge_tells: false,
        pieces: Pieces::One,
        refused: None,
        slow: false,
        run: Box::new(run),
    }
}

fn signed(answer: SignIn) -> Got {
    match answer {
        SignIn::SignedIn(done) => Got::Session(again(&done)),
        SignIn::SecondFactorNeeded(pending) => Got::Pending(pending.token().digest()),
        other => Got::Said(format!("{other:?}")),
    }
}

fn again(done: &portcullis::dashboard::SignedIn) -> SessionToken {
    SessionToken::parse(done.token().expose_secret()).unwrap()
}

fn pending(text: &str) -> SignInToken {
    SignInToken::parse(text).unwrap()
}

fn proof(second_factor: Option<SecondFactor>) -> Proof {
    Proof { password: secret(PASSWORD), second_factor }
}

const DAY: Duration = Duration::from_hours(24);

pub fn all() -> Vec<Case> {
    let mut all = strangers::cases();
    let others = [
        account::cases,
        keys::cases,
        team::cases,
        members::cases,
        leaving::cases,
        money::cases,
        records::cases,
        service::cases,
    ];
    for cases in others {
        all.extend(cases());
    }
    all
}

/// A source of its own for each of many callers, so that they do not use up one budget.
pub fn many(number: u64) -> portcullis::source::Source {
    let [.., high, low] = number.to_be_bytes();
    portcullis::source::Source::from_address(std::net::IpAddr::from([203, 0, high, low]))
}

/// No use case, and no whole one: it ends a session in one transaction and suspends the account in the next.
pub fn half_done() -> Case {
    case("nobody", "half done", |door, people| async move {
        door.sign_out(&people.ada.session).await?;
        let operator = Operator::of(&door, "an operator").unwrap();
        let _ = operator.suspend_account(people.ada.session.account(), "abuse").await?;
        Ok(Got::Nothing)
    })
}
