//! Somebody who has signed up, at home: for tests and benches that need a member and nothing else of a world.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis::dashboard::{Activity, Dashboard, Member, SignedIn};
use portcullis::email::EmailAddress;
use portcullis::ports::{Mail, Mailer, MailerError};
use portcullis::secret::{SessionToken, VerifyEmailToken};
use portcullis::source::Source;

pub(crate) const PASSWORD: &str = "a horse walks into a bar";

/// Remembers the link of the latest mail that has one.
#[derive(Default)]
pub(crate) struct Link(Mutex<String>);

impl Link {
    /// The token in it.
    pub(crate) fn token(&self) -> String {
        self.0.lock().unwrap().split_once("#token=").unwrap().1.to_owned()
    }
}

#[async_trait]
impl Mailer for Link {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        if let Some(link) = mail.message.link() {
            link.clone_into(&mut self.0.lock().unwrap());
        }
        Ok(())
    }
}

/// Signs Ann up and answers her signed in.
pub(crate) async fn signs_up(people: &Dashboard) -> SignedIn {
    let (email, source, link) =
        (EmailAddress::parse("ann@example.com").unwrap(), Source::unknown(), Link::default());
    people.sign_up(&email, PASSWORD.into(), &source).await.unwrap();
    people.send_mail(&link).await.unwrap();
    let token = VerifyEmailToken::parse(&link.token()).unwrap();
    people.verify_email(&token, PASSWORD.into(), &source).await.unwrap()
}

/// Whoever has the session, in their first workspace.
pub(crate) async fn at_home(people: &Dashboard, token: &SessionToken) -> Member {
    let session = people.session(token, Activity::Person, &Source::unknown()).await.unwrap();
    let home = people.workspaces(&session).await.unwrap()[0].id;
    people.enter(&session, home).await.unwrap()
}
