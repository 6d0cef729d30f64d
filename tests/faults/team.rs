//! A team in a workspace of its own, and recoveries that wait: prepared with everything else.

use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{Permission, ProjectRole, Role, Scope};
use portcullis::dashboard::{
    Activity, Dashboard, Member, NewInvitation, NewKeyKind, NewRole, Operator, Proof, Rotation, Session,
    SignIn,
};
use portcullis::id::{EntryId, InvitationId, KeyId, ProjectId, RecoveryCaseId, RoleId, WorkspaceId};
use portcullis::name::Label;
use portcullis::ports::ManualClock;
use portcullis::secret::{InvitationToken, RecoveryEmailToken};
use portcullis::store::record::{Entitlements, RecoveryKind};

use crate::people::{Making, PASSWORD, Person, Strong, email, from, new_key, secret};
use crate::stage::{Any, Stage, dashboard};

/// Somebody in the team.
#[derive(Clone)]
pub struct Teammate {
    pub person: Person,
    /// In the team's workspace.
    pub member: Member,
}

#[derive(Clone)]
pub struct Team {
    pub id: WorkspaceId,
    pub project: ProjectId,
    pub archived_project: ProjectId,
    /// An administrator with a second factor.
    pub lea: Strong,
    pub lea_in: Member,
    /// An administrator without one, who has invited somebody.
    pub tim: Teammate,
    /// A developer with a personal key, in whose care a service key is.
    pub tom: Teammate,
    pub tom_entry: EntryId,
    /// Looks after people, by a role of the workspace's own, and a viewer in the project.
    pub uma: Teammate,
    /// A workspace that Uma alone administers, whose plan has no room left.
    pub umas: Member,
    /// Tom in it, as a viewer.
    pub tom_at_umas: Member,
    pub role: RoleId,
    pub idle_role: RoleId,
    /// In Tom's care, with a present secret that he was shown.
    pub tom_key: KeyId,
    /// In Lea's care, with a present secret that she was shown and one on its way out that Tom was.
    pub lea_key: KeyId,
    /// Pending, to somebody without an account.
    pub invitation: InvitationId,
    pub zoe_link: String,
    /// Pending, to Ada.
    pub ada_link: String,
    /// Pending, to Bob, into the archived workspace, and to Eve, into the one without room.
    pub bob_link: String,
    pub eve_link: String,
    /// A session of Uma's whose entry was ended, without proofs since and with.
    pub out: Session,
    pub back: Session,
    /// An archived workspace of Lea's.
    pub archived: Member,
    /// Recoveries: of a second factor, of an address that is not proven, and of one that is.
    pub kay_case: RecoveryCaseId,
    pub fay_case: RecoveryCaseId,
    pub fay_cancel: String,
    pub fay_confirm: String,
    pub gus_case: RecoveryCaseId,
}

pub fn new_role(name: &str, permissions: &[Permission], scopes: &[&str]) -> NewRole {
    NewRole {
        name: name.parse().unwrap(),
        permissions: permissions.iter().cloned().collect(),
        scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
    }
}

pub fn new_invitation(name: &str, role: Role) -> NewInvitation {
    NewInvitation { email: email(name), role, projects: [].into() }
}

pub fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// Makes a team.
struct Founding<'a> {
    making: &'a Making,
    door: &'a Dashboard,
    lea_in: Member,
}

impl Founding<'_> {
    /// Lets a person in by an invitation.
    async fn joined(&self, into: &Member, person: &Person, new: &NewInvitation) -> Teammate {
        self.door.invite(into, new).await.unwrap();
        let token = InvitationToken::parse(&self.making.link(&person.email).await).unwrap();
        let workspace = self.door.accept_invitation(&person.session, &token).await.unwrap();
        let member = self.door.enter(&person.session, workspace).await.unwrap();
        Teammate { person: person.clone(), member }
    }

    /// A session whose entry is ended.
    async fn put_out(&self, person: &Person, last: u8) -> Session {
        let SignIn::SignedIn(other) = self.making.sign_in(&person.email, &from(last)).await else { panic!() };
        let session = self.door.session(other.token(), Activity::Person, &from(last)).await.unwrap();
        let entry = self.door.enter(&session, self.lea_in.workspace()).await.unwrap().entry();
        self.door.end_entry(&self.lea_in, entry).await.unwrap();
        session
    }
}

impl Making {
    pub async fn team(
        &self,
        any: &Any,
        clock: &Arc<ManualClock>,
        (ada, bob, eve): (&Person, &Person, &Person),
        (kay, fay, gus): (&Person, &Person, &Person),
    ) -> Team {
        let door = &self.door;
        let lea = self.strong("lea", 30).await;
        let id = door.create_workspace(&lea.person.session, &"Team".parse().unwrap()).await.unwrap();
        let lea_in = door.enter(&lea.person.session, id).await.unwrap();
        let founding = Founding { making: self, door, lea_in: lea_in.clone() };
        let project =
            door.create_project(&lea_in, &"staging".parse().unwrap(), Some(&label("staging"))).await.unwrap();
        let archived_project = door.create_project(&lea_in, &"old".parse().unwrap(), None).await.unwrap();
        let _ = door.archive_project(&lea_in, archived_project).await.unwrap();
        let people = [
            Permission::MEMBERS_READ,
            Permission::MEMBERS_INVITE,
            Permission::MEMBERS_MANAGE,
            Permission::ROLES_MANAGE,
        ];
        let role = door.create_role(&lea_in, &new_role("people", &people, &["models.read"])).await.unwrap();
        let idle_role = door.create_role(&lea_in, &new_role("idle", &[], &[])).await.unwrap();

        let tim = self.person("tim", 31).await;
        let tim = founding.joined(&lea_in, &tim, &new_invitation("tim", Role::Admin)).await;
        let tom = self.person("tom", 32).await;
        let tom = founding.joined(&lea_in, &tom, &new_invitation("tom", Role::Developer)).await;
        let uma = self.person("uma", 33).await;
        let in_project = [(project, ProjectRole::Is(Role::Viewer))].into();
        let new = NewInvitation { projects: in_project, ..new_invitation("uma", Role::Custom(role)) };
        let uma = founding.joined(&lea_in, &uma, &new).await;

        let issue = async |kind| door.issue_key(&tom.member, &new_key(project, kind)).await.unwrap().key.id;
        issue(NewKeyKind::Personal).await;
        let tom_key = issue(NewKeyKind::Service).await;
        let lea_key = issue(NewKeyKind::Service).await;
        let overlap = Rotation::Overlap(Duration::from_hours(1));
        door.rotate_key(&lea_in, lea_key, overlap, None).await.unwrap();
        let lea_account = lea.person.session.account();
        let _ = door.set_custodian(&lea_in, lea_key, lea_account).await.unwrap();

        let invitation = door.invite(&lea_in, &new_invitation("zoe", Role::Viewer)).await.unwrap().id;
        let zoe_link = self.link(&email("zoe")).await;
        door.invite(&lea_in, &new_invitation("ada", Role::Developer)).await.unwrap();
        let ada_link = self.link(&ada.email).await;
        door.invite(&tim.member, &new_invitation("yan", Role::Viewer)).await.unwrap();
        // One that has run out by the time that use cases run.
        let hasty = dashboard(Stage::over(any.clone()), clock, |builder| {
            builder.invitation_lifetime(Duration::from_mins(1)).unwrap()
        });
        hasty.invite(&lea_in, &new_invitation("late", Role::Viewer)).await.unwrap();

        let umas = door.create_workspace(&uma.person.session, &"Uma's".parse().unwrap()).await.unwrap();
        let umas = door.enter(&uma.person.session, umas).await.unwrap();
        let at_umas = founding.joined(&umas, &tom.person, &new_invitation("tom", Role::Viewer)).await;
        let archived =
            door.create_workspace(&lea.person.session, &"Archived".parse().unwrap()).await.unwrap();
        let archived = door.enter(&lea.person.session, archived).await.unwrap();
        door.invite(&archived, &new_invitation("bob", Role::Viewer)).await.unwrap();
        let bob_link = self.link(&bob.email).await;
        let _ = door.archive_workspace(&archived).await.unwrap();
        door.invite(&umas, &new_invitation("eve", Role::Viewer)).await.unwrap();
        let eve_link = self.link(&eve.email).await;
        let operator = Operator::of(door, "preparation").unwrap();
        let full = Entitlements {
            require_second_factor: false,
            seats: Some(2),
            projects: Some(0),
            ..Entitlements::default()
        };
        let _ = operator.set_entitlements(umas.workspace(), full).await.unwrap();

        let out = founding.put_out(&uma.person, 34).await;
        let back = founding.put_out(&uma.person, 35).await;
        // What was shown before the entry ended, or in the same moment, does not bring it back.
        clock.advance(Duration::from_secs(1));
        let proof = Proof { password: secret(PASSWORD), second_factor: None };
        let proven = door.step_up(&back, proof).await.unwrap();
        let back = door.session(proven.token(), Activity::Person, &from(35)).await.unwrap();

        let entries = door.entries(&lea_in).await.unwrap();
        let tom_account = tom.person.session.account();
        let tom_entry = entries.iter().find(|entry| entry.account == tom_account).unwrap().id;
        // What comes behind waits for the sealer.
        while door.seal_audit().await.unwrap().more {}
        door.rename_workspace(&lea_in, &"The team".parse().unwrap()).await.unwrap();

        let open = async |of: &Person, kind: RecoveryKind| {
            operator.open_recovery(of.session.account(), &kind, "called").await.unwrap().id
        };
        let kay_case = open(kay, RecoveryKind::SecondFactor).await;
        let fay_case = open(fay, RecoveryKind::Email(email("fay-next"))).await;
        let gus_case = open(gus, RecoveryKind::Email(email("gus-next"))).await;
        let proof = RecoveryEmailToken::parse(&self.link(&email("gus-next")).await).unwrap();
        door.confirm_recovery_email(&proof, &from(36)).await.unwrap();
        Team {
            id,
            project,
            archived_project,
            lea,
            lea_in,
            tim,
            tom,
            tom_entry,
            uma,
            umas,
            tom_at_umas: at_umas.member,
            role,
            idle_role,
            tom_key,
            lea_key,
            invitation,
            zoe_link,
            ada_link,
            bob_link,
            eve_link,
            out,
            back,
            archived,
            kay_case,
            fay_case,
            fay_cancel: self.link(&fay.email).await,
            fay_confirm: self.link(&email("fay-next")).await,
            gus_case,
        }
    }
}
