//! Requiring a second factor: of everybody in a workspace, and of whoever touches the keys of a project.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::dashboard::{
    KeyError, KeyQuestion, Member, NewKeyKind, ProjectChange, Rotation, SecondFactor, SignIn, TeamError,
    WorkspaceError,
};
use portcullis::error::{Coded, Explained};
use portcullis::ports::Message;
use portcullis::store::record::{Action, RecoveryKind};

use crate::stage::{name, told};
use crate::story::{Phone, proof, typed};
use crate::world::{PASSWORD, Person, World, on_every_store, password, source};

/// A workspace whose administrator has a second factor, with a key of somebody who has none.
struct Scene {
    world: World,
    ann: Person,
    phone: Phone,
    /// Ann in the workspace.
    hers: Member,
    bob: Person,
    /// Bob in the workspace.
    his: Member,
}

impl Scene {
    async fn of(world: World) -> Self {
        let world = world.roomy();
        let mut ann = world.person("ann@example.com").await;
        let (phone, _) = world.enrol(&mut ann).await;
        let workspace = world.dashboard.create_workspace(&ann.session, &name("Acme")).await.unwrap();
        let hers = world.dashboard.enter(&ann.session, workspace).await.unwrap();
        world.dashboard.create_project(&hers, &name("Main"), None).await.unwrap();
        let bob = world.person("bob@example.com").await;
        world.join(workspace, bob.session.account(), Role::Developer).await;
        let his = world.dashboard.enter(&bob.session, workspace).await.unwrap();
        Self { world, ann, phone, hers, bob, his }
    }

    async fn enter(&self, person: &Person) -> Result<Member, WorkspaceError> {
        self.world.dashboard.enter(&person.session, self.hers.workspace()).await
    }

    async fn require(&self) {
        self.world.dashboard.require_second_factor(&self.hers, true).await.unwrap();
    }
}

fn needed(error: &WorkspaceError) -> Option<bool> {
    match error {
        WorkspaceError::SecondFactorNeeded { enrolled } => Some(*enrolled),
        _ => None,
    }
}

on_every_store! {
    /// M12, B12, ASVS-5.0-6.3.3: once it is required, whoever has none is out at the next operation, with the entry they
    /// hold and with every session; the answer names setting one up as the next step; having done so and shown it, they
    /// are in again
    async fn a_required_second_factor_holds_for_entering_and_for_existing_entries(world: World) {
        let mut scene = Scene::of(world).await;
        let other = scene.world.sign_in(&scene.bob.email, PASSWORD).await;
        let also_his = scene.enter(&other).await.unwrap();
        scene.require().await;
        let door = &scene.world.dashboard;
        for member in [&scene.his, &also_his] {
            let refused = door.projects(member).await.unwrap_err();
            assert_eq!(needed(&refused), Some(false), "{refused:?}");
            assert_eq!((refused.code(), refused.allowed_by()), ("enrolment_needed", vec!["setting up a second factor".to_owned()]));
            let new = scene.world.dashboard.issue_key(member, &key_of(&scene).await).await.unwrap_err();
            assert_eq!(new.code(), "enrolment_needed");
            assert_eq!(told(door.members(member).await), "enrolment_needed");
        }
        let again = scene.world.sign_in(&scene.bob.email, PASSWORD).await;
        for person in [&scene.bob, &other, &again] {
            assert_eq!(needed(&scene.enter(person).await.unwrap_err()), Some(false));
        }
        // Whoever has shown one notices nothing.
        assert_eq!(told(door.projects(&scene.hers).await), "done");

        // Setting one up is all it takes, in the session that did; the others have to show it.
        scene.world.pass(Duration::from_mins(1));
        let (phone, codes) = scene.world.enrol(&mut scene.bob).await;
        let door = &scene.world.dashboard;
        assert_eq!(told(door.projects(&scene.his).await), "done");
        assert_eq!(needed(&scene.enter(&other).await.unwrap_err()), Some(true));
        assert_eq!(needed(&door.projects(&also_his).await.unwrap_err()), Some(true));
        assert_eq!(door.projects(&also_his).await.unwrap_err().allowed_by(), ["showing your second factor"]);
        // By stepping up with a code, or with a recovery code: that counts as well (B12).
        let signed_in = door.step_up(&other.session, phone.proof(&scene.world)).await.unwrap();
        let other = scene.world.signed_in(other.email, signed_in).await;
        assert_eq!(told(scene.enter(&other).await), "done");
        let signed_in = door.step_up(&again.session, proof(Some(typed(&codes, 0)))).await.unwrap();
        let again = scene.world.signed_in(again.email, signed_in).await;
        assert_eq!(told(scene.enter(&again).await), "done");
        // And by signing in with a recovery code.
        let answer = door.sign_in(&scene.bob.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        let signed_in = door.second_factor(pending.token(), typed(&codes, 1), &source()).await.unwrap();
        let late = scene.world.signed_in(scene.bob.email.clone(), signed_in).await;
        assert_eq!(told(scene.enter(&late).await), "done");
    }

    /// M12: personal keys of whoever is shut out go on, and they still show in the preview; nobody else's door closes
    async fn keys_go_on_while_their_owner_is_shut_out(world: World) {
        let scene = Scene::of(world).await;
        let door = &scene.world.dashboard;
        let mut new = key_of(&scene).await;
        let personal = door.issue_key(&scene.his, &new).await.unwrap();
        new.kind = NewKeyKind::Service;
        let service = door.issue_key(&scene.his, &new).await.unwrap();
        let gone = door.issue_key(&scene.his, &key_of(&scene).await).await.unwrap();
        let _ = door.revoke_key(&scene.his, gone.key.id).await.unwrap();
        let eve = scene.world.person("eve@example.com").await;
        scene.world.join(scene.hers.workspace(), eve.session.account(), Role::Viewer).await;

        let preview = door.preview_second_factor_requirement(&scene.hers).await.unwrap();
        let mut without: Vec<_> = preview.iter().map(|one| (one.email.as_written().to_owned(), one.entries)).collect();
        without.sort();
        assert_eq!(without, [("bob@example.com".to_owned(), 1), ("eve@example.com".to_owned(), 0)]);
        let bob = preview.iter().find(|one| one.account == scene.bob.session.account()).unwrap();
        assert_eq!(bob.personal_keys.iter().map(|key| key.id).collect::<Vec<_>>(), [personal.key.id]);
        assert_eq!(told(door.preview_second_factor_requirement(&scene.his).await), "role_lacks");

        let mails = |mails: Vec<Message>| {
            mails.iter().filter(|mail| mail.kind() == "second_factor_required").count()
        };
        scene.require().await;
        let api = scene.world.api();
        for key in [&personal, &service] {
            assert_eq!(api.refused(&key.text).await, None);
        }
        assert_eq!(mails(scene.world.mail_to(&scene.bob.email).await), 1);
        assert_eq!(mails(scene.world.mail_to(&eve.email).await), 1);
        assert_eq!(mails(scene.world.mail_to(&scene.ann.email).await), 0);
        // Said again, it is no change, no mail, no entry.
        scene.require().await;
        assert_eq!(mails(scene.world.mail_to(&scene.bob.email).await), 1);
        let log = scene.world.audit_of_workspace(scene.hers.workspace()).await;
        let changes: Vec<_> = log.iter().filter(|e| e.action == Action::SecondFactorPolicyChanged).collect();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].after.as_ref().unwrap()["required"], true);
        // Their own workspace is another one.
        let home = scene.world.at_home(&scene.bob).await;
        assert_eq!(told(door.projects(&home).await), "done");
        assert!(door.workspaces(&scene.bob.session).await.unwrap().iter().any(|one| one.require_second_factor));
    }

    /// M12, ASVS-5.0-8.4.2: whoever requires it may manage policies, has shown proofs recently, and has a second factor:
    /// nobody locks the workspace against themselves
    async fn requiring_a_second_factor_asks_for_ones_own(world: World) {
        let scene = Scene::of(world).await;
        let (world, door) = (&scene.world, &scene.world.dashboard);
        let workspace = scene.hers.workspace();
        assert_eq!(told(door.require_second_factor(&scene.his, true).await), "role_lacks");
        let eve = world.person("eve@example.com").await;
        world.join(workspace, eve.session.account(), Role::Admin).await;
        let hers = door.enter(&eve.session, workspace).await.unwrap();
        let refused = door.require_second_factor(&hers, true).await.unwrap_err();
        assert!(
            matches!(refused, TeamError::Workspace(WorkspaceError::SecondFactorNeeded { enrolled: false })),
            "{refused:?}"
        );
        // In a session that has not shown it, having one is not enough.
        let before = world.rows(workspace).await;
        world.pass(Duration::from_mins(11));
        assert_eq!(told(door.require_second_factor(&scene.hers, true).await), "step_up_required");
        assert_eq!(world.rows(workspace).await, before);
        let back = world.sign_in_with(&scene.ann.email, &scene.phone).await;
        let back = door.enter(&back.session, workspace).await.unwrap();
        door.require_second_factor(&back, true).await.unwrap();
        // Turning it off takes no more than turning it on.
        door.require_second_factor(&back, false).await.unwrap();
        assert_eq!(told(door.projects(&scene.his).await), "done");
    }

    /// B12, ATK-AUTHZ-08: a factor that the operator has taken away closes the workspace again, for sessions that showed
    /// it before as well; a new one opens it, and what was shown of the old one does not count for it
    async fn a_second_factor_that_was_reset_closes_the_workspace_again(world: World) {
        let mut scene = Scene::of(world).await;
        let (phone, _) = scene.world.enrol(&mut scene.bob).await;
        scene.require().await;
        assert_eq!(told(scene.world.dashboard.projects(&scene.his).await), "done");
        let account = scene.bob.session.account();
        let operator = scene.world.operator();
        let case = operator.open_recovery(account, &RecoveryKind::SecondFactor, "lost the phone").await.unwrap();
        scene.world.pass(Duration::from_hours(72));
        operator.finish_recovery(account, case.id).await.unwrap();
        // All sessions have ended, and a new one has shown nothing.
        assert_eq!(told(scene.world.dashboard.projects(&scene.his).await), "not_signed_in");
        scene.bob = scene.world.sign_in(&scene.bob.email, PASSWORD).await;
        assert_eq!(needed(&scene.enter(&scene.bob).await.unwrap_err()), Some(false));
        // The owner turning it off does the same, and there sessions live on.
        scene.world.pass(Duration::from_mins(1));
        let (second, _) = scene.world.enrol(&mut scene.bob).await;
        let his = scene.enter(&scene.bob).await.unwrap();
        let elsewhere = scene.world.sign_in_with(&scene.bob.email, &second).await;
        let also_his = scene.enter(&elsewhere).await.unwrap();
        scene.world.dashboard.disable_totp(&scene.bob.session).await.unwrap();
        for member in [&his, &also_his] {
            assert_eq!(needed(&scene.world.dashboard.projects(member).await.unwrap_err()), Some(false));
        }
        // Set up anew in one session: what the other one showed was of a factor that is gone.
        scene.world.pass(Duration::from_mins(1));
        let (third, _) = scene.world.enrol(&mut scene.bob).await;
        assert_eq!(told(scene.world.dashboard.projects(&his).await), "done");
        let refused = scene.world.dashboard.projects(&also_his).await.unwrap_err();
        assert_eq!(needed(&refused), Some(true));
        let signed_in = scene.world.dashboard.step_up(&elsewhere.session, third.proof(&scene.world)).await.unwrap();
        let elsewhere = scene.world.signed_in(elsewhere.email, signed_in).await;
        assert_eq!(told(scene.enter(&elsewhere).await), "done");
        assert_ne!(phone.secret.expose_bytes(), third.secret.expose_bytes());
    }

    /// M12: an invitation is accepted without a second factor, and what it leads into is entered with one alone
    async fn whoever_comes_in_by_invitation_meets_the_same_rule(world: World) {
        let scene = Scene::of(world).await;
        scene.require().await;
        let door = &scene.world.dashboard;
        let mut eve = scene.world.person("eve@example.com").await;
        let new = portcullis::dashboard::NewInvitation {
            email: eve.email.clone(),
            role: Role::Admin,
            projects: std::collections::BTreeMap::new(),
        };
        door.invite(&scene.hers, &new).await.unwrap();
        let token = scene.world.invitation_to(&eve.email).await;
        door.accept_invitation(&eve.session, &token).await.unwrap();
        assert_eq!(needed(&scene.enter(&eve).await.unwrap_err()), Some(false));
        scene.world.enrol(&mut eve).await;
        assert_eq!(told(scene.enter(&eve).await), "done");
    }

    /// M29: in a project that requires it, whoever issues, rotates or sees keys has shown a second factor; in others
    /// nothing changes, and the keys themselves go on
    async fn a_project_can_require_a_second_factor_of_whoever_touches_its_keys(world: World) {
        let mut scene = Scene::of(world).await;
        let main = scene.world.dashboard.projects(&scene.hers).await.unwrap()[0].id;
        let other = scene.world.dashboard.create_project(&scene.hers, &name("Staging"), None).await.unwrap();
        let mut new = portcullis::dashboard::NewKey { project: main, ..key_of(&scene).await };
        let key = scene.world.dashboard.issue_key(&scene.his, &new).await.unwrap();
        let require = ProjectChange { require_second_factor: Some(true), ..ProjectChange::default() };
        assert_eq!(told(scene.world.dashboard.change_project(&scene.his, main, &require).await), "role_lacks");
        scene.world.dashboard.change_project(&scene.hers, main, &require).await.unwrap();

        let in_main = new.clone();
        let answers = async |scene: &Scene| {
            let (door, his) = (&scene.world.dashboard, &scene.his);
            let at_once = Rotation::AtOnce;
            [
                told(door.issue_key(his, &in_main).await),
                told(door.rotate_key(his, key.key.id, at_once, None).await),
                told(door.key(his, key.key.id).await),
                told(door.keys(his, main, None, 10).await),
            ]
        };
        assert_eq!(answers(&scene).await, ["enrolment_needed"; 4]);
        let door = &scene.world.dashboard;
        let refused = door.issue_key(&scene.his, &new).await.unwrap_err();
        assert!(matches!(refused, KeyError::Workspace(WorkspaceError::SecondFactorNeeded { enrolled: false })));
        // A review of all keys passes its keys over.
        let unused = KeyQuestion::UnusedFor(Duration::ZERO);
        assert!(door.keys_to_review(&scene.his, unused).await.unwrap().is_empty());
        assert_eq!(door.keys_to_review(&scene.hers, unused).await.unwrap().len(), 1);
        // Other projects, the project itself and the key do not mind; nor does stopping a key.
        new.project = other;
        assert_eq!(told(door.issue_key(&scene.his, &new).await), "done");
        let seen = door.projects(&scene.his).await.unwrap();
        let strict: BTreeSet<_> = seen.iter().filter(|one| one.require_second_factor).map(|one| one.id).collect();
        assert_eq!((seen.len(), strict), (2, BTreeSet::from([main])));
        assert_eq!(scene.world.api().refused(&key.text).await, None);
        assert_eq!(told(door.suspend_key(&scene.his, key.key.id).await), "done");
        assert_eq!(told(door.resume_key(&scene.his, key.key.id).await), "done");

        scene.world.pass(Duration::from_mins(1));
        scene.world.enrol(&mut scene.bob).await;
        assert_eq!(answers(&scene).await, ["done"; 4]);
        // A session of Bob's that has not shown it is told to.
        let weak = scene.world.session_of(scene.bob.session.account(), &source()).await;
        let weak = scene.world.dashboard.enter(&weak, scene.hers.workspace()).await.unwrap();
        let refused = scene.world.dashboard.key(&weak, key.key.id).await.unwrap_err();
        assert_eq!(refused.code(), "second_factor_needed");
    }

    /// M29, ASVS-5.0-8.4.2: changing what a project requires asks for recent proofs; its name does not
    async fn what_a_project_requires_is_changed_with_recent_proofs(world: World) {
        let scene = Scene::of(world).await;
        let (world, door) = (&scene.world, &scene.world.dashboard);
        let main = door.projects(&scene.hers).await.unwrap()[0].id;
        let change = |required| ProjectChange { require_second_factor: Some(required), ..ProjectChange::default() };
        door.change_project(&scene.hers, main, &change(true)).await.unwrap();
        world.pass(Duration::from_mins(11));
        assert_eq!(told(door.change_project(&scene.hers, main, &change(false)).await), "step_up_required");
        assert!(door.projects(&scene.hers).await.unwrap()[0].require_second_factor);
        // As it is, it is no change.
        assert_eq!(told(door.change_project(&scene.hers, main, &change(true)).await), "done");
        let renamed = ProjectChange { name: Some(name("Renamed")), ..ProjectChange::default() };
        assert_eq!(told(door.change_project(&scene.hers, main, &renamed).await), "done");
        let both = ProjectChange { name: Some(name("Again")), ..change(false) };
        assert_eq!(told(door.change_project(&scene.hers, main, &both).await), "step_up_required");
        assert_eq!(door.projects(&scene.hers).await.unwrap()[0].name, "Renamed", "nothing of it is done");
    }

    /// M12: while a workspace requires it, no use of a code that is wrong, old or somebody else's opens it
    async fn a_wrong_second_factor_opens_nothing(world: World) {
        let mut scene = Scene::of(world).await;
        scene.world.enrol(&mut scene.bob).await;
        let weak = scene.world.session_of(scene.bob.session.account(), &source()).await;
        scene.require().await;
        let door = &scene.world.dashboard;
        scene.world.pass(Duration::from_mins(1));
        // Ann's code, in Bob's session.
        let hers = proof(Some(SecondFactor::Totp(scene.phone.code(&scene.world))));
        assert_eq!(told(door.step_up(&weak, hers).await), "invalid_code");
        let refused = door.enter(&weak, scene.hers.workspace()).await.unwrap_err();
        assert_eq!(needed(&refused), Some(true));
    }
}

async fn key_of(scene: &Scene) -> portcullis::dashboard::NewKey {
    scene.world.new_key(&scene.hers, &["models.read"]).await
}
