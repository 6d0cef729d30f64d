//! Entering a workspace, and its keys.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::access::{Permission, Question};
use portcullis::dashboard::{NewKeyKind, Rotation};
use portcullis::id::{Id, OperationId, ProjectId};
use portcullis::store::{UsageQuery, UsageSplit, UsageStep};

use super::{Case, Got, case};
use crate::people::new_key;

fn usage(project: ProjectId) -> UsageQuery {
    let (from, to) = ("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z");
    UsageQuery::new(project, from.parse().unwrap(), to.parse().unwrap(), UsageStep::Day).unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let operation = OperationId::from_uuid(uuid::Uuid::from_u128(77));
    vec![
        case("Dashboard::workspaces", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.workspaces(&people.ada.session).await?)))
        }),
        case("Dashboard::enter", "for the first time", |door, people| async move {
            let member = door.enter(&people.ada_other, people.ada.member.workspace()).await?;
            Ok(Got::Said(member.workspace().to_string()))
        }),
        case("Dashboard::enter", "coming back", |door, people| async move {
            let member = door.enter(&people.ada.session, people.ada.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        }),
        case("Dashboard::enter", "another's", |door, people| async move {
            let member = door.enter(&people.ada.session, people.eve.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        })
        .refused("not_found"),
        case("Dashboard::enter", "when it is suspended", |door, people| async move {
            let member = door.enter(&people.gus.session, people.gus.member.workspace()).await?;
            Ok(Got::Said(member.entry().to_string()))
        })
        .refused("workspace_suspended"),
        case("Dashboard::projects", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.projects(&people.ada.member).await?)))
        }),
        case("Dashboard::may", "one's own", |door, people| async move {
            let question = Question::from(Permission::KEYS_ISSUE);
            let decision = door.may(&people.ada.member, &question, Some(people.ada.project)).await?;
            Ok(Got::Said(format!("{:?}", decision.is_allowed())))
        }),
        case("Dashboard::may", "another's", |door, people| async move {
            let question = Question::from(Permission::KEYS_ISSUE);
            let decision = door.may(&people.ada.member, &question, Some(people.eve.project)).await?;
            Ok(Got::Said(format!("{:?}", decision.is_allowed())))
        })
        .refused("not_found"),
        case("Dashboard::key", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.key(&people.ada.member, people.key).await?)))
        }),
        case("Dashboard::key", "of another", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.key(&people.eve.member, people.key).await?)))
        })
        .refused("not_found"),
        case("Dashboard::keys", "", |door, people| async move {
            let page = door.keys(&people.ada.member, people.ada.project, None, 100).await?;
            Ok(Got::Said(page.keys.len().to_string()))
        }),
        case("Dashboard::issue_key", "personal, under an operation id", move |door, people| async move {
            let mut new = new_key(people.ada.project, NewKeyKind::Personal);
            new.operation = Some(operation);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        }),
        case("Dashboard::issue_key", "service", |door, people| async move {
            let new = new_key(people.ada.project, NewKeyKind::Service);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        }),
        case("Dashboard::issue_key", "in another's project", |door, people| async move {
            let new = new_key(people.eve.project, NewKeyKind::Personal);
            Ok(Got::Key(door.issue_key(&people.ada.member, &new).await?.text.id()))
        })
        .refused("not_found"),
        case("Dashboard::rotate_key", "at once, under an operation id", move |door, people| async move {
            let issued =
                door.rotate_key(&people.ada.member, people.key, Rotation::AtOnce, Some(operation)).await?;
            Ok(Got::Key(issued.text.id()))
        }),
        case("Dashboard::rotate_key", "with an overlap", |door, people| async move {
            let overlap = Rotation::Overlap(Duration::from_hours(1));
            let issued = door.rotate_key(&people.ada.member, people.service_key, overlap, None).await?;
            Ok(Got::Key(issued.text.id()))
        }),
        case("Dashboard::narrow_key", "", |door, people| async move {
            let _ = door.narrow_key(&people.ada.member, people.key, &BTreeSet::new()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::narrow_key", "to what it does not carry", |door, people| async move {
            let more = BTreeSet::from(["files.delete".parse().unwrap()]);
            let _ = door.narrow_key(&people.ada.member, people.key, &more).await?;
            Ok(Got::Nothing)
        })
        .refused("scopes_not_carried"),
        case("Dashboard::least_scopes", "", |door, people| async move {
            let least = door.least_scopes(&people.ada.member, people.key, Duration::from_hours(24)).await?;
            Ok(Got::Said(format!("{least:?}")))
        }),
        case("Dashboard::least_scopes", "of another", |door, people| async move {
            let least = door.least_scopes(&people.eve.member, people.key, Duration::from_hours(24)).await?;
            Ok(Got::Said(format!("{least:?}")))
        })
        .refused("not_found"),
        case("Dashboard::unused_scopes", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.unused_scopes(&people.ada.member, Duration::ZERO).await?)))
        }),
        case("Dashboard::usage", "split by nothing", |door, people| async move {
            let page = door.usage(&people.ada.member, &usage(people.ada.project), None, 10).await?;
            Ok(Got::Said(format!("{page:?}")))
        }),
        case("Dashboard::usage", "split by spender", |door, people| async move {
            let query = usage(people.ada.project).split(UsageSplit::Spender);
            Ok(Got::Said(format!("{:?}", door.usage(&people.ada.member, &query, None, 10).await?)))
        }),
        case("Dashboard::usage", "of another's project", |door, people| async move {
            let page = door.usage(&people.ada.member, &usage(people.eve.project), None, 10).await?;
            Ok(Got::Said(format!("{page:?}")))
        })
        .refused("not_found"),
        case("Dashboard::suspend_key", "", |door, people| async move {
            let _ = door.suspend_key(&people.ada.member, people.key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::resume_key", "", |door, people| async move {
            let _ = door.resume_key(&people.ada.member, people.suspended_key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::revoke_key", "", |door, people| async move {
            let _ = door.revoke_key(&people.ada.member, people.key).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::revoke_key", "of another", |door, people| async move {
            let _ = door.revoke_key(&people.eve.member, people.key).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
    ]
}
