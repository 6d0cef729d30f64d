//! Which sessions have entered the workspace, and ending their entries.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::acting::Acting;
use crate::access::Permission;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::sessions::is_over;
use crate::dashboard::workspaces::Member;
use crate::id::{AccountId, EntryId, WorkspaceId};
use crate::source::Source;
use crate::store::Snapshot;
use crate::store::record::{Action, Entry, FactorUse, Session, Target};

/// A session's entry to the workspace, as its administrators see it: enough to recognise a device, nothing of other
/// workspaces, no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntryView {
    /// Names it.
    pub id: EntryId,
    /// Whose session.
    pub account: AccountId,
    /// Since when.
    pub at: Timestamp,
    /// Whether it is the one that looks.
    pub current: bool,
    /// When the session was last used, to the minute.
    pub seen_at: Timestamp,
    /// From where the session was started.
    pub source: Source,
    /// What was shown, when, and who vouches for it.
    pub factors: Vec<FactorUse>,
}

impl Dashboard {
    /// The entries of sessions that live, the earliest first. Asks for `members.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn entries(&self, member: &Member) -> Result<Vec<EntryView>, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::MEMBERS_MANAGE)?;
        let live = inner.live_entries(&mut *snapshot, member.workspace()).await?;
        Ok(live.into_iter().map(|(entry, session)| view(&acting, &entry, session)).collect())
    }

    /// Ends an entry: that session is out of this workspace until it shows proofs again. The session itself, other
    /// sessions of the person, and other workspaces go on. Asks for `members.manage` and for all that the person has.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn end_entry(&self, member: &Member, id: EntryId) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_MANAGE)?;
                let entry = tx.entry(id).await?;
                let entry = entry.filter(|e| e.workspace == locked.id && e.ended_at.is_none());
                let entry = entry.ok_or(WorkspaceError::NotFound)?;
                let person = tx.membership(locked.id, entry.account).await?;
                acting.covers(&acting.reach_of(&person.ok_or(WorkspaceError::NotFound)?))?;
                // Not before what the session has shown, whatever the clock says now: or it would be back at once.
                let shown = tx.session(entry.session).await?;
                let shown = shown.and_then(|s| s.assurance.factors().iter().map(|used| used.at).max());
                let now = inner.now();
                let ended = Entry { ended_at: Some(shown.map_or(now, |at| at.max(now))), ..entry.clone() };
                tx.update_entry(&locked, &ended).await?;
                let after = Some(json!({ "account": entry.account }));
                Ok::<_, TeamError>(
                    acting.audit(&mut *tx, Action::EntryEnded, Target::Entry(id), None, after).await?,
                )
            })
            .await?;
        inner.team_changed(member, "entry_ended");
        Ok(())
    }
}

impl Inner {
    /// The entries that are not ended, of sessions that are not over.
    pub(in crate::dashboard) async fn live_entries(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: WorkspaceId,
    ) -> Result<Vec<(Entry, Session)>, Fault> {
        let now = self.now();
        let mut all = snapshot.entries(workspace).await?;
        all.retain(|(entry, session)| entry.ended_at.is_none() && !is_over(session, now));
        Ok(all)
    }
}

pub(in crate::dashboard) fn view(acting: &Acting<'_>, entry: &Entry, session: Session) -> EntryView {
    EntryView {
        id: entry.id,
        account: entry.account,
        at: entry.at,
        current: entry.id == acting.member.entry(),
        seen_at: session.seen_at,
        source: session.source,
        factors: session.assurance.factors().to_vec(),
    }
}
