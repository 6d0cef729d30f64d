//! Password hashes on threads of their own.
//!
//! One Argon2id hash takes tens of milliseconds and megabytes. A [`HashingPool`] computes a fixed number at a
//! time, each thread in memory that it keeps, and lets a bounded number wait. The next one is told at once that the
//! service is busy, so a flood of sign-ins can take neither the memory nor the runtime (ASVS 5.0, 15.2.2).

use core::fmt;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::error::Coded;
use crate::password::{HashBuffer, HashError, HashScheme, PasswordHash, Verified};

/// Computes password hashes, a bounded number at a time. A handle: clones share the threads, which end when the
/// last of them is dropped.
#[derive(Clone)]
pub struct HashingPool {
    owner: Arc<Owner>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashingError {
    /// As many hashes wait as may; try again in a moment.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash could not be computed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The computation ended without an answer: the thread met a bug. The pool goes on.
    #[error("the hash ended without an answer")]
    Stopped,
}

impl Coded for HashingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Hash(why) => why.code(),
            Self::Stopped => "hashing_stopped",
        }
    }
}

impl HashingPool {
    /// Starts `threads` threads; while all of them work, `queue` jobs may wait. Memory stays under `threads` times
    /// the memory of one hash; half the cores is a good number of threads.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub fn new(scheme: HashScheme, threads: NonZeroUsize, queue: usize) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared {
            scheme,
            queue,
            computed: AtomicU64::new(0),
            state: Mutex::new(State { waiting: VecDeque::new(), idle: threads.get(), closed: false }),
            wake: Condvar::new(),
        });
        // The owner first: if a thread cannot be started, dropping it ends those that were.
        let owner = Arc::new(Owner { shared });
        for number in 0..threads.get() {
            let shared = Arc::clone(&owner.shared);
            std::thread::Builder::new()
                .name(format!("portcullis-hash-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self { owner })
    }

    /// Hashes a password. The salt is random and used for no other hash.
    ///
    /// # Errors
    /// [`HashingError::Busy`] at once when the queue is full; [`HashError::TooLong`].
    pub async fn hash(&self, password: SecretString, salt: [u8; 16]) -> Result<PasswordHash, HashingError> {
        self.run(move |scheme, buffer| scheme.hash(&password, salt, buffer)).await
    }

    /// Whether this is the password of that hash. Without a hash, because there is no such account or it has no
    /// password, a hash of the same cost is computed all the same, and nothing matches (ASVS 5.0, 6.3.8).
    ///
    /// # Errors
    /// [`HashingError::Busy`] at once when the queue is full; [`HashingError::Hash`] when the question stays
    /// open. Nobody is signed in on an error.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<Verified, HashingError> {
        self.run(move |scheme, buffer| {
            if let Some(hash) = hash {
                return scheme.verify(&password, &hash, buffer);
            }
            let nothing = Verified { matches: false, outdated: false };
            scheme.verify(&password, &scheme.dummy(), buffer).map(|_| nothing)
        })
        .await
    }

    /// How many hashes were computed so far, for metrics and tests.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.owner.shared.computed.load(Ordering::Acquire)
    }

    async fn run<T, F>(&self, work: F) -> Result<T, HashingError>
    where
        T: Send + 'static,
        F: FnOnce(&HashScheme, &mut HashBuffer) -> Result<T, HashError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.owner.shared.submit(Box::new(Task { work, answer }))?;
        answered.await.map_err(|_| HashingError::Stopped)?.map_err(HashingError::Hash)
    }
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool")
            .field("scheme", &self.owner.shared.scheme)
            .field("queue", &self.owner.shared.queue)
            .finish_non_exhaustive()
    }
}

/// What the handles share. The threads hold only [`Shared`], so the last handle's end is seen here.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.state();
            state.closed = true;
            core::mem::take(&mut state.waiting)
        };
        drop(waiting);
        self.shared.wake.notify_all();
    }
}

struct Shared {
    scheme: HashScheme,
    queue: usize,
    computed: AtomicU64,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    waiting: VecDeque<Box<dyn Job>>,
    /// Threads that have no job. One that was woken counts until it takes its job off the queue.
    idle: usize,
    closed: bool,
}

impl Shared {
    /// Jobs panic outside the lock; were it ever poisoned, the state is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<(), HashingError> {
        let mut state = self.state();
        let room = self.queue.saturating_add(state.idle);
        if state.waiting.len() >= room {
            // Jobs that nobody waits for any more take no place.
            state.waiting.retain(|job| !job.is_abandoned());
        }
        if state.waiting.len() >= room {
            return Err(HashingError::Busy);
        }
        state.waiting.push_back(job);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// What a thread does until the pool is closed.
    fn work(&self) {
        let mut buffer = HashBuffer::new();
        while let Some(job) = self.next() {
            if job.is_abandoned() {
                self.rest();
            } else {
                job.run(self, &mut buffer);
            }
        }
    }

    /// Counts a thread as idle again. Before its answer is sent: whoever hears may ask the next thing at once.
    fn rest(&self) {
        self.state().idle += 1;
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                state.idle = state.idle.saturating_sub(1);
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    fn run(self: Box<Self>, shared: &Shared, buffer: &mut HashBuffer);
}

struct Task<T, F> {
    work: F,
    answer: oneshot::Sender<Result<T, HashError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&HashScheme, &mut HashBuffer) -> Result<T, HashError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>, shared: &Shared, buffer: &mut HashBuffer) {
        let Self { work, answer } = *self;
        let before = buffer.computed();
        let result = catch_unwind(AssertUnwindSafe(|| work(&shared.scheme, buffer)));
        let computed = buffer.computed().saturating_sub(before);
        shared.computed.fetch_add(computed, Ordering::Release);
        if result.is_err() {
            tracing::error!("a password hash panicked; its caller got no answer");
            *buffer = HashBuffer::new();
        }
        shared.rest();
        if let Ok(result) = result {
            // Whoever asked may have gone in the meantime.
            let _ = answer.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;
    use core::time::Duration;
    use std::collections::HashSet;
    use std::sync::mpsc;

    use super::*;
    use crate::password::{HashParams, Pepper, Peppers};
    use crate::ports::{EntropyExt, SystemEntropy};

    const WRONG: Verified = Verified { matches: false, outdated: false };

    fn pool(scheme: HashScheme, threads: usize, queue: usize) -> HashingPool {
        HashingPool::new(scheme, NonZeroUsize::new(threads).unwrap(), queue).unwrap()
    }

    fn quick() -> HashScheme {
        HashScheme::new(HashParams::worthless())
    }

    /// Occupies one thread until the sender is dropped; returns once it has started.
    fn occupy(pool: &HashingPool) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), HashingError>>) {
        let (release, released) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let pool = pool.clone();
        let task = tokio::spawn(async move {
            pool.run(move |_, _| {
                start.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            })
            .await
        });
        started.recv_timeout(Duration::from_secs(20)).unwrap();
        (release, task)
    }

    #[tokio::test]
    async fn a_password_hashed_on_the_pool_verifies_on_it() {
        let pool = pool(HashScheme::default(), 2, 4);
        let hash = pool.hash("kettle of fish".into(), [1; 16]).await.unwrap();
        let right = pool.verify("kettle of fish".into(), Some(hash.clone())).await;
        assert_eq!(right, Ok(Verified { matches: true, outdated: false }));
        assert_eq!(pool.verify("kettle of fisk".into(), Some(hash)).await, Ok(WRONG));
        assert_eq!(pool.computed(), 3);
    }

    /// ATK-ENUM-03
    #[tokio::test]
    async fn an_unknown_account_costs_one_hash_as_a_known_one_does() {
        let peppers = Peppers::new(Pepper::new(1, [7; 32]));
        let pool = pool(quick().with_peppers(peppers), 1, 4);
        let hash = pool.hash("p".into(), [1; 16]).await.unwrap();
        let before = pool.computed();
        assert_eq!(pool.verify("q".into(), Some(hash)).await, Ok(WRONG));
        assert_eq!(pool.computed() - before, 1);
        assert_eq!(pool.verify("q".into(), None).await, Ok(WRONG));
        assert_eq!(pool.computed() - before, 2);
    }

    /// ATK-PWD-04, ASVS-5.0-15.2.2
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_is_bounded_in_memory_and_the_rest_is_told_at_once() {
        let (threads, queue) = (2, 16);
        let pool = pool(HashScheme::default(), threads, queue);
        let held = Arc::new(Mutex::new(HashSet::new()));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..1_000 {
            let (pool, held, running, most) = (pool.clone(), held.clone(), running.clone(), most.clone());
            tasks.push(tokio::spawn(async move {
                pool.run(move |scheme, buffer| {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let done = scheme.verify(&"p".into(), &scheme.dummy(), buffer);
                    held.lock().unwrap().insert((std::thread::current().id(), buffer.held_kib()));
                    running.fetch_sub(1, Ordering::SeqCst);
                    done
                })
                .await
            }));
        }
        let (mut answered, mut busy) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => answered += 1,
                Err(HashingError::Busy) => busy += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(answered + busy, 1_000);
        assert!(answered >= threads + queue && busy > 500, "{answered} answered, {busy} busy");
        assert_eq!(pool.computed(), u64::try_from(answered).unwrap());
        assert!(most.load(Ordering::SeqCst) <= threads);
        let held: usize = held.lock().unwrap().iter().map(|(_, kib)| kib).sum();
        assert!(held <= threads * 19_456, "{held} KiB");
        // 1,000 hashes at once would take 19 GiB. The bound leaves room for the tests beside this one.
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let peak: usize = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
            assert!(peak < 2 * 1024 * 1024, "{peak} KiB");
        }
    }

    /// ASVS-5.0-15.2.2
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_queue_holds_what_it_was_given_and_no_more() {
        for queue in [0, 1, 3] {
            let pool = pool(quick(), 1, queue);
            let (release, first) = occupy(&pool);
            let mut waiting: Vec<_> = (0..queue).map(|_| Box::pin(pool.hash("p".into(), [1; 16]))).collect();
            for job in &mut waiting {
                assert!(poll_once(job.as_mut()).is_none(), "it waits");
            }
            assert_eq!(pool.hash("p".into(), [1; 16]).await, Err(HashingError::Busy));
            assert_eq!(HashingError::Busy.code(), "busy");
            assert_eq!(pool.computed(), 0);
            drop(release);
            for job in waiting {
                assert!(job.await.is_ok());
            }
            assert_eq!(first.await.unwrap(), Ok(()));
            assert_eq!(pool.computed(), u64::try_from(queue).unwrap());
        }
    }

    fn poll_once<F: Future>(job: core::pin::Pin<&mut F>) -> Option<F::Output> {
        match job.poll(&mut core::task::Context::from_waker(core::task::Waker::noop())) {
            core::task::Poll::Ready(answer) => Some(answer),
            core::task::Poll::Pending => None,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_whose_caller_went_away_is_skipped_and_takes_no_place() {
        let pool = pool(quick(), 1, 1);
        let (release, first) = occupy(&pool);
        let mut given_up = Box::pin(pool.hash("p".into(), [1; 16]));
        assert!(poll_once(given_up.as_mut()).is_none());
        assert_eq!(pool.hash("p".into(), [1; 16]).await, Err(HashingError::Busy));
        drop(given_up);
        let mut second = Box::pin(pool.hash("p".into(), [2; 16]));
        assert!(poll_once(second.as_mut()).is_none(), "the place is free again");
        drop(second);
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert!(pool.hash("p".into(), [3; 16]).await.is_ok());
        assert_eq!(pool.computed(), 1, "only the one that somebody waited for");
    }

    #[tokio::test]
    async fn a_panic_ends_its_job_and_not_the_pool() {
        let pool = pool(quick(), 1, 0);
        for _ in 0..3 {
            let lost = pool.run::<(), _>(|_, _| panic!("on purpose")).await;
            assert_eq!(lost, Err(HashingError::Stopped));
        }
        assert!(pool.hash("p".into(), [1; 16]).await.is_ok());
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_handle() {
        let pool = pool(quick(), 3, 4);
        let shared = Arc::downgrade(&pool.owner.shared);
        let other = pool.clone();
        drop(pool);
        assert!(other.hash("p".into(), [1; 16]).await.is_ok(), "one handle is enough");
        drop(other);
        for _ in 0..500 {
            if shared.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} threads still there", shared.strong_count());
    }

    #[tokio::test]
    async fn an_overlong_password_is_not_computed() {
        let pool = pool(quick(), 1, 4);
        let long = "x".repeat(1_025);
        let refused = pool.hash(long.clone().into(), [1; 16]).await;
        assert_eq!(refused, Err(HashingError::Hash(HashError::TooLong { maximum_bytes: 1_024 })));
        assert_eq!(pool.verify(long.into(), None).await, Ok(WRONG));
        assert_eq!(pool.computed(), 0);
    }

    /// SP800-63B-4-3.1.1.2#hash
    #[tokio::test]
    async fn ten_thousand_hashes_of_one_password_all_differ() {
        let (pool, entropy) = (pool(quick(), 2, 4), SystemEntropy::new());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let hash = pool.hash("p".into(), entropy.bytes().unwrap()).await.unwrap();
            let salt = hash.as_phc().split('$').nth(4).unwrap().to_owned();
            assert!(seen.insert(salt));
        }
    }
}
