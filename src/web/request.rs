//! One request on its way to a handler, and the answer on its way back.

use core::str::FromStr;
use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroize as _;

use super::Web;
use super::body::{BadBody, MAX_BODY, MAX_SCOPES, Nothing, parse_body};
use super::problem::Problem;
use crate::access::{Permission, Scope};
use crate::dashboard::{Committed, Dashboard, SignedIn};
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
        let mut found = [const { None }; N];
        for pair in self.parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(malformed_query)?;
            let (name, value) = decoded(name).zip(decoded(value)).ok_or_else(malformed_query)?;
            let place = names.iter().position(|known| *known == name).ok_or_else(malformed_query)?;
            let slot = found.get_mut(place).ok_or_else(malformed_query)?;
            if slot.replace(value).is_some() {
                return Err(malformed_query());
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

/// Percent-decoded (RFC 3986, section 2.1). A `+` is itself, as in the offset of a time.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = if *first == b'%' {
            let (hex, behind) = behind.split_at_checked(2)?;
            let hex =
                core::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            behind
        } else {
            bytes.push(*first);
            behind
        };
    }
    String::from_utf8(bytes).ok()
}

/// A parameter of the query as what it stands for.
pub(super) fn read<T: FromStr>(text: Option<String>) -> Result<Option<T>, Problem> {
    read_with(text, |text| text.parse().ok())
}

/// The same, by a reader of its own.
pub(super) fn read_with<T>(
    text: Option<String>,
    reader: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    text.map(|text| reader(&text).ok_or_else(malformed_query)).transpose()
}

pub(super) fn malformed_query() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_query", "the query is not what this route takes")
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

/// Scopes by name.
pub(super) fn scopes(names: &[String]) -> Result<BTreeSet<Scope>, Problem> {
    if names.len() > MAX_SCOPES {
        return Err(too_many("too_many_scopes", "too many scopes"));
    }
    names.iter().map(|name| checked(Scope::parse(name))).collect()
}

/// Permissions by name.
pub(super) fn permissions(names: &[String]) -> Result<BTreeSet<Permission>, Problem> {
    if names.len() > MAX_SCOPES {
        return Err(too_many("too_many_permissions", "too many permissions"));
    }
    names.iter().map(|name| checked(Permission::parse(name))).collect()
}

fn too_many(code: &'static str, why: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, why).with("most", MAX_SCOPES)
}

/// A change that every node has to hear of.
pub(super) fn changed(committed: &Committed) -> Response {
    json(StatusCode::OK, &json!({ "everywhere_within_ms": millis(committed) }))
}

/// In how many milliseconds, at most, every node knows.
pub(super) fn millis(committed: &Committed) -> Value {
    u64::try_from(committed.bound().as_millis()).unwrap_or(u64::MAX).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once_and_strictly() {
        for (text, expected) in [
            ("", Some("")),
            ("2026-03-01T12:00:00+01:00", Some("2026-03-01T12:00:00+01:00")),
            ("key%3A01%2B%C3%A9", Some("key:01+é")),
            ("%2541", Some("%41")),
            ("%", None),
            ("%4", None),
            ("%+1", None),
            ("%zz", None),
            ("%C3", None),
            ("%é", None),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
    }
}
