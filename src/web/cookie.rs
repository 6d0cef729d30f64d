//! The one cookie: the session's.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use super::options::WebOptions;
use super::problem::Problem;
use crate::secret::{ExposeSecret as _, SessionToken};

/// The cookie's name. Browsers accept a name with this prefix only with `Secure`, with `Path=/` and without
/// `Domain`, so that no neighbouring host can plant one (RFC 6265bis, section 4.1.3.2).
pub const COOKIE_NAME: &str = "__Host-portcullis";
/// Its name with [`WebOptions::danger_insecure_cookies`].
pub const INSECURE_COOKIE_NAME: &str = "portcullis-insecure";

impl WebOptions {
    pub(super) fn cookie_name(&self) -> &'static str {
        if self.insecure_cookies { INSECURE_COOKIE_NAME } else { COOKIE_NAME }
    }

    /// `Set-Cookie` with the session's token. `SameSite=Lax` lets a link from a mail or another site open the
    /// dashboard signed in; what changes anything is guarded by the origin check beside it.
    pub(super) fn session_cookie(&self, token: &SessionToken, max_age: i64) -> Option<HeaderValue> {
        self.cookie(token.expose_secret(), max_age)
    }

    /// `Set-Cookie` that makes the browser forget.
    pub(super) fn no_cookie(&self) -> Option<HeaderValue> {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, max_age: i64) -> Option<HeaderValue> {
        let name = self.cookie_name();
        let secure = if self.insecure_cookies { "" } else { " Secure;" };
        let max_age = max_age.max(0);
        let text = format!("{name}={value}; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age={max_age}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The values of all cookies of exactly this name.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|&c| c == b';')).filter_map(
        move |pair| {
            let at = pair.iter().position(|&c| c == b'=')?;
            let (found, value) = (pair.get(..at)?, pair.get(at + 1..)?);
            (found.trim_ascii() == name.as_bytes()).then(|| value.trim_ascii())
        },
    )
}

/// The session token that a request shows.
///
/// # Errors
/// Two cookies of the name are refused: one of them was planted, and nobody can tell which. None, or one that is
/// no session token, is "not signed in".
pub(super) fn session_token(headers: &HeaderMap, options: &WebOptions) -> Result<SessionToken, Problem> {
    let mut values = values(headers, options.cookie_name());
    let value = values.next().ok_or_else(Problem::not_signed_in)?;
    if values.next().is_some() {
        let why = "more than one session cookie was sent";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "ambiguous_cookie", why));
    }
    let text = core::str::from_utf8(value).map_err(|_| Problem::not_signed_in())?;
    SessionToken::parse(text).map_err(|_| Problem::not_signed_in())
}
