//! The audit log: entries, their personal values, finding them, erasing.

use super::flaw::{Flaw, no, same, there};
use super::sample::{Seed, at, id};
use super::{Backend, Fresh, look, transact};
use crate::audit::{ChainId, Personal, PersonalState, Salt};
use crate::id::{AuditId, WorkspaceId};
use crate::secret::sha256;
use crate::store::AuditFilter;
use crate::store::record::{Action, Actor, AuditEntry, PersonalValue, Subject, Target};

/// An entry with no optional field set.
pub(super) fn audit(
    number: u64,
    workspace: Option<WorkspaceId>,
    actor: Actor,
    action: Action,
    target: Target,
) -> AuditEntry {
    AuditEntry {
        id: id::<AuditId>(number),
        at: at(1),
        workspace,
        actor,
        action,
        target,
        before: None,
        after: None,
        request_id: None,
        personal: Vec::new(),
    }
}

pub(super) async fn audit_entries_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = Some(seed.workspace.id);
    let actors =
        [Actor::Account(seed.account.id), Actor::Operator("root \u{1f512}'".to_owned()), Actor::System];
    let targets = [
        Target::Account(seed.other.id),
        Target::Session(seed.session.id),
        Target::Workspace(seed.workspace.id),
        Target::Project(seed.project.id),
        Target::Key(id(99)),
        Target::Invitation(id(98)),
        Target::Role(id(97)),
        Target::Entry(id(96)),
    ];
    let mut entries = Vec::new();
    let (mut actor, mut target) = (actors.iter().cycle(), targets.iter().cycle());
    for (number, action) in (1..).zip(Action::ALL) {
        let (actor, target) = (there("actor", actor.next())?, there("target", target.next())?);
        let mut entry = audit(number, here, actor.clone(), *action, *target);
        if number % 2 == 0 {
            entry.before = Some(serde_json::json!({ "role": "viewer", "n": [1, null, true, "ü"] }));
            entry.after = Some(serde_json::Value::Null);
            entry.request_id = Some("y \u{1f512}".to_owned());
        }
        // None, some, and those of which nothing is left but the commitment.
        let subject = Subject::account(seed.account.id);
        if number % 3 > 0 {
            entry.personal.push(personal(number, "source.address", "192.0.2.7", Some(subject)));
        }
        if number % 3 > 1 {
            entry.personal.push(personal(number, "source.user_agent", "Mozilla/5.0 '\u{1f98a}\"", None));
            let mut erased = personal(number, "after.email", "gone@example.com", None);
            erased.personal.erase();
            entry.personal.insert(0, erased);
        }
        entries.push(entry);
    }
    transact!(backend, |tx| {
        for entry in entries.iter().rev() {
            tx.append_audit(entry).await?;
        }
    })?;
    let found = look!(backend, |read| read.audit_of_workspace(seed.workspace.id, None, 1_000).await?);
    same("audit_of_workspace, in id order", &found, &entries)
}

pub(super) async fn personal_values_come_in_the_order_of_their_names(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let subject = Some(Subject::account(seed.account.id));
    let values = ["after.email", "after.name", "b", "source.address"];
    let values = values.map(|field| personal(1, field, "x", subject));
    let mut entry = audit(1, None, Actor::System, Action::EmailChanged, Target::Account(seed.account.id));
    entry.personal = values.iter().rev().cloned().collect();
    transact!(backend, |tx| tx.append_audit(&entry).await?)?;
    let found = look!(backend, |read| read.audit_of_account(seed.account.id, None, 9).await?);
    entry.personal = values.to_vec();
    same("personal values, by name", &found, &[entry.clone()].to_vec())?;
    let repeated = [personal(2, "b", "x", subject), personal(3, "b", "y", subject)];
    let twice = AuditEntry { id: id(2), personal: repeated.to_vec(), ..entry.clone() };
    refused(&*backend, "two personal values of one name", &twice).await?;
    let mut nobodys = personal(3, "after.email", "x", subject);
    nobodys.personal.erase();
    let nobodys = AuditEntry { id: id(3), personal: [nobodys].to_vec(), ..entry.clone() };
    refused(&*backend, "an erased value that is still somebody's", &nobodys).await?;
    refused(&*backend, "a second entry of one id", &entry).await?;
    let found = look!(backend, |read| read.audit_of_account(seed.account.id, None, 9).await?);
    same("nothing of what is refused is kept", &found, &[entry].to_vec())
}

async fn refused(backend: &dyn Backend, rule: &'static str, entry: &AuditEntry) -> Result<(), Flaw> {
    let attempt: Result<(), Flaw> = async {
        let mut tx = backend.begin().await?;
        tx.append_audit(entry).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    no(rule, attempt.is_ok())
}

pub(super) async fn the_audit_log_is_read_in_pages(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let (here, there_id) = (Some(seed.workspace.id), Some(elsewhere.id));
    let (me, them) = (seed.account.id, seed.other.id);
    let about_me = Target::Account(me);
    let about_them = Target::Account(them);
    let step = Action::SteppedUp;
    let entries = [
        audit(1, here, Actor::Account(me), step, about_them),
        audit(2, None, Actor::System, step, about_me),
        audit(3, here, Actor::Account(them), step, Target::Workspace(seed.workspace.id)),
        audit(4, there_id, Actor::Account(me), step, about_me),
        audit(5, here, Actor::Operator("o".to_owned()), step, about_me),
        audit(6, None, Actor::Account(them), step, about_them),
    ];
    transact!(backend, |tx| {
        for entry in &entries {
            tx.append_audit(entry).await?;
        }
    })?;
    let numbers = |page: &[AuditEntry]| page.iter().map(|entry| entry.id).collect::<Vec<AuditId>>();
    look!(backend, |read| {
        let page = read.audit_of_workspace(seed.workspace.id, None, 2).await?;
        same("audit_of_workspace, the first page", &numbers(&page), &[id(1), id(3)].to_vec())?;
        let page = read.audit_of_workspace(seed.workspace.id, Some(id(3)), 2).await?;
        same("audit_of_workspace, the next page", &numbers(&page), &[id(5)].to_vec())?;
        let page = read.audit_of_account(me, None, 3).await?;
        same(
            "audit_of_account, as actor or target, each once",
            &numbers(&page),
            &[id(1), id(2), id(4)].to_vec(),
        )?;
        let page = read.audit_of_account(me, Some(id(4)), 3).await?;
        same("audit_of_account, the next page", &numbers(&page), &[id(5)].to_vec())?;
        let page = read.audit_of_account(them, Some(id(1)), 9).await?;
        same("audit_of_account of another", &numbers(&page), &[id(3), id(6)].to_vec())?;
        same("behind the last", &read.audit_of_account(them, Some(id(6)), 9).await?.len(), &0)?;
    });
    Ok(())
}

/// A personal value under a salt that no other number and name has.
pub(super) fn personal(number: u64, field: &str, value: &str, subject: Option<Subject>) -> PersonalValue {
    let salt = Salt::from_random(sha256(&[b"salt", &number.to_be_bytes(), field.as_bytes()]));
    PersonalValue { subject, personal: Personal::commit(field, value, salt) }
}

fn numbers(page: &[AuditEntry]) -> Vec<AuditId> {
    page.iter().map(|entry| entry.id).collect()
}

/// A log of twenty entries whose ids are in another order than their times, beside one of another workspace and one
/// of accounts with the same actors, targets and actions.
async fn sow_log(
    backend: &dyn Backend,
    seed: &Seed,
    elsewhere: WorkspaceId,
) -> Result<Vec<AuditEntry>, Flaw> {
    let actors = [Actor::Account(seed.account.id), Actor::Account(seed.other.id), Actor::System];
    let targets = [Target::Key(id(1)), Target::Project(id(1)), Target::Key(id(2)), Target::Account(id(2))];
    let actions = [Action::KeyIssued, Action::KeyRevoked, Action::KeyRotated, Action::MemberJoined];
    let (mut actor, mut target) = (actors.iter().cycle(), targets.iter().cycle());
    // Not in step with the targets, so that each pair comes up.
    let mut action = actions.iter().flat_map(|action| [action; 3]).cycle();
    let mut log = Vec::new();
    transact!(backend, |tx| {
        log.clear();
        for number in 1..=20_u64 {
            let (actor, target) = (there("actor", actor.next())?, there("target", target.next())?);
            let action = there("action", action.next())?;
            let second = i64::try_from(number * 7 % 20).unwrap_or(0);
            for (offset, workspace) in [(0, Some(seed.workspace.id)), (100, Some(elsewhere)), (200, None)] {
                let mut entry = audit(number + offset, workspace, actor.clone(), *action, *target);
                entry.at = at(second);
                if number % 2 == 0 {
                    entry.personal.push(personal(number + offset, "a", "x", None));
                    entry.personal.push(personal(number + offset, "b", "y", None));
                }
                tx.append_audit(&entry).await?;
                log.push(entry);
            }
        }
    })?;
    log.sort_by_key(|entry| core::cmp::Reverse(entry.id));
    Ok(log)
}

pub(super) async fn the_audit_log_is_searched_by_whatever_is_given(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let log = sow_log(&*backend, &seed, elsewhere.id).await?;
    let actor = [None, Some(seed.account.id), Some(id(77))];
    let target = [None, Some(Target::Key(id(1))), Some(Target::Project(id(1))), Some(Target::Key(id(77)))];
    let action = [None, Some(Action::KeyRevoked), Some(Action::RoleDeleted)];
    let since = [None, Some(at(5)), Some(at(99))];
    let until = [None, Some(at(15)), Some(at(0))];
    // Of each kind the value that some entries have, beside nothing: all together, then each rare one alone.
    let mut filters = Vec::new();
    for bits in 0..32_u8 {
        let pick = |bit: u8| usize::from(bits >> bit & 1);
        filters.push(AuditFilter {
            actor: actor.get(pick(0)).copied().flatten(),
            target: target.get(pick(1)).copied().flatten(),
            action: action.get(pick(2)).copied().flatten(),
            since: since.get(pick(3)).copied().flatten(),
            until: until.get(pick(4)).copied().flatten(),
            before: None,
        });
    }
    for rare in 2..4 {
        let all = AuditFilter::default();
        filters.push(AuditFilter { actor: actor.get(rare).copied().flatten(), ..all });
        filters.push(AuditFilter { target: target.get(rare).copied().flatten(), ..all });
        filters.push(AuditFilter { action: action.get(rare).copied().flatten(), ..all });
        filters.push(AuditFilter { since: since.get(rare).copied().flatten(), ..all });
        filters.push(AuditFilter { until: until.get(rare).copied().flatten(), ..all });
    }
    look!(backend, |read| {
        for chain in [ChainId::Workspace(seed.workspace.id), ChainId::Accounts] {
            for filter in &filters {
                let fit = log.iter().filter(|entry| entry.chain() == chain && fits(entry, filter));
                let expected: Vec<AuditEntry> = fit.cloned().collect();
                let found = read.find_audit(chain, filter, 100).await?;
                same("find_audit, the latest first", &(filter, &found), &(filter, &expected))?;
                // The same in pages of two.
                let (mut paged, mut filter) = (Vec::new(), *filter);
                for page in expected.chunks(2) {
                    let found = read.find_audit(chain, &filter, 2).await?;
                    same("find_audit, a page behind another", &numbers(&found), &numbers(page))?;
                    filter.before = found.last().map(|entry| entry.id);
                    paged.extend(found);
                }
                same("the pages together", &paged.len(), &expected.len())?;
                let behind =
                    if expected.is_empty() { Vec::new() } else { read.find_audit(chain, &filter, 2).await? };
                same("nothing behind the last page", &numbers(&behind), &Vec::new())?;
            }
        }
        let nothing = read.find_audit(ChainId::Workspace(id(99)), &AuditFilter::default(), 9).await?;
        same("find_audit in the log of nobody", &nothing, &Vec::new())?;
    });
    Ok(())
}

/// What the documentation of the filter says, once more.
fn fits(entry: &AuditEntry, filter: &AuditFilter) -> bool {
    let actor = filter.actor.map(Actor::Account);
    actor.is_none_or(|actor| actor == entry.actor)
        && filter.target.is_none_or(|target| target == entry.target)
        && filter.action.is_none_or(|action| action == entry.action)
        && filter.since.is_none_or(|since| since <= entry.at)
        && filter.until.is_none_or(|until| entry.at < until)
}

pub(super) async fn erasing_takes_somebodys_values_and_leaves_the_hash(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (me, them) = (Subject::account(seed.account.id), Subject::account(seed.other.id));
    let about = Target::Account(seed.account.id);
    let mut entries = Vec::new();
    for (number, workspace) in [(1, Some(seed.workspace.id)), (2, None), (3, None)] {
        let mut entry = audit(number, workspace, Actor::System, Action::SteppedUp, about);
        entry.personal.push(personal(number, "after.email", "me@example.com", Some(me)));
        entry.personal.push(personal(number, "before.email", "them@example.com", Some(them)));
        entry.personal.push(personal(number, "source.address", "192.0.2.7", Some(me)));
        entry.personal.push(personal(number, "source.user_agent", "x", None));
        entries.push(entry);
    }
    transact!(backend, |tx| {
        for entry in &entries {
            tx.append_audit(entry).await?;
        }
    })?;
    let read_all = || async {
        Ok::<_, Flaw>(look!(backend, |read| read.audit_of_account(seed.account.id, None, 9).await?))
    };
    same("nothing is erased", &transact!(backend, |tx| tx.erase_personal(Subject([9; 32])).await?)?, &0)?;
    same("of somebody who has nothing", &read_all().await?, &entries)?;
    let erased = transact!(backend, |tx| tx.erase_personal(me).await?)?;
    same("erase_personal answers how many values went, in all logs", &erased, &6)?;
    let mut expected = entries.clone();
    for value in expected.iter_mut().flat_map(|entry| &mut entry.personal) {
        if value.subject == Some(me) {
            value.subject = None;
            value.personal.erase();
        }
    }
    let found = read_all().await?;
    same("value, salt and subject go; names, commitments and all else stay", &found, &expected)?;
    let states = found.iter().flat_map(|entry| &entry.personal).map(|value| value.personal.state());
    same("what is left is intact", &states.filter(|state| *state == PersonalState::Intact).count(), &6)?;
    for (after, before) in found.iter().zip(&entries) {
        let digest =
            |entry: &AuditEntry| entry.to_entry().digest().map_err(|_| Flaw::Sample { what: "entry" });
        same("the hash of an entry does not change", &digest(after)?, &digest(before)?)?;
        same("an erased value is no longer answered", &after.personal("source.address"), &None)?;
        same("another's is", &after.personal("before.email"), &Some("them@example.com"))?;
    }
    same("erase_personal a second time", &transact!(backend, |tx| tx.erase_personal(me).await?)?, &0)
}
