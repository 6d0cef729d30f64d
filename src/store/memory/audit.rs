//! The audit log: reading it, appending, sealing, erasing.

use std::sync::Arc;

use async_trait::async_trait;

use super::state::State;
use super::{Stored, View, Writer, at_most, copy, must};
use crate::audit::{ChainId, Head, Seal};
use crate::id::{AccountId, AuditId, WorkspaceId};
use crate::store::record::{Actor, AuditEntry, Subject, Target};
use crate::store::{AuditFilter, AuditLog, AuditReads, Locked, places_follow};

#[async_trait]
impl<W: Send> AuditReads for View<W> {
    async fn audit_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let state = self.read();
        let ids = state.audit_of_chain.behind(ChainId::Workspace(workspace), after).take(at_most(limit));
        Ok(ids.filter_map(|id| copy(state.audit.get(&id))).collect())
    }

    async fn audit_of_account(
        &mut self,
        account: AccountId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let state = self.read();
        let ids = state.audit_of_account.behind(account, after).take(at_most(limit));
        Ok(ids.filter_map(|id| copy(state.audit.get(&id))).collect())
    }

    async fn find_audit(
        &mut self,
        chain: ChainId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let state = self.read();
        let ids = state.audit_of_chain.ahead_of(chain, filter.before).rev();
        let found = ids.filter_map(|id| state.audit.get(&id)).filter(|entry| fits(entry, filter));
        Ok(found.take(at_most(limit)).map(|entry| AuditEntry::clone(entry)).collect())
    }

    async fn sealed_audit(
        &mut self,
        chain: ChainId,
        after: u64,
        limit: u32,
    ) -> Stored<Vec<(AuditEntry, Seal)>> {
        let state = self.read();
        let places = (chain, after.saturating_add(1))..=(chain, u64::MAX);
        let found = state.audit_sealed.range(places).filter_map(|((_, sequence), (id, link))| {
            Some((copy(state.audit.get(id))?, Seal { sequence: *sequence, link: *link }))
        });
        Ok(found.take(at_most(limit)).collect())
    }

    async fn unsealed_audit(&mut self, chain: ChainId, limit: u32) -> Stored<Vec<AuditEntry>> {
        let state = self.read();
        let ids = state.audit_unsealed.of(chain).take(at_most(limit));
        Ok(ids.filter_map(|id| copy(state.audit.get(&id))).collect())
    }

    async fn unsealed_chains(&mut self, limit: u32) -> Stored<Vec<ChainId>> {
        Ok(self.read().audit_unsealed.owners(at_most(limit)))
    }

    async fn audit_head(&mut self, chain: ChainId) -> Stored<Head> {
        Ok(self.read().head_of(chain))
    }
}

#[async_trait]
impl AuditLog for View<Writer> {
    async fn append_audit(&mut self, entry: &AuditEntry) -> Stored<()> {
        must(!self.read().audit.contains_key(&entry.id), "another audit entry has this id")?;
        let mut entry = entry.clone();
        entry.personal.sort_by(|a, b| a.personal.field.cmp(&b.personal.field));
        let names = entry.personal.iter().zip(entry.personal.iter().skip(1));
        let repeated = names.into_iter().any(|(a, b)| a.personal.field == b.personal.field);
        must(!repeated, "two personal values of one name")?;
        let mut values = entry.personal.iter();
        let found_by = values.all(|value| value.subject.is_none() || value.personal.opening.is_some());
        must(found_by, "an erased value that is still somebody's")?;
        self.write().put_audit(entry);
        Ok(())
    }

    async fn lock_chain(&mut self, chain: ChainId) -> Stored<Locked<Head>> {
        self.let_others_race().await;
        Ok(Locked::by_store(self.read().head_of(chain)))
    }

    async fn seal_audit(&mut self, head: &Locked<Head>, seals: &[(AuditId, Seal)]) -> Stored<()> {
        let (end, next) = (self.read().head_of(head.chain), **head);
        must(places_follow(end, seals, next), "seals that do not follow on the end of the chain")?;
        for (id, seal) in seals {
            let sealed = self.write().seal(next.chain, *id, *seal);
            must(sealed, "no such entry of the chain, or one that has a seal")?;
        }
        if !seals.is_empty() {
            self.write().audit_heads.insert(next.chain, next);
        }
        Ok(())
    }

    async fn erase_personal(&mut self, subject: Subject) -> Stored<u32> {
        Ok(self.write().erase(subject))
    }
}

fn fits(entry: &AuditEntry, filter: &AuditFilter) -> bool {
    filter.actor.is_none_or(|account| entry.actor == Actor::Account(account))
        && filter.target.is_none_or(|target| entry.target == target)
        && filter.action.is_none_or(|action| entry.action == action)
        && filter.since.is_none_or(|since| entry.at >= since)
        && filter.until.is_none_or(|until| entry.at < until)
}

impl State {
    fn head_of(&self, chain: ChainId) -> Head {
        self.audit_heads.get(&chain).copied().unwrap_or_else(|| Head::genesis(chain))
    }

    fn put_audit(&mut self, entry: AuditEntry) {
        let chain = entry.chain();
        self.audit_of_chain.add(chain, entry.id);
        self.audit_unsealed.add(chain, entry.id);
        if let Actor::Account(account) = entry.actor {
            self.audit_of_account.add(account, entry.id);
        }
        if let Target::Account(account) = entry.target {
            self.audit_of_account.add(account, entry.id);
        }
        for subject in entry.personal.iter().filter_map(|value| value.subject) {
            self.audit_about.add(subject, entry.id);
        }
        self.audit.insert(entry.id, Arc::new(entry));
    }

    /// Gives an entry of the chain its seal; `false` when there is no such entry without one.
    fn seal(&mut self, chain: ChainId, id: AuditId, seal: Seal) -> bool {
        let waits = self.audit_unsealed.cut(chain, id);
        if waits {
            self.audit_sealed.insert((chain, seal.sequence), (id, seal.link));
        }
        waits
    }

    /// Erases somebody's values; how many.
    fn erase(&mut self, subject: Subject) -> u32 {
        let mut erased = 0;
        let entries: Vec<_> = self.audit_about.of(subject).collect();
        for id in entries {
            self.audit_about.cut(subject, id);
            let Some(entry) = self.audit.get_mut(&id) else { continue };
            let values = Arc::make_mut(entry).personal.iter_mut();
            for value in values.filter(|value| value.subject == Some(subject)) {
                value.subject = None;
                value.personal.erase();
                erased += 1;
            }
        }
        erased
    }
}
