//! Showing proofs again: what asks for it, what it gives, and what it ends.

use std::time::Duration;

use portcullis::dashboard::{AccountError, Activity, Proof, SecondFactor, Session, SessionError};
use portcullis::ports::{Clock, EventKind, Message, Outcome};
use portcullis::secret::{ExposeSecret, SessionToken};
use portcullis::store::record::{Action, Factor};

use crate::story::{proof, typed};
use crate::world::{OTHER_PASSWORD, PASSWORD, Person, World, email, on_every_store, password, source};

/// Longer than the step-up window.
const STALE: Duration = Duration::from_secs(601);

/// Every sensitive operation of an account. One that is added belongs here.
#[derive(Clone, Copy, Debug)]
enum Sensitive {
    BeginTotp,
    ConfirmTotp,
    DisableTotp,
    RegenerateRecoveryCodes,
    RequestEmailChange,
    EndSession,
    SignOutEverywhereElse,
}

const ALL: [Sensitive; 7] = [
    Sensitive::BeginTotp,
    Sensitive::ConfirmTotp,
    Sensitive::RegenerateRecoveryCodes,
    Sensitive::RequestEmailChange,
    Sensitive::EndSession,
    Sensitive::SignOutEverywhereElse,
    Sensitive::DisableTotp,
];

impl Sensitive {
    async fn run(self, world: &World, session: &Session, other: &Person) -> Result<(), AccountError> {
        let dashboard = &world.dashboard;
        match self {
            Self::BeginTotp => dashboard.begin_totp(session).await.map(drop),
            Self::ConfirmTotp => {
                // A right code of an enrolment that was begun while the proofs were recent.
                let enrolment = world.enrolments.lock().await.get(&session.account()).unwrap().code(world);
                dashboard.confirm_totp(session, &enrolment).await.map(drop)
            }
            Self::DisableTotp => dashboard.disable_totp(session).await,
            Self::RegenerateRecoveryCodes => dashboard.regenerate_recovery_codes(session).await.map(drop),
            Self::RequestEmailChange => {
                dashboard.request_email_change(session, &email("new@example.com")).await
            }
            Self::EndSession => dashboard.end_session(session, other.session.id()).await,
            Self::SignOutEverywhereElse => dashboard.sign_out_everywhere_else(session).await.map(drop),
        }
    }
}
