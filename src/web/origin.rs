//! Requests that change anything must come from the dashboard's own pages.

use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method, StatusCode};

use super::options::WebOptions;
use super::problem::Problem;

const FETCH_SITE: &str = "sec-fetch-site";

impl WebOptions {
    /// Refuses a request that could change something unless its `Origin` is one of the dashboard's. A request
    /// without `Origin` passes only if the browser itself says that it is of the same origin (Fetch Metadata,
    /// `Sec-Fetch-Site: same-origin`). Programs that are no browsers send `Origin` themselves.
    ///
    /// Sign-up and sign-in are guarded, too: else a stranger's page could sign its visitor in as the stranger.
    pub(super) fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let same = match (origins.next(), origins.next()) {
            (Some(origin), None) => self.origins.iter().any(|own| own.as_bytes() == origin.as_bytes()),
            (None, _) => {
                let mut sites = headers.get_all(FETCH_SITE).iter();
                matches!((sites.next(), sites.next()), (Some(site), None) if site.as_bytes() == b"same-origin")
            }
            (Some(_), Some(_)) => false,
        };
        if same { Ok(()) } else { Err(cross_origin()) }
    }
}

fn cross_origin() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross_origin",
        "this request does not come from the dashboard's own pages; programs must send its Origin",
    )
}
