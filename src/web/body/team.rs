//! Bodies about workspaces and who is in them.

use core::time::Duration;

use serde::Deserialize;

use super::strict::{ById, given, nullable, object, objects};
use crate::dashboard::{Exposure, Offboarding};
use crate::id::{AccountId, KeyId, ProjectId, RoleId, WorkspaceId};

/// A name: of a workspace that is made or renamed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// What people call it.
    pub name: String,
}

/// A project to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// What people call it.
    pub name: String,
    /// Which environment it is.
    pub label: Option<String>,
}

/// What is to change of a project. What is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeProject {
    /// Another name.
    #[serde(default, deserialize_with = "given")]
    pub name: Option<String>,
    /// Another label, or with `null` none.
    #[serde(default, deserialize_with = "given")]
    #[allow(clippy::option_option, reason = "left out, null, or a text: three things")]
    pub label: Option<Option<String>>,
    /// Whether its keys ask for a second factor of whoever handles them.
    #[serde(default, deserialize_with = "given")]
    pub require_second_factor: Option<bool>,
}

/// A role that somebody is given: `admin`, `developer`, `viewer` or the id of a custom role, in a project also `none`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenRole {
    /// Which.
    pub role: String,
}

/// Somebody to be invited.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// Their address.
    pub email: String,
    /// As what.
    pub role: String,
    /// What single projects are to say of them instead.
    #[serde(default)]
    pub projects: ById<ProjectId, String>,
}

/// A custom role's definition, all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefineRole {
    /// What the workspace calls it.
    pub name: String,
    /// What its holders may do on the dashboard.
    pub permissions: Vec<String>,
    /// The widest scopes of their keys.
    pub scopes: Vec<String>,
}

/// Whether something is required from now on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Required {
    /// Whether it is.
    pub required: bool,
}

/// The widest scopes of service keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceCeiling {
    /// Which; `null`, which has to be said, is no ceiling.
    #[serde(deserialize_with = "nullable")]
    pub scopes: Option<Vec<String>>,
}

/// The member who is to keep a service key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    /// Who.
    pub account: AccountId,
}

/// How a membership is to end. What is left out is as in [`Offboarding::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Who takes over the service keys in the leaver's care.
    pub successor: Option<AccountId>,
    /// What becomes of service keys whose secret the leaver was shown.
    #[serde(default, deserialize_with = "object")]
    pub default: Option<ExposedKeys>,
    /// What becomes of single ones instead.
    #[serde(default, deserialize_with = "objects")]
    pub exposed: ById<KeyId, ExposedKeys>,
}

/// What becomes of service keys whose secret a leaver was shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[allow(clippy::empty_structs_with_brackets, reason = "serde refuses unknown members beside `kind` only so")]
pub enum ExposedKeys {
    /// The secrets end at once, and the key gets another.
    RotateNow {},
    /// The secrets end after a while.
    Overlap {
        /// How long, in whole seconds.
        seconds: u64,
    },
    /// The secrets stay.
    Accept {
        /// Why.
        reason: String,
    },
}

/// The end of an account.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccount {
    /// How single memberships are to end.
    #[serde(default, deserialize_with = "objects")]
    pub workspaces: ById<WorkspaceId, Leaving>,
}

/// A change of access to be tried out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum TryOut {
    /// A member gets another role.
    MemberRole {
        /// Who.
        account: AccountId,
        /// As what.
        role: String,
    },
    /// A project says something else of a member.
    ProjectRole {
        /// Who.
        account: AccountId,
        /// Where.
        project: ProjectId,
        /// What it says; `null`, which has to be said, is nothing any more.
        #[serde(deserialize_with = "nullable")]
        role: Option<String>,
    },
    /// A membership ends.
    RemoveMember {
        /// Whose.
        account: AccountId,
    },
    /// A custom role gets another definition.
    Role {
        /// Which.
        role: RoleId,
        /// What its holders may do on the dashboard.
        permissions: Vec<String>,
        /// The widest scopes of their keys.
        scopes: Vec<String>,
    },
    /// A custom role goes.
    DeleteRole {
        /// Which.
        role: RoleId,
    },
    /// Service keys get another ceiling.
    ServiceCeiling {
        /// Which; `null`, which has to be said, is none.
        #[serde(deserialize_with = "nullable")]
        scopes: Option<Vec<String>>,
    },
    /// Members must have a second factor, or need not.
    RequireSecondFactor {
        /// Whether they must.
        required: bool,
    },
}

impl From<ExposedKeys> for Exposure {
    fn from(body: ExposedKeys) -> Self {
        match body {
            ExposedKeys::RotateNow {} => Self::RotateNow,
            ExposedKeys::Overlap { seconds } => Self::Overlap(Duration::from_secs(seconds)),
            ExposedKeys::Accept { reason } => Self::Accept { reason },
        }
    }
}

impl From<Leaving> for Offboarding {
    fn from(body: Leaving) -> Self {
        let usual = Self::default();
        Self {
            successor: body.successor,
            default: body.default.map_or(usual.default, Exposure::from),
            exposed: body.exposed.0.into_iter().map(|(key, decided)| (key, decided.into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BadBody, parse_body};
    use super::*;

    const ID: &str = "01890000-0000-7000-8000-000000000001";

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, BadBody> {
        parse_body(text.replace("ID", ID).as_bytes())
    }

    #[test]
    fn what_takes_away_has_to_be_said() {
        assert!(read::<ServiceCeiling>("{}").is_err());
        assert_eq!(read::<ServiceCeiling>(r#"{"scopes":null}"#).unwrap().scopes, None);
        assert!(read::<TryOut>(r#"{"kind":"service_ceiling"}"#).is_err());
        assert!(read::<TryOut>(r#"{"kind":"project_role","account":"ID","project":"ID"}"#).is_err());
        let change: ChangeProject = read("{}").unwrap();
        assert_eq!((change.name, change.label, change.require_second_factor), (None, None, None));
        assert_eq!(read::<ChangeProject>(r#"{"label":null}"#).unwrap().label, Some(None));
        assert!(read::<ChangeProject>(r#"{"name":null}"#).is_err());
        assert!(read::<ChangeProject>(r#"{"require_second_factor":null}"#).is_err());
    }

    /// ASVS-5.0-15.3.7
    #[test]
    fn an_id_is_given_once_under_any_spelling() {
        assert!(read::<Invite>(r#"{"email":"a","role":"b","projects":{"ID":"viewer"}}"#).is_ok());
        let twice = format!(
            r#"{{"email":"a","role":"b","projects":{{"{ID}":"viewer","{}":"admin"}}}}"#,
            ID.replace('-', "")
        );
        assert!(read::<Invite>(&twice).is_err());
        let kind = r#"{"kind":"rotate_now"}"#;
        assert!(read::<Leaving>(&format!(r#"{{"exposed":{{"ID":{kind},"ID":{kind}}}}}"#)).is_err());
    }

    /// ATK-AUTHZ-04 (the reading)
    #[test]
    fn a_decision_has_the_members_of_its_kind_alone() {
        assert!(read::<Leaving>(r#"{"default":{"kind":"rotate_now"}}"#).is_ok());
        assert!(read::<Leaving>(r#"{"default":{"seconds":60,"kind":"overlap"}}"#).is_ok());
        for bad in [
            r#"{"kind":"rotate_now","seconds":60}"#,
            r#"{"kind":"overlap","seconds":60,"reason":"x"}"#,
            r#"{"kind":"overlap"}"#,
            r#"{"kind":"overlap","seconds":-1}"#,
            r#"{"kind":"overlap","seconds":1.5}"#,
            r#"{"kind":"overlap","seconds":60,"seconds":60}"#,
            r#"{"kind":"accept"}"#,
            r#"{"kind":"accept","reason":"x","kind":"accept"}"#,
            r#"{"kind":"nothing"}"#,
            r#""rotate_now""#,
            r#"["overlap",60]"#,
            "{}",
        ] {
            assert!(read::<Leaving>(&format!(r#"{{"default":{bad}}}"#)).is_err(), "{bad}");
        }
        assert!(read::<DeleteAccount>(r#"{"workspaces":{"ID":{}}}"#).is_ok());
        assert!(read::<DeleteAccount>(r#"{"workspaces":{"ID":[]}}"#).is_err());
        assert!(read::<DeleteAccount>(r#"{"workspaces":{"ID":[null,null,{}]}}"#).is_err());
        assert!(read::<TryOut>(r#"{"kind":"remove_member","account":"ID"}"#).is_ok());
        assert!(read::<TryOut>(r#"{"kind":"remove_member","account":"ID","role":"admin"}"#).is_err());
    }
}
