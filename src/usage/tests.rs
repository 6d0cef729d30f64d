use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;

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
        (state.rows.iter().map(|row| row.allowed).sum(), state.rows.iter().map(|row| row.refused).sum())
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

fn use_key(recorder: &UsageRecorder, key: u128, scope: &str, allowed: bool, second: i64) {
    let project = ProjectId::from_uuid(Uuid::from_u128(1));
    let at = Timestamp::from_second(second).unwrap();
    recorder.record(KeyId::from_uuid(Uuid::from_u128(key)), project, &scope.parse().unwrap(), allowed, at);
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
    let first = rows.iter().find(|row| row.allowed + row.refused == 2).unwrap();
    assert_eq!((first.hour.as_second(), first.last_at.as_second()), (0, 3_599));
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
