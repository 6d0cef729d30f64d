//! What became of the first entry that does not fit: the rest of the export tells, one line at a time.
//!
//! The first line that does not fit behind the proven head is the suspect. Each later line is asked whether it
//! is the entry that belongs there, and whether it shows that the suspect is genuine elsewhere. Nothing
//! but the suspect and the line before is kept.

use super::{Altered, Finding, FindingKind};
use crate::audit::chain::{ChainId, Head, Link, Seal};
use crate::audit::entry::EntryDigest;
use crate::audit::line::LineFault;
use crate::id::AuditId;

/// What counts of one line.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) id: Option<AuditId>,
    pub(super) seal: Option<Seal>,
    pub(super) digest: Option<EntryDigest>,
    /// Whether its workspace is that of the chain.
    pub(super) at_home: bool,
    pub(super) fault: Option<LineFault>,
}

/// The suspect and the evidence so far.
#[allow(
    clippy::struct_excessive_bools,
    reason = "pieces of evidence: any of them can come without the others"
)]
pub(super) struct Case {
    head: Head,
    /// The place behind the head.
    expected: u64,
    suspect: Place,
    /// The entry before the suspect, and the head before that, if both entries claim that one place by a link
    /// that fits.
    rival: Option<(Head, Place)>,
    /// The chain goes on from the suspect, so that the entry before it was slipped in.
    rival_loses: bool,
    /// The suspect fits and a checkpoint of its place says otherwise: the first place that none vouches for.
    denied: Option<u64>,
    /// The line before, once there was one behind the suspect.
    before: Option<Place>,
    /// The entry that belongs here stands further down.
    displaced: bool,
    /// The suspect's own place is further down and was taken by another.
    genuine: bool,
    /// The suspect stands further down once more.
    copied: bool,
    /// The chain goes on from the suspect's own link, so only what the link covers can be wrong.
    link_stands: bool,
    /// The chain goes on from the link that the suspect should have.
    entry_stands: bool,
}

impl Place {
    /// Whether the entry's link is the one it must have at `sequence`, behind `link`.
    pub(super) fn continues(&self, chain: ChainId, link: Link, sequence: u64) -> bool {
        let (Some(digest), Some(seal)) = (self.digest, self.seal) else { return false };
        link.next(chain, sequence, &digest) == seal.link
    }
}

impl Case {
    pub(super) fn open(head: Head, last: Option<(Head, Place)>, suspect: Place) -> Self {
        let expected = head.sequence.saturating_add(1);
        // The link is right: then it is the number beside it that is not.
        let entry_stands = suspect.continues(head.chain, head.link, expected);
        let rival = last.filter(|(earlier, place)| {
            suspect.continues(head.chain, earlier.link, head.sequence)
                && suspect.seal.map(|seal| seal.link) != place.seal.map(|seal| seal.link)
        });
        Self {
            head,
            expected,
            suspect,
            rival,
            rival_loses: false,
            denied: None,
            before: None,
            displaced: false,
            genuine: false,
            // Every place up to the head is filled.
            copied: suspect.seal.is_some_and(|seal| seal.sequence <= head.sequence),
            link_stands: false,
            entry_stands,
        }
    }

    /// Notes that the suspect fits and a checkpoint does not.
    pub(super) fn denied_by_checkpoint(mut self, from: u64) -> Self {
        self.denied = Some(from);
        self
    }

    /// Asks one later line.
    pub(super) fn hear(&mut self, place: &Place) {
        let chain = self.head.chain;
        let behind_suspect = self.before.is_none();
        if place.continues(chain, self.head.link, self.expected) {
            self.displaced = true;
        }
        // A suspect without a seal can still be the entry of this place, its seal taken off.
        if let (true, Some(digest)) = (behind_suspect, self.suspect.digest) {
            let due = self.head.link.next(chain, self.expected, &digest);
            self.entry_stands |= place.continues(chain, due, self.expected.saturating_add(1));
        }
        if let (Some(seal), Some(digest)) = (self.suspect.seal, self.suspect.digest) {
            self.weigh(place, seal, digest, behind_suspect);
        }
        self.before = Some(*place);
    }

    fn weigh(&mut self, place: &Place, seal: Seal, digest: EntryDigest, behind_suspect: bool) {
        let chain = self.head.chain;
        let next = |sequence: u64| sequence.saturating_add(1);
        if behind_suspect && place.continues(chain, seal.link, next(self.expected)) {
            self.link_stands = true;
        }
        if behind_suspect && self.rival.is_some() {
            self.rival_loses = place.continues(chain, seal.link, self.expected);
        }
        if place.digest == Some(digest) && place.seal.is_some_and(|other| other.link == seal.link) {
            self.copied = true;
        }
        // The chain goes on from the suspect's link at its own number, or leads to it.
        if seal.sequence != self.expected && place.continues(chain, seal.link, next(seal.sequence)) {
            self.genuine = true;
        }
        if let Some(other) = place.seal {
            let leads_here = |sequence| other.link.next(chain, sequence, &digest) == seal.link;
            self.genuine |= leads_here(seal.sequence) || leads_here(next(self.expected));
            // Numbers and links stayed in their places and the entries changed theirs.
            if let Some(found) = place.digest
                && self.head.link.next(chain, self.expected, &found) == seal.link
            {
                self.displaced = true;
                let before = self.before.as_ref().and_then(|line| line.seal).map_or(seal.link, |s| s.link);
                self.genuine |= before.next(chain, other.sequence, &digest) == other.link;
            }
        }
    }

    /// What became of the suspect, and the head behind the last entry that is in its place.
    pub(super) fn close(self) -> (Head, Finding) {
        let Self { suspect, expected, .. } = self;
        if let (true, Some((head, forged))) = (self.rival_loses, self.rival) {
            let kind = FindingKind::Inserted;
            let sequence = head.sequence.saturating_add(1);
            return (head, Finding { sequence, id: forged.id, line: forged.line, kind });
        }
        let last = self.before.is_none();
        let kind = match (suspect.fault, suspect.seal) {
            _ if self.displaced && self.genuine && !self.copied => FindingKind::Reordered,
            _ if self.displaced => FindingKind::Inserted,
            (None, Some(_)) if let Some(from) = self.denied => FindingKind::Recomputed { from },
            (Some(fault), _) => FindingKind::Altered(Altered::Line(fault)),
            (None, None) => FindingKind::Altered(Altered::Seal),
            _ if self.entry_stands && suspect.at_home => FindingKind::Altered(Altered::Seal),
            (_, Some(seal)) if seal.sequence > expected && !self.link_stands => {
                FindingKind::Removed { through: seal.sequence - 1 }
            }
            (_, Some(seal)) if seal.sequence < expected && last => FindingKind::Inserted,
            _ => FindingKind::Altered(Altered::Entry),
        };
        let gone = matches!(kind, FindingKind::Removed { .. });
        (
            self.head,
            Finding { sequence: expected, id: suspect.id.filter(|_| !gone), line: suspect.line, kind },
        )
    }
}
