//! One request on its way to a handler, and the answer on its way back.

use core::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroize as _;

use super::Web;
use super::body::{BadBody, MAX_BODY, Nothing, parse_body};
use super::problem::Problem;
use crate::dashboard::{Dashboard, SignedIn};
use crate::email::EmailAddress;
use crate::error::Coded;
use crate::source::Source;

/// One request.
pub(super) struct Incoming {
    pub(super) web: Web,
    parts: Parts,
    path: Vec<(String, String)>,
    body: Body,
}

impl Incoming {
    pub(super) async fn new(web: Web, request: Request) -> Self {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, &()).await.map_or_else(
            |_| Vec::new(),
            |all| all.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        );
        Self { web, parts, path, body }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn dashboard(&self) -> Dashboard {
        self.web.dashboard().clone()
    }

    pub(super) fn source(&self) -> Result<Source, Problem> {
        self.web.options().source(&self.parts)
    }

    /// An id in the path. What is no id names nothing.
    pub(super) fn path<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        let value = self.path.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        value.and_then(|value| value.parse().ok()).ok_or_else(Problem::not_found)
    }

    /// The parameters of the query, in the order of `names`. Others, and any given twice, are refused.
    pub(super) fn query<const N: usize>(&self, names: [&str; N]) -> Result<[Option<String>; N], Problem> {
        let bad = || {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_query", "the query is not what this route takes")
        };
        let mut found = [const { None }; N];
        for pair in self.parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(bad)?;
            let place = names.iter().position(|known| *known == name).ok_or_else(bad)?;
            let slot = found.get_mut(place).ok_or_else(bad)?;
            if slot.replace(value.to_owned()).is_some() {
                return Err(bad());
            }
        }
        Ok(found)
    }

    /// The body.
    pub(super) async fn body<T: DeserializeOwned>(self) -> Result<T, Problem> {
        if !is_json(&self.parts.headers) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "the body must be application/json",
            ));
        }
        self.read(parse_body).await
    }

    /// The body, or the default when there is none.
    pub(super) async fn body_if_any<T: DeserializeOwned + Default>(self) -> Result<T, Problem> {
        let json = is_json(&self.parts.headers);
        self.read(|bytes| match bytes {
            [] => Ok(T::default()),
            _ if json => parse_body(bytes),
            _ => Err(BadBody::Malformed { line: 1, column: 0 }),
        })
        .await
    }

    /// No body, or one that says nothing.
    pub(super) async fn no_body(self) -> Result<(), Problem> {
        self.body_if_any::<Nothing>().await.map(|_| ())
    }

    async fn read<T>(self, parse: impl FnOnce(&[u8]) -> Result<T, BadBody>) -> Result<T, Problem> {
        let declared = self.parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        if declared > MAX_BODY {
            return Err(bad_body(BadBody::TooLong));
        }
        let bytes =
            axum::body::to_bytes(self.body, MAX_BODY).await.map_err(|_| bad_body(BadBody::TooLong))?;
        let answer = parse(&bytes).map_err(bad_body);
        // As far as nobody else holds the buffer.
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        answer
    }
}

fn bad_body(why: BadBody) -> Problem {
    let status = match why {
        BadBody::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        BadBody::Malformed { .. } => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, why.code(), why.to_string())
}

/// Exactly one `Content-Type: application/json`; a charset of UTF-8 is tolerated. A form cannot send it from a
/// stranger's page without asking the browser first.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let (kind, rest) = text.split_once(';').unwrap_or((text, ""));
    let rest = rest.trim();
    kind.trim().eq_ignore_ascii_case("application/json")
        && (rest.is_empty() || rest.eq_ignore_ascii_case("charset=utf-8"))
}

/// A text that has a stable code when it is malformed.
pub(super) fn checked<T, E: Coded>(read: Result<T, E>) -> Result<T, Problem> {
    read.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why.code(), why.to_string()))
}

/// An e-mail address.
pub(super) fn email(text: &str) -> Result<EmailAddress, Problem> {
    EmailAddress::parse(text)
        .map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed_email", why.to_string()))
}

/// A JSON answer. Everything a dashboard answers is for one person and one moment: it is never stored.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = (status, value.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A serialisable value as JSON.
pub(super) fn shown(value: &impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|_| Problem::internal())
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// An answer that hands the browser its session: the token stands in the cookie and nowhere else.
pub(super) fn with_session(
    web: &Web,
    mut response: Response,
    signed_in: &SignedIn,
) -> Result<Response, Problem> {
    let left = signed_in.session().ends_at.duration_since(web.dashboard().now()).as_secs();
    let cookie = web.options().session_cookie(signed_in.token(), left).ok_or_else(Problem::internal)?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}
