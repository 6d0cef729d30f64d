//! What may happen in a history, before it is known to whom: numbers that pick among what there is when their turn comes,
//! so that a history can be cut short and still be one.

use proptest::prelude::*;

/// Picks one of something.
pub type Pick = u8;

/// What becomes of exposed secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    RotateNow,
    Overlap(u8),
    Accept,
}

/// One step of a history. `by` is who acts, `whom` upon whom.
#[derive(Clone, Debug)]
pub enum Op {
    Invite { by: Pick, whom: Pick, role: Pick, words: Vec<(Pick, Pick)> },
    Accept { who: Pick, invitation: Pick, other: bool, old: bool },
    Resend { by: Pick, invitation: Pick },
    RevokeInvitation { by: Pick, invitation: Pick },
    SetRole { by: Pick, whom: Pick, role: Pick },
    SetProjectRole { by: Pick, whom: Pick, project: Pick, word: Pick },
    CreateRole { by: Pick, names: u64 },
    EditRole { by: Pick, role: Pick, names: u64 },
    DeleteRole { by: Pick, role: Pick },
    Offboard { by: Pick, whom: Pick, successor: Option<Pick>, default: Decided, one: Option<(Pick, Decided)> },
    Leave { who: Pick, successor: Option<Pick>, default: Decided },
    EndEntry { by: Pick, whom: Pick },
    Issue { by: Pick, project: Pick, service: bool, scopes: u8 },
    Rotate { by: Pick, key: Pick, overlap: Option<u8> },
    Suspend { by: Pick, key: Pick },
    Resume { by: Pick, key: Pick },
    Revoke { by: Pick, key: Pick },
    SetCustodian { by: Pick, key: Pick, whom: Pick },
    SetCeiling { by: Pick, scopes: Option<u8> },
    RequireSecondFactor { by: Pick, required: bool },
    CreateProject { by: Pick },
    DeleteProject { by: Pick, project: Pick },
    ArchiveProject { by: Pick, project: Pick, archived: bool },
    ProjectSecondFactor { by: Pick, project: Pick, required: bool },
    ArchiveWorkspace { by: Pick, archived: bool },
    Use { key: Pick },
    Enrol { whom: Pick, on: bool },
    ShowProofs { whom: Pick },
    SuspendAccount { whom: Pick },
    ResumeAccount { whom: Pick },
    OperatorKey { key: Pick, suspended: bool },
    OperatorProject { project: Pick, suspended: bool },
    OperatorWorkspace { suspended: bool },
    Pass { hours: u8 },
}

fn decided() -> impl Strategy<Value = Decided> {
    prop_oneof![Just(Decided::RotateNow), (1_u8..=24).prop_map(Decided::Overlap), Just(Decided::Accept),]
}

fn pick() -> impl Strategy<Value = Pick> {
    any::<u8>()
}

/// What members do.
fn of_members() -> BoxedStrategy<Op> {
    let words = || prop::collection::vec((pick(), pick()), 0..3);
    let key = || (pick(), pick());
    prop_oneof![
        8 => (pick(), pick(), pick(), words())
            .prop_map(|(by, whom, role, words)| Op::Invite { by, whom, role, words }),
        9 => (pick(), pick(), prop::bool::weighted(0.15), prop::bool::weighted(0.15))
            .prop_map(|(who, invitation, other, old)| Op::Accept { who, invitation, other, old }),
        2 => key().prop_map(|(by, invitation)| Op::Resend { by, invitation }),
        2 => key().prop_map(|(by, invitation)| Op::RevokeInvitation { by, invitation }),
        8 => (pick(), pick(), pick()).prop_map(|(by, whom, role)| Op::SetRole { by, whom, role }),
        9 => (pick(), pick(), pick(), pick())
            .prop_map(|(by, whom, project, word)| Op::SetProjectRole { by, whom, project, word }),
        4 => (pick(), any::<u64>()).prop_map(|(by, names)| Op::CreateRole { by, names }),
        4 => (pick(), pick(), any::<u64>()).prop_map(|(by, role, names)| Op::EditRole { by, role, names }),
        2 => key().prop_map(|(by, role)| Op::DeleteRole { by, role }),
        5 => (pick(), pick(), prop::option::of(pick()), decided(), prop::option::weighted(0.3, (pick(), decided())))
            .prop_map(|(by, whom, successor, default, one)| Op::Offboard { by, whom, successor, default, one }),
        2 => (pick(), prop::option::of(pick()), decided())
            .prop_map(|(who, successor, default)| Op::Leave { who, successor, default }),
        1 => key().prop_map(|(by, whom)| Op::EndEntry { by, whom }),
        10 => (pick(), pick(), any::<bool>(), 0_u8..16)
            .prop_map(|(by, project, service, scopes)| Op::Issue { by, project, service, scopes }),
        6 => (pick(), pick(), prop::option::of(1_u8..=168))
            .prop_map(|(by, key, overlap)| Op::Rotate { by, key, overlap }),
        3 => key().prop_map(|(by, key)| Op::Suspend { by, key }),
        4 => key().prop_map(|(by, key)| Op::Resume { by, key }),
        2 => key().prop_map(|(by, key)| Op::Revoke { by, key }),
        2 => (pick(), pick(), pick()).prop_map(|(by, key, whom)| Op::SetCustodian { by, key, whom }),
        4 => (pick(), prop::option::weighted(0.7, 0_u8..16)).prop_map(|(by, scopes)| Op::SetCeiling { by, scopes }),
        2 => (pick(), any::<bool>()).prop_map(|(by, required)| Op::RequireSecondFactor { by, required }),
        2 => pick().prop_map(|by| Op::CreateProject { by }),
        1 => key().prop_map(|(by, project)| Op::DeleteProject { by, project }),
        3 => (pick(), pick(), prop::bool::weighted(0.4))
            .prop_map(|(by, project, archived)| Op::ArchiveProject { by, project, archived }),
        2 => (pick(), pick(), prop::bool::weighted(0.4))
            .prop_map(|(by, project, required)| Op::ProjectSecondFactor { by, project, required }),
        2 => (pick(), prop::bool::weighted(0.25)).prop_map(|(by, archived)| Op::ArchiveWorkspace { by, archived }),
        6 => pick().prop_map(|key| Op::Use { key }),
        2 => pick().prop_map(|whom| Op::ShowProofs { whom }),
        1 => prop_oneof![3 => 1_u8..30, 1 => 170_u8..200].prop_map(|hours| Op::Pass { hours }),
    ]
    .boxed()
}

/// What the operator does, and what people do with their own accounts.
fn of_others() -> BoxedStrategy<Op> {
    prop_oneof![
        4 => (pick(), prop::bool::weighted(0.8)).prop_map(|(whom, on)| Op::Enrol { whom, on }),
        3 => pick().prop_map(|whom| Op::SuspendAccount { whom }),
        5 => pick().prop_map(|whom| Op::ResumeAccount { whom }),
        2 => (pick(), prop::bool::weighted(0.4)).prop_map(|(key, suspended)| Op::OperatorKey { key, suspended }),
        2 => (pick(), prop::bool::weighted(0.3))
            .prop_map(|(project, suspended)| Op::OperatorProject { project, suspended }),
        1 => prop::bool::weighted(0.2).prop_map(|suspended| Op::OperatorWorkspace { suspended }),
    ]
    .boxed()
}

/// Histories in which everything happens.
pub fn histories(length: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(prop_oneof![9 => of_members(), 1 => of_others()], length)
}

/// Histories of what the members of one workspace do.
pub fn histories_of_members(length: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(of_members(), length)
}
