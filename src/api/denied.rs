//! Why a request is refused: what the outsider sees, and what the operator sees.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::Caller;
use super::grants::NotFound;
use crate::access::Scope;
use crate::error::{Coded, Explained};
use crate::key::MalformedKey;
use crate::store::StoreError;

/// A refused request. One value with two renderings: [`Denied::face`] is all that the outsider may see,
/// [`Denied::reason`] is for the operator's log.
///
/// An outsider learns more than "not valid" only after having shown the right secret of a key that is alive.
/// Expired, revoked and suspended keys have the same face as keys that never were; only the reason tells.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// No credentials of the scheme `Bearer`.
    #[error("no API key was presented")]
    Missing,
    /// The header cannot be read.
    #[error("the Authorization header is malformed")]
    Malformed(MalformedHeader),
    /// No key that may be used: one face for malformed texts, unknown, revoked, expired and suspended keys.
    #[error("the API key is not valid")]
    NotValid(NotValid),
    /// A valid key that may not do this, or not from here.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// A valid key, used for another project than its own. To the outsider that project does not exist.
    #[error("not found")]
    NotFound,
    /// A valid key that is used too often.
    #[error("too many requests")]
    Throttled(Throttled),
    /// The key could not be checked, so the request is refused.
    #[error("the API key cannot be checked at present")]
    Unavailable(#[source] Arc<StoreError>),
    /// The key was not checked, because too many others wait for the directory. It may be tried again.
    #[error("the API key cannot be checked at present: too many wait")]
    Crowded,
}

/// The operator's exact reason. [`Reason::code`] is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No `Authorization` header.
    NoCredentials,
    /// An `Authorization` header of another scheme.
    OtherScheme,
    /// The header cannot be read.
    MalformedHeader(MalformedHeader),
    /// The token is no key of this service.
    MalformedKey(MalformedKey),
    /// No secret has this id.
    NoSuchSecret,
    /// The id is known, the secret is wrong.
    DigestMismatch,
    /// The right secret under another environment's label.
    WrongEnvironment,
    /// The key was revoked.
    Revoked,
    /// This is suspended.
    Suspended(Suspended),
    /// The key's project is archived.
    ProjectArchived,
    /// The key's workspace is archived.
    WorkspaceArchived,
    /// The owner of the personal key is no member of the workspace any more.
    OwnerGone,
    /// The account of the personal key's owner is suspended.
    OwnerSuspended,
    /// The key has expired.
    Expired,
    /// This secret was rotated out and its overlap is over.
    SecretEnded,
    /// The request came from outside the key's allowlist, or from nowhere known.
    AddressNotAllowed,
    /// The endpoint has no scope in [`Endpoints`](super::Endpoints).
    EndpointUnmapped,
    /// The request is about another project than the key's.
    OtherProject,
    /// The key was not given the scope.
    ScopeNotHeld,
    /// The key was given the scope, but its owner's present role does not reach that far.
    ScopeBeyondRole,
    /// The key was given the scope, but its workspace's ceiling does not reach that far.
    ScopeBeyondCeiling,
    /// The key's rate limit is used up.
    RateLimitKey,
    /// The project's rate limit is used up.
    RateLimitProject,
    /// The store failed or took too long.
    Unavailable,
    /// Too many keys that are not in the cache wait for the directory.
    Crowded,
}

/// What is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suspended {
    /// The key, by its workspace.
    Key,
    /// The key, by the service's operator.
    KeyByOperator,
    /// Its project.
    Project,
    /// Its workspace.
    Workspace,
}

/// What is wrong with the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MalformedHeader {
    /// More than one `Authorization` header (RFC 6750, section 2: one method, used once).
    MoreThanOne,
    /// It does not begin with the name of a scheme.
    Scheme,
    /// `Bearer` is not followed by one space and a `b64token` (RFC 6750, section 2.1).
    Token,
}

/// No key that may be used. All of these look alike from outside.
#[derive(Clone, Debug)]
pub struct NotValid {
    reason: Reason,
}

/// A valid key that may not do this, or not from here.
#[derive(Clone, Debug)]
pub struct Forbidden {
    reason: Reason,
    needed: Option<Scope>,
}

/// A valid key that is used too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Throttled {
    /// After how long a request is admitted, if none is before.
    pub retry_after: Duration,
    /// Whose limit is used up.
    pub by: LimitOf,
}

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitOf {
    /// The key's.
    Key,
    /// The project's: all its keys together.
    Project,
}

/// What the outsider sees, as data for whatever protocol carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Face {
    /// The HTTP status.
    pub status: u16,
    /// The stable code of the outcome.
    pub code: &'static str,
    /// The error code of the `WWW-Authenticate` challenge (RFC 6750, section 3.1); `None`: a challenge without
    /// one for status 401, and no challenge otherwise.
    pub bearer_error: Option<&'static str>,
    /// The scope that is needed, where that is what is missing.
    pub scope: Option<Scope>,
    /// Whole seconds for `Retry-After`, rounded up.
    pub retry_after: Option<u64>,
}

/// A refusal on its way out, with what is known about the key for the record.
pub(super) struct Refused {
    pub(super) denied: Denied,
    pub(super) reason: Reason,
    /// Whose id was shown.
    pub(super) about: Option<Caller>,
    /// Whether the secret was shown, too.
    pub(super) proven: bool,
}

impl Denied {
    /// What the outsider may see.
    #[must_use]
    pub fn face(&self) -> Face {
        let face = |status, bearer_error| Face {
            status,
            code: self.code(),
            bearer_error,
            scope: None,
            retry_after: None,
        };
        match self {
            Self::Missing => face(401, None),
            Self::Malformed(_) => face(400, Some("invalid_request")),
            Self::NotValid(_) => face(401, Some("invalid_token")),
            Self::Forbidden(why) => {
                let bearer_error = why.needed.is_some().then_some("insufficient_scope");
                Face { scope: why.needed.clone(), ..face(403, bearer_error) }
            }
            Self::NotFound => face(404, None),
            Self::Throttled(why) => {
                let seconds = why.retry_after.as_secs() + u64::from(why.retry_after.subsec_nanos() > 0);
                Face { retry_after: Some(seconds), ..face(429, None) }
            }
            Self::Unavailable(_) => face(503, None),
            Self::Crowded => Face { retry_after: Some(1), ..face(503, None) },
        }
    }

    /// The exact reason, for the operator alone. The security event of the refusal carries it, too, and tells
    /// [`Reason::OtherScheme`] from [`Reason::NoCredentials`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::NoCredentials,
            Self::Malformed(what) => Reason::MalformedHeader(*what),
            Self::NotValid(why) => why.reason,
            Self::Forbidden(why) => why.reason,
            Self::NotFound => Reason::OtherProject,
            Self::Throttled(Throttled { by: LimitOf::Key, .. }) => Reason::RateLimitKey,
            Self::Throttled(Throttled { by: LimitOf::Project, .. }) => Reason::RateLimitProject,
            Self::Unavailable(_) => Reason::Unavailable,
            Self::Crowded => Reason::Crowded,
        }
    }

    pub(super) fn not_valid() -> Self {
        Self::NotValid(NotValid { reason: Reason::NoSuchSecret })
    }

    pub(super) fn forbidden(reason: Reason, needed: Option<Scope>) -> Self {
        Self::Forbidden(Forbidden { reason, needed })
    }
}

impl Forbidden {
    /// The scope that is needed, where that is what is missing.
    #[must_use]
    pub fn needed(&self) -> Option<&Scope> {
        self.needed.as_ref()
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.needed, self.reason) {
            (Some(scope), _) => write!(f, "the API key needs the scope {scope}"),
            (None, Reason::AddressNotAllowed) => f.write_str("the API key may not be used from this address"),
            (None, _) => f.write_str("the API key may not do this"),
        }
    }
}

/// The outsider's code.
impl Coded for Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "key_missing",
            Self::Malformed(_) => "authorization_malformed",
            Self::NotValid(_) => "key_not_valid",
            Self::Forbidden(Forbidden { needed: Some(_), .. }) => "insufficient_scope",
            Self::Forbidden(Forbidden { reason: Reason::AddressNotAllowed, .. }) => "address_not_allowed",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound => "not_found",
            Self::Throttled(_) => "rate_limited",
            Self::Unavailable(_) | Self::Crowded => "key_check_unavailable",
        }
    }
}

impl Reason {
    /// Its stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::OtherScheme => "other_scheme",
            Self::MalformedHeader(MalformedHeader::MoreThanOne) => "authorization_repeated",
            Self::MalformedHeader(MalformedHeader::Scheme) => "authorization_scheme",
            Self::MalformedHeader(MalformedHeader::Token) => "authorization_token",
            Self::MalformedKey(why) => why.code(),
            Self::NoSuchSecret => "no_such_secret",
            Self::DigestMismatch => "digest_mismatch",
            Self::WrongEnvironment => "wrong_environment",
            Self::Revoked => "revoked",
            Self::Suspended(Suspended::Key) => "key_suspended",
            Self::Suspended(Suspended::KeyByOperator) => "key_suspended_by_operator",
            Self::Suspended(Suspended::Project) => "project_suspended",
            Self::Suspended(Suspended::Workspace) => "workspace_suspended",
            Self::ProjectArchived => "project_archived",
            Self::WorkspaceArchived => "workspace_archived",
            Self::OwnerGone => "owner_gone",
            Self::OwnerSuspended => "owner_suspended",
            Self::Expired => "expired",
            Self::SecretEnded => "secret_ended",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::EndpointUnmapped => "endpoint_unmapped",
            Self::OtherProject => "other_project",
            Self::ScopeNotHeld => "scope_not_held",
            Self::ScopeBeyondRole => "scope_beyond_role",
            Self::ScopeBeyondCeiling => "scope_beyond_ceiling",
            Self::RateLimitKey => "rate_limit_key",
            Self::RateLimitProject => "rate_limit_project",
            Self::Unavailable => "unavailable",
            Self::Crowded => "crowded",
        }
    }
}

impl Reason {
    /// What would allow it, for the operator alone; `None` where nothing but another key would.
    #[must_use]
    pub fn allowed_by(self) -> Option<&'static str> {
        Some(match self {
            Self::Suspended(Suspended::Key) => "resuming the key, by who suspended it or with keys.manage",
            Self::Suspended(_) => "the operator resuming it",
            Self::ProjectArchived => "restoring the project",
            Self::WorkspaceArchived => "restoring the workspace",
            Self::OwnerSuspended => "the operator resuming the owner's account",
            Self::SecretEnded => "the key's present secret",
            Self::WrongEnvironment => "the key under its own environment's label",
            Self::AddressNotAllowed => "a request from within the key's allowlist",
            Self::EndpointUnmapped => "mapping the endpoint to a scope",
            Self::OtherProject => "a key of that project",
            Self::ScopeNotHeld => "a key with that scope",
            Self::ScopeBeyondRole => "a role of the owner that includes the scope",
            Self::ScopeBeyondCeiling => "a ceiling of the workspace that includes the scope",
            Self::RateLimitKey | Self::RateLimitProject => "waiting, or a higher limit",
            Self::Unavailable => "the store being there",
            Self::Crowded => "trying again, or a higher bound on those who wait",
            _ => return None,
        })
    }
}

/// What the outsider may know of it: the scope that is missing, and that waiting helps.
impl Explained for Denied {
    fn allowed_by(&self) -> Vec<String> {
        match self {
            Self::Forbidden(Forbidden { needed: Some(scope), .. }) => {
                vec![format!("a key that may use the scope {scope}")]
            }
            Self::Throttled(_) | Self::Crowded => vec!["waiting".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Refused {
    /// A refusal before any key is known.
    #[cold]
    pub(super) fn nobody(denied: Denied, reason: Reason) -> Box<Self> {
        let denied = match denied {
            Denied::NotValid(_) => Denied::NotValid(NotValid { reason }),
            other => other,
        };
        Box::new(Self { denied, reason, about: None, proven: false })
    }

    /// A refusal as not valid of a key that is known.
    #[cold]
    pub(super) fn not_valid(reason: Reason, about: Caller, proven: bool) -> Box<Self> {
        Box::new(Self { denied: Denied::NotValid(NotValid { reason }), reason, about: Some(about), proven })
    }

    /// A refusal of a valid key.
    #[cold]
    pub(super) fn of(denied: Denied, about: Caller) -> Box<Self> {
        Box::new(Self { reason: denied.reason(), denied, about: Some(about), proven: true })
    }

    #[cold]
    pub(super) fn not_found(why: NotFound) -> Box<Self> {
        match why {
            NotFound::Failed(error) => Self::nobody(Denied::Unavailable(error), Reason::Unavailable),
            NotFound::Crowded => Self::nobody(Denied::Crowded, Reason::Crowded),
        }
    }
}
