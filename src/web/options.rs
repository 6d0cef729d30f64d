//! What a service chooses about HTTP.

use crate::error::Coded;

/// What a service chooses about HTTP, each with a safe default but for the origins, which nobody can guess.
#[derive(Clone, Debug)]
pub struct WebOptions {
    pub(super) origins: Vec<String>,
    pub(super) trusted_hops: usize,
    pub(super) insecure_cookies: bool,
}

/// The text is no origin of a dashboard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOrigin {
    /// No origin at all: nobody could sign in.
    #[error("a dashboard needs at least one origin")]
    None,
    /// Not `https://host[:port]`, or `http://` on this machine, as browsers write it.
    #[error(
        "not an origin as browsers send it: https://host or https://host:port, in lower case, without path; http:// \
         only on 127.0.0.1, [::1] or localhost"
    )]
    Form,
}

impl Coded for BadOrigin {
    fn code(&self) -> &'static str {
        match self {
            Self::None => "origin_none",
            Self::Form => "origin_form",
        }
    }
}

impl WebOptions {
    /// Options for a dashboard whose pages are served from these origins, for example
    /// `https://console.example.com`. They are compared with the `Origin` header byte by byte (RFC 6454, section
    /// 6.2: lower case, no default port, no path).
    ///
    /// # Errors
    /// [`BadOrigin`].
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, BadOrigin> {
        let mut checked = Vec::new();
        for origin in origins {
            if !is_origin(origin) {
                return Err(BadOrigin::Form);
            }
            checked.push(origin.to_owned());
        }
        if checked.is_empty() {
            return Err(BadOrigin::None);
        }
        Ok(Self { origins: checked, trusted_hops: 0, insecure_cookies: false })
    }

    /// Options for a process that serves endpoints behind keys and no dashboard: it has no origin, so that nobody
    /// could sign in or change anything through a dashboard served with them.
    #[must_use]
    pub fn without_dashboard() -> Self {
        Self { origins: Vec::new(), trusted_hops: 0, insecure_cookies: false }
    }

    /// How many proxies stand between the client and this process, each of which appends to `X-Forwarded-For` the
    /// address that connected to it; 0 by default, and then the header is never read. With `n`, the client is the
    /// `n`-th address from the right: what stands to the left of it is the client's own claim. Set too high, a
    /// client chooses its own address; make sure that nobody reaches this process around the proxies.
    ///
    /// A request whose header has fewer addresses, or no address in that place, is refused with 400: to take the
    /// proxy's own address for the client's could let a stranger into an allowlist.
    #[must_use]
    pub fn trusted_hops(mut self, hops: usize) -> Self {
        self.trusted_hops = hops;
        self
    }

    /// Cookies without `Secure` and without the `__Host-` prefix, for development over plain http on a browser that
    /// does not treat this machine as secure. Whoever listens on the network, or serves a neighbouring host or
    /// port, can then take or plant sessions.
    #[must_use]
    pub fn danger_insecure_cookies(mut self) -> Self {
        self.insecure_cookies = true;
        self
    }
}

fn is_origin(text: &str) -> bool {
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return false,
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, port)) => match host.parse::<core::net::Ipv6Addr>() {
                Ok(host) => (format!("[{host}]"), port),
                Err(_) => return false,
            },
            None => return false,
        },
        None => match rest.find(':') {
            Some(at) => {
                let (host, port) = rest.split_at(at);
                (host.to_owned(), port)
            }
            None => (rest.to_owned(), ""),
        },
    };
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c);
    let named = !host.is_empty() && (host.starts_with('[') || host.bytes().all(plain));
    let port_ok = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            let number =
                digits.parse::<u16>().ok().filter(|n| *n != 0 && *n != if secure { 443 } else { 80 });
            number.is_some_and(|number| number.to_string() == digits)
        });
    let local = matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]");
    named && port_ok && (secure || local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for good in [
            "https://console.example.com",
            "https://console.example.com:8443",
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "https://[2001:db8::1]",
        ] {
            assert!(WebOptions::new([good]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "*",
            "https://",
            "https://A.example",
            "https://a.example/",
            "https://a.example:443",
            "https://a.example:",
            "https://a.example:08443",
            "https://a.example:99999",
            "https://u@a.example",
            "https://*.example",
            "http://a.example",
            "http://localhost.evil",
            "ftp://a.example",
            "https://[::1",
        ] {
            assert_eq!(WebOptions::new([bad]).err(), Some(BadOrigin::Form), "{bad}");
        }
        assert_eq!(WebOptions::new([]).err(), Some(BadOrigin::None));
    }
}
