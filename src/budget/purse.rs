//! The right to spend once.

use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::spend::Spender;

/// The right to reserve money of a project once, for whoever a door has just let in. A key's comes from
/// [`Caller::purse`](crate::api::Caller::purse), a member's from
/// [`Dashboard::playground`](crate::dashboard::Dashboard::playground). It is worth one reservation, and can neither be copied nor
/// made up. Rights are checked when it is made and not again when it is used or a reservation is extended: make one for each
/// piece of work, and use it at once.
///
/// ```compile_fail,E0624
/// use portcullis::id::{AccountId, Id as _, ProjectId, WorkspaceId};
/// fn forged(workspace: WorkspaceId, project: ProjectId, account: AccountId) -> portcullis::budget::Purse {
///     portcullis::budget::Purse::of_member(workspace, project, account)
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it is for one reservation"]
pub struct Purse {
    pub(super) workspace: WorkspaceId,
    pub(super) project: ProjectId,
    pub(super) spender: Spender,
}

impl Purse {
    pub(crate) fn of_key(workspace: WorkspaceId, project: ProjectId, key: KeyId) -> Self {
        Self { workspace, project, spender: Spender::Key(key) }
    }

    pub(crate) fn of_member(workspace: WorkspaceId, project: ProjectId, account: AccountId) -> Self {
        Self { workspace, project, spender: Spender::Member(account) }
    }

    /// The workspace whose pool is spent.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The project whose budget is spent.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Who spends.
    #[must_use]
    pub fn spender(&self) -> Spender {
        self.spender
    }
}
