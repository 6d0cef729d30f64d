//! Looking at what was used, as the role allows.

use serde::Serialize;

use super::Dashboard;
use super::error::WorkspaceError;
use super::workspaces::Member;
use crate::access::Permission;
use crate::store::{UsageCursor, UsagePoint, UsageQuery, UsageSplit};

/// The most points of one page.
const PAGE: u32 = 1_000;

/// A page of usage: by series, then by time. Steps in which nothing was used are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsagePage {
    /// The points.
    pub points: Vec<UsagePoint>,
    /// Where the next page begins behind, if there may be one.
    pub next: Option<UsageCursor>,
}

impl Dashboard {
    /// What was used in a project, as far as nodes have flushed, at most 1,000 points a page. Asks for `usage.read` in the
    /// project; it does not matter whether the keys are still there. Spenders are named by their ids: where the project
    /// requires a second factor of whoever sees its keys, asking for one or for each asks for that, too. Steps older than
    /// the [retention](super::DashboardBuilder::usage_retention) are never shown, swept or not.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub async fn usage(
        &self,
        member: &Member,
        query: &UsageQuery,
        after: Option<&UsageCursor>,
        limit: u32,
    ) -> Result<UsagePage, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let project = inner.project_of(&mut *snapshot, member, query.project()).await?;
        inner.require(&mut *snapshot, member, Permission::USAGE_READ, project.id).await?;
        if query.spender().is_some() || query.split_by() == UsageSplit::Spender {
            inner.project_second_factor(&mut *snapshot, member, &project).await?;
        }
        let limit = limit.clamp(1, PAGE);
        let query = query.clone().not_before(inner.usage_horizon());
        let points = snapshot.usage_series(&query, after, limit).await?;
        let full = u32::try_from(points.len()).unwrap_or(u32::MAX) >= limit;
        let next = if full { points.last().map(UsagePoint::cursor) } else { None };
        Ok(UsagePage { points, next })
    }
}
