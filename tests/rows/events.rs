//! `docs/events.md` lists every security event: when, with which fields, how sensitive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use portcullis::budget::BudgetOptions;
use portcullis::dashboard::{Operator, SecondFactor, SignIn};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::ports::{
    BreachedPasswords, BreachedUnavailable, EventKind, Outcome, SecurityEvent, TracingEvents,
};
use portcullis::recovery::TypedRecoveryCode;
use portcullis::secret::{ChangeEmailToken, ExposeSecret as _, ResetToken, VerifyEmailToken};
use portcullis::source::Source;

use crate::people::{enrol, proof};
use crate::text::{fields, is_kept, variants};
use crate::world::{OTHER_PASSWORD, PASSWORD, World, email, from, password, source};

const EVENTS: &str = "src/ports/events.rs";

/// What each kind may carry beside `format`, `at`, `kind` and `outcome`, and how it may end (`s`ucceeded, `r`efused,
/// `f`ailed). The scenario below holds every event against it.
fn carries(kind: EventKind) -> (&'static str, &'static [&'static str]) {
    use EventKind as K;
    match kind {
        K::SignUp => ("srf", &["code", "source"]),
        K::VerifyEmail | K::SignInPassword | K::SignInSecondFactor => ("srf", &["code", "account", "source"]),
        K::SessionStarted
        | K::EmailChanged
        | K::AccountDeleted
        | K::RecoveryCodesReplaced
        | K::SuccessAfterFailures
        | K::SignInAfterInactivity => ("s", &["account", "source"]),
        K::SessionEnded | K::SecondFactorChanged | K::RecoveryChanged => {
            ("s", &["code", "account", "source"])
        }
        K::StepUp | K::PasswordChanged => ("sr", &["code", "account", "source"]),
        K::ResetRequested => ("s", &["source"]),
        K::PasswordReset => ("sr", &["code", "source"]),
        K::Throttled => ("r", &["code", "source"]),
        K::SecondFactorFailedAfterFirst | K::CodeReplayed => ("r", &["account", "source"]),
        K::AccessDenied => ("r", &["code", "account", "workspace", "project", "source"]),
        K::KeyRefused => ("r", &["code", "account", "workspace", "project", "key", "source"]),
        K::KeyChanged => ("s", &["code", "account", "workspace", "key", "source"]),
        K::TeamChanged => ("s", &["code", "account", "workspace", "source"]),
        K::InvitationAccepted => ("sr", &["code", "account", "workspace", "source"]),
        K::LimitReached => ("s", &["code", "account", "workspace", "project", "key"]),
        K::OperatorActed => ("s", &["account", "workspace", "project", "key"]),
        K::MailFailed => ("f", &["code"]),
        K::BreachCheckFailed | K::RequestPanicked => ("f", &["source"]),
        K::StoreFailed => ("f", &["code", "source"]),
        other => panic!("{other:?} has no row"),
    }
}

/// How sensitive each field is, in the words of `store::sql::Sensitivity`.
const SENSITIVITY: &[(&str, &str)] = &[
    ("format", "public"),
    ("at", "internal"),
    ("kind", "internal"),
    ("outcome", "internal"),
    ("code", "internal"),
    ("account", "internal: names a person to whoever has the table of accounts"),
    ("workspace", "internal"),
    ("project", "internal"),
    ("key", "internal"),
    (
        "source",
        "personal: the client's address, what it calls itself (256 bytes at most) and the request's id",
    ),
];

fn document() -> String {
    let mut out = String::from(
        "# Security events\n\nWritten by `UPDATE=1 cargo test --test rows`; do not edit.\n\n\
         What an operator wants to see as it happens. `ports::SecurityEvents` takes them; by default\n\
         `ports::TracingEvents` writes each as one JSON object to `tracing`, target `portcullis::security`: at `info`\n\
         what succeeded, `warn` what was refused, `error` what failed. No event carries a password, a code, a token, a\n\
         link, an e-mail address or the text of a key: the highest class in an event is *personal*, never\n\
         *credential* or *sealed*.\n\n## Fields\n\n| field | what | sensitivity |\n|---|---|---|\n",
    );
    for (field, _, about) in fields(EVENTS, "SecurityEvent") {
        let class = SENSITIVITY.iter().find(|(name, _)| *name == field).map(|(_, class)| *class);
        let class = class.unwrap_or_else(|| panic!("{field} has no sensitivity"));
        writeln!(out, "| `{field}` | {about} | {class} |").unwrap();
    }
    out.push_str(
        "\nAn empty field is `null`. Within one `format` a field is only ever added, and the names of kinds and codes\n\
         stay.\n\n## Kinds\n\nEach has `format`, `at`, `kind` and `outcome`, and may have what is listed.\n\n\
         | kind | when | outcomes | fields |\n|---|---|---|---|\n",
    );
    let documented: Vec<_> = variants(EVENTS, "EventKind");
    assert_eq!(documented.len(), EventKind::ALL.len(), "EventKind::ALL is not complete");
    for (kind, (variant, when)) in EventKind::ALL.iter().zip(documented) {
        assert_eq!(format!("{kind:?}"), variant, "EventKind::ALL is in another order");
        assert!(!when.is_empty(), "{variant} does not say when");
        let (outcomes, carried) = carries(*kind);
        let outcomes: Vec<_> = outcomes
            .chars()
            .map(|o| match o {
                's' => "succeeded",
                'r' => "refused",
                _ => "failed",
            })
            .collect();
        let carried: Vec<_> = carried.iter().map(|field| format!("`{field}`")).collect();
        let name = serde_json::to_value(kind).unwrap();
        writeln!(
            out,
            "| `{}` | {when} | {} | {} |",
            name.as_str().unwrap(),
            outcomes.join(", "),
            carried.join(", ")
        )
        .unwrap();
    }
    out
}

/// ASVS-5.0-16.1.1: the document is made from the enum and the struct, and a kind or a field without a row fails
#[test]
fn every_event_is_documented_with_when_fields_and_sensitivity() {
    is_kept("docs/events.md", &document(), "cargo test --test rows");
    let event = SecurityEvent::new(crate::world::start(), EventKind::SignUp, Outcome::Failed, &source());
    let json = serde_json::to_value(&event).unwrap();
    let written: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(written, SENSITIVITY.iter().map(|(name, _)| *name).collect());
    let source: BTreeSet<&str> = json["source"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(source, BTreeSet::from(["address", "user_agent", "request_id"]));
    let _ = TracingEvents;
}

/// Breached passwords cannot be asked about.
struct Down;

#[async_trait::async_trait]
impl BreachedPasswords for Down {
    async fn contains(&self, _: &portcullis::secret::SecretString) -> Result<bool, BreachedUnavailable> {
        Err(BreachedUnavailable)
    }
}

/// One person who meets nearly everything, and a key that is refused.
async fn a_life(world: World) -> World {
    let door = &world.dashboard;
    let day = Duration::from_hours(24);
    let ann_address = email("ann@example.com");
    door.sign_up(&ann_address, password("short"), &source()).await.unwrap_err();
    door.sign_up(&ann_address, password(PASSWORD), &source()).await.unwrap();
    let link = VerifyEmailToken::parse(&world.mailed_token(&ann_address).await).unwrap();
    door.verify_email(&link, password(OTHER_PASSWORD), &source()).await.unwrap_err();
    let signed_in = door.verify_email(&link, password(PASSWORD), &source()).await.unwrap();
    let mut ann = world.signed_in(ann_address.clone(), signed_in).await;
    door.sign_up(&ann_address, password(PASSWORD), &source()).await.unwrap();

    // Sign-ins that are refused, that wait, and that come after long.
    for _ in 0..7 {
        let _ = door.sign_in(&ann.email, password(OTHER_PASSWORD), &source()).await;
    }
    let _ = door.sign_in(&email("nobody@example.com"), password(PASSWORD), &source()).await;
    world.pass(Duration::from_hours(1));
    ann = world.sign_in(&ann.email, PASSWORD).await;
    world.pass(91 * day);
    ann = world.sign_in(&ann.email, PASSWORD).await;
    let other = world.sign_in(&ann.email, PASSWORD).await;
    door.end_session(&ann.session, other.session.id()).await.unwrap();
    door.sign_out_everywhere_else(&ann.session).await.unwrap();

    // A second factor: wrong, used twice, right; and recovery codes.
    let (phone, _) = enrol(&world, &mut ann).await;
    let wrong = SecondFactor::Recovery(TypedRecoveryCode::parse(&"0".repeat(16)).unwrap());
    let SignIn::SecondFactorNeeded(pending) =
        door.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap()
    else {
        panic!("no second factor was asked for")
    };
    door.second_factor(pending.token(), wrong, &source()).await.unwrap_err();
    let right = phone.next(&world);
    let again = SecondFactor::Totp(phone.code(&world));
    let signed_in = door.second_factor(pending.token(), right, &source()).await.unwrap();
    ann = world.signed_in(ann.email.clone(), signed_in).await;
    door.second_factor(pending.token(), SecondFactor::Totp(phone.code(&world)), &source()).await.unwrap_err();
    door.step_up(&ann.session, proof(Some(again))).await.unwrap_err();
    let signed_in = door.step_up(&ann.session, proof(Some(phone.next(&world)))).await.unwrap();
    ann = world.signed_in(ann.email.clone(), signed_in).await;
    let (_, _) = door.regenerate_recovery_codes(&ann.session).await.unwrap();

    // Password and address.
    let wrong = door.change_password(&ann.session, password("not at all mine"), password(PASSWORD), false);
    wrong.await.unwrap_err();
    door.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), false).await.unwrap();
    let next = email("ann.next@example.com");
    door.request_email_change(&ann.session, &next).await.unwrap();
    let link = ChangeEmailToken::parse(&world.mailed_token(&next).await).unwrap();
    door.confirm_email_change(&ann.session, &link).await.unwrap();
    door.forgot_password(&next, &source()).await.unwrap();
    let link = ResetToken::parse(&world.mailed_token(&next).await).unwrap();
    door.reset_password(&link, password(PASSWORD), &source()).await.unwrap();
    door.reset_password(&link, password(PASSWORD), &source()).await.unwrap_err();
    let ann =
        crate::people::sign_in(&world, door, &crate::world::Person { email: next.clone(), ..ann }, &phone)
            .await;
    let mut ann = world.signed_in(next, ann).await;
    let signed_in = door.step_up(&ann.session, proof(Some(phone.next(&world)))).await.unwrap();
    ann = world.signed_in(ann.email.clone(), signed_in).await;

    // Keys and rights.
    let home = world.at_home(&ann).await;
    let issued = door.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
    let api = portcullis::api::ApiDoor::builder(
        world.store.clone(),
        world.store.clone(),
        world.catalogue.clone(),
        world.format.clone(),
    )
    .clock(world.clock.clone())
    .events(world.events.clone())
    .build();
    let header = format!("Bearer {}", issued.text.expose_secret());
    let need = api.need(&portcullis::access::Scope::parse("files.delete").unwrap()).unwrap();
    let request = portcullis::api::ApiRequest {
        authorization: &[header.as_bytes()],
        peer: Some("192.0.2.10".parse().unwrap()),
        need,
    };
    api.authenticate(&request).await.unwrap_err();
    let bob = world.person("bob@example.com").await;
    let bobs = world.at_home(&bob).await;
    let theirs = world.new_key(&bobs, &["models.read"]).await;
    let mut tx = portcullis::store::Store::begin(&world.store).await.unwrap();
    let locked = tx.lock_workspace(home.workspace()).await.unwrap().unwrap();
    let membership = portcullis::store::record::Membership {
        workspace: home.workspace(),
        account: bob.session.account(),
        role: portcullis::access::BuiltinRole::Viewer.into(),
        since: crate::world::start(),
    };
    tx.put_membership(&locked, &membership).await.unwrap();
    tx.commit().await.unwrap();
    let guest = door.enter(&bob.session, home.workspace()).await.unwrap();
    let mut asked = theirs.clone();
    asked.project = issued.key.project;
    asked.kind = portcullis::dashboard::NewKeyKind::Service;
    door.issue_key(&guest, &asked).await.unwrap_err();

    a_team(&world, &ann, &bob).await;
    let need = api.need(&portcullis::access::Scope::parse("models.read").unwrap()).unwrap();
    let caller = api.authenticate(&portcullis::api::ApiRequest { need, ..request }).await.unwrap();
    a_limit(&world, &ann, &caller).await;

    // The operator, a mailer that refuses, a source of breaches that is down.
    let operator = Operator::of(door, "olive").unwrap();
    let _ = operator.suspend_key(issued.key.id, "a reason").await.unwrap();
    let _ = operator.suspend_project(issued.key.project, "a reason").await.unwrap();
    let _ = operator.suspend_workspace(home.workspace(), "a reason").await.unwrap();
    operator.mark_password_compromised(bob.session.account(), "a reason").await.unwrap();
    world.mailbox.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
    door.forgot_password(&bob.email, &source()).await.unwrap();
    door.send_mail(&*world.mailbox).await.unwrap();
    door.sign_out(&ann.session).await.unwrap();
    let world = world.with(|builder| builder.breached_passwords(Down));
    let _ = world.dashboard.sign_up(&email("cy@example.com"), password(PASSWORD), &from("192.0.2.11")).await;
    world
}

/// A workspace that somebody comes into, a recovery that is stopped, an account that goes.
async fn a_team(world: &World, ann: &crate::world::Person, bob: &crate::world::Person) {
    let door = &world.dashboard;
    let name = "Acme".parse().unwrap();
    let workspace = door.create_workspace(&ann.session, &name).await.unwrap();
    let hers = door.enter(&ann.session, workspace).await.unwrap();
    let new = portcullis::dashboard::NewInvitation {
        email: bob.email.clone(),
        role: portcullis::access::Role::Viewer,
        projects: BTreeMap::new(),
    };
    door.invite(&hers, &new).await.unwrap();
    let token = world.mailed_token(&bob.email).await;
    let token = portcullis::secret::InvitationToken::parse(&token).unwrap();
    door.accept_invitation(&ann.session, &token).await.unwrap_err();
    door.accept_invitation(&bob.session, &token).await.unwrap();
    let operator = Operator::of(door, "olive").unwrap();
    let lost = portcullis::store::record::RecoveryKind::SecondFactor;
    operator.open_recovery(ann.session.account(), &lost, "a lost phone").await.unwrap();
    door.stop_recovery(&ann.session).await.unwrap();
    let dora = world.person("dora@example.com").await;
    door.delete_account(&dora.session, &BTreeMap::new()).await.map(drop).unwrap();
}

/// A key and a member who spend what their limits let them.
async fn a_limit(world: &World, ann: &crate::world::Person, caller: &portcullis::api::Caller) {
    use portcullis::spend::Spender;
    let door = &world.dashboard;
    let home = world.at_home(ann).await;
    let operator = Operator::of(door, "olive").unwrap();
    let bought = portcullis::dashboard::Grant::Purchase(Credits::from_millionths(10));
    let _ = operator.grant_credit(home.workspace(), bought, "first").await.unwrap();
    let project = caller.project();
    let five = Cost::new(Credits::from_millionths(5)).unwrap();
    for spender in [Spender::Member(home.account()), Spender::Key(caller.key())] {
        let new = portcullis::dashboard::NewLimit {
            project,
            spender: Some(spender),
            period: portcullis::spend::Period::Total,
            amount: five,
            mode: portcullis::store::record::LimitMode::Leased,
        };
        door.set_limit(&home, &new).await.unwrap();
    }
    let node = portcullis::budget::Budget::new(world.store.clone(), BudgetOptions::new()).unwrap();
    let amount = Amount::new(five.credits()).unwrap();
    for purse in [door.playground(&home, project).await.unwrap(), caller.purse()] {
        node.reserve(purse, amount).await.unwrap().settle(five).await.unwrap();
    }
    node.give_back().await.unwrap();
    door.send_alerts().await.unwrap();
}

/// ASVS-5.0-16.4.3: a sink of the service's own is handed every event, in the order in which they happened
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_the_sink_in_order() {
    let world = a_life(World::memory().await).await;
    let events = world.all_events();
    assert!(events.len() > 50, "{}", events.len());
    assert!(events.is_sorted_by_key(|event| event.at));
}

/// ASVS-5.0-16.1.1, ASVS-5.0-16.3.3: what the document says of each kind is what is recorded, replays, throttling and
/// refused rights included; no event carries more
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_carry_the_documented_fields_and_no_other() {
    let world = a_life(World::memory().await).await;
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in world.all_events() {
        let (outcomes, allowed) = carries(event.kind);
        let outcome = match event.outcome {
            Outcome::Succeeded => 's',
            Outcome::Refused => 'r',
            Outcome::Failed => 'f',
        };
        assert!(outcomes.contains(outcome), "{event:?}: an outcome that is not documented");
        let json = serde_json::to_value(&event).unwrap();
        let carried = seen.entry(format!("{:?}", event.kind)).or_default();
        for (field, value) in json.as_object().unwrap() {
            let always = ["format", "at", "kind", "outcome"].contains(&field.as_str());
            let empty = value.is_null() || (field == "source" && event.source == Source::unknown());
            if !always && !empty {
                assert!(allowed.contains(&field.as_str()), "{event:?}: {field} is not documented");
                carried.insert(field.clone());
            }
        }
    }
    // Two kinds need a store and a handler that fail: tests/api_door.rs and tests/web/faults.rs meet them.
    let elsewhere = [EventKind::StoreFailed, EventKind::RequestPanicked];
    for kind in EventKind::ALL.iter().filter(|kind| !elsewhere.contains(kind)) {
        let carried = seen.get(&format!("{kind:?}")).unwrap_or_else(|| panic!("{kind:?} did not happen"));
        let documented: BTreeSet<String> = carries(*kind).1.iter().map(|field| (*field).to_owned()).collect();
        assert!(carried.is_subset(&documented));
        assert_eq!(*carried, documented, "{kind:?}: documented and never carried");
    }
}
