//! Changing an address.

use std::time::Duration;

use portcullis::dashboard::{AccountError, SignIn, SignInError, SignUpError};
use portcullis::email::EmailAddress;
use portcullis::ports::{EventKind, Message};
use portcullis::secret::{ChangeEmailToken, VerifyEmailToken};

use crate::second_factor::kinds;
use crate::world::{OTHER_PASSWORD, PASSWORD, Person, World, email, on_every_store, password, source};

/// Asks for an address and answers the token that it was mailed.
async fn ask(world: &World, person: &Person, next: &EmailAddress) -> ChangeEmailToken {
    world.dashboard.request_email_change(&person.session, next).await.unwrap();
    ChangeEmailToken::parse(&world.mailed_token(next).await).unwrap()
}

async fn opens(world: &World, email: &EmailAddress) -> bool {
    match world.dashboard.sign_in(email, password(PASSWORD), &source()).await {
        Ok(SignIn::SignedIn(_)) => true,
        Err(SignInError::InvalidCredentials) => false,
        other => panic!("{other:?}"),
    }
}

on_every_store! {
    /// M10: the old address is told when it is asked for, and both when it is done.
    async fn the_new_address_counts_once_it_is_proven(world: World) {
        let ann = world.person("ann@example.com").await;
        let next = email("Next@Example.com");
        let token = ask(&world, &ann, &next).await;
        assert!(opens(&world, &ann.email).await && !opens(&world, &next).await);
        let told = world.mail_to(&ann.email).await;
        let asked = Message::EmailChangeRequested { next: "Next@Example.com".to_owned() };
        assert!(told.iter().any(|message| message.kind() == asked.kind() && message.text() == asked.text()));
        assert_eq!(kinds(&world, &next).await, ["confirm_new_email"]);
        let changed = world.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
        assert_eq!(changed.as_written(), "Next@Example.com");
        assert!(!opens(&world, &ann.email).await && opens(&world, &next).await);
        assert_eq!(kinds(&world, &ann.email).await.last(), Some(&"email_changed"));
        assert_eq!(kinds(&world, &next).await, ["confirm_new_email", "email_changed"]);
        assert_eq!(world.events(EventKind::EmailChanged).len(), 1);
        let answer = world.dashboard.confirm_email_change(&ann.session, &token).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)), "once");
        // The old address is free again.
        world.person("ann@example.com").await;
    }

    /// The answer is the same; the owner of the address gets a notice and no link.
    async fn an_address_with_an_account_gets_a_notice_and_no_link(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        world.dashboard.request_email_change(&ann.session, &email("BOB@example.com")).await.unwrap();
        assert_eq!(kinds(&world, &bob.email).await, ["verify_email", "already_registered"]);
    }

    /// Between the question and the answer somebody else signed up with the address.
    async fn an_address_that_was_taken_in_the_meantime_is_not_taken_over(world: World) {
        let ann = world.person("ann@example.com").await;
        let next = email("next@example.com");
        let token = ask(&world, &ann, &next).await;
        let bob = world.person("next@example.com").await;
        let answer = world.dashboard.confirm_email_change(&ann.session, &token).await;
        assert!(matches!(answer, Err(AccountError::EmailTaken)));
        let bob = world.sign_in(&bob.email, PASSWORD).await;
        let ann_again = world.sign_in(&ann.email, PASSWORD).await;
        assert_eq!(ann_again.session.account(), ann.session.account());
        assert_ne!(bob.session.account(), ann.session.account());
        assert!(!kinds(&world, &ann.email).await.contains(&"email_changed"));
    }

    /// Two accounts, one address, two nodes, at once.
    async fn of_two_accounts_that_confirm_one_address_one_gets_it(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let node = world.node();
        for round in 0..4 {
            let next = email(&format!("next{round}@example.com"));
            let anns = ask(&world, &ann, &next).await;
            let bobs = ask(&world, &bob, &next).await;
            let answers = tokio::join!(
                world.dashboard.confirm_email_change(&ann.session, &anns),
                node.confirm_email_change(&bob.session, &bobs),
            );
            let winner = match answers {
                (Ok(_), Err(AccountError::EmailTaken)) => &ann,
                (Err(AccountError::EmailTaken), Ok(_)) => &bob,
                other => panic!("{other:?}"),
            };
            let signed_in = world.sign_in(&next, PASSWORD).await;
            assert_eq!(signed_in.session.account(), winner.session.account());
        }
    }

    /// A link belongs to the account that asked; shown by another it does nothing and stays good.
    async fn the_link_of_another_account_is_refused(world: World) {
        let ann = world.person("ann@example.com").await;
        let eve = world.person("eve@example.com").await;
        let next = email("next@example.com");
        let token = ask(&world, &ann, &next).await;
        let answer = world.dashboard.confirm_email_change(&eve.session, &token).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)));
        assert!(!opens(&world, &next).await);
        world.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
        assert!(opens(&world, &next).await && opens(&world, &eve.email).await);
    }

    /// The latest link alone, for a day, in a live session.
    async fn a_link_is_replaced_expires_and_needs_its_session(world: World) {
        let ann = world.person("ann@example.com").await;
        let first = ask(&world, &ann, &email("first@example.com")).await;
        let second = ask(&world, &ann, &email("second@example.com")).await;
        let answer = world.dashboard.confirm_email_change(&ann.session, &first).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)));
        world.pass(Duration::from_hours(24));
        let ann = world.sign_in(&ann.email, PASSWORD).await;
        let answer = world.dashboard.confirm_email_change(&ann.session, &second).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)));
        let third = ask(&world, &ann, &email("third@example.com")).await;
        world.pass(Duration::from_secs(24 * 3_600 - 1));
        world.dashboard.sign_out(&ann.session).await.unwrap();
        let answer = world.dashboard.confirm_email_change(&ann.session, &third).await;
        assert!(matches!(answer, Err(AccountError::NotSignedIn)));
        let ann = world.sign_in(&ann.email, PASSWORD).await;
        world.dashboard.confirm_email_change(&ann.session, &third).await.unwrap();
    }

    /// A sign-up that somebody had begun with the address dies: it can become no second account.
    async fn sign_ups_of_the_new_address_die_when_it_is_confirmed(world: World) {
        let ann = world.person("ann@example.com").await;
        let next = email("next@example.com");
        world.dashboard.sign_up(&next, password(OTHER_PASSWORD), &source()).await.unwrap();
        let verify = VerifyEmailToken::parse(&world.mailed_token(&next).await).unwrap();
        let token = ask(&world, &ann, &next).await;
        world.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
        assert!(opens(&world, &next).await);
        // Not even once the address is free again.
        let third = email("third@example.com");
        let token = ask(&world, &ann, &third).await;
        world.dashboard.confirm_email_change(&ann.session, &token).await.unwrap();
        let answer = world.dashboard.verify_email(&verify, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignUpError::InvalidLink)));
        assert!(opens(&world, &third).await && !opens(&world, &next).await);
    }

    /// A sign-up that waits is not charged for right passwords, which can only be its owner's.
    async fn right_passwords_before_the_address_is_verified_lock_nobody_out(world: World) {
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        for _ in 0..7 {
            let answer = world.dashboard.sign_in(&ann, password(PASSWORD), &source()).await;
            assert!(matches!(answer, Ok(SignIn::VerifyEmailFirst)), "{answer:?}");
        }
    }
}
