//! The part of the tour that is about money.

use portcullis::budget::{Budget, BudgetOptions, SpendError};
use portcullis::dashboard::{Dashboard, Grant, Member, NewLimit, Operator};
use portcullis::id::ProjectId;
use portcullis::money::{Amount, Cost, Credits};
use portcullis::spend::Period;
use portcullis::store::record::LimitMode;
use portcullis::store::sql::SqliteStore;

use super::{Done, step};

pub async fn tour(
    people: &Dashboard,
    operator: &Operator,
    member: &Member,
    project: ProjectId,
    store: SqliteStore,
) -> Done {
    step("Money: credit is bought once for each invoice, and a project gets a limit");
    let invoice = Grant::Purchase("25".parse()?);
    operator.grant_credit(member.workspace(), invoice, "invoice 2026-117").await?;
    let again = operator.grant_credit(member.workspace(), invoice, "invoice 2026-117").await?;
    println!("   granted again under the same key: nothing was done: {}", again.repeated);
    let amount = Cost::new("1.5".parse()?)?;
    let limit = NewLimit { project, spender: None, period: Period::Day, amount, mode: LimitMode::Leased };
    people.set_limit(member, &limit).await?;

    step("Reserve before the work, settle what it cost: here from the playground, without any key");
    let budget = Budget::new(store, BudgetOptions::new())?;
    let heartbeat = budget.start();
    let one = Amount::new("1".parse()?)?;
    let work = budget.reserve(people.playground(member, project).await?, one).await?;
    let settled = work.settle(Cost::new("0.875".parse()?)?).await?;
    println!("   set aside 1, settled {}", settled.cost.credits());
    match budget.reserve(people.playground(member, project).await?, one).await {
        Err(SpendError::Refused(why)) => {
            println!("   {} {why}; it resets at {:?}", why.status(), why.resets_at);
        }
        other => return Err(format!("a refusal was expected: {other:?}").into()),
    }
    heartbeat.shutdown().await?;
    people.send_alerts().await?;
    let credit = people.credit(member).await?;
    println!("   of {} credits {} are left", credit.granted, credit.left);
    let wrong = operator.check_ledger(member.workspace()).await?;
    println!("   balances that are not the sum of their entries: {}", wrong.len());
    assert!(wrong.is_empty() && credit.held == Credits::ZERO);
    Ok(())
}
