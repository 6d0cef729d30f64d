//! Both doors over HTTP, on axum (feature `axum`).
//!
//! * [`dashboard_router`] is the people's door as JSON routes: [`dashboard_routes`] lists them.
//! * [`RequireKey`] puts a service's own endpoints behind keys; its handlers take a [`Caller`](crate::api::Caller).
//! * A service's own pages for signed-in people take a [`Session`](crate::dashboard::Session) or a
//!   [`Member`](crate::dashboard::Member) as an argument, in a router whose state has a [`Web`].
//! * A handler of either kind that spends answers `Result<_, Problem>`, and refuses with `?`: a
//!   [`SpendError`](crate::budget::SpendError) becomes a [`Problem`] that says which limit, how much is left, and when it
//!   begins anew.
//!
//! Serve with `into_make_service_with_connect_info::<SocketAddr>()`, so that the client's address is known: it is
//! what tries are budgeted by and what allowlists are checked against. See [`WebOptions::trusted_hops`] for
//! services behind proxies.
//!
//! # What a client must do
//! | what | how |
//! |---|---|
//! | be signed in | keep the cookie [`COOKIE_NAME`]; the session's token stands in `Set-Cookie` and nowhere else |
//! | finish a sign-in | send the `pending` token of the first step in the body of the second |
//! | change anything | send the dashboard's `Origin`, as browsers do by themselves (or `Sec-Fetch-Site: same-origin`); `curl` needs `-H 'Origin: https://…'` |
//! | send a body | `Content-Type: application/json`, one object of at most 16 KiB, no unknown or repeated members |
//! | read an error | `application/problem+json` (RFC 9457) with a stable `code`; `retry_after` in seconds; where it may be said, `allowed_by`: single changes that would each allow it, and for a missing right the `rule` that decided |
//! | say how much money | a decimal text such as `"12.5"`, with at most six digits behind the point; a number is refused |
//! | take the audit log away | `GET …/audit/export`: JSON Lines for [`audit::verify`](crate::audit::verify); [`NEXT_HEADER`] says what to ask for as `after` next, and is missing at the last piece |
//!
//! # What an answer means
//! | status | when |
//! |---|---|
//! | 400 | malformed: body, query, two credentials, a link that does not work |
//! | 401 | not signed in, or wrong credentials: `WWW-Authenticate: Session realm="dashboard"` (a scheme of our own, to satisfy RFC 9110, section 11.6.1); of an endpoint behind keys `Bearer` (RFC 6750, section 3) |
//! | 402 | credit or a limit is used up, and waiting does not help: `limit`, `period`, `left`, `wanted`, `resets_at` |
//! | 403 | known and refused: a right is missing, proofs must be shown again, a foreign origin, a scope is missing |
//! | 404 | not there, or not yours: the two look alike |
//! | 405, 413, 415, 431 | method, body length, content type, header length |
//! | 409 | not in this state: revoked, archived, done before, no second factor, the last administrator, no seat left |
//! | 422 | well-formed, and not acceptable: a weak password, an unknown scope, no successor |
//! | 429 | too many tries, or a limit is used up that begins anew (with what 402 says); `Retry-After` in seconds |
//! | 500 | something failed; nothing more is said. `commit_unknown`: look whether it happened |
//! | 503 | too much at once; `Retry-After` |
//!
//! No route redirects. `GET` and `HEAD` change nothing: a mailed link leads to a page, which sends the token by
//! `POST`. No answer may be stored (`Cache-Control: no-store`) or named to others (`Referrer-Policy: no-referrer`).
//! The operator has no routes here.
//!
//! # What is left to the service
//! TLS, time limits on slow clients, and the headers of its own pages: a handler of the service that takes a
//! `Session` is guarded by session and origin, and sets `Cache-Control` itself. A process built with
//! `panic = "abort"` ends at the first bug; with the default, a bug is answered with 500.

pub mod body;

mod api;
mod client;
mod cookie;
mod extract;
mod faces;
mod guard;
mod handlers;
mod options;
mod origin;
mod panics;
mod problem;
mod request;
mod routes;

use std::sync::Arc;

use crate::dashboard::Dashboard;

pub use api::{BadRealm, RequireKey};
pub use cookie::{COOKIE_NAME, INSECURE_COOKIE_NAME};
pub use guard::MAX_HEADERS;
pub use handlers::audit::NEXT_HEADER;
pub use options::{BadOrigin, WebOptions};
pub use problem::Problem;
pub use routes::{Needs, Route, dashboard_router, dashboard_routes};

/// What the extractors of `Session` and `Member` need of a router's state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    inner: Arc<(Dashboard, WebOptions)>,
}

impl Web {
    /// A dashboard and how it is served.
    #[must_use]
    pub fn new(dashboard: Dashboard, options: WebOptions) -> Self {
        Self { inner: Arc::new((dashboard, options)) }
    }

    /// The dashboard.
    #[must_use]
    pub fn dashboard(&self) -> &Dashboard {
        &self.inner.0
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &WebOptions {
        &self.inner.1
    }
}
