//! Identifiers: one type per kind of thing, so that one is never taken for another.
//!
//! Each wraps a UUID. Fresh ones are version 7 (RFC 9562, section 5.7): they sort by the millisecond they
//! were made in. A service that already has ids for its people and tenants brings them with `from_uuid`.
//! An identifier is never a secret.

pub(crate) mod mixed;

use core::fmt;
use core::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What all identifiers share.
pub trait Id: Copy + Eq + Ord + core::hash::Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Takes over an id that the service already has.
    fn from_uuid(uuid: Uuid) -> Self;

    /// The UUID inside.
    fn uuid(self) -> Uuid;

    /// Makes a version 7 UUID of a moment and ten random bytes, both handed in.
    #[must_use]
    fn from_parts(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

/// The text was no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: a UUID in lower case, 32 hexadecimal digits in five groups")]
pub struct MalformedId(());

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl Id for $name {
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let read = Uuid::try_parse(text).ok();
                // One spelling each, so that a path names a thing in one way.
                read.filter(|uuid| uuid.hyphenated().to_string() == text).map(Self).ok_or(MalformedId(()))
            }
        }
    )*};
}

ids! {
    /// One person.
    AccountId;
    /// A sign-up whose address has not been verified yet; no account exists for it.
    SignUpId;
    /// An account signed in at the dashboard door.
    SessionId;
    /// A session's admission to one workspace.
    EntryId;
    /// A tenant.
    WorkspaceId;
    /// A part of a workspace with its own access and budget.
    ProjectId;
    /// An invitation to a workspace.
    InvitationId;
    /// An operator-assisted recovery of an account.
    RecoveryCaseId;
    /// A role that a workspace defined for itself.
    RoleId;
    /// An API key: what usage, limits and audit hang on. It is not part of the key's text.
    KeyId;
    /// One recovery code.
    RecoveryCodeId;
    /// A TOTP enrolment, from its start on.
    FactorId;
    /// One audit entry.
    AuditId;
    /// One outgoing mail: its idempotency id.
    MailId;
    /// One limit of spending, or a workspace's pool.
    LimitId;
    /// Money that is set aside, from when it is reserved on.
    HoldId;
    /// One entry of the ledger.
    LedgerEntryId;
    /// A notice that a limit is nearly used up.
    AlertId;
    /// One running process, from its start to its end.
    NodeId;
    /// A caller-chosen id of one operation, which answers "did it happen" when an answer was lost.
    OperationId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_sort_by_their_moment() {
        let early = AccountId::from_parts(Timestamp::from_second(1_000).unwrap(), [0xff; 10]);
        let late = AccountId::from_parts(Timestamp::from_second(1_001).unwrap(), [0; 10]);
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = KeyId::from_parts(Timestamp::UNIX_EPOCH, [0xab; 10]);
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert!("not-a-uuid".parse::<KeyId>().is_err());
        let text = id.to_string();
        for other in
            [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), format!("urn:uuid:{text}")]
        {
            assert!(other.parse::<KeyId>().is_err(), "{other}");
        }
    }
}
