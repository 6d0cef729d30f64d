//! A bug in a handler is answered, and the process lives.

use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::catch_unwind;

/// The future met a bug; what it held is dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panicked;

/// Polls a future and catches its panic. The future is never polled again after one, and shares with the rest of
/// the process only what takes care of itself: locks that ignore poison, transactions that roll back when dropped.
pub(super) struct Caught<F>(Option<Pin<Box<F>>>);

impl<F> Caught<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else { return Poll::Ready(Err(Panicked)) };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                self.0 = None;
                Poll::Ready(Ok(output))
            }
            Err(_) => {
                // What it held may panic again on its way out.
                let future = self.0.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                Poll::Ready(Err(Panicked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_any_poll_is_an_answer() {
        assert!(matches!(Caught::new(async { 7 }).await, Ok(7)));
        let late = async {
            tokio::task::yield_now().await;
            panic!("a bug");
        };
        let answer: Result<(), _> = Caught::new(late).await;
        assert!(answer.is_err());
    }
}
