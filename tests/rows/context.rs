//! What of a request's circumstances decides, and how: `docs/teams.md`, "Context that decides", held against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::Role;
use portcullis::dashboard::NewInvitation;
use portcullis::error::Coded;
use portcullis::secret::InvitationToken;

use crate::people::{enrol, proof, sign_in};
use crate::text::file;
use crate::world::{PASSWORD, World, email};

/// The rows of the table: attribute, source, what it decides.
fn table() -> Vec<[String; 3]> {
    let guide = file("docs/teams.md");
    let (_, part) = guide.split_once("\n## Context that decides\n").expect("the heading");
    let part = part.split("\n## ").next().unwrap();
    let rows = part.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attribute"));
    rows.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
        cells.try_into().expect("three cells")
    })
    .collect()
}

/// ASVS-5.0-8.1.3: each attribute that drives a decision is listed with where it comes from and what it decides, and a
/// field of a request's source that is not used for one is not
#[test]
fn every_attribute_that_decides_is_listed_with_its_source() {
    let rows = table();
    let listed: BTreeMap<&str, (&str, &str)> =
        rows.iter().map(|[what, from, decides]| (what.as_str(), (from.as_str(), decides.as_str()))).collect();
    assert!(
        listed["network address"].0.contains("Source") && listed["network address"].1.contains("allowlist")
    );
    assert!(listed["how long ago proofs were shown"].1.contains("10 minutes"), "the default window");
    assert_eq!(listed.len(), 5, "a new attribute needs a row, and a test of its outcome below");
    let guide = file("docs/teams.md");
    assert!(guide.contains("No device, location or behaviour is looked at."));
    for (path, text) in crate::text::rust_files("src/dashboard") {
        let decides = text.lines().filter(|line| line.contains("user_agent()") && line.contains("if "));
        assert_eq!(decides.filter(|line| !line.contains("let Some")).count(), 0, "{path}");
    }
}

/// ASVS-5.0-8.1.4: each documented outcome is what happens: challenged when proofs are old, when no second factor was shown,
/// when there is none, and when the entry was ended; allowed once that is mended
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_documented_outcome_happens() {
    let documented: BTreeSet<String> = table()
        .iter()
        .flat_map(|[_, _, decides]| {
            decides.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let world = World::memory().await;
    let door = &world.dashboard;
    let mut ann = world.person("ann@example.com").await;
    let name = "Acme".parse().unwrap();
    let workspace = door.create_workspace(&ann.session, &name).await.unwrap();
    let hers = door.enter(&ann.session, workspace).await.unwrap();

    // Requiring a second factor asks for one of one's own.
    let refused = door.require_second_factor(&hers, true).await.unwrap_err();
    assert_eq!(refused.code(), "enrolment_needed");
    let (phone, _) = enrol(&world, &mut ann).await;
    let hers = door.enter(&ann.session, workspace).await.unwrap();
    // Proofs that are too old are asked for again, within the documented window they count.
    world.pass(Duration::from_mins(9));
    door.require_second_factor(&hers, true).await.unwrap();
    world.pass(Duration::from_mins(2));
    let refused = door.require_second_factor(&hers, false).await.unwrap_err();
    seen.insert(refused.code().to_owned());
    let signed_in = door.step_up(&ann.session, proof(Some(phone.next(&world)))).await.unwrap();
    ann = world.signed_in(ann.email.clone(), signed_in).await;
    let hers = door.enter(&ann.session, workspace).await.unwrap();

    // Bob has a session without a second factor, then one that has not shown it, then one that has.
    let mut bob = world.person("bob@example.com").await;
    let earlier = world.sign_in(&bob.email, PASSWORD).await;
    let new =
        NewInvitation { email: email("bob@example.com"), role: Role::Viewer, projects: BTreeMap::new() };
    door.invite(&hers, &new).await.unwrap();
    let token = InvitationToken::parse(&world.mailed_token(&bob.email).await).unwrap();
    door.accept_invitation(&bob.session, &token).await.unwrap();
    assert_eq!(door.enter(&bob.session, workspace).await.unwrap_err().code(), "enrolment_needed");
    let (bobs, _) = enrol(&world, &mut bob).await;
    door.enter(&bob.session, workspace).await.unwrap();
    seen.insert(door.enter(&earlier.session, workspace).await.unwrap_err().code().to_owned());

    // An entry that was ended is challenged until proofs are shown again.
    let entry = door.entries(&hers).await.unwrap().into_iter().find(|e| e.account == bob.session.account());
    door.end_entry(&hers, entry.unwrap().id).await.unwrap();
    seen.insert(door.enter(&bob.session, workspace).await.unwrap_err().code().to_owned());
    let signed_in = door.step_up(&bob.session, proof(Some(bobs.next(&world)))).await.unwrap();
    bob = world.signed_in(bob.email.clone(), signed_in).await;
    door.enter(&bob.session, workspace).await.unwrap();
    let fresh = sign_in(&world, door, &bob, &bobs).await;
    let fresh = world.signed_in(bob.email.clone(), fresh).await;
    door.enter(&fresh.session, workspace).await.unwrap();
    assert_eq!(seen, documented);
}
