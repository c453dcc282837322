//! What stands before every operation of a store: a limit on its time, a rest after failures, and who watches.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use ampoule_core::{Error, ErrorKind, Reply, StoreKey};
use tracing::Instrument;

use crate::observe;

/// How long a store that failed again and again is left alone; then one request tries it.
const REST: Duration = Duration::from_secs(1);

pub(crate) struct Guard {
    /// How long one operation may take.
    limit: Option<Duration>,
    /// How many failures in a row are enough; 0 for never.
    enough: usize,
    failures: AtomicUsize,
    rests_until: Mutex<Option<Instant>>,
}

impl Guard {
    pub(crate) fn new(limit: Option<Duration>, enough: usize) -> Guard {
        Guard { limit, enough, failures: AtomicUsize::new(0), rests_until: Mutex::default() }
    }

    /// Waits for an answer as long as the limit allows, whatever limits the store has of its own (promise P10); fails at
    /// once while the store rests.
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        key: Option<StoreKey>,
        reply: Reply<'_, T>,
    ) -> Result<T, Error> {
        if self.rests() {
            observe::refused(operation);
            let message = "the session store failed several times in a row and is left alone for a moment";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let watch = observe::Watch::start(operation);
        let span = tracing::debug_span!(
            "store",
            operation,
            session = key.map(|key| tracing::field::display(observe::Short(key)))
        );
        let answer = self.limited(reply).instrument(span).await;
        watch.stop(&answer);
        self.note(&answer);
        answer
    }

    /// An answer that is there at once, as from memory, sets no timer.
    async fn limited<T>(&self, mut reply: Reply<'_, T>) -> Result<T, Error> {
        let Some(limit) = self.limit else { return reply.await };
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(reply.as_mut().poll(cx))).await {
            return answer;
        }
        tokio::time::timeout(limit, reply).await.unwrap_or_else(|_| {
            let message = format!("the session store gave no answer within {limit:?} (store_timeout)");
            Err(Error::new(ErrorKind::Timeout, message))
        })
    }

    /// Whether the store is to be left alone. When its rest is over one caller may try, and the others wait for what he
    /// finds.
    fn rests(&self) -> bool {
        if self.enough == 0 || self.failures.load(Ordering::Relaxed) < self.enough {
            return false;
        }
        let mut until = self.until();
        let now = Instant::now();
        let rests = until.is_some_and(|until| now < until);
        if !rests {
            *until = Some(now + REST);
        }
        rests
    }

    fn note<T>(&self, answer: &Result<T, Error>) {
        let failed = |error: &Error| matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
        if !answer.as_ref().is_err_and(failed) {
            if self.failures.load(Ordering::Relaxed) > 0
                && self.failures.swap(0, Ordering::Relaxed) >= self.enough.max(1)
            {
                *self.until() = None;
                tracing::info!("the session store answers again");
            }
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures == self.enough {
            *self.until() = Some(Instant::now() + REST);
            let error = answer.as_ref().err();
            tracing::warn!(
                error = error.map(tracing::field::display),
                "the session store failed {failures} times in a row"
            );
        }
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(guard: &Guard, answer: Result<u8, ErrorKind>) -> Result<u8, String> {
        let reply = Box::pin(async move { answer.map_err(|kind| Error::new(kind, "down")) });
        guard.call("get", None, reply).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn p10_a_store_that_fails_again_and_again_is_left_alone_for_a_moment() {
        let guard = Guard::new(None, 3);
        for _ in 0..3 {
            assert_eq!(call(&guard, Err(ErrorKind::Unavailable)).await, Err("down".to_owned()));
        }
        let refused = call(&guard, Ok(1)).await.unwrap_err();
        assert!(refused.contains("left alone"), "{refused}");
        *guard.until() = Some(Instant::now());
        assert_eq!(call(&guard, Ok(1)).await, Ok(1), "one may try");
        assert_eq!(call(&guard, Ok(1)).await, Ok(1), "and all, when it answers");
    }

    #[tokio::test]
    async fn p10_one_try_that_fails_prolongs_the_rest() {
        let guard = Guard::new(None, 2);
        for _ in 0..2 {
            let _ = call(&guard, Err(ErrorKind::Timeout)).await;
        }
        *guard.until() = Some(Instant::now());
        assert_eq!(call(&guard, Err(ErrorKind::Timeout)).await, Err("down".to_owned()));
        assert!(call(&guard, Ok(1)).await.is_err(), "the others wait another moment");
    }

    #[tokio::test]
    async fn answers_of_a_store_that_works_are_no_failures() {
        let guard = Guard::new(None, 2);
        for _ in 0..9 {
            assert!(call(&guard, Err(ErrorKind::Corrupt)).await.is_err());
            assert!(call(&guard, Err(ErrorKind::Unavailable)).await.is_err());
        }
        assert_eq!(call(&guard, Ok(1)).await, Ok(1));
    }
}
