//! Deleting one's own account: what is shown beforehand, what then happens, and when it is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::dashboard::{Activity, Fate, NewKeyKind, Offboarding, SignIn, SignInError};
use portcullis::error::Coded;
use portcullis::id::WorkspaceId;
use portcullis::ports::{EventKind, Message};
use portcullis::store::Store;
use portcullis::store::record::{Action, Actor, Target};

use crate::stage::{Hand, Team, changed, told};
use crate::world::{PASSWORD, World, on_every_store, password, source};

fn none() -> BTreeMap<WorkspaceId, Offboarding> {
    BTreeMap::new()
}

on_every_store! {
    /// M24: a person in four workspaces: their own, one that they alone are in, one with others, one of somebody else.
    /// What is shown beforehand is what happens: the first two go with all that is in them, the others go on
    async fn a_deletion_does_to_each_workspace_what_was_shown_beforehand(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let zoe = team.world.person("zoe@example.com").await;
        let account = zoe.session.account();
        let home = team.world.at_home(&zoe).await;
        let home_key = door.issue_key(&home, &team.world.new_key(&home, &["models.read"]).await).await.unwrap();
        let alone = door.create_workspace(&zoe.session, &crate::stage::name("Alone")).await.unwrap();
        let alone = door.enter(&zoe.session, alone).await.unwrap();
        door.create_project(&alone, &crate::stage::name("One"), None).await.unwrap();
        let project = door.create_project(&alone, &crate::stage::name("Two"), None).await.unwrap();
        let mut new = team.new_key(NewKeyKind::Service, &["models.read"]);
        new.project = project;
        let lonely = door.issue_key(&alone, &new).await.unwrap();
        let guest = team.world.hand("guest").await;
        let invited = portcullis::dashboard::NewInvitation {
            email: guest.email.clone(),
            role: Role::Viewer,
            projects: BTreeMap::new(),
        };
        door.invite(&alone, &invited).await.unwrap();
        let to_alone = team.world.invitation_to(&guest.email).await;
        // Somebody else's, where Zoe has keys of both kinds and sent an invitation.
        team.world.join(team.workspace, account, Role::Admin).await;
        let there = door.enter(&zoe.session, team.workspace).await.unwrap();
        let (personal, service) = (team.personal_key(&there).await, team.service_key(&there).await);
        door.invite(&there, &invited).await.unwrap();
        let to_team = team.world.invitation_to(&guest.email).await;

        let preview = door.preview_account_deletion(&zoe.session).await.unwrap();
        let fate = |id: WorkspaceId| &preview.iter().find(|leaving| leaving.workspace == id).unwrap().fate;
        assert_eq!(preview.len(), 3);
        let Fate::Deleted(contents) = fate(home.workspace()) else { panic!("{preview:?}") };
        assert_eq!((contents.projects.len(), contents.members, contents.live_keys), (1, 1, 1));
        let Fate::Deleted(contents) = fate(alone.workspace()) else { panic!("{preview:?}") };
        assert_eq!((contents.projects.len(), contents.live_keys, contents.invitations), (2, 1, 1));
        let Fate::Left { personal_keys: 1, custodianships } = fate(team.workspace) else {
            panic!("{preview:?}")
        };
        assert_eq!(custodianships.iter().map(|key| key.id).collect::<Vec<_>>(), [service.key.id]);

        // A successor who could not have issued the key is refused; it says where, and nothing at all is done.
        let before = [home.workspace(), alone.workspace(), team.workspace];
        let mut rows = Vec::new();
        for workspace in before {
            rows.push(team.world.rows(workspace).await);
        }
        let plan = Offboarding { successor: Some(guest.session.account()), ..Offboarding::default() };
        let refused =
            door.delete_account(&zoe.session, &BTreeMap::from([(team.workspace, plan)])).await.unwrap_err();
        assert_eq!(refused.code(), "bad_successor");
        assert!(refused.to_string().contains(&team.workspace.to_string()), "it says where: {refused}");
        for (workspace, before) in before.into_iter().zip(&rows) {
            assert_eq!(&team.world.rows(workspace).await, before);
        }
        let plan = Offboarding { successor: Some(team.boss.account), ..Offboarding::default() };
        let plans = BTreeMap::from([(team.workspace, plan)]);
        let _ = door.delete_account(&zoe.session, &plans).await.unwrap();

        for workspace in [home.workspace(), alone.workspace()] {
            assert!(team.world.rows(workspace).await.is_empty());
            assert_eq!(told(door.enter(&guest.session, workspace).await), "not_found");
        }
        let api = team.world.api();
        for key in [&home_key, &lonely] {
            assert_eq!(api.refused(&key.text).await, Some(Reason::NoSuchSecret));
        }
        assert_eq!(api.refused(&personal.text).await, Some(Reason::Revoked));
        assert_eq!(api.refused(&service.text).await, None);
        assert_eq!(told(door.accept_invitation(&guest.session, &to_alone).await), "invalid_link");
        assert_eq!(told(door.accept_invitation(&guest.session, &to_team).await), "invalid_link");
        let foretold = BTreeSet::from([
            format!("gone: member {account}"),
            format!("gone: entry {}", there.entry()),
            format!("changed: key {}", personal.key.id),
            format!("changed: key {}", service.key.id),
            format!("changed: secret {}", service.text.id()),
            format!("gone: invitation {}", preview_invitation(&rows[2])),
        ]);
        assert_eq!(changed(&rows[2], &team.world.rows(team.workspace).await), foretold);
        assert!(team.world.mail_to(&zoe.email).await.contains(&Message::AccountDeleted));
        assert_eq!(team.world.events(EventKind::AccountDeleted).len(), 1);
    }

    /// M24: the account is gone with everything that opened it: session, password, second factor, links
    async fn nothing_opens_a_deleted_account(world: World) {
        let mut zoe = world.person("zoe@example.com").await;
        let (phone, codes) = world.enrol(&mut zoe).await;
        let other = world.sign_in_with(&zoe.email, &phone).await;
        world.dashboard.forgot_password(&zoe.email, &source()).await.unwrap();
        let link = world.mailed_token(&zoe.email).await;
        let reset = portcullis::secret::ResetToken::parse(&link).unwrap();
        let home = world.at_home(&zoe).await;
        let _ = world.dashboard.delete_account(&other.session, &none()).await.unwrap();
        for token in [zoe.signed_in.token(), other.signed_in.token()] {
            let shown = world.dashboard.session(token, Activity::Person, &source()).await;
            assert_eq!(told(shown), "not_signed_in");
        }
        assert_eq!(told(world.dashboard.account(&zoe.session).await), "not_signed_in");
        assert_eq!(told(world.dashboard.projects(&home).await), "not_signed_in");
        let answer = world.dashboard.sign_in(&zoe.email, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::InvalidCredentials)), "as for one that never was");
        let answer = world.dashboard.reset_password(&reset, password(PASSWORD), &source()).await;
        assert_eq!(told(answer), "invalid_link");
        assert_eq!(codes.iter().count(), 10);

        // The address is free again, and who signs up with it has nothing of before.
        let again = world.person("zoe@example.com").await;
        assert_ne!(again.session.account(), zoe.session.account());
        let status = world.dashboard.second_factor_status(&again.session).await.unwrap();
        assert_eq!((status.totp_since, status.recovery_codes_left), (None, 0));
        assert_ne!(world.at_home(&again).await.workspace(), home.workspace());
        assert_eq!(world.dashboard.workspaces(&again.session).await.unwrap().len(), 1);
    }

    /// ATK-AUTHZ-03: a last administrator with others in the workspace is not deleted until somebody else is one who can
    /// sign in, and nothing is done by halves
    async fn a_last_administrator_with_others_is_not_deleted(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let zoe = team.world.hand("zoe").await;
        let alone = door.create_workspace(&zoe.session, &crate::stage::name("Alone")).await.unwrap();
        let shared = door.create_workspace(&zoe.session, &crate::stage::name("Shared")).await.unwrap();
        let (other, suspended) = (team.world.hand("other").await, team.world.hand("suspended").await);
        team.world.join(shared, other.account, Role::Developer).await;
        team.world.join(shared, suspended.account, Role::Admin).await;
        let _ = team.world.operator().suspend_account(suspended.account, "a test").await.unwrap();
        let preview = door.preview_account_deletion(&zoe.session).await.unwrap();
        let fates: BTreeMap<_, _> = preview.iter().map(|leaving| (leaving.workspace, &leaving.fate)).collect();
        assert!(matches!(fates[&alone], Fate::Deleted(_)));
        assert!(matches!(fates[&shared], Fate::NeedsAdministrator), "one who is suspended does not count");
        let before = (team.world.rows(alone).await, team.world.rows(shared).await);
        let refused = door.delete_account(&zoe.session, &none()).await.unwrap_err();
        assert_eq!(refused.code(), "last_administrator");
        assert_eq!((team.world.rows(alone).await, team.world.rows(shared).await), before);
        assert_eq!(told(door.account(&zoe.session).await), "done");
        assert_eq!(team.world.events(EventKind::AccountDeleted).len(), 0);

        let _ = team.world.operator().resume_account(suspended.account).await.unwrap();
        let _ = door.delete_account(&zoe.session, &none()).await.unwrap();
        assert!(team.world.rows(alone).await.is_empty());
        assert_eq!(team.world.roles_in(shared).await.len(), 2);
    }

    /// ASVS-5.0-8.4.2: it asks for recent proofs, and for the second factor of whoever has one
    async fn deleting_an_account_asks_for_recent_proofs(world: World) {
        let mut zoe = world.person("zoe@example.com").await;
        let (phone, _) = world.enrol(&mut zoe).await;
        world.pass(Duration::from_mins(11));
        assert_eq!(told(world.dashboard.delete_account(&zoe.session, &none()).await), "step_up_required");
        let weak = crate::story::proof(None);
        assert_eq!(told(world.dashboard.step_up(&zoe.session, weak).await), "step_up_required");
        assert_eq!(told(world.dashboard.delete_account(&zoe.session, &none()).await), "step_up_required");
        let signed_in = world.dashboard.step_up(&zoe.session, phone.proof(&world)).await.unwrap();
        world.go_on(&mut zoe, signed_in).await;
        let _ = world.dashboard.delete_account(&zoe.session, &none()).await.unwrap();
    }

    /// A personal workspace that others are in goes on as theirs, and as nobody's personal one
    async fn a_personal_workspace_with_others_goes_on_as_theirs(world: World) {
        let zoe = world.person("zoe@example.com").await;
        let home = world.at_home(&zoe).await;
        let (_, guest) = world.colleague("bob@example.com", &home, Role::Admin).await;
        let preview = world.dashboard.preview_account_deletion(&zoe.session).await.unwrap();
        assert!(matches!(preview[0].fate, Fate::Left { personal_keys: 0, .. }), "{preview:?}");
        let _ = world.dashboard.delete_account(&zoe.session, &none()).await.unwrap();
        assert_eq!(world.roles_in(home.workspace()).await.len(), 1);
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert_eq!(snapshot.workspace(home.workspace()).await.unwrap().unwrap().personal_of, None);
        drop(snapshot);
        // So that whoever is in it may do with it what they like.
        let _ = world.dashboard.archive_workspace(&guest).await.unwrap();
        let _ = world.dashboard.delete_workspace(&guest).await.unwrap();
    }

    /// M25: the deletion is on the record: the account's in the log of accounts, each membership's in its workspace's
    async fn a_deletion_is_on_the_record(world: World) {
        let team = Team::of(world).await;
        let Hand { account, session, .. } = team.world.hand("zoe").await;
        team.world.join(team.workspace, account, Role::Developer).await;
        let alone = team.door().create_workspace(&session, &crate::stage::name("Alone")).await.unwrap();
        let _ = team.door().delete_account(&session, &none()).await.unwrap();
        let one = |log: Vec<portcullis::store::record::AuditEntry>, action: Action, target: Target| {
            let found = log.iter().filter(|entry| entry.action == action && entry.target == target);
            let found: Vec<_> = found.collect();
            assert_eq!(found.len(), 1, "{action:?}");
            assert_eq!(found[0].actor, Actor::Account(account));
        };
        let (log, accounts) =
            (team.world.audit_of_workspace(team.workspace).await, team.world.audit_of_account(account).await);
        one(log, Action::MemberLeft, Target::Account(account));
        let log = team.world.audit_of_workspace(alone).await;
        one(log, Action::WorkspaceDeleted, Target::Workspace(alone));
        one(accounts, Action::AccountDeleted, Target::Account(account));
    }

    /// A sign-in that waits for its second factor does not outlive the account
    async fn a_pending_sign_in_dies_with_the_account(world: World) {
        let mut zoe = world.person("zoe@example.com").await;
        let (phone, _) = world.enrol(&mut zoe).await;
        let answer = world.dashboard.sign_in(&zoe.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        let _ = world.dashboard.delete_account(&zoe.session, &none()).await.unwrap();
        world.pass(Duration::from_mins(1));
        let code = portcullis::dashboard::SecondFactor::Totp(phone.code(&world));
        let answer = world.dashboard.second_factor(pending.token(), code, &source()).await;
        assert_eq!(told(answer), "pending_sign_in_over");
    }
}

/// The id of the one invitation among the rows of a workspace.
fn preview_invitation(rows: &BTreeMap<String, String>) -> String {
    let found: Vec<&str> = rows.keys().filter_map(|what| what.strip_prefix("invitation ")).collect();
    let [id] = found[..] else { panic!("{found:?}") };
    id.to_owned()
}
