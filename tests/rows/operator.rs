//! An operator may make somebody replace a password, and gets nothing by it.

use portcullis::dashboard::{Operator, SignIn};
use portcullis::ports::Message;
use portcullis::secret::ResetToken;

use crate::world::{OTHER_PASSWORD, PASSWORD, World, email, password, source};

/// ASVS-5.0-6.4.6: what the operator is answered is nothing at all; the link goes to the owner's address alone, no event
/// or log of the account repeats it, and the operator's word makes no password: the link's holder chooses it
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_triggers_a_reset_and_never_picks_or_sees_the_password() {
    let world = World::memory().await;
    let ann = world.person("ann@example.com").await;
    let operator = Operator::of(&world.dashboard, "olive").unwrap();
    let (): () = operator.mark_password_compromised(ann.session.account(), "seen in a dump").await.unwrap();

    // The old password is good for nothing but for having a link mailed to its owner.
    let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
    assert!(matches!(answer, SignIn::PasswordChangeNeeded), "{answer:?}");
    let token = world.mailed_token(&ann.email).await;
    for other in ["olive@example.com", "bob@example.com"] {
        assert_eq!(world.mail_to(&email(other)).await, []);
    }
    let told = format!("{} {:?}", serde_json::to_string(&world.all_events()).unwrap(), operator);
    assert!(!told.contains(&token) && !told.contains(PASSWORD));
    let links = world.mail_to(&ann.email).await;
    assert_eq!(links.iter().filter(|mail| matches!(mail, Message::ResetPassword { .. })).count(), 1);

    let link = ResetToken::parse(&token).unwrap();
    world.dashboard.reset_password(&link, password(OTHER_PASSWORD), &source()).await.unwrap();
    world.sign_in(&ann.email, OTHER_PASSWORD).await;
}
