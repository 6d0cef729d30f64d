//! What stands before every route: limits, the origin check, hardening headers, and the net under bugs.

use core::future::Future;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Web;
use super::panics::{Caught, Panicked};
use super::problem::Problem;
use crate::source::Source;

/// The most bytes of headers, names and values together: 32 KiB.
pub const MAX_HEADERS: usize = 32 * 1024;

pub(super) async fn with_panics_caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let answer = Caught::new(future).await;
    if answer.is_err() {
        tracing::error!(target: "portcullis::web", "a request met a bug and was answered with status 500");
    }
    answer
}

/// Around every route of the dashboard, its 404 and 405 included.
pub(super) async fn guard(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let source = web.options().source(&parts);
    let answer = with_panics_caught(async {
        match admit(&web, &parts.method, &parts.headers) {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
            Err(problem) => problem.into_response(),
        }
    })
    .await;
    let mut response = answer.unwrap_or_else(|Panicked| {
        web.dashboard().request_panicked(&source.unwrap_or_else(|_| Source::unknown()));
        Problem::internal().into_response()
    });
    harden(response.headers_mut());
    response
}

fn admit(web: &Web, method: &axum::http::Method, headers: &HeaderMap) -> Result<(), Problem> {
    check_size(headers)?;
    web.options().check_origin(method, headers)?;
    let bearer = |value: &HeaderValue| {
        value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    };
    if headers.get_all(AUTHORIZATION).iter().any(bearer) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "wrong_door",
            "API keys do not open the dashboard; sign in",
        ));
    }
    Ok(())
}

/// Refuses headers beyond what any honest client sends.
pub(super) fn check_size(headers: &HeaderMap) -> Result<(), Problem> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size <= MAX_HEADERS {
        return Ok(());
    }
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Problem::new(status, "headers_too_long", format!("the headers are longer than {MAX_HEADERS} bytes")))
}

/// Kept by nobody, told to nobody, taken for nothing else.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

pub(super) async fn not_found() -> Problem {
    Problem::not_found()
}

pub(super) async fn method_not_allowed() -> Problem {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "method_not_allowed", "this route has no such method")
}
