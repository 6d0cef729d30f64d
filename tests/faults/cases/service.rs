//! What the service does by itself, and its operator.

use portcullis::dashboard::{Dashboard, Operator};
use portcullis::key::RateLimit;

use super::{Case, DAY, Got, case};

pub(super) fn cases() -> Vec<Case> {
    let operator = |door: &Dashboard| Operator::of(door, "an operator").unwrap();
    vec![
        case("Dashboard::send_mail", "two mails", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.send_mail(&*people.mailbox).await?)))
        })
        .by_mail(),
        case("Dashboard::sweep", "after a month", |door, _| async move {
            Ok(Got::Said(format!("{:?}", door.sweep().await?)))
        })
        .after(DAY * 31),
        case("Operator::suspend_account", "", move |door, people| async move {
            let _ = operator(&door).suspend_account(people.ada.session.account(), "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_account", "", move |door, people| async move {
            let _ = operator(&door).resume_account(people.dan.session.account()).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_workspace", "", move |door, people| async move {
            let _ = operator(&door).suspend_workspace(people.ada.member.workspace(), "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_workspace", "", move |door, people| async move {
            let _ = operator(&door).resume_workspace(people.gus.member.workspace()).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_project", "", move |door, people| async move {
            let _ = operator(&door).suspend_project(people.ada.project, "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_project", "", move |door, people| async move {
            let _ = operator(&door).resume_project(people.gus.project).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_key", "", move |door, people| async move {
            let _ = operator(&door).suspend_key(people.key, "abuse").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::resume_key", "", move |door, people| async move {
            let _ = operator(&door).resume_key(people.key_suspended_by_operator).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::limit_project", "", move |door, people| async move {
            let limit = RateLimit::new(7, 60).ok();
            let _ = operator(&door).limit_project(people.ada.project, limit).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::unlock_account", "", move |door, people| async move {
            operator(&door)
                .unlock_account(people.ada.session.account(), "called, and was who she said")
                .await?;
            Ok(Got::Nothing)
        }),
        case("Operator::mark_password_compromised", "", move |door, people| async move {
            let id = people.ada.session.account();
            operator(&door).mark_password_compromised(id, "seen in a dump").await?;
            Ok(Got::Nothing)
        }),
    ]
}
