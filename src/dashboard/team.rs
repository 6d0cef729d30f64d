//! What members do with their workspace, from a [`Member`].
//!
//! Every operation locks the workspace, reads again what its actor is at that moment, asks the pure rules, writes and
//! appends its audit entry in one transaction. So an actor who was demoted or removed before it commits is refused.
//!
//! | to read how | see |
//! |---|---|
//! | a workspace is made, renamed, archived, deleted | [`Dashboard::create_workspace`](super::Dashboard::create_workspace) |
//! | a project is | [`Dashboard::create_project`](super::Dashboard::create_project) |
//! | people are invited and come in | [`Dashboard::invite`](super::Dashboard::invite), [`Dashboard::accept_invitation`](super::Dashboard::accept_invitation) |
//! | roles are given and defined | [`Dashboard::set_role`](super::Dashboard::set_role), [`Dashboard::create_role`](super::Dashboard::create_role) |
//! | policies are set | [`Dashboard::require_second_factor`](super::Dashboard::require_second_factor), [`Dashboard::set_service_ceiling`](super::Dashboard::set_service_ceiling) |
//! | entries are seen and ended | [`Dashboard::entries`](super::Dashboard::entries) |
//! | somebody is removed, or leaves | [`Dashboard::offboard`](super::Dashboard::offboard) |
//! | a right is explained, a change tried out | [`Dashboard::who_can`](super::Dashboard::who_can), [`Dashboard::dry_run`](super::Dashboard::dry_run) |

pub(super) mod accept;
pub(super) mod acting;
pub(super) mod entries;
pub(super) mod explain;
pub(super) mod invitations;
pub(super) mod members;
pub(super) mod offboard;
pub(super) mod policy;
pub(super) mod preview;
pub(super) mod projects;
pub(super) mod roles;
pub(super) mod workspace;

/// The longest reason, in bytes.
pub(super) const MOST_REASON: usize = 500;

/// A reason that the audit log can hold: 1 to 500 bytes without control characters.
pub(super) fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MOST_REASON && !text.contains(char::is_control)
}
