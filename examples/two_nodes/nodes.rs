//! What both nodes know, and node 1: a dashboard, somebody who has signed up, and their keys.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::dashboard::{Activity, Committed, Dashboard, Expiry, Member, NewKey, NewKeyKind};
use portcullis::email::EmailAddress;
use portcullis::id::{KeyId, ProjectId};
use portcullis::key::KeyFormat;
use portcullis::ports::{Mail, Mailer, MailerError};
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys, VerifyEmailToken};
use portcullis::source::Source;
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use rustix::time::{ClockId, clock_gettime};

use super::Done;

pub const SCOPE: &str = "models.read";
const PASSWORD: &str = "a horse walks into a bar";

/// Where the database is, as far as the environment says.
pub fn database() -> Option<String> {
    let named = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    named("DATABASE_URL").or_else(|| named("PORTCULLIS_POSTGRES"))
}

pub fn options(schema: &str) -> Done<PostgresOptions> {
    Ok(PostgresOptions::new().schema(schema)?)
}

pub fn catalogue() -> Done<Arc<Catalogue>> {
    let catalogue = Catalogue::builder().scope(SCOPE, Some(BuiltinRole::Viewer), "List the models");
    Ok(Arc::new(catalogue.build()?))
}

pub fn format() -> Done<Arc<KeyFormat>> {
    Ok(Arc::new(KeyFormat::new("acme", &["live"])?))
}

/// A clock that both processes read, as they are on one machine.
pub fn machine_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |part| u64::try_from(part).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

pub struct House {
    people: Dashboard,
    member: Member,
    project: ProjectId,
}

pub struct Key {
    pub id: KeyId,
    pub text: String,
}

/// Keeps the latest link.
#[derive(Default)]
struct Link(Mutex<Option<String>>);

#[async_trait]
impl Mailer for Link {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        *self.0.lock().map_err(|_| MailerError)? = mail.message.link().map(str::to_owned);
        Ok(())
    }
}

impl House {
    /// Somebody signs up. `examples/quickstart` shows what that is about.
    pub async fn new(store: &PostgresStore) -> Done<Self> {
        // From your secret store.
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32])?);
        let base = "https://console.acme.example";
        let people =
            Dashboard::builder(store.clone(), "Acme", base, catalogue()?, format()?, seals)?.build()?;
        let (email, source, link) =
            (EmailAddress::parse("ann@example.com")?, Source::unknown(), Link::default());
        people.sign_up(&email, PASSWORD.into(), &source).await?;
        people.send_mail(&link).await?;
        let link = link.0.into_inner()?.ok_or("no link was mailed")?;
        let token = VerifyEmailToken::parse(link.split_once("#token=").ok_or("no token in the link")?.1)?;
        let signed_in = people.verify_email(&token, PASSWORD.into(), &source).await?;
        let session = people.session(signed_in.token(), Activity::Person, &source).await?;
        let home = people.workspaces(&session).await?.first().ok_or("no workspace")?.id;
        let member = people.enter(&session, home).await?;
        let project = people.projects(&member).await?.first().ok_or("no project")?.id;
        Ok(Self { people, member, project })
    }

    pub async fn issue(&self) -> Done<Key> {
        let new = NewKey {
            project: self.project,
            kind: NewKeyKind::Personal,
            name: "a key".parse()?,
            environment: "live".to_owned(),
            scopes: BTreeSet::from([Scope::parse(SCOPE)?]),
            expiry: Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        let issued = self.people.issue_key(&self.member, &new).await?;
        Ok(Key { id: issued.key.id, text: issued.text.expose_secret().to_owned() })
    }

    pub async fn revoke(&self, key: &Key) -> Done<Committed> {
        Ok(self.people.revoke_key(&self.member, key.id).await?)
    }
}
