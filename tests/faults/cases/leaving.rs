//! Ending memberships and accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::dashboard::{Exposure, Offboarded, Offboarding};

use super::{Case, Got, case};
use crate::people::People;

/// Tom leaves: Tim takes over, what Tom was shown ends as said.
fn plan(people: &People, default: Exposure) -> Offboarding {
    let successor = Some(people.team.tim.person.session.account());
    Offboarding { successor, default, ..Offboarding::default() }
}

fn shown(done: &Offboarded) -> Got {
    match done.rotated.first() {
        Some(issued) => Got::Key(issued.text.id()),
        None => Got::Nothing,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = offboarding();
    all.extend(leaving());
    all.extend(accounts());
    all
}

fn offboarding() -> Vec<Case> {
    vec![
        case("Dashboard::preview_offboarding", "", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            Ok(Got::Said(format!("{:?}", door.preview_offboarding(&people.team.lea_in, tom).await?)))
        }),
        case("Dashboard::offboard", "rotating keys", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let plan = plan(&people, Exposure::RotateNow);
            Ok(shown(&door.offboard(&people.team.lea_in, tom, &plan).await?))
        }),
        case("Dashboard::offboard", "with an overlap, and one accepted", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let mut plan = plan(&people, Exposure::Overlap(Duration::from_mins(30)));
            let accepted = Exposure::Accept { reason: "ends in an hour".to_owned() };
            plan.exposed = BTreeMap::from([(people.team.lea_key, accepted)]);
            Ok(shown(&door.offboard(&people.team.lea_in, tom, &plan).await?))
        }),
        case("Dashboard::offboard", "somebody who has invited", |door, people| async move {
            let tim = people.team.tim.person.session.account();
            Ok(shown(&door.offboard(&people.team.lea_in, tim, &Offboarding::default()).await?))
        }),
        case("Dashboard::offboard", "without a successor", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            Ok(shown(&door.offboard(&people.team.lea_in, tom, &Offboarding::default()).await?))
        })
        .refused("successor_needed"),
        case("Dashboard::offboard", "without recent proofs", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let plan = plan(&people, Exposure::RotateNow);
            Ok(shown(&door.offboard(&people.team.lea_in, tom, &plan).await?))
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::offboard", "deciding about another's key", |door, people| async move {
            let tom = people.team.tom.person.session.account();
            let mut plan = plan(&people, Exposure::RotateNow);
            plan.exposed = BTreeMap::from([(people.service_key, Exposure::RotateNow)]);
            Ok(shown(&door.offboard(&people.team.lea_in, tom, &plan).await?))
        })
        .refused("key_not_exposed"),
        case("Dashboard::offboard", "somebody with more rights", |door, people| async move {
            let lea = people.team.lea.person.session.account();
            Ok(shown(&door.offboard(&people.team.uma.member, lea, &Offboarding::default()).await?))
        })
        .refused("actor_lacks_rights"),
        case("Dashboard::offboard", "an administrator, by a developer", |door, people| async move {
            let lea = people.team.lea.person.session.account();
            Ok(shown(&door.offboard(&people.team.tom.member, lea, &Offboarding::default()).await?))
        })
        .refused("role_lacks"),
    ]
}

fn leaving() -> Vec<Case> {
    vec![
        case("Dashboard::leave", "letting secrets run out", |door, people| async move {
            let plan = plan(&people, Exposure::Overlap(Duration::from_hours(1)));
            Ok(shown(&door.leave(&people.team.tom.person.session, people.team.id, &plan).await?))
        }),
        case("Dashboard::leave", "wanting to be shown another one", |door, people| async move {
            let plan = plan(&people, Exposure::RotateNow);
            Ok(shown(&door.leave(&people.team.tom.person.session, people.team.id, &plan).await?))
        })
        .refused("leaver_cannot_decide"),
        case("Dashboard::leave", "as the last administrator", |door, people| async move {
            let (session, plan) = (&people.team.uma.person.session, Offboarding::default());
            Ok(shown(&door.leave(session, people.team.umas.workspace(), &plan).await?))
        })
        .refused("last_administrator"),
        case("Dashboard::leave", "without recent proofs", |door, people| async move {
            let plan = plan(&people, Exposure::Overlap(Duration::from_hours(1)));
            Ok(shown(&door.leave(&people.team.tom.person.session, people.team.id, &plan).await?))
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
        case("Dashboard::leave", "where one is not", |door, people| async move {
            Ok(shown(&door.leave(&people.ada.session, people.team.id, &Offboarding::default()).await?))
        })
        .refused("not_found"),
    ]
}

fn accounts() -> Vec<Case> {
    vec![
        case("Dashboard::preview_account_deletion", "", |door, people| async move {
            let fates = door.preview_account_deletion(&people.team.tom.person.session).await?;
            Ok(Got::Said(format!("{fates:?}")))
        }),
        case("Dashboard::delete_account", "that is alone everywhere", |door, people| async move {
            let _ = door.delete_account(&people.ada.session, &BTreeMap::new()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_account", "that leaves a team", |door, people| async move {
            let plan = plan(&people, Exposure::Overlap(Duration::from_hours(1)));
            let plans = BTreeMap::from([(people.team.id, plan)]);
            let _ = door.delete_account(&people.team.tom.person.session, &plans).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_account", "that names nobody for its keys", |door, people| async move {
            let _ = door.delete_account(&people.team.tom.person.session, &BTreeMap::new()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::delete_account", "whose keys nobody can take over", |door, people| async move {
            let successor = Some(people.team.uma.person.session.account());
            let plans =
                BTreeMap::from([(people.team.id, Offboarding { successor, ..Offboarding::default() })]);
            let _ = door.delete_account(&people.team.tom.person.session, &plans).await?;
            Ok(Got::Nothing)
        })
        .refused("bad_successor"),
        case("Dashboard::delete_account", "of a last administrator", |door, people| async move {
            let _ = door.delete_account(&people.team.uma.person.session, &BTreeMap::new()).await?;
            Ok(Got::Nothing)
        })
        .refused("last_administrator"),
        case("Dashboard::delete_account", "without recent proofs", |door, people| async move {
            let _ = door.delete_account(&people.ada.session, &BTreeMap::new()).await?;
            Ok(Got::Nothing)
        })
        .refused("step_up_required")
        .after(Duration::from_mins(20)),
    ]
}
