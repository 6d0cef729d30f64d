//! What a signed-in person does with their own account.

use std::time::Duration;

use portcullis::dashboard::{Activity, Dashboard, Proof, SecondFactor};
use portcullis::secret::{ChangeEmailToken, SessionToken};

use super::{Case, DAY, Got, again, case, proof};
use crate::people::{
    LATER, NEXT_PASSWORD, PASSWORD, WRONG_PASSWORD, email, later, other_session, recovery, secret, source,
    totp, wrong_totp,
};

pub(super) fn cases() -> Vec<Case> {
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
