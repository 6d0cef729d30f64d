use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::id::{AccountId, Id as _, KeyId};
use crate::money::Credits;

/// Adds up what it is given; answers as told.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<SinkState>>);

#[derive(Default)]
struct SinkState {
    answers: Vec<StoreError>,
    hang: bool,
    rows: Vec<UsageDelta>,
}

impl Sink {
    fn fails_with(self, error: StoreError) -> Self {
        self.0.lock().unwrap().answers.push(error);
        self
    }

    fn totals(&self) -> (u64, u64) {
        let state = self.0.lock().unwrap();
        (
            state.rows.iter().map(|row| row.counts.allowed).sum(),
            state.rows.iter().map(|row| row.counts.refused).sum(),
        )
    }
}

#[async_trait]
impl UsageSink for Sink {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        if self.0.lock().unwrap().hang {
            core::future::pending::<()>().await;
        }
        let mut state = self.0.lock().unwrap();
        if let Some(error) = state.answers.pop() {
            return Err(error);
        }
        state.rows.extend_from_slice(deltas);
        Ok(())
    }
}

fn spender(key: u128) -> Spender {
    Spender::Key(KeyId::from_uuid(Uuid::from_u128(key)))
}

fn use_key(recorder: &UsageRecorder, key: u128, scope: &str, allowed: bool, second: i64) {
    let project = ProjectId::from_uuid(Uuid::from_u128(1));
    let at = Timestamp::from_second(second).unwrap();
    recorder.record(spender(key), project, &scope.parse().unwrap(), allowed, at);
}

#[tokio::test]
async fn requests_are_summed_by_key_scope_and_hour() {
    let sink = Sink::default();
    let recorder = UsageRecorder::new(sink.clone(), 10);
    for (key, scope, allowed, second) in [
        (1, "a", true, 3_599),
        (1, "a", false, 10),
        (1, "a", true, 3_600),
        (1, "b", true, 0),
        (2, "a", true, 0),
    ] {
        use_key(&recorder, key, scope, allowed, second);
    }
    assert_eq!(recorder.flush().await.unwrap(), 4);
    assert_eq!(sink.totals(), (4, 1));
    let rows = sink.0.lock().unwrap().rows.clone();
    let first = rows.iter().find(|row| row.counts.allowed + row.counts.refused == 2).unwrap();
    let at = |last: Option<Timestamp>| last.map(Timestamp::as_second);
    assert_eq!((first.hour.as_second(), at(first.last_allowed_at)), (0, Some(3_599)));
    assert_eq!(at(first.last_refused_at), Some(10));
    assert_eq!((recorder.flush().await.unwrap(), recorder.pending(), recorder.lost()), (0, 0, 0));
}

#[tokio::test]
async fn a_refused_flush_loses_nothing_and_counts_nothing_twice() {
    let sink = Sink::default().fails_with(StoreError::Busy);
    let recorder = UsageRecorder::new(sink.clone(), 5_000);
    for key in 0..2_500 {
        use_key(&recorder, key, "a", true, 0);
    }
    assert!(recorder.flush().await.is_err());
    assert_eq!(recorder.pending(), 2_500);
    use_key(&recorder, 7, "a", false, 0);
    assert_eq!(recorder.flush().await.unwrap(), 2_500);
    assert_eq!((sink.totals(), recorder.lost(), recorder.pending()), ((2_500, 1), 0, 0));
}

#[tokio::test]
async fn a_lost_commit_is_not_repeated_and_said_to_be_lost() {
    let sink = Sink::default().fails_with(StoreError::CommitUnknown(None));
    let recorder = UsageRecorder::new(sink.clone(), 5_000);
    for key in 0..1_500 {
        use_key(&recorder, key, "a", true, 0);
    }
    assert!(recorder.flush().await.is_err());
    assert_eq!((recorder.lost(), recorder.pending()), (1_000, 500));
    assert_eq!(recorder.flush().await.unwrap(), 500);
    assert_eq!(sink.totals(), (500, 0));
}

#[tokio::test]
async fn a_flush_dropped_midway_counts_nothing_twice() {
    let sink = Sink::default();
    sink.0.lock().unwrap().hang = true;
    let recorder = UsageRecorder::new(sink.clone(), 5_000);
    for key in 0..1_500 {
        use_key(&recorder, key, "a", true, 0);
    }
    let cut_off = tokio::time::timeout(core::time::Duration::from_millis(5), recorder.flush()).await;
    assert!(cut_off.is_err());
    assert_eq!((recorder.lost(), recorder.pending()), (1_000, 500));
    sink.0.lock().unwrap().hang = false;
    assert_eq!(recorder.flush().await.unwrap(), 500);
}

/// ATK-DOS-02
#[tokio::test]
async fn more_keys_than_the_capacity_take_no_more_room() {
    let recorder = UsageRecorder::new(Sink::default(), 8);
    for key in 0..100 {
        use_key(&recorder, key, "a", true, 0);
    }
    use_key(&recorder, 0, "a", true, 0);
    assert_eq!((recorder.pending(), recorder.lost()), (8, 92));
    let kept: usize = (0..SHARDS).map(|at| recorder.locked(at).len()).sum();
    assert_eq!(kept, 8);
    recorder.flush().await.unwrap();
    use_key(&recorder, 99, "a", true, 0);
    assert_eq!((recorder.pending(), recorder.lost()), (1, 92), "there is room again");
}

#[tokio::test]
async fn shutting_down_writes_what_is_left() {
    let sink = Sink::default();
    let recorder = Arc::new(UsageRecorder::new(sink.clone(), 8));
    let task = recorder.start(core::time::Duration::from_hours(1));
    use_key(&recorder, 1, "a", true, 0);
    task.shutdown().await.unwrap();
    assert_eq!((sink.totals(), recorder.pending()), ((1, 0), 0));
}

#[tokio::test]
async fn the_task_flushes_by_itself() {
    let sink = Sink::default().fails_with(StoreError::Busy);
    let recorder = Arc::new(UsageRecorder::new(sink.clone(), 8));
    let task = recorder.start(core::time::Duration::from_millis(1));
    use_key(&recorder, 1, "a", true, 0);
    for _ in 0..1_000 {
        if sink.totals() == (1, 0) {
            break;
        }
        tokio::time::sleep(core::time::Duration::from_millis(2)).await;
    }
    assert_eq!(sink.totals(), (1, 0));
    task.shutdown().await.unwrap();
}

fn work<'a>(label: &'a UsageLabel, scope: &'a Scope, spender: Spender, units: u64) -> Work<'a> {
    let cost = Cost::new(Credits::from_millionths(5)).unwrap();
    Work { spender, project: ProjectId::from_uuid(Uuid::from_u128(1)), scope, label, units, cost }
}

#[tokio::test]
async fn work_is_summed_beside_requests_by_label() {
    let (sink, at) = (Sink::default(), Timestamp::from_second(7_201).unwrap());
    let recorder = UsageRecorder::new(sink.clone(), 10);
    let (large, scope) = (UsageLabel::parse("large").unwrap(), "a".parse().unwrap());
    let member = Spender::Member(AccountId::from_uuid(Uuid::from_u128(1)));
    use_key(&recorder, 1, "a", true, 7_200);
    for (label, spender, units) in [
        (&large, spender(1), 40),
        (&large, spender(1), 2),
        (&UsageLabel::NONE, spender(1), u64::MAX),
        (&large, member, 9),
    ] {
        recorder.record_work(&work(label, &scope, spender, units), at);
    }
    assert_eq!(recorder.flush().await.unwrap(), 3, "a member is not the key of the same id");
    let mut rows = sink.0.lock().unwrap().rows.clone();
    rows.sort_by_key(|row| (row.spender, row.label.clone()));
    let seen: Vec<_> =
        rows.iter().map(|row| (row.counts.allowed, row.counts.units, row.counts.cost.millionths())).collect();
    assert_eq!(seen, [(1, i64::MAX.unsigned_abs(), 5), (0, 42, 10), (0, 9, 5)]);
    assert!(rows.iter().all(|row| row.last_allowed_at == Some(at) && row.last_refused_at.is_none()));
}

#[tokio::test]
async fn lost_are_requests_and_pieces_of_work() {
    let sink = Sink::default().fails_with(StoreError::CommitUnknown(None));
    let recorder = UsageRecorder::new(sink, 2);
    let (large, scope) = (UsageLabel::parse("large").unwrap(), "a".parse().unwrap());
    for second in 0..3 {
        use_key(&recorder, 1, "a", true, second);
        let at = Timestamp::from_second(second).unwrap();
        recorder.record_work(&work(&large, &scope, spender(1), 1), at);
        recorder.record_work(&work(&large, &scope, spender(2), 1), at);
    }
    assert_eq!((recorder.pending(), recorder.lost()), (2, 3), "the third sum is one too many");
    assert!(recorder.flush().await.is_err());
    assert_eq!((recorder.pending(), recorder.lost()), (0, 9));
}

#[tokio::test]
async fn every_count_of_many_threads_is_in_one_sum_each() {
    let sink = Sink::default();
    let recorder = Arc::new(UsageRecorder::new(sink.clone(), 12_000));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let recorder = Arc::clone(&recorder);
            std::thread::spawn(move || {
                for number in 0..3_000_u32 {
                    let scope = ["files.write", "files.read", "models.list-all"][number as usize % 3];
                    use_key(&recorder, u128::from(number % 500), scope, true, 0);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Each thread counts for itself; a flush adds them up.
    assert!(recorder.pending() >= 1_500);
    assert_eq!(recorder.flush().await.unwrap(), 1_500);
    assert_eq!(sink.totals(), (24_000, 0));
    assert!(sink.0.lock().unwrap().rows.iter().all(|row| row.counts.allowed == 16));
}
