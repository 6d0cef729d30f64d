//! What the service's operator may do, and what it gains them: nothing else.

use std::sync::Arc;

use portcullis::api::{ApiDoor, ApiRequest, Reason};
use portcullis::dashboard::{
    Activity, Committed, KeyError, Operator, OperatorError, SessionError, SignIn, SignInError, WorkspaceError,
};
use portcullis::error::Coded;
use portcullis::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use portcullis::key::RateLimit;
use portcullis::ports::{Clock, EventKind, Message};
use portcullis::secret::ExposeSecret;
use portcullis::store::record::{AccountStatus, Action, Actor, AuditEntry, Target};
use portcullis::store::{KeyDirectory, Store};

use crate::story::fresh;
use crate::world::{PASSWORD, World, on_every_store, password, source};

/// What one of four kinds of thing is called.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Account(AccountId),
    Workspace(WorkspaceId),
    Project(ProjectId),
    Key(KeyId),
}

impl Thing {
    async fn suspend(self, operator: &Operator, reason: &str) -> Result<Committed, OperatorError> {
        match self {
            Self::Account(id) => operator.suspend_account(id, reason).await,
            Self::Workspace(id) => operator.suspend_workspace(id, reason).await,
            Self::Project(id) => operator.suspend_project(id, reason).await,
            Self::Key(id) => operator.suspend_key(id, reason).await,
        }
    }

    async fn resume(self, operator: &Operator) -> Result<Committed, OperatorError> {
        match self {
            Self::Account(id) => operator.resume_account(id).await,
            Self::Workspace(id) => operator.resume_workspace(id).await,
            Self::Project(id) => operator.resume_project(id).await,
            Self::Key(id) => operator.resume_key(id).await,
        }
    }

    fn target(self) -> Target {
        match self {
            Self::Account(id) => Target::Account(id),
            Self::Workspace(id) => Target::Workspace(id),
            Self::Project(id) => Target::Project(id),
            Self::Key(id) => Target::Key(id),
        }
    }
}

on_every_store! {
    /// ASVS-5.0-7.4.2, ATK-SESS-02: a suspended account has no session, gets none, and is told; resumed, it signs in
    /// again and has none of its former sessions
    async fn a_suspended_account_is_out_at_once(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let home = world.at_home(&ann).await;
        let node = world.node();
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let account = ann.session.account();
        let _ = operator.suspend_account(account, "chargebacks").await.unwrap();

        for door in [&world.dashboard, &node] {
            let shown = door.session(ann.signed_in.token(), Activity::Person, &source()).await;
            assert!(matches!(shown, Err(SessionError::NotSignedIn)));
            assert!(matches!(door.projects(&home).await, Err(WorkspaceError::NotSignedIn)));
        }
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::Suspended)));
        // Only to who knows the password.
        let answer = world.dashboard.sign_in(&ann.email, password("not the password at all"), &source()).await;
        assert!(matches!(answer, Err(SignInError::InvalidCredentials)));
        assert!(world.mail_to(&ann.email).await.contains(&Message::AccountSuspended));
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.sessions_of(account).await.unwrap().is_empty());
        let stored = snapshot.account(account).await.unwrap().unwrap().status;
        assert!(matches!(stored, AccountStatus::Suspended(why) if why.reason == "chargebacks"));
        drop(snapshot);
        // Nobody else is touched.
        assert!(world.dashboard.session(bob.signed_in.token(), Activity::Person, &source()).await.is_ok());

        let _ = operator.resume_account(account).await.unwrap();
        assert!(world.mail_to(&ann.email).await.contains(&Message::AccountResumed));
        let shown = world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await;
        assert!(matches!(shown, Err(SessionError::NotSignedIn)));
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ASVS-5.0-7.4.2: a sign-in or a reset link from before the suspension is worth nothing after it
    async fn what_was_pending_ends_with_the_suspension(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let (phone, _) = world.enrol(&mut ann).await;
        world.pass(std::time::Duration::from_mins(1));
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let link = portcullis::secret::ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();

        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let _ = operator.suspend_account(ann.session.account(), "taken over").await.unwrap();
        let code = || portcullis::dashboard::SecondFactor::Totp(phone.code(&world));
        assert!(world.dashboard.second_factor(pending.token(), code(), &source()).await.is_err());
        let _ = operator.resume_account(ann.session.account()).await.unwrap();
        let answer = world.dashboard.second_factor(pending.token(), code(), &source()).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)), "{answer:?}");
        assert!(world.dashboard.reset_password(&link, password(PASSWORD), &source()).await.is_err());
    }

    /// A suspended workspace cannot be entered, from a session or from an entry; resumed, it can.
    async fn a_suspended_workspace_is_closed(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let later = world.sign_in(&ann.email, PASSWORD).await;
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let new = world.new_key(&home, &[]).await;
        let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
        let _ = operator.suspend_workspace(home.workspace(), "unpaid").await.unwrap();
        for session in [&ann.session, &later.session] {
            let answer = world.dashboard.enter(session, home.workspace()).await;
            assert!(matches!(answer, Err(WorkspaceError::Suspended)));
        }
        assert!(matches!(world.dashboard.projects(&home).await, Err(WorkspaceError::Suspended)));
        let answer = world.dashboard.issue_key(&home, &new).await;
        assert!(matches!(answer, Err(KeyError::Workspace(WorkspaceError::Suspended))));
        assert!(world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap().workspace_suspended);
        assert!(world.dashboard.workspaces(&ann.session).await.unwrap()[0].suspended);
        let _ = operator.resume_workspace(home.workspace()).await.unwrap();
        assert!(world.dashboard.projects(&home).await.is_ok());
        assert!(!world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap().workspace_suspended);
    }

    /// A suspended project or key is refused at the API door, and shown as what it is.
    async fn a_suspended_project_or_key_is_marked_for_the_api(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        let grant = async || world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap();

        let _ = operator.suspend_project(issued.key.project, "abuse").await.unwrap();
        assert!(grant().await.project_suspended);
        assert!(world.dashboard.projects(&home).await.unwrap()[0].suspended);
        let _ = operator.resume_project(issued.key.project).await.unwrap();
        assert!(!grant().await.project_suspended);

        let _ = operator.suspend_key(issued.key.id, "leaked").await.unwrap();
        assert_eq!(grant().await.key.suspended_by_operator.unwrap().reason, "leaked");
        let seen = world.dashboard.key(&home, issued.key.id).await.unwrap();
        assert_eq!(seen.suspended_by_operator_at, Some(world.clock.now()));
        // The reason is between the operator and the record.
        assert!(!serde_json::to_string(&seen).unwrap().contains("leaked"));
        let _ = operator.resume_key(issued.key.id).await.unwrap();
        assert!(grant().await.key.suspended_by_operator.is_none());
    }

    /// ASVS-5.0-7.4.5 (the operator's part): everything the operator does is on the record, under their name, with
    /// the reason
    async fn everything_an_operator_does_is_on_the_record(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        let operator = Operator::of(&world.dashboard, "olive@support").unwrap();
        let things = [
            (Thing::Key(issued.key.id), Action::KeySuspended, Action::KeyResumed),
            (Thing::Project(issued.key.project), Action::ProjectSuspended, Action::ProjectResumed),
            (Thing::Workspace(home.workspace()), Action::WorkspaceSuspended, Action::WorkspaceResumed),
            (Thing::Account(ann.session.account()), Action::AccountSuspended, Action::AccountResumed),
        ];
        for (number, (thing, suspended, resumed)) in things.into_iter().enumerate() {
            let reason = format!("reason {number}");
            let _ = thing.suspend(&operator, &reason).await.unwrap();
            let _ = thing.resume(&operator).await.unwrap();
            let kept: Vec<AuditEntry> = match thing {
                Thing::Account(id) => world.audit_of_account(id).await,
                _ => world.audit_of_workspace(home.workspace()).await,
            };
            let of = |action| kept.iter().find(|e| e.action == action && e.target == thing.target()).unwrap();
            let actor = Actor::Operator("olive@support".to_owned());
            assert_eq!(of(suspended).actor, actor, "{thing:?}");
            assert_eq!(of(suspended).after.as_ref().unwrap()["reason"], reason.as_str());
            assert_eq!(of(resumed).actor, actor, "{thing:?}");
        }
        operator.mark_password_compromised(ann.session.account(), "seen in a dump").await.unwrap();
        let kept = world.audit_of_account(ann.session.account()).await;
        assert!(kept.iter().any(|entry| entry.action == Action::PasswordCompromised));
        assert_eq!(world.events(EventKind::OperatorActed).len(), 9);
    }

    /// What does not exist is not found, and a bad reason does nothing.
    async fn bad_reasons_and_unknown_ids_do_nothing(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let now = world.clock.now();
        let unknown = [
            Thing::Account(fresh(now)),
            Thing::Workspace(fresh(now)),
            Thing::Project(fresh(now)),
            Thing::Key(fresh(now)),
        ];
        for thing in unknown {
            assert!(matches!(thing.suspend(&operator, "a reason").await, Err(OperatorError::NotFound)));
            assert!(matches!(thing.resume(&operator).await, Err(OperatorError::NotFound)));
        }
        let answer = operator.mark_password_compromised(fresh(now), "a reason").await;
        assert!(matches!(answer, Err(OperatorError::NotFound)));

        let known = [
            Thing::Account(ann.session.account()),
            Thing::Workspace(home.workspace()),
            Thing::Project(issued.key.project),
            Thing::Key(issued.key.id),
        ];
        let long = "x".repeat(501);
        for thing in known {
            for reason in ["", "  ", "a\nb", "a\u{1b}[31m", long.as_str()] {
                let answer = thing.suspend(&operator, reason).await;
                assert!(matches!(answer, Err(OperatorError::BadReason)), "{thing:?} {reason:?}");
            }
        }
        assert!(operator.mark_password_compromised(ann.session.account(), "").await.is_err());
        let grant = world.store.resolve(&[issued.text.id()]).await.unwrap().remove(0).unwrap();
        assert!(!grant.workspace_suspended && !grant.project_suspended && grant.owner.unwrap().active);
        assert!(grant.key.suspended_by_operator.is_none());
        assert!(world.events(EventKind::OperatorActed).is_empty());
        assert_eq!(OperatorError::BadReason.code(), "bad_reason");

        for name in ["", "a\nb", "x".repeat(101).as_str()] {
            assert!(Operator::of(&world.dashboard, name).is_err(), "{name:?}");
        }
    }

    /// The operator gains nothing but that: no session begins, no secret is made, no membership.
    async fn an_operator_gains_nothing_else(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let secrets = |rows: Vec<(portcullis::store::record::Key, Vec<portcullis::store::record::KeySecret>)>| {
            rows.into_iter().flat_map(|(_, secrets)| secrets).collect::<Vec<_>>()
        };
        let before = secrets(world.key_rows(&home).await);
        for thing in [
            Thing::Key(issued.key.id),
            Thing::Project(issued.key.project),
            Thing::Workspace(home.workspace()),
            Thing::Account(ann.session.account()),
        ] {
            let _ = thing.suspend(&operator, "a reason").await.unwrap();
            let _ = thing.resume(&operator).await.unwrap();
        }
        assert_eq!(secrets(world.key_rows(&home).await), before);
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.sessions_of(ann.session.account()).await.unwrap().is_empty());
        let members = snapshot.memberships(home.workspace()).await.unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].account, ann.session.account());
        assert!(!format!("{operator:?}").contains("acme_"));
    }

    /// M18: all keys of a project share its limit, which the operator sets and lifts; both are on the record
    async fn a_projects_limit_holds_for_all_its_keys_together(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let mut texts = Vec::new();
        for _ in 0..2 {
            let new = world.new_key(&home, &["models.read"]).await;
            texts.push(world.dashboard.issue_key(&home, &new).await.unwrap());
        }
        let project = texts[0].key.project;
        let (store, catalogue) = (world.store.clone(), Arc::clone(&world.catalogue));
        let door = ApiDoor::builder(store.clone(), store, catalogue, Arc::clone(&world.format))
            .clock(Arc::clone(&world.clock) as _)
            .build();
        let need = door.need(&"models.read".parse().unwrap()).unwrap();
        let calls = async || {
            let mut answers = Vec::new();
            for issued in texts.iter().cycle().take(6) {
                let header = format!("Bearer {}", issued.text.expose_secret());
                let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
                answers.push(door.authenticate(&request).await.map(drop).map_err(|denied| denied.reason()));
            }
            answers
        };
        assert!(calls().await.iter().all(Result::is_ok));
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        let _ = operator.limit_project(project, Some(RateLimit::new(4, 60).unwrap())).await.unwrap();
        let answers = calls().await;
        assert!(answers[..4].iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(answers[4..], [Err(Reason::RateLimitProject); 2]);
        let _ = operator.limit_project(project, None).await.unwrap();
        assert!(calls().await.iter().all(Result::is_ok));
        let log = world.audit_of_workspace(home.workspace()).await;
        let limits: Vec<_> = log.iter().filter(|entry| entry.action == Action::ProjectRateLimited).collect();
        assert_eq!(limits.len(), 2);
        assert!(limits.iter().all(|entry| entry.actor == Actor::Operator("olive".to_owned())));
        let unknown = operator.limit_project(portcullis::id::Id::from_uuid(uuid::Uuid::nil()), None).await;
        assert!(matches!(unknown, Err(OperatorError::NotFound)));
    }

    /// M11, ATK-BRUTE-08: failed tries are cleared on the record, and the owner is told
    async fn an_account_is_unlocked_on_the_record(world: World) {
        let ann = world.person("ann@example.com").await;
        for _ in 0..5 {
            let wrong = world.dashboard.sign_in(&ann.email, password("not it, not at all"), &source()).await;
            assert!(matches!(wrong, Err(SignInError::InvalidCredentials)));
        }
        let waits = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(matches!(waits, Err(SignInError::Throttled(_))));
        let operator = Operator::of(&world.dashboard, "olive").unwrap();
        assert!(matches!(
            operator.unlock_account(ann.session.account(), "").await,
            Err(OperatorError::BadReason)
        ));
        operator.unlock_account(ann.session.account(), "called us").await.unwrap();
        world.sign_in(&ann.email, PASSWORD).await;
        assert!(world.mail_to(&ann.email).await.contains(&Message::AccountUnlocked));
        let log = world.audit_of_account(ann.session.account()).await;
        let entry = log.iter().find(|entry| entry.action == Action::AccountUnlocked).unwrap();
        assert_eq!(entry.after, Some(serde_json::json!({ "reason": "called us" })));
    }
}
