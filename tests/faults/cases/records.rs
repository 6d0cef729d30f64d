//! The audit log, and operator-assisted recoveries.

use portcullis::audit::{ChainId, CheckpointKey};
use portcullis::dashboard::{Dashboard, Operator};
use portcullis::secret::{CancelRecoveryToken, RecoveryEmailToken};
use portcullis::store::AuditFilter;
use portcullis::store::record::{Entitlements, RecoveryKind};

use super::{Case, DAY, Got, case};
use crate::people::{email, source};

fn operator(door: &Dashboard) -> Operator {
    Operator::of(door, "an operator").unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = log();
    all.extend(recoveries());
    all.extend(service());
    all
}

fn log() -> Vec<Case> {
    vec![
        case("Dashboard::seal_audit", "two chains", |door, _| async move {
            Ok(Got::Said(format!("{:?}", door.seal_audit().await?)))
        })
        .in_parts(),
        case("Dashboard::audit_log", "", |door, people| async move {
            let page = door.audit_log(&people.team.lea_in, &AuditFilter::default(), 1_000).await?;
            Ok(Got::Said(page.entries.len().to_string()))
        }),
        case("Dashboard::audit_log", "read by a developer", |door, people| async move {
            let page = door.audit_log(&people.team.tom.member, &AuditFilter::default(), 1_000).await?;
            Ok(Got::Said(page.entries.len().to_string()))
        })
        .refused("role_lacks"),
        case("Dashboard::export_audit", "", |door, people| async move {
            Ok(Got::Said(door.export_audit(&people.team.lea_in, 0, 1_000).await?.lines))
        }),
        case("Dashboard::export_audit", "read by a developer", |door, people| async move {
            Ok(Got::Said(door.export_audit(&people.team.tom.member, 0, 1_000).await?.lines))
        })
        .refused("role_lacks"),
        case("Operator::audit_log", "", |door, _| async move {
            let page = operator(&door).audit_log(ChainId::Accounts, &AuditFilter::default(), 1_000).await?;
            Ok(Got::Said(page.entries.len().to_string()))
        }),
        case("Operator::export_audit", "", |door, people| async move {
            let chain = ChainId::Workspace(people.team.id);
            Ok(Got::Said(operator(&door).export_audit(chain, 0, 1_000).await?.lines))
        }),
        case("Operator::audit_checkpoint", "", |door, people| async move {
            let key = CheckpointKey::new(1, [3; 32]);
            let chain = ChainId::Workspace(people.team.id);
            Ok(Got::Said(operator(&door).audit_checkpoint(chain, &key).await?))
        }),
    ]
}

fn recoveries() -> Vec<Case> {
    let finishing = DAY * 4;
    vec![
        case("Operator::open_recovery", "of a second factor", |door, people| async move {
            let bob = people.bob.person.session.account();
            operator(&door).open_recovery(bob, &RecoveryKind::SecondFactor, "called").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::open_recovery", "of an address", |door, people| async move {
            let kind = RecoveryKind::Email(email("next"));
            operator(&door).open_recovery(people.ada.session.account(), &kind, "called").await?;
            Ok(Got::Nothing)
        }),
        case("Operator::open_recovery", "to an address that is taken", |door, people| async move {
            let kind = RecoveryKind::Email(people.eve.email.clone());
            operator(&door).open_recovery(people.ada.session.account(), &kind, "called").await?;
            Ok(Got::Nothing)
        })
        .refused("email_taken"),
        case("Operator::open_recovery", "beside one that waits", |door, people| async move {
            let kay = people.kay.person.session.account();
            operator(&door).open_recovery(kay, &RecoveryKind::SecondFactor, "called").await?;
            Ok(Got::Nothing)
        })
        .refused("recovery_pending"),
        case("Operator::open_recovery", "of a second factor that is not there", |door, people| async move {
            let ada = people.ada.session.account();
            operator(&door).open_recovery(ada, &RecoveryKind::SecondFactor, "called").await?;
            Ok(Got::Nothing)
        })
        .refused("no_second_factor"),
        case("Operator::recovery", "", |door, people| async move {
            let case = operator(&door).recovery(people.kay.person.session.account()).await?;
            Ok(Got::Said(format!("{case:?}")))
        }),
        case("Operator::cancel_recovery", "", |door, people| async move {
            operator(&door).cancel_recovery(people.gus.session.account()).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::finish_recovery", "of a second factor", |door, people| async move {
            let kay = people.kay.person.session.account();
            operator(&door).finish_recovery(kay, people.team.kay_case).await?;
            Ok(Got::Nothing)
        })
        .after(finishing),
        case("Operator::finish_recovery", "of an address", |door, people| async move {
            operator(&door).finish_recovery(people.gus.session.account(), people.team.gus_case).await?;
            Ok(Got::Nothing)
        })
        .after(finishing),
        case("Operator::finish_recovery", "before its time", |door, people| async move {
            operator(&door).finish_recovery(people.gus.session.account(), people.team.gus_case).await?;
            Ok(Got::Nothing)
        })
        .refused("recovery_not_due"),
        case("Operator::finish_recovery", "to an address that is not proven", |door, people| async move {
            operator(&door).finish_recovery(people.fay.session.account(), people.team.fay_case).await?;
            Ok(Got::Nothing)
        })
        .refused("recovery_unconfirmed")
        .after(finishing),
        case("Dashboard::recovery", "", |door, people| async move {
            Ok(Got::Said(format!("{:?}", door.recovery(&people.fay.session).await?)))
        }),
        case("Dashboard::stop_recovery", "", |door, people| async move {
            door.stop_recovery(&people.fay.session).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::stop_recovery", "by a session that ended", |door, people| async move {
            door.stop_recovery(&people.ended).await?;
            Ok(Got::Nothing)
        })
        .refused("not_signed_in"),
        case("Dashboard::cancel_recovery", "", |door, people| async move {
            let token = CancelRecoveryToken::parse(&people.team.fay_cancel).unwrap();
            door.cancel_recovery(&token, &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::cancel_recovery", "with no link", |door, _| async move {
            door.cancel_recovery(&CancelRecoveryToken::from_random([9; 32]), &source()).await?;
            Ok(Got::Nothing)
        })
        .refused("invalid_link"),
        case("Dashboard::confirm_recovery_email", "", |door, people| async move {
            let token = RecoveryEmailToken::parse(&people.team.fay_confirm).unwrap();
            door.confirm_recovery_email(&token, &source()).await?;
            Ok(Got::Nothing)
        }),
        case("Dashboard::confirm_recovery_email", "with no link", |door, _| async move {
            door.confirm_recovery_email(&RecoveryEmailToken::from_random([9; 32]), &source()).await?;
            Ok(Got::Nothing)
        })
        .refused("invalid_link"),
    ]
}

fn service() -> Vec<Case> {
    vec![
        case("Operator::set_entitlements", "", |door, people| async move {
            let less = Entitlements { seats: Some(2), ..Entitlements::default() };
            let _ = operator(&door).set_entitlements(people.team.id, less).await?;
            Ok(Got::Nothing)
        }),
        case("Operator::suspend_account", "of a last administrator", |door, people| async move {
            let uma = people.team.uma.person.session.account();
            let _ = operator(&door).suspend_account(uma, "abuse").await?;
            Ok(Got::Nothing)
        })
        .refused("last_administrator"),
        case("Operator::danger_suspend_last_administrator", "", |door, people| async move {
            let uma = people.team.uma.person.session.account();
            let _ = operator(&door).danger_suspend_last_administrator(uma, "abuse").await?;
            Ok(Got::Nothing)
        }),
    ]
}
