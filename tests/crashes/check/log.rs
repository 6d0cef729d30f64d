//! The audit log: followed as it grows, piece by piece, each verified behind the one before; and as a whole at the end.

use std::collections::HashMap;

use portcullis::audit::{ChainId, Checkpoint, Head, Line, Verifier};
use portcullis::dashboard::Operator;
use portcullis::id::WorkspaceId;
use portcullis::store::Snapshot;
use portcullis::store::record::{Action, AuditEntry, Target};

const PAGE: u32 = 1_000;

pub struct Log {
    chain: ChainId,
    head: Head,
    /// Each end that it was seen to have.
    ends: Vec<Head>,
    /// By the kind and id of what they are about.
    sealed: HashMap<(&'static str, uuid::Uuid), Vec<AuditEntry>>,
    unsealed: Vec<AuditEntry>,
}

impl Log {
    pub fn of(chain: ChainId) -> Self {
        let head = Head::genesis(chain);
        Self { chain, head, ends: Vec::new(), sealed: HashMap::new(), unsealed: Vec::new() }
    }

    /// Takes up what came since: behind the end that was seen last there is a continuation, and nothing else.
    pub async fn follow(&mut self, snapshot: &mut dyn Snapshot, found: &mut Vec<String>) {
        let before = Checkpoint::new(self.head, jiff::Timestamp::now());
        let mut verifier = Verifier::after(&before, &[]);
        let mut after = self.head.sequence;
        loop {
            let piece = snapshot.sealed_audit(self.chain, after, PAGE).await.unwrap();
            let Some((_, last)) = piece.last() else { break };
            after = last.sequence;
            for (entry, seal) in piece {
                let line = Line { entry: entry.to_entry(), seal: Some(seal) };
                verifier.line(line.to_json().unwrap().as_bytes());
                self.sealed.entry((entry.target.kind(), entry.target.uuid())).or_default().push(entry);
            }
        }
        self.unsealed = snapshot.unsealed_audit(self.chain, 100_000).await.unwrap();
        for entry in &self.unsealed {
            let line = Line { entry: entry.to_entry(), seal: None };
            verifier.line(line.to_json().unwrap().as_bytes());
        }
        let report = verifier.finish();
        let kept = snapshot.audit_head(self.chain).await.unwrap();
        if let Some(finding) = &report.finding {
            found.push(format!("{}: {finding:?}", self.chain));
        } else if report.head != kept {
            found.push(format!("{}: ends at {:?}, and {kept:?} is kept", self.chain, report.head));
        }
        self.head = report.head;
        self.ends.push(self.head);
    }

    /// All entries about something, sealed or not.
    pub fn about(&self, target: Target) -> impl Iterator<Item = &AuditEntry> {
        let unsealed = self.unsealed.iter().filter(move |entry| entry.target == target);
        self.sealed.get(&(target.kind(), target.uuid())).into_iter().flatten().chain(unsealed)
    }

    pub fn tells(&self, action: Action, target: Target) -> bool {
        self.about(target).any(|entry| entry.action == action)
    }

    /// A text in what an entry says it is now.
    pub fn texts<'a>(
        &'a self,
        action: Action,
        target: Target,
        field: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let entries = self.about(target).filter(move |entry| entry.action == action);
        entries.filter_map(move |entry| entry.after.as_ref()?.get(field)?.as_str())
    }

    /// Each end that it was seen to have.
    pub fn ends(&self) -> (ChainId, Vec<Head>) {
        (self.chain, self.ends.clone())
    }
}

/// The chain of a workspace of which no end is known.
pub fn from_start(workspace: WorkspaceId) -> (ChainId, Vec<Head>) {
    (ChainId::Workspace(workspace), Vec::new())
}

/// Exports a log and verifies it, through each end that it was seen to have.
pub async fn verify_all(operator: &Operator, chain: ChainId, ends: &[Head], found: &mut Vec<String>) {
    let now = jiff::Timestamp::now();
    let known: Vec<_> = ends.iter().map(|head| Checkpoint::new(*head, now)).collect();
    let mut verifier = Verifier::new(chain, &known);
    let mut after = 0;
    loop {
        let piece = operator.export_audit(chain, after, PAGE).await.unwrap();
        verifier.feed(piece.lines.as_bytes());
        let Some(next) = piece.next else { break };
        after = next;
    }
    let report = verifier.finish();
    if !report.is_intact() || report.checkpoints != known.len() {
        found.push(format!("{chain}: {:?}, {} of {} ends", report.finding, report.checkpoints, known.len()));
    }
    if report.unsealed > 0 || report.head.sequence == 0 {
        found.push(format!(
            "{chain}: {} entries unsealed at the end, {} sealed",
            report.unsealed, report.lines
        ));
    }
}
