//! A service's own endpoints, behind keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use super::cookie::values;
use super::faces::{bearer_challenge, key_refused};
use super::guard::{check_size, harden, with_panics_caught};
use super::options::WebOptions;
use super::problem::Problem;
use crate::api::{ApiDoor, ApiRequest, Caller, Endpoints, Need};

/// Lets a request through to a service's endpoints only with a key that may do what the endpoint needs.
///
/// What an endpoint needs is looked up by the path template that matched, as the outermost router knows it
/// (prefixes of `nest` included) and as it was given to [`Endpoints`]. What is not mapped is refused.
///
/// The key is read from `Authorization` alone. In the query it is not looked at (ASVS 5.0, 14.2.1); beside a
/// header it makes the request one with two credentials, which is refused, as is a session cookie beside a key
/// (RFC 6750, section 2).
#[derive(Clone)]
pub struct RequireKey {
    inner: Arc<Inner>,
}

struct Inner {
    door: Arc<ApiDoor>,
    endpoints: Endpoints,
    options: WebOptions,
    realm: String,
}

/// The realm's text is not 1 to 64 visible ASCII characters, or has a quote or a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a realm is 1 to 64 visible ASCII characters without quotes and backslashes")]
pub struct BadRealm(());

impl core::fmt::Debug for RequireKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RequireKey").field("realm", &self.inner.realm).finish_non_exhaustive()
    }
}

impl RequireKey {
    /// A guard. The options say how many proxies are trusted and what the session cookie is called.
    #[must_use]
    pub fn new(door: Arc<ApiDoor>, endpoints: Endpoints, options: WebOptions) -> Self {
        Self { inner: Arc::new(Inner { door, endpoints, options, realm: "api".to_owned() }) }
    }

    /// Names another realm in challenges than `api`.
    ///
    /// # Errors
    /// [`BadRealm`].
    pub fn realm(self, realm: &str) -> Result<Self, BadRealm> {
        let plain = |c: u8| (0x20..0x7f).contains(&c) && c != b'"' && c != b'\\';
        if !(1..=64).contains(&realm.len()) || !realm.bytes().all(plain) {
            return Err(BadRealm(()));
        }
        let Inner { door, endpoints, options, .. } = &*self.inner;
        let inner = Inner {
            door: Arc::clone(door),
            endpoints: endpoints.clone(),
            options: options.clone(),
            realm: realm.to_owned(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Puts a router's endpoints, and its fallbacks, behind this guard. Handlers take a [`Caller`].
    pub fn protect<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        router.layer(from_fn_with_state(self, guard))
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Caller, Problem> {
        let Inner { door, endpoints, options, realm } = &*self.inner;
        check_size(&parts.headers)?;
        let headers: Vec<&[u8]> =
            parts.headers.get_all(AUTHORIZATION).iter().map(axum::http::HeaderValue::as_bytes).collect();
        if !headers.is_empty() && shows_another_credential(parts, options) {
            let challenge = bearer_challenge(realm, Some("invalid_request"), None);
            let why = "the request shows more than one credential";
            let problem = Problem::new(StatusCode::BAD_REQUEST, "more_than_one_credential", why);
            return Err(problem.challenge(Some(challenge)));
        }
        let need = parts
            .extensions
            .get::<MatchedPath>()
            .map_or(Need::UNMAPPED, |path| endpoints.of_template(parts.method.as_str(), path.as_str()));
        let request = ApiRequest { authorization: &headers, peer: options.address(parts)?, need };
        door.authenticate(&request).await.map_err(|denied| key_refused(&denied, realm))
    }
}

async fn guard(State(guard): State<RequireKey>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let answer = with_panics_caught(async {
        match guard.authenticate(&parts).await {
            Ok(caller) => {
                // Nothing that an earlier layer put there survives.
                parts.extensions.insert(caller);
                Ok(next.run(Request::from_parts(parts, body)).await)
            }
            Err(problem) => Err(problem),
        }
    })
    .await;
    answer.unwrap_or_else(|_| Err(Problem::internal())).unwrap_or_else(refusal)
}

/// Refusals are marked as the dashboard's answers are; what the service answers is its own affair.
fn refusal(problem: Problem) -> Response {
    let mut response = problem.into_response();
    harden(response.headers_mut());
    response
}

fn shows_another_credential(parts: &Parts, options: &WebOptions) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let in_query = query.split('&').any(|pair| pair.split('=').next() == Some("access_token"));
    in_query || values(&parts.headers, options.cookie_name()).next().is_some()
}

/// No guard stands in front of a handler that asks for a caller.
pub(super) fn no_caller() -> Problem {
    let challenge = bearer_challenge("api", None, None);
    Problem::new(StatusCode::UNAUTHORIZED, "key_missing", "no API key was verified")
        .challenge(Some(challenge))
}
