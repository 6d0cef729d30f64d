//! What somebody who is not signed in may do.

use portcullis::dashboard::SecondFactor;
use portcullis::secret::{ResetToken, SignInToken, VerifyEmailToken};

use super::{Case, Got, again, case, pending, signed};
use crate::people::{
    LATER, NEXT_PASSWORD, PASSWORD, WRONG_PASSWORD, email, later, recovery, secret, source, totp, wrong_totp,
};

pub(super) fn cases() -> Vec<Case> {
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
