//! Two database roles, each with what it needs and nothing else.

use super::schema::SchemaName;

/// The name of a database role: a lower-case letter, then at most 62 of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(Box<str>);

/// The text is no name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role's name is a letter a-z and at most 62 of a-z, 0-9 and _; not pg_ at its beginning")]
pub struct BadRoleName(());

impl crate::error::Coded for BadRoleName {
    fn code(&self) -> &'static str {
        "bad_role_name"
    }
}

impl RoleName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`BadRoleName`] when it has another form, or one that PostgreSQL keeps for itself.
    pub fn parse(text: &str) -> Result<Self, BadRoleName> {
        SchemaName::parse(text).map(|name| Self(name.as_str().into())).map_err(|_| BadRoleName(()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the dashboard's role may do, as a template.
const DASHBOARD: &str = include_str!("../migrations/postgres/dashboard_role.sql");
/// What the API door's role may do.
const API: &str = include_str!("../migrations/postgres/api_role.sql");

/// SQL that gives two existing roles what they need: `dashboard` reads and writes all rows, and `api` resolves keys, follows
/// changes, reserves and settles, and writes usage. Neither may change the schema, whose owner runs this, after every
/// migration.
#[must_use]
pub fn roles(schema: &SchemaName, dashboard: &RoleName, api: &RoleName) -> String {
    let of = |template: &str, role: &RoleName| {
        schema.apply(template).replace("{role}", &format!("\"{}\"", role.as_str()))
    };
    format!("{}\n{}", of(DASHBOARD, dashboard), of(API, api))
}
