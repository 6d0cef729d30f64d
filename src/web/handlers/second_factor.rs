//! Setting a second factor up, and taking it down.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::dashboard::{AccountError, Session};
use crate::recovery::RecoveryCodes;
use crate::secret::ExposeSecret as _;
use crate::totp::TotpCode;
use crate::web::body::ConfirmTotp;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, json, no_content, shown, with_session};

pub(in crate::web) async fn status(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let status = incoming.dashboard().second_factor_status(&session).await?;
    Ok(json(StatusCode::OK, &shown(&status)?))
}

pub(in crate::web) async fn begin(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    let setup = dashboard.begin_totp(&session).await?;
    let forms = setup.provisioning();
    let svg = forms.qr_svg().map_err(|_| Problem::internal())?;
    let body = json!({
        "otpauth_url": forms.otpauth_url().expose_secret(),
        "qr_svg": svg.expose_secret(),
        "manual_entry": forms.manual_entry().expose_secret(),
        "expires_at": setup.expires_at(),
    });
    Ok(json(StatusCode::CREATED, &body))
}

pub(in crate::web) async fn confirm(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, web) = (incoming.dashboard(), incoming.web.clone());
    let body: ConfirmTotp = incoming.body().await?;
    let code = TotpCode::parse(body.totp.expose_secret()).map_err(|_| AccountError::InvalidCode)?;
    let confirmed = dashboard.confirm_totp(&session, &code).await?;
    let body = json!({
        "recovery_codes": listed(&confirmed.codes),
        "download": confirmed.download.expose_secret(),
    });
    with_session(&web, json(StatusCode::CREATED, &body), &confirmed.signed_in)
}

pub(in crate::web) async fn disable(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    dashboard.disable_totp(&session).await?;
    Ok(no_content())
}

pub(in crate::web) async fn regenerate(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    let (codes, download) = dashboard.regenerate_recovery_codes(&session).await?;
    let body = json!({ "recovery_codes": listed(&codes), "download": download.expose_secret() });
    Ok(json(StatusCode::CREATED, &body))
}

fn listed(codes: &RecoveryCodes) -> Value {
    codes.iter().map(|code| Value::from(code.shown().expose_secret())).collect()
}
