//! Extractors: the doors' own values as arguments of a service's handlers.
//!
//! `Session` and `Member` work in any router whose state has a [`Web`] (`FromRef`), `Caller` behind a
//! [`RequireKey`](super::RequireKey). A handler that takes one cannot be reached without it.

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::Web;
use super::api::no_caller;
use super::cookie::session_token;
use super::problem::Problem;
use crate::api::Caller;
use crate::dashboard::{Activity, Member, Session};
use crate::id::WorkspaceId;

impl Web {
    /// The session of a request: its origin is checked first, wherever the handler is mounted.
    pub(super) async fn session(&self, parts: &Parts) -> Result<Session, Problem> {
        let options = self.options();
        options.check_origin(&parts.method, &parts.headers)?;
        let source = options.source(parts)?;
        let token = session_token(&parts.headers, options)?;
        Ok(self.dashboard().session(&token, Activity::Person, &source).await?)
    }

    /// The session's entry to a workspace.
    pub(super) async fn member(
        &self,
        parts: &Parts,
        workspace: Option<WorkspaceId>,
    ) -> Result<Member, Problem> {
        let session = self.session(parts).await?;
        let workspace = workspace.ok_or_else(Problem::not_found)?;
        Ok(self.dashboard().enter(&session, workspace).await?)
    }
}

/// From the session cookie. A request that could change something must have the dashboard's origin.
impl<S> FromRequestParts<S> for Session
where
    Web: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Web::from_ref(state).session(parts).await
    }
}

/// From the session cookie and the path parameter `workspace`: enters the workspace.
impl<S> FromRequestParts<S> for Member
where
    Web: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let workspace = path.and_then(|path| {
            path.iter().find(|(name, _)| *name == "workspace").and_then(|(_, value)| value.parse().ok())
        });
        Web::from_ref(state).member(parts, workspace).await
    }
}

/// From the [`RequireKey`](super::RequireKey) in front. Without one, every request is refused.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(no_caller)
    }
}
