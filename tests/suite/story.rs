//! Steps that many tests take, and one person's way from sign-up to a rotated key.

use std::time::Duration;

use jiff::Timestamp;
use portcullis::access::{ProjectRole, Role};
use portcullis::dashboard::{
    Activity, Expiry, Member, OnboardingStep, Proof, SecondFactor, SignIn, SignedIn,
};
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, Id, ProjectId, WorkspaceId};
use portcullis::ports::{Clock, Entropy, SystemEntropy};
use portcullis::recovery::{RecoveryCodes, TypedRecoveryCode};
use portcullis::secret::ExposeSecret;
use portcullis::spend::Spender;
use portcullis::store::record::{
    AuditEntry, Key, KeySecret, Membership, Project, ProjectMembership, UsageDelta,
};
use portcullis::store::{Store, Transaction, UsageSink};
use portcullis::totp::{Step, TotpCode, TotpSecret, parse_otpauth};

use crate::world::{PASSWORD, Person, World, on_every_store, password, source};

/// A person's phone.
pub struct Phone {
    pub secret: TotpSecret,
}

impl Phone {
    /// The code of this moment.
    pub fn code(&self, world: &World) -> TotpCode {
        let Step(step) = Step::of(world.clock.now());
        let token = totp_rs::Builder::new()
            .with_step_duration(1)
            .with_secret(self.secret.expose_bytes())
            .build_noncompliant()
            .generate(step);
        TotpCode::parse(&token.to_string()).unwrap()
    }

    /// A code that was not used yet, and a full proof with it.
    pub fn proof(&self, world: &World) -> Proof {
        world.pass(Duration::from_mins(1));
        proof(Some(SecondFactor::Totp(self.code(world))))
    }
}

/// The usual password and this second factor.
pub fn proof(second_factor: Option<SecondFactor>) -> Proof {
    Proof { password: password(PASSWORD), second_factor }
}

pub fn typed(codes: &RecoveryCodes, which: usize) -> SecondFactor {
    let code = codes.iter().nth(which).unwrap();
    SecondFactor::Recovery(TypedRecoveryCode::parse(code.secret().expose_secret()).unwrap())
}

impl World {
    /// Turns TOTP on; the person goes on under the session's new token.
    pub async fn enrol(&self, person: &mut Person) -> (Phone, RecoveryCodes) {
        let setup = self.dashboard.begin_totp(&person.session).await.unwrap();
        let url = setup.provisioning().otpauth_url();
        let phone = Phone { secret: parse_otpauth(url.expose_secret()).unwrap().secret };
        let confirmed = self.dashboard.confirm_totp(&person.session, &phone.code(self)).await.unwrap();
        self.go_on(person, confirmed.signed_in).await;
        (phone, confirmed.codes)
    }

    /// Signs in with the usual password and a phone.
    pub async fn sign_in_with(&self, email: &EmailAddress, phone: &Phone) -> Person {
        self.pass(Duration::from_mins(1));
        let pending = match self.dashboard.sign_in(email, password(PASSWORD), &source()).await.unwrap() {
            SignIn::SecondFactorNeeded(pending) => pending,
            other => panic!("no second factor was asked for: {other:?}"),
        };
        let code = SecondFactor::Totp(phone.code(self));
        let signed_in = self.dashboard.second_factor(pending.token(), code, &source()).await.unwrap();
        self.signed_in(email.clone(), signed_in).await
    }

    /// The person goes on under another token.
    pub async fn go_on(&self, person: &mut Person, signed_in: SignedIn) {
        person.session =
            self.dashboard.session(signed_in.token(), Activity::Person, &source()).await.unwrap();
        person.signed_in = signed_in;
    }

    /// Writes through the store's contract, as no use case does yet.
    pub async fn write(&self, change: impl AsyncFnOnce(&mut dyn Transaction)) {
        let mut tx = self.store.begin().await.unwrap();
        change(&mut *tx).await;
        tx.commit().await.unwrap();
    }

    /// Makes a person a member.
    pub async fn join(&self, workspace: WorkspaceId, account: AccountId, role: Role) {
        let since = self.clock.now();
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            tx.put_membership(&locked, &Membership { workspace, account, role, since }).await.unwrap();
        })
        .await;
    }

    /// Ends a membership.
    pub async fn leave(&self, workspace: WorkspaceId, account: AccountId) {
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            assert!(tx.delete_membership(&locked, account).await.unwrap());
        })
        .await;
    }

    /// Gives a member a role of its own in a project.
    pub async fn in_project(
        &self,
        workspace: WorkspaceId,
        project: ProjectId,
        account: AccountId,
        role: ProjectRole,
    ) {
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            let row = ProjectMembership { workspace, project, account, role };
            tx.put_project_membership(&locked, &row).await.unwrap();
        })
        .await;
    }

    /// Another project of a workspace.
    pub async fn project(&self, workspace: WorkspaceId, name: &str) -> ProjectId {
        let created_at = self.clock.now();
        let id: ProjectId = fresh(created_at);
        let project = Project::new(id, workspace, name, created_at);
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            assert!(tx.insert_project(&locked, &project).await.unwrap());
        })
        .await;
        id
    }

    /// A person who is a member of somebody else's workspace, in it.
    pub async fn colleague(&self, address: &str, of: &Member, role: Role) -> (Person, Member) {
        let person = self.person(address).await;
        self.join(of.workspace(), person.session.account(), role).await;
        let member = self.dashboard.enter(&person.session, of.workspace()).await.unwrap();
        (person, member)
    }

    /// Every key of a member's workspace with its secrets, as stored.
    pub async fn key_rows(&self, member: &Member) -> Vec<(Key, Vec<KeySecret>)> {
        let mut snapshot = self.store.begin_read().await.unwrap();
        let mut rows = Vec::new();
        for project in snapshot.projects(member.workspace()).await.unwrap() {
            for key in snapshot.keys_of_project(project.id, None, 1_000).await.unwrap() {
                let secrets = snapshot.secrets_of(key.id).await.unwrap();
                rows.push((key, secrets));
            }
        }
        rows
    }

    pub async fn audit_of_account(&self, account: AccountId) -> Vec<AuditEntry> {
        self.store.begin_read().await.unwrap().audit_of_account(account, None, 1_000).await.unwrap()
    }

    pub async fn audit_of_workspace(&self, workspace: WorkspaceId) -> Vec<AuditEntry> {
        self.store.begin_read().await.unwrap().audit_of_workspace(workspace, None, 1_000).await.unwrap()
    }
}

/// A fresh id.
pub fn fresh<I: Id>(now: Timestamp) -> I {
    let mut random = [0; 10];
    SystemEntropy::new().fill(&mut random).unwrap();
    I::from_parts(now, random)
}

on_every_store! {
    /// M4, M6, M16, M18: from a sign-up to a first request, with the next step named at each
    async fn a_person_comes_from_sign_up_to_a_first_request(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let (phone, _) = world.enrol(&mut ann).await;

        ann = world.sign_in_with(&ann.email, &phone).await;

        let home = world.at_home(&ann).await;
        let next = world.dashboard.onboarding(&ann.session).await.unwrap().next;
        assert_eq!(next, Some(OnboardingStep::FirstKey));
        let mut new = world.new_key(&home, &["models.read"]).await;
        new.expiry = Expiry::Default;
        let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
        let next = world.dashboard.onboarding(&ann.session).await.unwrap().next;
        assert_eq!(next, Some(OnboardingStep::FirstRequest));

        let used = UsageDelta::requests(Spender::Key(issued.key.id), issued.key.project, "models.read".parse().unwrap(), (2, 1), world.clock.now());
        world.store.add_usage(&[used]).await.unwrap();
        assert_eq!(world.dashboard.onboarding(&ann.session).await.unwrap().next, None);
        let seen = world.dashboard.key(&home, issued.key.id).await.unwrap();
        assert_eq!((seen.requests, seen.last_used_at), (2, Some(world.clock.now())));
    }
}
