//! Every stored value has the protection of its class.

use std::collections::BTreeMap;

use jiff::Timestamp;
use portcullis::access::Role;
use portcullis::dashboard::SignIn;
use portcullis::id::{AccountId, Id as _, InvitationId, WorkspaceId};
use portcullis::ports::{Mail, Mailer, MailerError};
use portcullis::secret::{ExposeSecret as _, InvitationToken, SealContext, Sealed, SealingKey, SealingKeys};
use portcullis::store::Store as _;
use portcullis::store::record::Invitation;
use portcullis::store::sql::{COLUMNS, Database, Sensitivity};
use rusqlite::types::Value;

use crate::people::{enrol, sign_in};
use crate::world::{OTHER_PASSWORD, PASSWORD, World, email, password, source};

/// Takes no mail, so that it stays in the outbox.
struct Lost;

#[async_trait::async_trait]
impl Mailer for Lost {
    async fn send(&self, _: &Mail) -> Result<(), MailerError> {
        Err(MailerError)
    }
}

fn values(database: &rusqlite::Connection, table: &str, column: &str) -> Vec<Value> {
    let sql = format!("SELECT \"{column}\" FROM portcullis_{table} WHERE \"{column}\" IS NOT NULL");
    let mut statement = database.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn stands_in(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// An invitation that waits.
async fn invite(world: &World, workspace: WorkspaceId, invited_by: AccountId) {
    let at = Timestamp::UNIX_EPOCH;
    let invitation = Invitation {
        id: InvitationId::from_parts(at, [1; 10]),
        workspace,
        email: email("dee@example.com"),
        role: Role::Viewer,
        projects: BTreeMap::new(),
        token: InvitationToken::from_random([1; 32]).digest(),
        invited_by,
        created_at: at,
        sent_at: at,
        expires_at: at,
    };
    let mut tx = world.store.begin().await.unwrap();
    let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
    assert!(tx.insert_invitation(&locked, &invitation).await.unwrap());
    tx.commit().await.unwrap();
}

/// ASVS-5.0-14.2.4: after a scenario that fills every column of the two highest classes, each value has the protection
/// that its class promises; and what is personal is in no security event but for the source
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_values_are_protected_as_their_class_says() {
    let world = World::sqlite().await;
    let mut ann = world.person("ann@example.com").await;
    let (phone, _) = enrol(&world, &mut ann).await;
    let signed_in = sign_in(&world, &world.dashboard, &ann, &phone).await;
    ann = world.signed_in(ann.email.clone(), signed_in).await;
    let home = world.at_home(&ann).await;
    let issued =
        world.dashboard.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
    // A pending sign-in, a setup that waits, a sign-up that waits, and mail that was not taken.
    let SignIn::SecondFactorNeeded(pending) =
        world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap()
    else {
        panic!("no second factor was asked for")
    };
    let bob = world.person("bob@example.com").await;
    let _setup = world.dashboard.begin_totp(&bob.session).await.unwrap();
    world.dashboard.sign_up(&email("cy@example.com"), password(OTHER_PASSWORD), &source()).await.unwrap();
    world.dashboard.send_mail(&Lost).await.unwrap();
    invite(&world, home.workspace(), ann.session.account()).await;

    let folder = world.folder.as_ref().unwrap().path();
    let database = rusqlite::Connection::open(folder.join("test.db")).unwrap();
    let mut checked = [0; 3];
    for of in COLUMNS.iter().filter(|of| of.is_of(Database::Sqlite)) {
        let place = format!("{}.{}", of.table, of.column);
        let values = values(&database, of.table, of.column);
        match of.class {
            Sensitivity::Credential => {
                assert!(!values.is_empty(), "{place} has no sample");
                for value in values {
                    match value {
                        Value::Text(hash) => {
                            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{place}");
                            assert!(portcullis::password::PasswordHash::parse(&hash).is_ok(), "{place}");
                        }
                        Value::Blob(digest) => assert_eq!(digest.len(), 32, "{place}"),
                        other => panic!("{place}: {other:?} is neither an Argon2id hash nor a digest"),
                    }
                }
                checked[0] += 1;
            }
            Sensitivity::Sealed => {
                assert!(!values.is_empty(), "{place} has no sample");
                for value in values {
                    let Value::Blob(sealed) = value else { panic!("{place} is no blob") };
                    assert_eq!(sealed[..5], [1, 0, 0, 0, 1], "{place}: version 1, key 1");
                    assert!(!stands_in(&sealed, phone.secret.expose_bytes()), "{place}");
                    for part in ["link", "example.com", "#token="] {
                        assert!(!stands_in(&sealed, part.as_bytes()), "{place} holds {part:?}");
                    }
                }
                checked[1] += 1;
            }
            Sensitivity::Personal => {
                // Where a request came from is in both.
                let source = source();
                let address = source.address().map(|address| address.to_string());
                let of_source =
                    |text: &String| [address.as_deref(), source.user_agent()].contains(&Some(text.as_str()));
                let personal = values.into_iter().filter_map(|value| match value {
                    Value::Text(text) if text.len() >= 6 && !of_source(&text) => Some(text),
                    _ => None,
                });
                for text in personal {
                    for event in world.all_events() {
                        let json = serde_json::to_string(&event).unwrap();
                        assert!(!json.contains(&text), "{place}: {text:?} stands in {json}");
                    }
                    checked[2] += 1;
                }
            }
            // Ids, times and counts may be shown to those they concern; what is public, to all.
            Sensitivity::Internal | Sensitivity::Public => {}
        }
    }
    assert!(checked[0] >= 7 && checked[1] >= 3 && checked[2] >= 5, "{checked:?}");

    // The digests are of what was handed out, the sealed values open under their key and row alone.
    let digests = values(&database, "tokens", "digest");
    assert!(digests.contains(&Value::Blob(pending.token().digest().0.to_vec())));
    let digests = values(&database, "sessions", "token");
    assert!(digests.contains(&Value::Blob(ann.signed_in.token().digest().0.to_vec())));
    let digests = values(&database, "secrets", "digest");
    assert!(digests.contains(&Value::Blob(issued.text.digest().as_bytes().to_vec())));
    let mut snapshot = world.store.begin_read().await.unwrap();
    let factor = snapshot.totp(ann.session.account()).await.unwrap().unwrap();
    let stored = values(&database, "totp_factors", "secret");
    assert_eq!(stored, [Value::Blob(factor.secret.as_bytes().to_vec())]);
    let context = SealContext { kind: "totp", row: factor.id.uuid(), owner: factor.account.uuid() };
    let keys = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let sealed = Sealed::from_bytes(factor.secret.as_bytes().to_vec());
    assert_eq!(keys.open(context, &sealed).unwrap().as_slice(), phone.secret.expose_bytes());
    assert!(!issued.text.hint().to_string().contains(&issued.text.expose_secret()[20..]));
}
