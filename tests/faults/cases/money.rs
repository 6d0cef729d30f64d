//! Limits, credit, the ledger, the playground and alerts.

use portcullis::dashboard::{Dashboard, Grant, NewLimit, Operator};
use portcullis::id::{HoldId, Id};
use portcullis::money::Cost;
use portcullis::spend::{Period, Spender};

use super::{Case, Got, case};
use crate::people::{credits, new_limit};

fn operator(door: &Dashboard) -> Operator {
    Operator::of(door, "an operator").unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = of_members();
    all.extend(of_the_service());
    all
}

fn of_members() -> Vec<Case> {
    vec![
        case("Dashboard::limits", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.limits(&people.ada.member, people.ada.project).await?)))
        }),
        case("Dashboard::limits", "of another's project", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.limits(&people.ada.member, people.eve.project).await?)))
        })
        .refused("not_found"),
        case("Dashboard::set_limit", "of a project", |door, people| async move {
            let new = new_limit(people.ada.project, Period::Week, 50);
            door.set_limit(&people.ada.member, &new).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_limit", "to less than is used", |door, people| async move {
            let new = new_limit(people.ada.project, Period::Month, 59);
            door.set_limit(&people.ada.member, &new).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_limit", "of a key", |door, people| async move {
            let spender = Some(Spender::Key(people.key));
            let new = NewLimit { spender, ..new_limit(people.ada.project, Period::Day, 50) };
            door.set_limit(&people.ada.member, &new).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_limit", "of somebody else", |door, people| async move {
            let spender = Some(Spender::Member(people.eve.session.account()));
            let new = NewLimit { spender, ..new_limit(people.ada.project, Period::Day, 50) };
            door.set_limit(&people.ada.member, &new).await?;
            Ok(Got::Nothing)
        })
        .refused("no_such_spender"),
        case("Dashboard::remove_limit", "", |door, people| async move {
            door.remove_limit(&people.ada.member, people.ada.project, people.limit).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::remove_limit", "of another's project", |door, people| async move {
            door.remove_limit(&people.eve.member, people.eve.project, people.limit).await?;
            Ok(Got::Nothing)
        })
        .refused("no_such_limit"),
        case("Dashboard::credit", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.credit(&people.ada.member).await?)))
        }),
        case("Dashboard::ledger", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.ledger(&people.ada.member, None, 10).await?)))
        }),
        case("Dashboard::playground", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.playground(&people.ada.member, people.ada.project).await?)))
        }),
        case("Dashboard::playground", "of a suspended project", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.playground(&people.gus.member, people.gus.project).await?)))
        })
        .refused("workspace_suspended"),
    ]
}

fn of_the_service() -> Vec<Case> {
    vec![
        case("Dashboard::send_alerts", "one that waits", |door, _| async move {
            Ok(Got::Said(format!("{:?}", door.send_alerts().await?)))
        }),
        case("Operator::alerts", "", |door, _| async move {
            Ok(Got::Said(format!("{:?}", operator(&door).alerts(None).await?)))
        }),
        case("Operator::grant_credit", "bought", |door, people| async move {
            let what = Grant::Purchase(credits(500));
            let granted = operator(&door).grant_credit(people.ada.member.workspace(), what, "second").await?;
            Ok(Got::Said(format!("{}", granted.repeated)))
        }),
        case("Operator::grant_credit", "taken back beyond what is left", |door, people| async move {
            let what = Grant::Adjustment(credits(-5_000));
            let granted = operator(&door).grant_credit(people.ada.member.workspace(), what, "back").await?;
            Ok(Got::Said(format!("{}", granted.repeated)))
        }),
        case("Operator::grant_credit", "the same again", |door, people| async move {
            let what = Grant::Purchase(credits(1_000));
            let granted = operator(&door).grant_credit(people.ada.member.workspace(), what, "first").await?;
            Ok(Got::Said(format!("{}", granted.repeated)))
        }),
        case("Operator::grant_credit", "something else under a key", |door, people| async move {
            let what = Grant::Purchase(credits(7));
            operator(&door).grant_credit(people.ada.member.workspace(), what, "first").await?;
            Ok(Got::Nothing)
        })
        .refused("idempotency_key_reused"),
        case("Operator::unaccounted", "", |door, people| async move {
            let holds = operator(&door).unaccounted(people.ada.member.workspace(), None).await?;
            Ok(Got::Said(format!("{holds:?}")))
        }),
        case("Operator::account_for", "in part", |door, people| async move {
            let spent = Cost::new(credits(20)).unwrap();
            let workspace = people.ada.member.workspace();
            let was = operator(&door).account_for(workspace, people.hold, spent, "seen in its log").await?;
            Ok(Got::Said(format!("{was}")))
        }),
        case("Operator::account_for", "of what is nowhere", |door, people| async move {
            let hold = HoldId::from_uuid(uuid::Uuid::from_u128(9));
            let workspace = people.ada.member.workspace();
            operator(&door).account_for(workspace, hold, Cost::default(), "nothing").await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
        case("Operator::check_ledger", "", |door, people| async move {
            let found = operator(&door).check_ledger(people.ada.member.workspace()).await?;
            Ok(Got::Said(format!("{found:?}")))
        }),
    ]
}
