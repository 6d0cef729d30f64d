//! Accounts, what proves them, recoveries, sessions, tokens, counters.

use super::{Reader, Stored};
use crate::email::EmailAddress;
use crate::password::PasswordHash;
use crate::recovery::Locator;
use crate::secret::{Sealed, TokenDigest};
use crate::store::StoreError;
use crate::store::record::{
    Account, AccountStatus, OneTimeToken, Password, RecoveryCase, RecoveryCodeRow, RecoveryKind, Session,
    SignUp, TokenKind, TotpEnrolment, TotpFactor,
};
use crate::throttle::Counter;
use crate::totp::Step;

pub(in crate::store::sql) fn account(row: &mut Reader<'_>) -> Stored<Account> {
    Ok(Account {
        id: row.id("accounts.id")?,
        email: row.email("accounts.email")?,
        email_verified_at: row.time("accounts.email_verified_at")?,
        password: password(row)?,
        status: row
            .suspension("accounts.suspended_at")?
            .map_or(AccountStatus::Active, AccountStatus::Suspended),
        created_at: row.time("accounts.created_at")?,
        signed_in_at: row.opt_time("accounts.signed_in_at")?,
    })
}

fn password(row: &mut Reader<'_>) -> Stored<Option<Password>> {
    let hash = row.opt_parsed("accounts.password_hash", PasswordHash::parse)?;
    let set_at = row.opt_time("accounts.password_set_at")?;
    let compromised = row.opt_int("accounts.password_compromised")?;
    match (hash, set_at, compromised) {
        (None, None, None) => Ok(None),
        (Some(hash), Some(set_at), Some(flag @ (0 | 1))) => {
            Ok(Some(Password { hash, set_at, compromised: flag == 1 }))
        }
        _ => Err(StoreError::Corrupt { what: "accounts.password_hash" }),
    }
}

pub(in crate::store::sql) fn sign_up(row: &mut Reader<'_>) -> Stored<SignUp> {
    Ok(SignUp {
        id: row.id("sign_ups.id")?,
        email: row.email("sign_ups.email")?,
        password: row.parsed("sign_ups.password_hash", PasswordHash::parse)?,
        token: TokenDigest(row.array("sign_ups.token")?),
        failures: row.unsigned("sign_ups.failures")?,
        created_at: row.time("sign_ups.created_at")?,
        expires_at: row.time("sign_ups.expires_at")?,
    })
}

pub(in crate::store::sql) fn totp_enrolment(row: &mut Reader<'_>) -> Stored<TotpEnrolment> {
    Ok(TotpEnrolment {
        id: row.id("totp_enrolments.id")?,
        account: row.id("totp_enrolments.account")?,
        secret: Sealed::from_bytes(row.bytes("totp_enrolments.secret")?.to_vec()),
        created_at: row.time("totp_enrolments.created_at")?,
        expires_at: row.time("totp_enrolments.expires_at")?,
    })
}

pub(in crate::store::sql) fn totp(row: &mut Reader<'_>) -> Stored<TotpFactor> {
    Ok(TotpFactor {
        id: row.id("totp_factors.id")?,
        account: row.id("totp_factors.account")?,
        secret: Sealed::from_bytes(row.bytes("totp_factors.secret")?.to_vec()),
        confirmed_at: row.time("totp_factors.confirmed_at")?,
        last_step: Step(row.unsigned("totp_factors.last_step")?),
    })
}

pub(in crate::store::sql) fn recovery_code(row: &mut Reader<'_>) -> Stored<RecoveryCodeRow> {
    Ok(RecoveryCodeRow {
        id: row.id("recovery_codes.id")?,
        account: row.id("recovery_codes.account")?,
        locator: row.parsed("recovery_codes.locator", Locator::parse)?,
        hash: row.parsed("recovery_codes.hash", PasswordHash::parse)?,
        created_at: row.time("recovery_codes.created_at")?,
    })
}

pub(in crate::store::sql) fn recovery_case(row: &mut Reader<'_>) -> Stored<RecoveryCase> {
    Ok(RecoveryCase {
        id: row.id("recovery_cases.id")?,
        account: row.id("recovery_cases.account")?,
        kind: recovery_kind(row)?,
        email_confirmed_at: row.opt_time("recovery_cases.email_confirmed_at")?,
        opened_by: row.text("recovery_cases.opened_by")?.to_owned(),
        reason: row.text("recovery_cases.reason")?.to_owned(),
        opened_at: row.time("recovery_cases.opened_at")?,
        due_at: row.time("recovery_cases.due_at")?,
        expires_at: row.time("recovery_cases.expires_at")?,
    })
}

fn recovery_kind(row: &mut Reader<'_>) -> Stored<RecoveryKind> {
    let kind = row.text("recovery_cases.kind")?;
    let email = row.opt_parsed("recovery_cases.email", EmailAddress::parse)?;
    match (kind, email) {
        ("second_factor", None) => Ok(RecoveryKind::SecondFactor),
        ("email", Some(email)) => Ok(RecoveryKind::Email(email)),
        _ => Err(StoreError::Corrupt { what: "recovery_cases.kind" }),
    }
}

/// A recovery's two columns: kind and address.
pub(in crate::store::sql) fn recovery_columns(kind: &RecoveryKind) -> (&'static str, Option<&str>) {
    match kind {
        RecoveryKind::SecondFactor => ("second_factor", None),
        RecoveryKind::Email(email) => ("email", Some(email.as_written())),
    }
}

pub(in crate::store::sql) fn session(row: &mut Reader<'_>) -> Stored<Session> {
    Ok(Session {
        id: row.id("sessions.id")?,
        account: row.id("sessions.account")?,
        token: TokenDigest(row.array("sessions.token")?),
        assurance: row.json("sessions.assurance")?,
        source: row.source("sessions.source_address")?,
        created_at: row.time("sessions.created_at")?,
        seen_at: row.time("sessions.seen_at")?,
        idle_until: row.time("sessions.idle_until")?,
        ends_at: row.time("sessions.ends_at")?,
    })
}

pub(in crate::store::sql) fn token(row: &mut Reader<'_>) -> Stored<OneTimeToken> {
    Ok(OneTimeToken {
        digest: TokenDigest(row.array("tokens.digest")?),
        kind: row.parsed("tokens.kind", |name| TokenKind::from_name(name).ok_or(()))?,
        account: row.id("tokens.account")?,
        email: row.opt_parsed("tokens.email", EmailAddress::parse)?,
        assurance: row.opt_json("tokens.assurance")?,
        created_at: row.time("tokens.created_at")?,
        expires_at: row.time("tokens.expires_at")?,
    })
}

pub(in crate::store::sql) fn counter(row: &mut Reader<'_>) -> Stored<Counter> {
    Ok(Counter {
        charged: row.unsigned("counters.charged")?,
        until: row.opt_time("counters.until")?,
        touched_at: row.time("counters.touched_at")?,
    })
}
