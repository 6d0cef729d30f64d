//! A workspace with a long log, made by real operations.

use std::collections::BTreeSet;

use portcullis::access::{Role, Scope};
use portcullis::audit::{ChainId, Checkpoint, CheckpointKey};
use portcullis::dashboard::{Dashboard, Member, NewInvitation, Operator, Session};
use portcullis::id::AccountId;
use portcullis::name::DisplayName;
use portcullis::secret::InvitationToken;

use crate::world::{Person, World, email};

/// The key of the tests' checkpoints: a database never sees it.
pub fn key() -> CheckpointKey {
    CheckpointKey::new(7, [9; 32])
}

/// A workspace with an administrator and somebody whose role changes.
pub struct Team {
    pub ann: Person,
    pub hers: Member,
    pub bob: Person,
    pub his: Member,
}

impl Team {
    pub async fn new(world: &World) -> Self {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let name = DisplayName::parse("Acme").unwrap();
        let workspace = world.dashboard.create_workspace(&ann.session, &name).await.unwrap();
        let hers = world.dashboard.enter(&ann.session, workspace).await.unwrap();
        let his = joined(world, &hers, &bob.session, "bob@example.com", Role::Developer).await;
        Self { ann, hers, bob, his }
    }

    pub fn chain(&self) -> ChainId {
        ChainId::Workspace(self.hers.workspace())
    }

    /// Appends this many entries by real operations: the name of the workspace goes back and forth.
    pub async fn busy(&self, dashboard: &Dashboard, entries: usize) {
        for number in 0..entries {
            let name = DisplayName::parse(&format!("Acme {number}")).unwrap();
            dashboard.rename_workspace(&self.hers, &name).await.unwrap();
        }
    }

    pub fn bob(&self) -> AccountId {
        self.bob.session.account()
    }
}

/// Invites an address and accepts with a session.
pub async fn joined(world: &World, inviter: &Member, session: &Session, address: &str, role: Role) -> Member {
    let new = NewInvitation { email: email(address), role, projects: std::collections::BTreeMap::default() };
    world.dashboard.invite(inviter, &new).await.unwrap();
    let token = InvitationToken::parse(&world.mailed_token(&email(address)).await).unwrap();
    let workspace = world.dashboard.accept_invitation(session, &token).await.unwrap();
    world.dashboard.enter(session, workspace).await.unwrap()
}

/// Seals until nothing is left.
pub async fn seal(dashboard: &Dashboard) -> u64 {
    let mut entries = 0;
    loop {
        let sealed = dashboard.seal_audit().await.unwrap();
        entries += sealed.entries;
        if !sealed.more {
            return entries;
        }
    }
}

/// The whole log of a chain, line by line, as an operator exports it.
pub async fn exported(dashboard: &Dashboard, chain: ChainId) -> Vec<String> {
    let operator = Operator::of(dashboard, "olive").unwrap();
    let (mut lines, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let piece = operator.export_audit(chain, from, 997).await.unwrap();
        lines.extend(piece.lines.lines().map(str::to_owned));
        after = piece.next;
    }
    lines
}

/// A checkpoint of a chain as it is now.
pub async fn checkpoint(dashboard: &Dashboard, chain: ChainId) -> Checkpoint {
    let operator = Operator::of(dashboard, "olive").unwrap();
    let text = operator.audit_checkpoint(chain, &key()).await.unwrap();
    Checkpoint::open(&text, &[key()]).unwrap()
}

pub fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| Scope::parse(name).unwrap()).collect()
}
