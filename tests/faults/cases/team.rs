//! A workspace, its projects, its roles, its policies and who has entered it.

use std::time::Duration;

use portcullis::access::{AccessChange, Permission, Question, Role, Scope};
use portcullis::dashboard::{KeyQuestion, ProjectChange};

use super::{Case, DAY, Got, case};
use crate::team::{label, new_role};

fn name(text: &str) -> portcullis::name::DisplayName {
    text.parse().unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = workspaces();
    all.extend(projects());
    all.extend(roles());
    all.extend(policies());
    all.extend(looking());
    all
}

fn workspaces() -> Vec<Case> {
    vec![
        case("Dashboard::create_workspace", "", |door, people| async move {
            door.create_workspace(&people.ada.session, &name("Another")).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::create_workspace", "by a session that ended", |door, people| async move {
            door.create_workspace(&people.ended, &name("Another")).await?;
            Ok(Got::Nothing)
        })
        .refused("not_signed_in"),
        case("Dashboard::rename_workspace", "", |door, people| async move {
            door.rename_workspace(&people.team.lea_in, &name("Renamed")).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::rename_workspace", "by a developer", |door, people| async move {
            door.rename_workspace(&people.team.tom.member, &name("Renamed")).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
        case("Dashboard::rename_workspace", "when it is archived", |door, people| async move {
            door.rename_workspace(&people.team.archived, &name("Renamed")).await?;
            Ok(Got::Nothing)
        })
        .refused("archived"),
        case("Dashboard::archive_workspace", "", |door, people| async move {
            let _ = door.archive_workspace(&people.team.lea_in).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::archive_workspace", "without recent proofs", |door, people| async move {
            let _ = door.archive_workspace(&people.team.lea_in).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::archive_workspace", "one's personal one", |door, people| async move {
            let _ = door.archive_workspace(&people.ada.member).await?;
            Ok(Got::Nothing)
        })
        .refused("personal_workspace"),
        case("Dashboard::restore_workspace", "", |door, people| async move {
            let _ = door.restore_workspace(&people.team.archived).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::preview_workspace_deletion", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.preview_workspace_deletion(&people.team.lea_in).await?)))
        }),
        case("Dashboard::delete_workspace", "", |door, people| async move {
            let _ = door.delete_workspace(&people.team.lea_in).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_workspace", "by a developer", |door, people| async move {
            let _ = door.delete_workspace(&people.team.tom.member).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
        case("Dashboard::enter", "an entry that was ended, by new proofs", |door, people| async move {
            let member = door.enter(&people.team.back, people.team.id).await?;
            Ok(Got::Said(member.entry().to_string()))
        }),
        case("Dashboard::enter", "an entry that was ended, without", |door, people| async move {
            let member = door.enter(&people.team.out, people.team.id).await?;
            Ok(Got::Said(member.entry().to_string()))
        })
        .refused("entry_ended"),
    ]
}

fn projects() -> Vec<Case> {
    vec![
        case("Dashboard::create_project", "", |door, people| async move {
            let label = label("production");
            door.create_project(&people.team.lea_in, &name("production"), Some(&label)).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::create_project", "under a name that is taken", |door, people| async move {
            door.create_project(&people.team.lea_in, &name("staging"), None).await?;
            Ok(Got::Nothing)
        })
        .refused("name_taken"),
        case("Dashboard::create_project", "by a developer", |door, people| async move {
            door.create_project(&people.team.tom.member, &name("production"), None).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
        case("Dashboard::create_project", "beyond the plan", |door, people| async move {
            door.create_project(&people.team.umas, &name("production"), None).await?;
            Ok(Got::Nothing)
        })
        .refused("no_project_left"),
        case("Dashboard::change_project", "its name, label and requirement", |door, people| async move {
            let change = ProjectChange {
                name: Some(name("stage")),
                label: Some(None),
                require_second_factor: Some(true),
            };
            door.change_project(&people.team.lea_in, people.team.project, &change).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::change_project", "to a name that is taken", |door, people| async move {
            let change = ProjectChange { name: Some(name("old")), ..ProjectChange::default() };
            door.change_project(&people.team.lea_in, people.team.project, &change).await?;
            Ok(Got::Nothing)
        })
        .refused("name_taken"),
        case("Dashboard::archive_project", "", |door, people| async move {
            let _ = door.archive_project(&people.team.lea_in, people.team.project).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::archive_project", "of another workspace", |door, people| async move {
            let _ = door.archive_project(&people.team.lea_in, people.ada.project).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
        case("Dashboard::restore_project", "", |door, people| async move {
            let _ = door.restore_project(&people.team.lea_in, people.team.archived_project).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::preview_project_deletion", "", |door, people| async move {
            let contents = door.preview_project_deletion(&people.team.lea_in, people.team.project).await?;
            Ok(Got::Said(format!("{contents:?}")))
        }),
        case("Dashboard::delete_project", "", |door, people| async move {
            let _ = door.delete_project(&people.team.lea_in, people.team.project).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_project", "without recent proofs", |door, people| async move {
            let _ = door.delete_project(&people.team.lea_in, people.team.project).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
    ]
}

fn roles() -> Vec<Case> {
    vec![
        case("Dashboard::roles", "", |door, people| async move {
            Ok(Got::Said(door.roles(&people.team.lea_in).await?.len().to_string()))
        }),
        case("Dashboard::create_role", "", |door, people| async move {
            let new = new_role("ops", &[Permission::KEYS_MANAGE], &["completions.create"]);
            door.create_role(&people.team.lea_in, &new).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::create_role", "without recent proofs", |door, people| async move {
            door.create_role(&people.team.lea_in, &new_role("ops", &[], &[])).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::create_role", "of unknown scopes", |door, people| async move {
            door.create_role(&people.team.lea_in, &new_role("ops", &[], &["no.such"])).await?;
            Ok(Got::Nothing)
        })
        .refused("unknown_names"),
        case("Dashboard::create_role", "by a developer", |door, people| async move {
            door.create_role(&people.team.tom.member, &new_role("ops", &[], &[])).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
        case("Dashboard::edit_role", "that somebody holds", |door, people| async move {
            let new = new_role("writer", &[Permission::MEMBERS_READ], &["completions.create"]);
            let _ = door.edit_role(&people.team.lea_in, people.team.role, &new).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::edit_role", "beyond what its holder has", |door, people| async move {
            let new = new_role("people", &[Permission::POLICY_MANAGE], &[]);
            let _ = door.edit_role(&people.team.uma.member, people.team.role, &new).await?;
            Ok(Got::Nothing)
        })
        .refused("actor_lacks_rights"),
        case("Dashboard::delete_role", "", |door, people| async move {
            door.delete_role(&people.team.lea_in, people.team.idle_role).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_role", "that somebody holds", |door, people| async move {
            door.delete_role(&people.team.lea_in, people.team.role).await?;
            Ok(Got::Nothing)
        })
        .refused("role_in_use"),
    ]
}

fn policies() -> Vec<Case> {
    vec![
        case("Dashboard::preview_second_factor_requirement", "", |door, people| async move {
            let without = door.preview_second_factor_requirement(&people.team.lea_in).await?;
            Ok(Got::Said(format!("{without:?}")))
        }),
        case("Dashboard::require_second_factor", "of everybody", |door, people| async move {
            door.require_second_factor(&people.team.lea_in, true).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::require_second_factor", "without having one", |door, people| async move {
            door.require_second_factor(&people.team.tim.member, true).await?;
            Ok(Got::Nothing)
        })
        .refused("enrolment_needed"),
        case("Dashboard::require_second_factor", "beyond the plan", |door, people| async move {
            door.require_second_factor(&people.team.umas, true).await?;
            Ok(Got::Nothing)
        })
        .refused("not_entitled"),
        case("Dashboard::require_second_factor", "without recent proofs", |door, people| async move {
            door.require_second_factor(&people.team.lea_in, true).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::set_service_ceiling", "", |door, people| async move {
            let ceiling = [Scope::parse("models.read").unwrap()].into();
            let _ = door.set_service_ceiling(&people.team.lea_in, Some(&ceiling)).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_service_ceiling", "by a developer", |door, people| async move {
            let _ = door.set_service_ceiling(&people.team.tom.member, None).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
    ]
}

/// Entries, keys to look over, rights, and the log.
fn looking() -> Vec<Case> {
    vec![
        case("Dashboard::entries", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.entries(&people.team.lea_in).await?)))
        }),
        case("Dashboard::end_entry", "", |door, people| async move {
            door.end_entry(&people.team.lea_in, people.team.tom_entry).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::end_entry", "of somebody with more rights", |door, people| async move {
            door.end_entry(&people.team.uma.member, people.team.lea_in.entry()).await?;
            Ok(Got::Nothing)
        })
        .refused("actor_lacks_rights"),
        case("Dashboard::end_entry", "to another workspace", |door, people| async move {
            door.end_entry(&people.team.lea_in, people.ada.member.entry()).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
        case("Dashboard::keys_to_review", "that end soon", |door, people| async move {
            let question = KeyQuestion::ExpiringWithin(DAY * 100);
            Ok(Got::Said(format!("{:?}", door.keys_to_review(&people.team.lea_in, question).await?)))
        }),
        case("Dashboard::keys_to_review", "that are not used", |door, people| async move {
            let question = KeyQuestion::UnusedFor(Duration::from_mins(1));
            Ok(Got::Said(format!("{:?}", door.keys_to_review(&people.team.lea_in, question).await?)))
        }),
        case("Dashboard::set_custodian", "", |door, people| async move {
            let to = people.team.tim.person.session.account();
            let _ = door.set_custodian(&people.team.lea_in, people.team.tom_key, to).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_custodian", "somebody who could not", |door, people| async move {
            let to = people.team.uma.person.session.account();
            let _ = door.set_custodian(&people.team.lea_in, people.team.tom_key, to).await?;
            Ok(Got::Nothing)
        })
        .refused("bad_successor"),
        case("Dashboard::rotate_key", "whose secret a leaver knows", |door, people| async move {
            let rotation = portcullis::dashboard::Rotation::AtOnce;
            let issued = door.rotate_key(&people.team.lea_in, people.team.lea_key, rotation, None).await?;
            Ok(Got::Key(issued.text.id()))
        }),
        case("Dashboard::who_can", "use a scope", |door, people| async move {
            let question = Question::from(Scope::parse("models.read").unwrap());
            let who = door.who_can(&people.team.lea_in, &question, Some(people.team.project)).await?;
            Ok(Got::Said(format!("{who:?}")))
        }),
        case("Dashboard::who_can", "by somebody who may not ask", |door, people| async move {
            let question = Question::from(Permission::MEMBERS_READ);
            Ok(Got::Said(format!("{:?}", door.who_can(&people.team.tom_at_umas, &question, None).await?)))
        })
        .refused("role_lacks"),
        case("Dashboard::dry_run", "of another role", |door, people| async move {
            let account = people.team.tom.person.session.account();
            let change = AccessChange::MemberRole { account, role: Role::Viewer };
            Ok(Got::Said(format!("{:?}", door.dry_run(&people.team.lea_in, &change).await?)))
        }),
        case("Dashboard::dry_run", "by a developer", |door, people| async move {
            let change = AccessChange::ServiceCeiling(None);
            Ok(Got::Said(format!("{:?}", door.dry_run(&people.team.tom.member, &change).await?)))
        })
        .refused("role_lacks"),
    ]
}
