//! What every adapter asks of seals before it writes them.

use crate::audit::{Head, Seal};
use crate::id::AuditId;

/// Whether seals take the places behind the stored end of a chain, without a gap, and lead to where the end is to be.
pub(in crate::store) fn places_follow(end: Head, seals: &[(AuditId, Seal)], next: Head) -> bool {
    let mut place = end.sequence;
    let in_order = seals.iter().all(|(_, seal)| {
        place = place.saturating_add(1);
        seal.sequence == place
    });
    let link = seals.last().map_or(end.link, |(_, seal)| seal.link);
    in_order && next == Head { sequence: place, link, ..end }
}
