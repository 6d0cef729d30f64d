//! Every use case of the people's door and of the operator, with each of its outcomes that writes, and the
//! refusals that a fault must not turn into an answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{Permission, Question};
use portcullis::dashboard::{
    Activity, Dashboard, NewKeyKind, Operator, Proof, Rotation, SecondFactor, SignIn,
};
use portcullis::error::Coded;
use portcullis::id::{Id, OperationId};
use portcullis::key::{RateLimit, SecretId};
use portcullis::secret::{
    ChangeEmailToken, ExposeSecret, ResetToken, SessionToken, SignInToken, TokenDigest, VerifyEmailToken,
};

use crate::people::{
    LATER, NEXT_PASSWORD, PASSWORD, People, WRONG_PASSWORD, email, later, new_key, other_session, recovery,
    secret, source, totp, wrong_totp,
};

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
    /// Whether it works item by item, each whole or not at all.
    pub by_item: bool,
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

    fn by_item(mut self) -> Self {
        self.by_item = true;
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
        by_item: false,
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
    let mut all = strangers();
    all.extend(account());
    all.extend(workspace());
    all.extend(service());
    all
}

/// What somebody who is not signed in may do.
fn strangers() -> Vec<Case> {
    vec![
        case("Dashboard::sign_up", "of a new address", |door, _| async move {
            door.sign_up(&email("new"), secret(PASSWORD), &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::sign_up", "of a known address", |door, people| async move {
            door.sign_up(&people.ada.email, secret(PASSWORD), &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::resend_verification", "of a pending sign-up", |door, people| async move {
            door.resend_verification(&people.carol, &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::verify_email", "with the right password", |door, people| async move {
            let token = VerifyEmailToken::parse(&people.carol_link).unwrap();
            Ok(Got::Session(again(&door.verify_email(&token, secret(PASSWORD), &source()).await?)))
        })
        .charges(&["sign_ups"]),
        case("Dashboard::verify_email", "with a wrong password", |door, people| async move {
            let token = VerifyEmailToken::parse(&people.carol_link).unwrap();
            Ok(Got::Session(again(&door.verify_email(&token, secret(WRONG_PASSWORD), &source()).await?)))
        })
        .refused("wrong_password")
        .charges(&["sign_ups"]),
        case("Dashboard::sign_in", "with a password alone", |door, people| async move {
            Ok(signed(door.sign_in(&people.ada.email, secret(PASSWORD), &source()).await?))
        }),
        case("Dashboard::sign_in", "with a second factor owed", |door, people| async move {
            Ok(signed(door.sign_in(&people.bob.person.email, secret(PASSWORD), &source()).await?))
        }),
        case("Dashboard::sign_in", "with a wrong password", |door, people| async move {
            Ok(signed(door.sign_in(&people.ada.email, secret(WRONG_PASSWORD), &source()).await?))
        })
        .refused("invalid_credentials"),
        case("Dashboard::sign_in", "with the wrong password that locks", |door, people| async move {
            Ok(signed(door.sign_in(&people.gus.email, secret(WRONG_PASSWORD), &source()).await?))
        })
        .refused("invalid_credentials"),
        case("Dashboard::sign_in", "of an unknown address", |door, _| async move {
            Ok(signed(door.sign_in(&email("nobody"), secret(PASSWORD), &source()).await?))
        })
        .refused("invalid_credentials"),
        case("Dashboard::sign_in", "of a suspended account", |door, people| async move {
            Ok(signed(door.sign_in(&people.dan.email, secret(PASSWORD), &source()).await?))
        })
        .refused("account_suspended"),
        case("Dashboard::sign_in", "with a compromised password", |door, people| async move {
            Ok(signed(door.sign_in(&people.fay.email, secret(PASSWORD), &source()).await?))
        }),
        case("Dashboard::sign_in", "before the address is verified", |door, people| async move {
            Ok(signed(door.sign_in(&people.carol, secret(PASSWORD), &source()).await?))
        }),
        case("Dashboard::second_factor", "with a code", |door, people| async move {
            let code = SecondFactor::Totp(totp(&people.bob.secret, later(LATER)));
            Ok(Got::Session(again(
                &door.second_factor(&pending(&people.bob.pending), code, &source()).await?,
            )))
        }),
        case("Dashboard::second_factor", "with a recovery code", |door, people| async move {
            let code = recovery(&people.bob.codes[0]);
            Ok(Got::Session(again(
                &door.second_factor(&pending(&people.bob.pending), code, &source()).await?,
            )))
        }),
        case("Dashboard::second_factor", "with a wrong code", |door, people| async move {
            let code = SecondFactor::Totp(wrong_totp(&people.bob.secret, later(LATER)));
            Ok(Got::Session(again(
                &door.second_factor(&pending(&people.bob.pending), code, &source()).await?,
            )))
        })
        .refused("invalid_code"),
        case("Dashboard::second_factor", "with another's recovery code", |door, people| async move {
            let code = recovery(&people.kay.codes[0]);
            Ok(Got::Session(again(
                &door.second_factor(&pending(&people.bob.pending), code, &source()).await?,
            )))
        })
        .refused("invalid_code"),
        case("Dashboard::second_factor", "with the wrong code that locks", |door, people| async move {
            let code = SecondFactor::Totp(wrong_totp(&people.kay.secret, later(LATER)));
            Ok(Got::Session(again(
                &door.second_factor(&pending(&people.kay.pending), code, &source()).await?,
            )))
        })
        .refused("invalid_code")
        .charge_tells(),
        case("Dashboard::second_factor", "for no pending sign-in", |door, people| async move {
            let none = SignInToken::from_random([9; 32]);
            let code = SecondFactor::Totp(totp(&people.bob.secret, later(LATER)));
            Ok(Got::Session(again(&door.second_factor(&none, code, &source()).await?)))
        })
        .refused("pending_sign_in_over"),
        case("Dashboard::forgot_password", "of an account", |door, people| async move {
            door.forgot_password(&people.ada.email, &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::forgot_password", "of an unknown address", |door, _| async move {
            door.forgot_password(&email("nobody"), &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::reset_password", "with a link", |door, people| async move {
            let token = ResetToken::parse(&people.ada_reset).unwrap();
            door.reset_password(&token, secret(NEXT_PASSWORD), &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::reset_password", "with no link", |door, _| async move {
            let token = ResetToken::from_random([9; 32]);
            door.reset_password(&token, secret(NEXT_PASSWORD), &source()).await?;
            Ok(Got::Nothing)
        })
        .refused("invalid_link"),
    ]
}

/// What a signed-in person does with their own account.
fn account() -> Vec<Case> {
    let session = |door: Dashboard, token: String, activity| async move {
        let token = SessionToken::parse(&token).unwrap();
        let session = door.session(&token, activity, &source()).await?;
        Ok(Got::Said(session.id().to_string()))
    };
    vec![
        case("Dashboard::session", "used by a person", move |door, people| {
            session(door, people.ada.token.clone(), Activity::Person)
        }),
        case("Dashboard::session", "used by a page that polls", move |door, people| {
            session(door, people.ada.token.clone(), Activity::Background)
        }),
        case("Dashboard::session", "idle for too long", move |door, people| {
            session(door, people.ada.token.clone(), Activity::Person)
        })
        .refused("not_signed_in")
        .after(DAY * 2),
        case("Dashboard::session", "signed out", move |door, people| {
            session(door, people.ended_token.clone(), Activity::Person)
        })
        .refused("not_signed_in"),
        case("Dashboard::session", "of a suspended account", move |door, people| {
            session(door, people.dan.token.clone(), Activity::Person)
        })
        .refused("not_signed_in"),
        case("Dashboard::sign_out", "once", |door, people| async move {
            door.sign_out(&people.ada.session).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::sessions", "listed", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.sessions(&people.ada.session).await?.len())))
        }),
        case("Dashboard::sessions", "listed by one that ended", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.sessions(&people.ended).await?.len())))
        })
        .refused("not_signed_in"),
        case("Dashboard::end_session", "another one", |door, people| async move {
            door.end_session(&people.ada.session, other_session(&people)).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::sign_out_everywhere_else", "", |door, people| async move {
            let ended = door.sign_out_everywhere_else(&people.ada.session).await?;
            Ok(Got::Said(ended.to_string()))
        }),
        case("Dashboard::step_up", "with a password", |door, people| async move {
            Ok(Got::Session(again(&door.step_up(&people.ada.session, proof(None)).await?)))
        }),
        case("Dashboard::step_up", "with a password and a code", |door, people| async move {
            let code = SecondFactor::Totp(totp(&people.bob.secret, later(LATER)));
            Ok(Got::Session(again(&door.step_up(&people.bob.person.session, proof(Some(code))).await?)))
        }),
        case("Dashboard::step_up", "with a password and a recovery code", |door, people| async move {
            let code = recovery(&people.bob.codes[1]);
            Ok(Got::Session(again(&door.step_up(&people.bob.person.session, proof(Some(code))).await?)))
        }),
        case("Dashboard::step_up", "with half of it", |door, people| async move {
            Ok(Got::Session(again(&door.step_up(&people.bob.person.session, proof(None)).await?)))
        })
        .refused("step_up_required"),
        case("Dashboard::step_up", "with a wrong password", |door, people| async move {
            let wrong = Proof { password: secret(WRONG_PASSWORD), second_factor: None };
            Ok(Got::Session(again(&door.step_up(&people.ada.session, wrong).await?)))
        })
        .refused("wrong_password"),
        case("Dashboard::change_password", "ending other sessions", |door, people| async move {
            let (present, next) = (secret(PASSWORD), secret(NEXT_PASSWORD));
            door.change_password(&people.ada.session, present, next, true).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::change_password", "without the present one", |door, people| async move {
            let (present, next) = (secret(WRONG_PASSWORD), secret(NEXT_PASSWORD));
            door.change_password(&people.ada.session, present, next, true).await?;
            Ok(Got::Nothing)
        })
        .refused("wrong_password"),
        case("Dashboard::request_email_change", "to a free address", |door, people| async move {
            door.request_email_change(&people.ada.session, &email("next")).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::request_email_change", "to a known address", |door, people| async move {
            door.request_email_change(&people.ada.session, &people.bob.person.email).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::confirm_email_change", "with a link", |door, people| async move {
            let token = ChangeEmailToken::parse(&people.ada_next).unwrap();
            let next = door.confirm_email_change(&people.ada.session, &token).await?;
            Ok(Got::Said(next.as_written().to_owned()))
        }),
        case("Dashboard::confirm_email_change", "with another's link", |door, people| async move {
            let token = ChangeEmailToken::parse(&people.eve_next).unwrap();
            let next = door.confirm_email_change(&people.ada.session, &token).await?;
            Ok(Got::Said(next.as_written().to_owned()))
        })
        .refused("invalid_link"),
        case("Dashboard::begin_totp", "for the first time", |door, people| async move {
            door.begin_totp(&people.ada.session).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::begin_totp", "again", |door, people| async move {
            door.begin_totp(&people.eve.session).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::confirm_totp", "with a code", |door, people| async move {
            let code = totp(&people.eve_secret, later(LATER));
            let confirmed = door.confirm_totp(&people.eve.session, &code).await?;
            Ok(Got::Session(again(&confirmed.signed_in)))
        })
        .slow(),
        case("Dashboard::confirm_totp", "with a wrong code", |door, people| async move {
            let code = wrong_totp(&people.eve_secret, later(LATER));
            let confirmed = door.confirm_totp(&people.eve.session, &code).await?;
            Ok(Got::Session(again(&confirmed.signed_in)))
        })
        .refused("invalid_code"),
        case("Dashboard::disable_totp", "", |door, people| async move {
            door.disable_totp(&people.bob.person.session).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::disable_totp", "without recent proofs", |door, people| async move {
            door.disable_totp(&people.bob.person.session).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::regenerate_recovery_codes", "", |door, people| async move {
            let (codes, _) = door.regenerate_recovery_codes(&people.bob.person.session).await?;
            Ok(Got::Said(codes.iter().count().to_string()))
        })
        .slow(),
        case("Dashboard::second_factor_status", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.second_factor_status(&people.bob.person.session).await?)))
        }),
        case("Dashboard::account", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.account(&people.ada.session).await?)))
        }),
        case("Dashboard::check_catalogue", "", |door, _| async move {
            Ok(Got::Said(format!("{:?}", door.check_catalogue().await?)))
        }),
        case("Dashboard::onboarding", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.onboarding(&people.ada.session).await?)))
        }),
    ]
}

/// What a signed-in person does in a workspace.
fn workspace() -> Vec<Case> {
    let operation = OperationId::from_uuid(uuid::Uuid::from_u128(77));
    vec![
        case("Dashboard::workspaces", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.workspaces(&people.ada.session).await?)))
        }),
        case("Dashboard::enter", "for the first time", |door, people| async move {
            let member = door.enter(&people.ada_other, people.ada.member.workspace()).await?;
            Ok(Got::Said(member.workspace().to_string()))
        }),
        case("Dashboard::enter", "coming back", |door, people| async move {
            let member = door.enter(&people.ada.session, people.ada.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        }),
        case("Dashboard::enter", "another's", |door, people| async move {
            let member = door.enter(&people.ada.session, people.eve.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        })
        .refused("not_found"),
        case("Dashboard::enter", "when it is suspended", |door, people| async move {
            let member = door.enter(&people.gus.session, people.gus.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        })
        .refused("workspace_suspended"),
        case("Dashboard::projects", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.projects(&people.ada.member).await?)))
        }),
        case("Dashboard::may", "one's own", |door, people| async move {
            let question = Question::from(Permission::KEYS_ISSUE);
            let decision = door.may(&people.ada.member, &question, Some(people.ada.project)).await?;
            Ok(Got::Said(format!("{:?}", decision.is_allowed())))
        }),
        case("Dashboard::may", "another's", |door, people| async move {
            let question = Question::from(Permission::KEYS_ISSUE);
            let decision = door.may(&people.ada.member, &question, Some(people.eve.project)).await?;
            Ok(Got::Said(format!("{:?}", decision.is_allowed())))
        })
        .refused("not_found"),
        case("Dashboard::key", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.key(&people.ada.member, people.key).await?)))
        }),
        case("Dashboard::key", "of another", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.key(&people.eve.member, people.key).await?)))
        })
        .refused("not_found"),
        case("Dashboard::keys", "", |door, people| async move {
            let page = door.keys(&people.ada.member, people.ada.project, None, 100).await?;
            Ok(Got::Said(page.keys.len().to_string()))
        }),
        case("Dashboard::issue_key", "personal, under an operation id", move |door, people| async move {
            let mut new = new_key(people.ada.project, NewKeyKind::Personal);
            new.operation = Some(operation);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        }),
        case("Dashboard::issue_key", "service", |door, people| async move {
            let new = new_key(people.ada.project, NewKeyKind::Service);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        }),
        case("Dashboard::issue_key", "in another's project", |door, people| async move {
            let new = new_key(people.eve.project, NewKeyKind::Personal);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        })
        .refused("not_found"),
        case("Dashboard::rotate_key", "at once, under an operation id", move |door, people| async move {
            let issued =
                door.rotate_key(&people.ada.member, people.key, Rotation::AtOnce, Some(operation)).await?;
            Ok(Got::Key(issued.text.id()))
        }),
        case("Dashboard::rotate_key", "with an overlap", |door, people| async move {
            let overlap = Rotation::Overlap(Duration::from_hours(1));
            let issued = door.rotate_key(&people.ada.member, people.service_key, overlap, None).await?;
            Ok(Got::Key(issued.text.id()))
        }),
        case("Dashboard::suspend_key", "", |door, people| async move {
            let _ = door.suspend_key(&people.ada.member, people.key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::resume_key", "", |door, people| async move {
            let _ = door.resume_key(&people.ada.member, people.suspended_key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::revoke_key", "", |door, people| async move {
            let _ = door.revoke_key(&people.ada.member, people.key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::revoke_key", "of another", |door, people| async move {
            let _ = door.revoke_key(&people.eve.member, people.key).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
    ]
}

/// What the service does by itself, and its operator.
fn service() -> Vec<Case> {
    let operator = |door: &Dashboard| Operator::of(door, "an operator").unwrap();
    vec![
        case("Dashboard::send_mail", "two mails", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.send_mail(&*people.mailbox).await?)))
        })
        .by_item(),
        case("Dashboard::sweep", "after a month", |door, _| async move {
            Ok(Got::Said(format!("{:?}", door.sweep().await?)))
        })
        .after(DAY * 31),
        case("Operator::suspend_account", "", move |door, people| async move {
            let _ = operator(&door).suspend_account(people.ada.session.account(), "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_account", "", move |door, people| async move {
            let _ = operator(&door).resume_account(people.dan.session.account()).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_workspace", "", move |door, people| async move {
            let _ = operator(&door).suspend_workspace(people.ada.member.workspace(), "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_workspace", "", move |door, people| async move {
            let _ = operator(&door).resume_workspace(people.gus.member.workspace()).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_project", "", move |door, people| async move {
            let _ = operator(&door).suspend_project(people.ada.project, "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_project", "", move |door, people| async move {
            let _ = operator(&door).resume_project(people.gus.project).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_key", "", move |door, people| async move {
            let _ = operator(&door).suspend_key(people.key, "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_key", "", move |door, people| async move {
            let _ = operator(&door).resume_key(people.key_suspended_by_operator).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::limit_project", "", move |door, people| async move {
            let limit = RateLimit::new(7, 60).ok();
            let _ = operator(&door).limit_project(people.ada.project, limit).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::unlock_account", "", move |door, people| async move {
            operator(&door)
                .unlock_account(people.ada.session.account(), "called, and was who she said")
                .await?;
            Ok(Got::Nothing)
        }),
        case("Operator::mark_password_compromised", "", move |door, people| async move {
            let id = people.ada.session.account();
            operator(&door).mark_password_compromised(id, "seen in a dump").await?;
            Ok(Got::Nothing)
        }),
    ]
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
