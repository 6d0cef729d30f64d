//! The second half of the tour: a workspace with more than one person in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::{AccessChange, ProjectRole, Question, Role, Scope};
use portcullis::api::ApiDoor;
use portcullis::audit::{ChainId, Checkpoint, CheckpointKey, verify};
use portcullis::dashboard::{
    Activity, Dashboard, Expiry, Exposure, NewInvitation, NewKey, NewKeyKind, Offboarding, Operator, Session,
};
use portcullis::email::EmailAddress;
use portcullis::error::Explained;
use portcullis::id::ProjectId;
use portcullis::name::{DisplayName, Label};
use portcullis::secret::{ExposeSecret, InvitationToken, SecretString};
use portcullis::source::Source;

use crate::{Done, Terminal, call, random, step};

/// From a new workspace to a leaver whose keys are dead, with a log that shows every bend.
pub(crate) async fn tour(
    people: &Dashboard,
    programs: &ApiDoor,
    mail: &Terminal,
    ann: &Session,
    source: &Source,
) -> Done {
    step("Ann makes a workspace with two projects");
    let workspace = people.create_workspace(ann, &DisplayName::parse("Acme AI")?).await?;
    let hers = people.enter(ann, workspace).await?;
    let staging = Label::parse("staging")?;
    let staging = people.create_project(&hers, &DisplayName::parse("Sandbox")?, Some(&staging)).await?;
    let production = Label::parse("production")?;
    let production = people.create_project(&hers, &DisplayName::parse("Shop")?, Some(&production)).await?;

    step("She invites Bob as a developer who has no access to production; he has no account yet");
    let bob = EmailAddress::parse("bob@example.com")?;
    let projects = BTreeMap::from([(production, ProjectRole::None)]);
    people.invite(&hers, &NewInvitation { email: bob.clone(), role: Role::Developer, projects }).await?;
    people.send_mail(mail).await?;
    let token = InvitationToken::parse(&mail.token().ok_or("no link")?)?;
    println!("   the link says: {:?}", people.invitation(&token, source).await?);
    let password = SecretString::from("an umbrella for the whale");
    let signed_in = people.sign_up_with_invitation(&token, password, source).await?;
    let session = people.session(signed_in.token(), Activity::Person, source).await?;
    let his = people.enter(&session, workspace).await?;
    println!("   he sees {:?}", people.projects(&his).await?.iter().map(|p| &p.name).collect::<Vec<_>>());

    step("Bob issues a personal key and a service key in the sandbox; production does not exist for him");
    let personal = people.issue_key(&his, &key(staging, NewKeyKind::Personal)?).await?;
    let service = people.issue_key(&his, &key(staging, NewKeyKind::Service)?).await?;
    call(programs, personal.text.expose_secret(), "completions.create").await?;
    call(programs, service.text.expose_secret(), "completions.create").await?;
    println!(
        "   production: {:?}",
        people.issue_key(&his, &key(production, NewKeyKind::Personal)?).await.err()
    );

    step("Every refusal says what would allow it, and every change can be tried out first");
    if let Err(refused) = people.rename_workspace(&his, &DisplayName::parse("Bob's")?).await {
        println!("   {refused}; allowed by: {}", refused.allowed_by().join(", or "));
    }
    let scope = Question::Scope(Scope::parse("completions.create")?);
    let who = people.who_can(&hers, &scope, Some(staging)).await?;
    println!(
        "   who can run models in the sandbox: {:?}, and {} key(s)",
        who.members.iter().map(|m| m.email.to_string()).collect::<Vec<_>>(),
        who.keys.len()
    );
    let account = session.account();
    let demotion = AccessChange::MemberRole { account, role: Role::Viewer };
    for effect in people.dry_run(&hers, &demotion).await?.keys {
        println!("   were Bob a viewer, the key {} would lose {:?}", effect.key, effect.loses);
    }

    step("The workspace requires a second factor: Bob's next step is to set one up, his keys go on");
    println!(
        "   without one: {:?}",
        people
            .preview_second_factor_requirement(&hers)
            .await?
            .iter()
            .map(|w| w.email.to_string())
            .collect::<Vec<_>>()
    );
    people.require_second_factor(&hers, true).await?;
    println!("   Bob: {:?}", people.projects(&his).await.err());
    call(programs, personal.text.expose_secret(), "models.read").await?;

    step("Bob leaves. Shown before it is done, then one transaction");
    let preview = people.preview_offboarding(&hers, account).await?;
    println!(
        "   {} entry, {} personal key, {} service key whose secret he knows, {} in his care",
        preview.entries.len(),
        preview.personal_keys.len(),
        preview.exposed_keys.len(),
        preview.custodianships.len()
    );
    let plan = Offboarding {
        successor: Some(ann.account()),
        default: Exposure::RotateNow,
        exposed: BTreeMap::new(),
    };
    let offboarded = people.offboard(&hers, account, &plan).await?;
    call(programs, personal.text.expose_secret(), "models.read").await?;
    call(programs, service.text.expose_secret(), "models.read").await?;
    if let Some(rotated) = offboarded.rotated.first() {
        println!("   the service key lives on under another secret, shown to Ann:");
        call(programs, rotated.text.expose_secret(), "models.read").await?;
    }
    offboarded.committed.everywhere().await;
    println!("   Bob's own workspaces: {}", people.workspaces(&session).await?.len());

    step("The audit log: chained, exported, checked far from the database");
    while people.seal_audit().await?.more {}
    let operator = Operator::of(people, "auditor: Lee")?;
    let chain = ChainId::Workspace(workspace);
    let secret = random()?;
    let checkpoint = operator.audit_checkpoint(chain, &CheckpointKey::new(1, secret)).await?;
    println!("   kept elsewhere: {checkpoint:.60}…");
    let checkpoint = Checkpoint::open(&checkpoint, &[CheckpointKey::new(1, secret)])?;
    let export = people.export_audit(&hers, 0, 1_000).await?;
    let lines: Vec<&str> = export.lines.lines().collect();
    let report = verify(chain, &lines, &[checkpoint]);
    println!("   {} entries, intact: {}", report.lines, report.is_intact());
    let mut bent: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if let Some(line) = bent.iter_mut().find(|line| line.contains("\"developer\"")) {
        *line = line.replace("\"developer\"", "\"viewer\"");
    }
    if let Some(found) = verify(chain, &bent, &[checkpoint]).finding {
        println!("   with one role altered: place {}, {:?}", found.sequence, found.kind);
    }
    Ok(())
}

fn key(project: ProjectId, kind: NewKeyKind) -> Result<NewKey, Box<dyn std::error::Error>> {
    Ok(NewKey {
        project,
        kind,
        name: DisplayName::parse("worker")?,
        environment: "test".to_owned(),
        scopes: BTreeSet::from([Scope::parse("models.read")?, Scope::parse("completions.create")?]),
        expiry: Expiry::At(jiff::Timestamp::now() + Duration::from_hours(24)),
        allowlist: None,
        rate_limit: None,
        operation: None,
    })
}
