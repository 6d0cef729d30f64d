//! What must hold of each key, whatever has happened.

use std::time::Duration;

use crate::peer::{Report, Seen};

/// What this process knows of a key that it revoked.
#[derive(Clone, Copy, Debug)]
pub struct Revoked {
    /// Its number at the other process.
    pub key: usize,
    /// When the call had returned.
    pub at: u64,
    /// When `everywhere()` had returned, if it was called.
    pub everywhere: Option<u64>,
}

/// What went wrong, a line each.
pub fn violations(report: &Report, revoked: &[Revoked], bound: Duration) -> Vec<String> {
    let bound = u64::try_from(bound.as_nanos()).unwrap();
    let mut wrong = Vec::new();
    for one in revoked {
        let seen = &report.keys[one.key];
        let mut say = |what: &str, by: u64| {
            wrong.push(format!("key {}: {what} (by {:?}): {seen:?}", one.key, Duration::from_nanos(by)));
        };
        if seen.accepted == 0 || seen.revoked == 0 {
            say("it was not asked about before and after, so nothing is shown", 0);
        }
        if seen.last_end > one.at + bound {
            say("accepted later than the bound", seen.last_end - one.at - bound);
        }
        if let Some(everywhere) = one.everywhere.filter(|everywhere| seen.last_start > *everywhere) {
            say("accepted after everywhere() returned", seen.last_start - everywhere);
        }
        if seen.last_start > seen.first_refused_end {
            say("accepted after it was refused", seen.last_start - seen.first_refused_end);
        }
    }
    wrong
}

#[track_caller]
pub fn check(report: &Report, revoked: &[Revoked], bound: Duration) {
    let wrong = violations(report, revoked, bound);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// From the return of the call to the last acceptance; nothing when it was before.
pub fn delay(seen: &Seen, at: u64) -> Duration {
    Duration::from_nanos(seen.last_end.saturating_sub(at))
}

/// Median, 99th percentile and most.
pub fn figures(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    let at = |part: usize| times[((times.len() * part).div_ceil(100)).clamp(1, times.len()) - 1];
    [at(50), at(99), at(100)]
}

fn seen(last_start: u64, last_end: u64, first_refused_end: u64) -> Report {
    let first_refused_start = first_refused_end.saturating_sub(1);
    let state = "revoked".to_owned();
    let (accepted, revoked, other) = (1, 1, 0);
    let one = Seen {
        accepted,
        last_start,
        last_end,
        revoked,
        first_refused_start,
        first_refused_end,
        other,
        state,
    };
    Report { keys: vec![one], total: 2, trips: 2, late: Duration::ZERO, at: 0 }
}

/// A test of the tests.
#[test]
fn the_checker_finds_each_kind_of_wrong_acceptance() {
    let bound = Duration::from_nanos(100);
    let one = Revoked { key: 0, at: 1_000, everywhere: Some(1_050) };
    let found = |report: &Report| violations(report, &[one], bound).join("\n");
    assert_eq!(found(&seen(1_040, 1_100, 1_060)), "");
    assert!(found(&seen(1_040, 1_101, 1_060)).contains("later than the bound (by 1ns)"));
    assert!(found(&seen(1_051, 1_060, 1_060)).contains("after everywhere() returned (by 1ns)"));
    assert!(found(&seen(1_040, 1_045, 1_030)).contains("after it was refused (by 10ns)"));
    let mut unseen = seen(1_040, 1_045, 1_060);
    unseen.keys[0].revoked = 0;
    assert!(found(&unseen).contains("nothing is shown"));
    assert_eq!(
        figures((1..=1_000).map(Duration::from_millis).collect()),
        [500, 990, 1_000].map(Duration::from_millis)
    );
}
