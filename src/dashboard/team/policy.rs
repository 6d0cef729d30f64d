//! What the workspace asks of everybody: a second factor, and the widest scopes of service keys.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use crate::access::{Permission, Rights, Scope};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Entitlement, Lacks, TeamError};
use crate::dashboard::keys::Committed;
use crate::dashboard::workspaces::Member;
use crate::email::EmailAddress;
use crate::id::{AccountId, KeyId, ProjectId};
use crate::ports::Message;
use crate::store::record::{Action, Key, KeyKind, Target};

/// A member whom the requirement of a second factor would shut out until they have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WithoutSecondFactor {
    /// Who.
    pub account: AccountId,
    /// Their address.
    pub email: EmailAddress,
    /// How many of their sessions have entered the workspace now.
    pub entries: usize,
    /// Their live personal keys here, which go on working.
    pub personal_keys: Vec<KeySummary>,
}

/// A key by what people call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeySummary {
    /// The key.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// What people call it.
    pub name: String,
}

impl KeySummary {
    pub(in crate::dashboard) fn of(key: &Key) -> Self {
        Self { id: key.id, project: key.project, name: key.name.as_str().to_owned() }
    }
}

impl Dashboard {
    /// Whom requiring a second factor would shut out until they have one. Their personal keys are not stopped by it.
    /// Asks for `policy.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn preview_second_factor_requirement(
        &self,
        member: &Member,
    ) -> Result<Vec<WithoutSecondFactor>, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::POLICY_MANAGE)?;
        let workspace = member.workspace();
        let people = snapshot.people(workspace).await?;
        let entries = inner.live_entries(&mut *snapshot, workspace).await?;
        let keys = inner.all_keys(&mut *snapshot, workspace).await?;
        let without = people.into_iter().filter(|person| !person.second_factor).map(|person| {
            let account = person.membership.account;
            let personal = |key: &&Key| key.kind == KeyKind::Personal(account) && key.revoked_at.is_none();
            WithoutSecondFactor {
                account,
                email: person.email,
                entries: entries.iter().filter(|(entry, _)| entry.account == account).count(),
                personal_keys: keys.iter().filter(personal).map(KeySummary::of).collect(),
            }
        });
        let without: Vec<WithoutSecondFactor> = without.collect();
        let of = without.iter().flat_map(|one| &one.personal_keys).map(|key| key.project).collect();
        inner.keys_may_be_named(&mut *snapshot, &acting.session, workspace, &of).await?;
        Ok(without)
    }

    /// Makes the workspace require a second factor of every member, for every way of signing in, or no longer. Members
    /// without one find their entries of no use until they have set one up, and are told by mail. Asks for
    /// `policy.manage`, recent proofs, and, to turn it on, a plan that includes it and a second factor of one's own.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn require_second_factor(&self, member: &Member, required: bool) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (mut locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::POLICY_MANAGE)?;
                acting.require_recent(&mut *tx).await?;
                if required && !locked.entitlements.require_second_factor {
                    return Err(TeamError::NotEntitled(Entitlement::RequireSecondFactor));
                }
                if required {
                    inner.second_factor_shown(&mut *tx, &acting.session).await?;
                }
                let before = core::mem::replace(&mut locked.require_second_factor, required);
                if before == required {
                    return Ok(());
                }
                tx.update_workspace(&locked).await?;
                if required {
                    for person in tx.people(locked.id).await? {
                        if !person.second_factor {
                            let workspace = locked.name.clone();
                            let message = Message::SecondFactorRequired { workspace };
                            inner.owe_mail(&mut *tx, inner.now(), &person.email, message).await?;
                        }
                    }
                }
                let shown = |required: bool| Some(json!({ "required": required }));
                let (action, target) = (Action::SecondFactorPolicyChanged, Target::Workspace(locked.id));
                Ok(acting.audit(&mut *tx, action, target, shown(before), shown(required)).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        inner
            .team_changed(member, if required { "second_factor_required" } else { "second_factor_optional" });
        Ok(())
    }

    /// Sets the widest scopes of service keys, live for those that exist; `None` is no ceiling. Asks for
    /// `policy.manage`, recent proofs, and, everywhere, the scopes that it would add.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn set_service_ceiling(
        &self,
        member: &Member,
        ceiling: Option<&BTreeSet<Scope>>,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        let catalogue = &inner.catalogue;
        if let Some(unknown) = ceiling.map(|names| catalogue.scopes(names).unknown).filter(|u| !u.is_empty())
        {
            let scopes = unknown.into_iter().collect();
            return Err(TeamError::UnknownNames(Lacks { permissions: BTreeSet::new(), scopes }));
        }
        inner
            .within(async |mut tx| {
                let (mut locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::POLICY_MANAGE)?;
                acting.require_recent(&mut *tx).await?;
                let everything = || catalogue.all_scopes().iter().map(|info| info.name.clone()).collect();
                let set = |names: Option<&BTreeSet<Scope>>| {
                    let names = names.cloned().unwrap_or_else(everything);
                    catalogue.scopes(&names).set
                };
                let added = set(ceiling).difference(&set(locked.service_ceiling.as_ref()));
                let added = Rights { scopes: added, ..Rights::NONE };
                catalogue
                    .covers_rights(&acting.reach, &added, &acting.book)
                    .map_err(|lacking| acting.lacks(&Lacks::of(&lacking, catalogue)))?;
                let before = core::mem::replace(&mut locked.service_ceiling, ceiling.cloned());
                if before.as_ref() == ceiling {
                    return Ok::<_, TeamError>(());
                }
                tx.update_workspace(&locked).await?;
                let shown = |names: Option<&BTreeSet<Scope>>| Some(json!({ "scopes": names }));
                let (action, target) = (Action::ServiceCeilingChanged, Target::Workspace(locked.id));
                Ok(acting.audit(&mut *tx, action, target, shown(before.as_ref()), shown(ceiling)).await?)
            })
            .await?;
        inner.team_changed(member, "service_ceiling_changed");
        Ok(inner.committed())
    }
}
