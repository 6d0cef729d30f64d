//! Who could do this, and what would this change do.

use axum::http::StatusCode;
use axum::response::Response;

use crate::access::{AccessChange, Permission, Question, RoleDefinition, Scope};
use crate::dashboard::Member;
use crate::web::body::TryOut;
use crate::web::problem::Problem;
use crate::web::request::{
    Incoming, checked, json, malformed_query, permissions, read, read_with, scopes, shown,
};

pub(in crate::web) async fn who_can(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [permission, scope, project] = incoming.query(["permission", "scope", "project"])?;
    let permission = read_with(permission, |text| Permission::parse(text).ok())?.map(Question::from);
    let scope = read_with(scope, |text| Scope::parse(text).ok())?.map(Question::from);
    let ((Some(question), None) | (None, Some(question))) = (permission, scope) else {
        return Err(malformed_query());
    };
    let who = incoming.dashboard().who_can(&member, &question, read(project)?).await?;
    Ok(json(StatusCode::OK, &shown(&who)?))
}

pub(in crate::web) async fn dry_run(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let change = change(incoming.body().await?)?;
    let effects = dashboard.dry_run(&member, &change).await?;
    Ok(json(StatusCode::OK, &shown(&effects)?))
}

fn change(body: TryOut) -> Result<AccessChange, Problem> {
    Ok(match body {
        TryOut::MemberRole { account, role } => {
            AccessChange::MemberRole { account, role: checked(role.parse())? }
        }
        TryOut::ProjectRole { account, project, role } => {
            let role = role.map(|role| checked(role.parse())).transpose()?;
            AccessChange::ProjectRole { account, project, role }
        }
        TryOut::RemoveMember { account } => AccessChange::RemoveMember { account },
        TryOut::Role { role, permissions: may, scopes: widest } => AccessChange::Role(RoleDefinition {
            id: role,
            // What it is called changes nothing for anybody.
            name: String::new(),
            permissions: permissions(&may)?,
            scopes: scopes(&widest)?,
        }),
        TryOut::DeleteRole { role } => AccessChange::DeleteRole(role),
        TryOut::ServiceCeiling { scopes: widest } => {
            AccessChange::ServiceCeiling(widest.as_deref().map(scopes).transpose()?)
        }
        TryOut::RequireSecondFactor { required } => AccessChange::RequireSecondFactor(required),
    })
}
