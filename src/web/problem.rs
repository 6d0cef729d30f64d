//! Error responses: problem details (RFC 9457) with the stable codes of the crate.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// The challenge of every 401 of the dashboard (RFC 9110, section 11.6.1). `Session` is this crate's own scheme:
/// it says that a session cookie is wanted, which no registered scheme does. Browsers ask nothing at it.
pub(super) const SESSION_CHALLENGE: &str = "Session realm=\"dashboard\"";

/// An error response. Its text is safe for anybody; what an operator wants to know goes to the log and to the
/// security events.
#[derive(Clone, Debug)]
pub struct Problem {
    details: Box<Details>,
}

/// Boxed, so that a result with a problem is as small as one without.
#[derive(Clone, Debug)]
struct Details {
    status: StatusCode,
    code: &'static str,
    title: String,
    fields: Map<String, Value>,
    retry_after: Option<u64>,
    challenge: Option<HeaderValue>,
}

impl Problem {
    /// A problem of a status, with a stable code and an English sentence. A 401 gets the dashboard's challenge.
    pub(super) fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Self {
        let challenge =
            (status == StatusCode::UNAUTHORIZED).then(|| HeaderValue::from_static(SESSION_CHALLENGE));
        let (title, fields) = (title.into(), Map::new());
        Self { details: Box::new(Details { status, code, title, fields, retry_after: None, challenge }) }
    }

    /// With a field beside the standard ones.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.fields.insert(name.to_owned(), value.into());
        self
    }

    /// With `Retry-After`, in seconds, at least one.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.details.retry_after = Some(seconds.max(1));
        self
    }

    /// With another challenge.
    pub(super) fn challenge(mut self, challenge: Option<HeaderValue>) -> Self {
        self.details.challenge = challenge;
        self
    }

    /// Nothing is there, or nothing that may be known.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "not found")
    }

    /// Something failed that should not: nothing more is said.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed; it is not your fault")
    }

    /// Too much at once.
    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "busy; try again in a moment").retry_after(1)
    }

    /// Not signed in.
    pub(super) fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", "not signed in")
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.details.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.details.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = *self.details;
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("urn:portcullis:problem:{}", details.code).into());
        body.insert("title".to_owned(), details.title.into());
        body.insert("status".to_owned(), details.status.as_u16().into());
        body.insert("code".to_owned(), details.code.into());
        if let Some(seconds) = details.retry_after {
            body.insert("retry_after".to_owned(), seconds.into());
        }
        for (name, value) in details.fields {
            body.entry(name).or_insert(value);
        }
        let mut response = (details.status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = details.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = details.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
