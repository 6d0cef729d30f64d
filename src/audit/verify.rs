//! The offline verifier: one pass over an export, in memory that does not grow with it.

mod suspect;

use super::chain::{ChainId, Head, Link};
use super::checkpoint::Checkpoint;
use super::commitment::PersonalState;
use super::entry::EntryDigest;
use super::line::{Line, LineFault, MAX_LINE};
use crate::id::AuditId;
use suspect::{Case, Place};

/// How many erased values a report lists unless told otherwise.
const LISTED: usize = 10_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The last entry that is proven to be in its place: all up to it are intact, if `finding` is not about a
    /// checkpoint. The genesis when there is none.
    pub head: Head,
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
    /// How many lines were read, empty ones aside.
    pub lines: u64,
    /// How many entries at the end have no seal yet. Nothing protects them.
    pub unsealed: u64,
    /// The first of them.
    pub first_unsealed: Option<AuditId>,
    /// How many personal values were erased.
    pub erased_values: u64,
    /// Which; the first 10,000, or as many as was asked for.
    pub erased: Vec<Erased>,
    /// How many checkpoints of this chain the log agrees with.
    pub checkpoints: usize,
    /// The last of them: up to there, nothing was rewritten, and nothing was cut off.
    pub confirmed: Option<u64>,
}

/// A personal value whose value and salt are gone while its commitment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The entry's place; `None` when it has no seal yet.
    pub sequence: Option<u64>,
    /// The entry.
    pub id: AuditId,
    /// Which of its values.
    pub field: String,
}

/// The first thing wrong in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place in the chain where the log stops being what was sealed.
    pub sequence: u64,
    /// The entry found there; `None` when none was, or its line could not be read.
    pub id: Option<AuditId>,
    /// The line, from 1, empty ones counted; the end of the export when entries are missing there.
    pub line: u64,
    /// What is wrong.
    pub kind: FindingKind,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The entry was changed.
    Altered(Altered),
    /// The entries from here through `through` are gone.
    Removed {
        /// The last place of the gap.
        through: u64,
    },
    /// The entry belongs elsewhere in the chain, and the one that belongs here stands elsewhere.
    Reordered,
    /// The entry was slipped in: a forgery, or a copy of another. The one that belongs here follows.
    Inserted,
    /// The export ends before a place that a checkpoint names; what is missing begins here.
    Truncated {
        /// The checkpoint's place.
        checkpoint: u64,
    },
    /// The links fit, and a checkpoint says otherwise: the chain was computed anew from an entry between
    /// `from` and this place.
    Recomputed {
        /// The first place that no earlier checkpoint vouches for.
        from: u64,
    },
}

/// What of an entry was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Altered {
    /// What the link covers.
    Entry,
    /// The link or the sequence number alone; or the seal was taken off.
    Seal,
    /// A personal value or its salt. The commitment stands.
    Personal {
        /// Its name.
        field: String,
    },
    /// The line cannot be read any more.
    Line(LineFault),
}

/// Checks an export, piece by piece.
pub struct Verifier {
    /// Where the export begins.
    start: u64,
    head: Head,
    checkpoints: Vec<Head>,
    due: usize,
    report: Report,
    listed: usize,
    number: u64,
    partial: Vec<u8>,
    overlong: bool,
    /// The last entry that fitted, and the head before it.
    last: Option<(Head, Place)>,
    case: Option<Case>,
    first_unsealed: Option<Place>,
}

/// Checks a whole export of one chain, line by line. Checkpoints of other chains are passed over.
#[must_use]
pub fn verify<L: AsRef<[u8]>>(
    chain: ChainId,
    lines: impl IntoIterator<Item = L>,
    checkpoints: &[Checkpoint],
) -> Report {
    let mut verifier = Verifier::new(chain, checkpoints);
    for line in lines {
        verifier.line(line.as_ref());
    }
    verifier.finish()
}

impl Verifier {
    /// Checks a chain from its first entry on.
    #[must_use]
    pub fn new(chain: ChainId, checkpoints: &[Checkpoint]) -> Self {
        Self::behind(Head::genesis(chain), checkpoints)
    }

    /// Checks an export that begins behind a checkpoint.
    #[must_use]
    pub fn after(start: &Checkpoint, checkpoints: &[Checkpoint]) -> Self {
        Self::behind(start.head(), checkpoints)
    }

    /// How many erased values the report lists.
    #[must_use]
    pub fn list_erased(mut self, most: usize) -> Self {
        self.listed = most;
        self
    }

    fn behind(head: Head, checkpoints: &[Checkpoint]) -> Self {
        let mut checkpoints: Vec<Head> = checkpoints
            .iter()
            .map(Checkpoint::head)
            .filter(|known| known.chain == head.chain && known.sequence >= head.sequence)
            .collect();
        checkpoints.sort_by_key(|known| known.sequence);
        let report = Report {
            head,
            finding: None,
            lines: 0,
            unsealed: 0,
            first_unsealed: None,
            erased_values: 0,
            erased: Vec::new(),
            checkpoints: 0,
            confirmed: None,
        };
        let mut verifier = Self {
            start: head.sequence,
            head,
            checkpoints,
            due: 0,
            report,
            listed: LISTED,
            number: 0,
            partial: Vec::new(),
            overlong: false,
            last: None,
            case: None,
            first_unsealed: None,
        };
        if verifier.due_checkpoints(head.sequence).any(|known| known.link != head.link) {
            let (sequence, from) = (head.sequence, head.sequence);
            verifier.find(Finding { sequence, id: None, line: 0, kind: FindingKind::Recomputed { from } });
        } else {
            verifier.confirm();
        }
        verifier
    }

    /// Takes the next bytes of the export, wherever they were cut. At most [`MAX_LINE`] of them are kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.keep(piece);
            self.end_line();
        }
        self.keep(last);
    }

    /// Takes one line, without its line feed.
    pub fn line(&mut self, text: &[u8]) {
        self.number += 1;
        // Some ways of moving text turn every line feed into two characters.
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            self.report.lines += 1;
            self.read(&Line::parse_with_digest(text));
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if self.overlong || !self.partial.is_empty() {
            self.end_line();
        }
        if let Some(case) = self.case.take() {
            let (head, finding) = case.close();
            self.head = head;
            self.find(finding);
        }
        self.report.head = self.head;
        if self.report.finding.is_none() {
            if let Some(ahead) = self.checkpoints.get(self.due..).and_then(<[Head]>::last) {
                let checkpoint = ahead.sequence;
                let (sequence, line) = (self.head.sequence.saturating_add(1), self.number);
                self.find(Finding { sequence, id: None, line, kind: FindingKind::Truncated { checkpoint } });
            } else if let Some(first) = self.first_unsealed {
                self.report.first_unsealed = first.id;
            }
        }
        self.report
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.partial.len() + piece.len() > MAX_LINE {
            self.overlong = true;
            self.partial.clear();
        }
        if !self.overlong {
            self.partial.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self) {
        let mut text = core::mem::take(&mut self.partial);
        if core::mem::take(&mut self.overlong) {
            self.number += 1;
            self.report.lines += 1;
            self.read(&Err(LineFault::TooLong));
        } else {
            self.line(&text);
        }
        text.clear();
        self.partial = text;
    }

    fn read(&mut self, read: &Result<(Line, EntryDigest), LineFault>) {
        let line = match read {
            Ok((line, _)) => Some(line),
            Err(_) => None,
        };
        let place = Place {
            line: self.number,
            id: line.map(|line| line.entry.id),
            seal: line.and_then(|line| line.seal),
            digest: read.as_ref().ok().map(|(_, digest)| *digest),
            at_home: line.is_none_or(|line| line.entry.chain() == self.head.chain),
            fault: read.as_ref().err().copied(),
        };
        if let Some(line) = line {
            self.note_erased(line);
        }
        if let Some(case) = &mut self.case {
            case.hear(&place);
            return;
        }
        if self.report.finding.is_some() {
            return;
        }
        self.check(place);
        if self.case.is_none()
            && self.report.finding.is_none()
            && let Some(line) = line
        {
            self.check_personal(line);
        }
    }

    /// Whether an entry stands where the chain says.
    fn check(&mut self, place: Place) {
        let sequence = self.head.sequence.saturating_add(1);
        let sealed = place.seal.is_some() || place.fault.is_some();
        if !sealed {
            // Entries without a seal can only be the end.
            self.first_unsealed.get_or_insert(place);
            self.report.unsealed += 1;
            return;
        }
        if let Some(first) = self.first_unsealed.take() {
            self.report.unsealed = 0;
            let mut case = Case::open(self.head, None, first);
            case.hear(&place);
            self.case = Some(case);
            return;
        }
        let denied = self.due_checkpoints(sequence).any(|known| known.link != place.link());
        if place.fits(self.head, sequence) && denied {
            let from = self.unconfirmed();
            self.case = Some(Case::open(self.head, self.last, place).denied_by_checkpoint(from));
        } else if place.fits(self.head, sequence) {
            self.last = Some((self.head, place));
            self.head = Head { sequence, link: place.link(), ..self.head };
            self.confirm();
        } else {
            self.case = Some(Case::open(self.head, self.last, place));
        }
    }

    fn check_personal(&mut self, line: &Line) {
        let altered = line.entry.personal.iter().find(|personal| personal.state() == PersonalState::Altered);
        if let Some(personal) = altered {
            self.find(Finding {
                sequence: line
                    .seal
                    .map_or(self.head.sequence.saturating_add(self.report.unsealed), |seal| seal.sequence),
                id: Some(line.entry.id),
                line: self.number,
                kind: FindingKind::Altered(Altered::Personal { field: personal.field.clone() }),
            });
        }
    }

    /// The checkpoints of one place, if none before it is left.
    fn due_checkpoints(&self, sequence: u64) -> impl Iterator<Item = &Head> {
        self.checkpoints.iter().skip(self.due).take_while(move |known| known.sequence == sequence)
    }

    /// The first place that no checkpoint met so far vouches for.
    fn unconfirmed(&self) -> u64 {
        self.report.confirmed.unwrap_or(self.start).saturating_add(1)
    }

    /// Counts the checkpoints of the head, which agree with it.
    fn confirm(&mut self) {
        let met = self.due_checkpoints(self.head.sequence).count();
        if met > 0 {
            self.due += met;
            self.report.checkpoints += met;
            self.report.confirmed = Some(self.head.sequence);
        }
    }

    fn note_erased(&mut self, line: &Line) {
        for personal in line.entry.personal.iter().filter(|personal| personal.opening.is_none()) {
            self.report.erased_values += 1;
            if self.report.erased.len() < self.listed {
                self.report.erased.push(Erased {
                    sequence: line.seal.map(|seal| seal.sequence),
                    id: line.entry.id,
                    field: personal.field.clone(),
                });
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        self.report.finding.get_or_insert(finding);
    }
}

impl Report {
    /// Whether nothing is wrong. Without a checkpoint that says nothing about a rewritten or shortened chain,
    /// and never anything about unsealed entries.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.finding.is_none()
    }
}

/// A link that no entry has.
const NO_LINK: [u8; 32] = [0; 32];

impl Place {
    fn link(&self) -> Link {
        self.seal.map_or(Link::from_bytes(NO_LINK), |seal| seal.link)
    }

    /// Whether the entry, its link and its number are those of the place behind `head`.
    fn fits(&self, head: Head, sequence: u64) -> bool {
        self.at_home
            && self.seal.is_some_and(|seal| seal.sequence == sequence)
            && self.continues(head.chain, head.link, sequence)
    }
}
