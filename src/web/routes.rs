//! The one list of the dashboard's routes. The router is built of it, and tests walk it.

use core::future::Future;
use core::pin::Pin;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::SET_COOKIE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};

use super::Web;
use super::guard::{guard, method_not_allowed, not_found};
use super::handlers::{
    account, audit, catalogue, explain, invitations, keys, members, money, offboarding, policy, projects,
    recovery, roles, second_factor, sign_in, sign_up, usage, workspaces,
};
use super::options::WebOptions;
use super::problem::Problem;
use super::request::Incoming;
use crate::dashboard::{Dashboard, Member, Session};

/// What a route needs to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Nothing but the dashboard's origin: signing up and in, and what mailed links lead to.
    Nothing,
    /// A session.
    Session,
    /// A session of a member of the workspace in the path.
    Member,
}

/// One route. Its handler is called with what it needs, by type.
#[derive(Clone, Copy)]
pub struct Route {
    method: Verb,
    path: &'static str,
    handler: Handler,
}

pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Clone, Copy)]
enum Handler {
    Open(fn(Incoming) -> Answer),
    Session(fn(Session, Incoming) -> Answer),
    Member(fn(Member, Incoming) -> Answer),
}

macro_rules! handler {
    (Open, $function:path) => {
        Handler::Open(|incoming| Box::pin($function(incoming)))
    };
    ($needs:ident, $function:path) => {
        Handler::$needs(|who, incoming| Box::pin($function(who, incoming)))
    };
}

macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $function:path;)*) => {
        &[$(Route { method: Verb::$method, path: $path, handler: handler!($needs, $function) }),*]
    };
}

static ROUTES: &[Route] = routes! {
    Post "/v1/sign-up" Open sign_up::sign_up;
    Post "/v1/sign-up/resend" Open sign_up::resend;
    Post "/v1/sign-up/verify" Open sign_up::verify;
    Post "/v1/sign-in" Open sign_in::sign_in;
    Post "/v1/sign-in/second-factor" Open sign_in::second_factor;
    Post "/v1/password/forgot" Open sign_in::forgot;
    Post "/v1/password/reset" Open sign_in::reset;
    Post "/v1/invitation/look" Open invitations::look;
    Post "/v1/invitation/sign-up" Open invitations::sign_up;
    Post "/v1/invitation/accept" Session invitations::accept;
    Post "/v1/recovery/cancel" Open recovery::cancel;
    Post "/v1/recovery/confirm-email" Open recovery::confirm_email;
    Get "/v1/recovery" Session recovery::pending;
    Post "/v1/recovery/stop" Session recovery::stop;

    Get "/v1/session" Session account::session;
    Post "/v1/sign-out" Session account::sign_out;
    Get "/v1/sessions" Session account::sessions;
    Delete "/v1/sessions/{session}" Session account::end_session;
    Post "/v1/sessions/end-others" Session account::end_others;
    Post "/v1/step-up" Session account::step_up;
    Post "/v1/password/change" Session account::change_password;
    Post "/v1/email/change" Session account::change_email;
    Post "/v1/email/confirm" Session account::confirm_email;
    Get "/v1/account/deletion" Session account::deletion;
    Post "/v1/account/delete" Session account::delete;
    Get "/v1/second-factor" Session second_factor::status;
    Post "/v1/second-factor/totp" Session second_factor::begin;
    Delete "/v1/second-factor/totp" Session second_factor::disable;
    Post "/v1/second-factor/totp/confirm" Session second_factor::confirm;
    Post "/v1/second-factor/recovery-codes" Session second_factor::regenerate;

    Get "/v1/catalogue" Session catalogue::catalogue;
    Get "/v1/workspaces" Session workspaces::list;
    Post "/v1/workspaces" Session workspaces::create;
    Get "/v1/workspaces/{workspace}" Member workspaces::get;
    Patch "/v1/workspaces/{workspace}" Member workspaces::rename;
    Delete "/v1/workspaces/{workspace}" Member workspaces::delete;
    Get "/v1/workspaces/{workspace}/deletion" Member workspaces::deletion;
    Post "/v1/workspaces/{workspace}/archive" Member workspaces::archive;
    Post "/v1/workspaces/{workspace}/restore" Member workspaces::restore;
    Post "/v1/workspaces/{workspace}/leave" Session offboarding::leave;

    Get "/v1/workspaces/{workspace}/projects" Member projects::list;
    Post "/v1/workspaces/{workspace}/projects" Member projects::create;
    Patch "/v1/workspaces/{workspace}/projects/{project}" Member projects::change;
    Delete "/v1/workspaces/{workspace}/projects/{project}" Member projects::delete;
    Get "/v1/workspaces/{workspace}/projects/{project}/deletion" Member projects::deletion;
    Post "/v1/workspaces/{workspace}/projects/{project}/archive" Member projects::archive;
    Post "/v1/workspaces/{workspace}/projects/{project}/restore" Member projects::restore;

    Get "/v1/workspaces/{workspace}/projects/{project}/limits" Member money::limits;
    Put "/v1/workspaces/{workspace}/projects/{project}/limits" Member money::set_limit;
    Delete "/v1/workspaces/{workspace}/projects/{project}/limits/{limit}" Member money::remove_limit;
    Get "/v1/workspaces/{workspace}/credit" Member money::credit;
    Get "/v1/workspaces/{workspace}/ledger" Member money::ledger;

    Get "/v1/workspaces/{workspace}/members" Member members::list;
    Put "/v1/workspaces/{workspace}/members/{account}/role" Member members::set_role;
    Put "/v1/workspaces/{workspace}/members/{account}/projects/{project}/role" Member members::set_project_role;
    Delete "/v1/workspaces/{workspace}/members/{account}/projects/{project}/role" Member members::clear_project_role;
    Get "/v1/workspaces/{workspace}/members/{account}/offboarding" Member offboarding::preview;
    Post "/v1/workspaces/{workspace}/members/{account}/offboard" Member offboarding::offboard;
    Get "/v1/workspaces/{workspace}/entries" Member members::entries;
    Delete "/v1/workspaces/{workspace}/entries/{entry}" Member members::end_entry;
    Get "/v1/workspaces/{workspace}/invitations" Member invitations::list;
    Post "/v1/workspaces/{workspace}/invitations" Member invitations::invite;
    Post "/v1/workspaces/{workspace}/invitations/{invitation}/resend" Member invitations::resend;
    Delete "/v1/workspaces/{workspace}/invitations/{invitation}" Member invitations::revoke;

    Get "/v1/workspaces/{workspace}/roles" Member roles::list;
    Post "/v1/workspaces/{workspace}/roles" Member roles::create;
    Put "/v1/workspaces/{workspace}/roles/{role}" Member roles::edit;
    Delete "/v1/workspaces/{workspace}/roles/{role}" Member roles::delete;
    Get "/v1/workspaces/{workspace}/policy/second-factor" Member policy::without_second_factor;
    Put "/v1/workspaces/{workspace}/policy/second-factor" Member policy::require_second_factor;
    Put "/v1/workspaces/{workspace}/policy/service-ceiling" Member policy::set_service_ceiling;
    Get "/v1/workspaces/{workspace}/who-can" Member explain::who_can;
    Post "/v1/workspaces/{workspace}/dry-run" Member explain::dry_run;
    Get "/v1/workspaces/{workspace}/audit" Member audit::log;
    Get "/v1/workspaces/{workspace}/audit/export" Member audit::export;

    Get "/v1/workspaces/{workspace}/keys" Member keys::list;
    Post "/v1/workspaces/{workspace}/keys" Member keys::issue;
    Get "/v1/workspaces/{workspace}/keys/review" Member keys::review;
    Get "/v1/workspaces/{workspace}/keys/unused-scopes" Member usage::unused_scopes;
    Get "/v1/workspaces/{workspace}/keys/{key}" Member keys::get;
    Get "/v1/workspaces/{workspace}/keys/{key}/least-scopes" Member usage::least_scopes;
    Post "/v1/workspaces/{workspace}/keys/{key}/narrow" Member usage::narrow;
    Post "/v1/workspaces/{workspace}/keys/{key}/rotate" Member keys::rotate;
    Post "/v1/workspaces/{workspace}/keys/{key}/suspend" Member keys::suspend;
    Post "/v1/workspaces/{workspace}/keys/{key}/resume" Member keys::resume;
    Post "/v1/workspaces/{workspace}/keys/{key}/revoke" Member keys::revoke;
    Put "/v1/workspaces/{workspace}/keys/{key}/custodian" Member keys::set_custodian;
    Get "/v1/workspaces/{workspace}/usage" Member usage::usage;
};

/// All routes of the dashboard.
#[must_use]
pub fn dashboard_routes() -> &'static [Route] {
    ROUTES
}

/// A router with [all routes](dashboard_routes) of the dashboard, to be nested where the service likes.
pub fn dashboard_router(dashboard: Dashboard, options: WebOptions) -> Router {
    let web = Web::new(dashboard, options);
    let mut router = Router::new();
    for route in ROUTES {
        let handler = move |State(web): State<Web>, request: Request| async move {
            // On a task of its own: a client that hangs up stops nothing midway, and escapes no count and no notice.
            match tokio::spawn(route.answer(web, request)).await {
                Ok(answer) => answer.unwrap_or_else(Problem::into_response),
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                Err(_) => Problem::internal().into_response(),
            }
        };
        router = router.route(route.path, on(route.filter(), handler));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(web.clone(), guard))
        .with_state(web)
}

impl Route {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }

    /// Its path, relative to where the router is nested, with parameters as `{name}`.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// What it needs.
    #[must_use]
    pub fn needs(&self) -> Needs {
        match self.handler {
            Handler::Open(_) => Needs::Nothing,
            Handler::Session(_) => Needs::Session,
            Handler::Member(_) => Needs::Member,
        }
    }

    fn filter(&self) -> MethodFilter {
        match self.method {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Patch => MethodFilter::PATCH,
            Verb::Delete => MethodFilter::DELETE,
        }
    }

    async fn answer(&self, web: Web, request: Request) -> Result<Response, Problem> {
        let incoming = Incoming::new(web, request).await;
        match self.handler {
            Handler::Open(handler) => {
                // Signing in puts another session in the place of the browser's: the one before ends (ASVS 5.0, 7.2.4).
                let earlier = incoming.web.session(incoming.parts()).await.ok();
                let dashboard = incoming.dashboard();
                let response = handler(incoming).await?;
                if let Some(earlier) = earlier.filter(|_| response.headers().contains_key(SET_COOKIE)) {
                    dashboard.sign_out(&earlier).await?;
                }
                Ok(response)
            }
            Handler::Session(handler) => {
                let session = incoming.web.session(incoming.parts()).await?;
                handler(session, incoming).await
            }
            Handler::Member(handler) => {
                let workspace = incoming.path("workspace").ok();
                let member = incoming.web.member(incoming.parts(), workspace).await?;
                handler(member, incoming).await
            }
        }
    }
}

impl core::fmt::Debug for Route {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {} ({:?})", self.method(), self.path, self.needs())
    }
}
