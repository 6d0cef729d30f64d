//! Who is in a workspace: invited, let in, given roles.

use std::time::Duration;

use portcullis::access::{ProjectRole, Role};
use portcullis::secret::InvitationToken;

use super::{Case, Got, again, case};
use crate::people::{PASSWORD, secret, source};
use crate::team::new_invitation;

fn link(text: &str) -> InvitationToken {
    InvitationToken::parse(text).unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = invitations();
    all.extend(accepting());
    all.extend(roles());
    all
}

fn invitations() -> Vec<Case> {
    vec![
        case("Dashboard::invite", "a new address", |door, people| async move {
            let new = new_invitation("newcomer", Role::Custom(people.team.role));
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.lea_in, &new).await?.role)))
        }),
        case("Dashboard::invite", "in place of one that has run out", |door, people| async move {
            let new = new_invitation("late", Role::Viewer);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.lea_in, &new).await?.role)))
        }),
        case("Dashboard::invite", "a member", |door, people| async move {
            let new = new_invitation("tom", Role::Viewer);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.lea_in, &new).await?.role)))
        })
        .refused("already_member"),
        case("Dashboard::invite", "somebody who is invited", |door, people| async move {
            let new = new_invitation("zoe", Role::Viewer);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.lea_in, &new).await?.role)))
        })
        .refused("already_invited"),
        case("Dashboard::invite", "by a developer", |door, people| async move {
            let new = new_invitation("newcomer", Role::Viewer);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.tom.member, &new).await?.role)))
        })
        .refused("role_lacks"),
        case("Dashboard::invite", "an administrator, without recent proofs", |door, people| async move {
            let new = new_invitation("newcomer", Role::Admin);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.lea_in, &new).await?.role)))
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::invite", "to more than one has", |door, people| async move {
            let new = new_invitation("newcomer", Role::Admin);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.uma.member, &new).await?.role)))
        })
        .refused("actor_lacks_rights"),
        case("Dashboard::invite", "when all seats are taken", |door, people| async move {
            let new = new_invitation("newcomer", Role::Viewer);
            Ok(Got::Said(format!("{:?}", door.invite(&people.team.umas, &new).await?.role)))
        })
        .refused("no_seat_left"),
        case("Dashboard::invitations", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.invitations(&people.team.lea_in).await?)))
        }),
        case("Dashboard::resend_invitation", "", |door, people| async move {
            let view = door.resend_invitation(&people.team.tim.member, people.team.invitation).await?;
            Ok(Got::Said(view.invited_by.to_string()))
        }),
        case("Dashboard::resend_invitation", "of another workspace", |door, people| async move {
            let view = door.resend_invitation(&people.ada.member, people.team.invitation).await?;
            Ok(Got::Said(view.invited_by.to_string()))
        })
        .refused("not_found"),
        case("Dashboard::revoke_invitation", "", |door, people| async move {
            door.revoke_invitation(&people.team.lea_in, people.team.invitation).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::revoke_invitation", "by a developer", |door, people| async move {
            door.revoke_invitation(&people.team.tom.member, people.team.invitation).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
    ]
}

fn accepting() -> Vec<Case> {
    vec![
        case("Dashboard::invitation", "looked at", |door, people| async move {
            let face = door.invitation(&link(&people.team.zoe_link), &source()).await?;
            Ok(Got::Said(format!("{face:?}")))
        }),
        case("Dashboard::invitation", "that is none", |door, _| async move {
            let face = door.invitation(&InvitationToken::from_random([9; 32]), &source()).await?;
            Ok(Got::Said(format!("{face:?}")))
        })
        .refused("invalid_link"),
        case("Dashboard::accept_invitation", "with an account", |door, people| async move {
            let into = door.accept_invitation(&people.ada.session, &link(&people.team.ada_link)).await?;
            Ok(Got::Said(into.to_string()))
        }),
        case("Dashboard::accept_invitation", "of another address", |door, people| async move {
            let into = door.accept_invitation(&people.eve.session, &link(&people.team.ada_link)).await?;
            Ok(Got::Said(into.to_string()))
        })
        .refused("other_address"),
        case("Dashboard::accept_invitation", "when all seats are taken", |door, people| async move {
            let into = door.accept_invitation(&people.eve.session, &link(&people.team.eve_link)).await?;
            Ok(Got::Said(into.to_string()))
        })
        .refused("no_seat_left"),
        case("Dashboard::accept_invitation", "to what is archived", |door, people| async move {
            let token = link(&people.team.bob_link);
            Ok(Got::Said(door.accept_invitation(&people.bob.person.session, &token).await?.to_string()))
        })
        .refused("workspace_closed"),
        case("Dashboard::accept_invitation", "that is none", |door, people| async move {
            let none = InvitationToken::from_random([9; 32]);
            Ok(Got::Said(door.accept_invitation(&people.ada.session, &none).await?.to_string()))
        })
        .refused("invalid_link"),
        case("Dashboard::accept_invitation", "by a session that ended", |door, people| async move {
            let into = door.accept_invitation(&people.ended, &link(&people.team.ada_link)).await?;
            Ok(Got::Said(into.to_string()))
        })
        .refused("not_signed_in"),
        case("Dashboard::sign_up_with_invitation", "", |door, people| async move {
            let token = link(&people.team.zoe_link);
            let done = door.sign_up_with_invitation(&token, secret(PASSWORD), &source()).await?;
            Ok(Got::Session(again(&done)))
        }),
        case("Dashboard::sign_up_with_invitation", "of an account", |door, people| async move {
            let token = link(&people.team.ada_link);
            let done = door.sign_up_with_invitation(&token, secret(PASSWORD), &source()).await?;
            Ok(Got::Session(again(&done)))
        })
        .refused("sign_in_first"),
        case("Dashboard::sign_up_with_invitation", "with a bad password", |door, people| async move {
            let token = link(&people.team.zoe_link);
            let done = door.sign_up_with_invitation(&token, secret("short"), &source()).await?;
            Ok(Got::Session(again(&done)))
        })
        .refused("password_too_short"),
    ]
}

fn roles() -> Vec<Case> {
    vec![
        case("Dashboard::members", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.members(&people.team.lea_in).await?)))
        }),
        case("Dashboard::set_role", "", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let _ = door.set_role(&people.team.lea_in, tom, Role::Viewer).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_role", "without recent proofs", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let _ = door.set_role(&people.team.lea_in, tom, Role::Viewer).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::set_role", "of the last administrator", |door, people| async move {
            let uma = people.team.uma.person.session.account();
            let _ = door.set_role(&people.team.umas, uma, Role::Viewer).await?;
            Ok(Got::Nothing)
        })
        .refused("last_administrator"),
        case("Dashboard::set_role", "of oneself, upwards", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let _ = door.set_role(&people.team.tom.member, tom, Role::Admin).await?;
            Ok(Got::Nothing)
        })
        .refused("role_lacks"),
        case("Dashboard::set_role", "beyond one's own", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let _ = door.set_role(&people.team.uma.member, tom, Role::Admin).await?;
            Ok(Got::Nothing)
        })
        .refused("actor_lacks_rights"),
        case("Dashboard::set_role", "of somebody who is no member", |door, people| async move {
            let _ = door.set_role(&people.team.lea_in, people.ada.session.account(), Role::Admin).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
        case("Dashboard::set_project_role", "to none", |door, people| async move {
            let (tom, none) = (people.team.tom.person.session.account(), Some(ProjectRole::None));
            let _ = door.set_project_role(&people.team.lea_in, tom, people.team.project, none).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_project_role", "taken away", |door, people| async move {
            let uma = people.team.uma.person.session.account();
            let _ = door.set_project_role(&people.team.lea_in, uma, people.team.project, None).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::set_project_role", "in another's project", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let role = Some(ProjectRole::Is(Role::Admin));
            let _ = door.set_project_role(&people.team.lea_in, tom, people.ada.project, role).await?;
            Ok(Got::Nothing)
        })
        .refused("not_found"),
    ]
}
