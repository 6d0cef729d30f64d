//! Signing in, and replacing a forgotten password.
//!
//! The token of a sign-in whose second factor is owed travels in bodies, not in a cookie: it opens nothing by
//! itself, and a page that holds it shows it once, in the next step.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{ResetError, SignIn, SignInError};
use crate::secret::{ExposeSecret as _, ResetToken, SignInToken};
use crate::web::body::{Address, Credentials, FinishSignIn, TokenAndPassword, Typed, typed};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, email, json, no_content, shown, with_session};

pub(in crate::web) async fn sign_in(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source, web) = (incoming.dashboard(), incoming.source()?, incoming.web.clone());
    let body: Credentials = incoming.body().await?;
    let email = email(&body.email)?;
    match dashboard.sign_in(&email, body.password, &source).await? {
        SignIn::SignedIn(signed_in) => {
            let body = json!({ "status": "signed_in", "session": shown(signed_in.session())? });
            with_session(&web, json(StatusCode::OK, &body), &signed_in)
        }
        SignIn::SecondFactorNeeded(pending) => Ok(json(
            StatusCode::OK,
            &json!({
                "status": "second_factor_needed",
                "pending": pending.token().expose_secret(),
                "expires_at": pending.expires_at(),
                "recovery_codes": pending.has_recovery_codes(),
            }),
        )),
        SignIn::VerifyEmailFirst => Ok(json(StatusCode::OK, &json!({ "status": "verify_email_first" }))),
        SignIn::PasswordChangeNeeded => {
            Ok(json(StatusCode::OK, &json!({ "status": "password_change_needed" })))
        }
    }
}

pub(in crate::web) async fn second_factor(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source, web) = (incoming.dashboard(), incoming.source()?, incoming.web.clone());
    let body: FinishSignIn = incoming.body().await?;
    let pending =
        SignInToken::parse(body.pending.expose_secret()).map_err(|_| SignInError::PendingSignInOver)?;
    let factor = match typed(body.totp.as_ref(), body.recovery_code.as_ref()) {
        Typed::Factor(factor) => factor,
        Typed::Malformed => return Err(SignInError::InvalidCode.into()),
        Typed::Nothing | Typed::Both => return Err(one_factor()),
    };
    let signed_in = dashboard.second_factor(&pending, factor, &source).await?;
    let body = json!({ "status": "signed_in", "session": shown(signed_in.session())? });
    with_session(&web, json(StatusCode::OK, &body), &signed_in)
}

pub(in crate::web) async fn forgot(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: Address = incoming.body().await?;
    let email = email(&body.email)?;
    dashboard.forgot_password(&email, &source).await?;
    Ok(json(StatusCode::ACCEPTED, &json!({ "status": "mail_sent" })))
}

pub(in crate::web) async fn reset(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: TokenAndPassword = incoming.body().await?;
    let token = ResetToken::parse(body.token.expose_secret()).map_err(|_| ResetError::InvalidLink)?;
    dashboard.reset_password(&token, body.password, &source).await?;
    Ok(no_content())
}

/// Not exactly one second factor.
pub(super) fn one_factor() -> Problem {
    let why = "show either a code of the app or a recovery code";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "one_second_factor", why)
}
