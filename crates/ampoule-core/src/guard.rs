//! What stands before every operation of a store: a limit on its time, and a rest after failures.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Error, ErrorKind, Reply};

/// How long a store that failed again and again is left alone; then one request tries it.
const REST: Duration = Duration::from_secs(1);

/// Keeps the limits that callers of a [`Store`](crate::Store) set it (promise P10).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use ampoule_core::{Guard, MemoryStore, Store, StoreKey};
///
/// let guard = Guard::new("cache store", Some(Duration::from_secs(1)), 5);
/// let store = MemoryStore::default();
/// guard.admit()?;
/// let found = guard.run(store.get(StoreKey::new([7; 32]))).await?;
/// assert!(found.is_none());
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Guard {
    /// What is guarded, in errors and in the log: "session store".
    what: &'static str,
    /// How long one operation may take.
    limit: Option<Duration>,
    /// How many failures in a row are enough; 0 for never.
    enough: usize,
    failures: AtomicUsize,
    rests_until: Mutex<Option<Instant>>,
}

impl Guard {
    /// A guard of `what`, as "session store": one operation may take as long as `limit`, which needs a tokio runtime
    /// with a timer, and after so many failures in a row as are `enough` there is a rest of a second; 0 for never.
    pub fn new(what: &'static str, limit: Option<Duration>, enough: usize) -> Guard {
        Guard { what, limit, enough, failures: AtomicUsize::new(0), rests_until: Mutex::default() }
    }

    /// Whether the store may be asked. When its rest is over one caller may, so who asks several things at the same time
    /// is to be admitted once for all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while it rests.
    pub fn admit(&self) -> Result<(), Error> {
        if self.rests() {
            let message = format!("the {} failed several times in a row and is left alone for a moment", self.what);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Ok(())
    }

    /// Waits for an answer as long as the limit allows, whatever limits the store has of its own, and remembers whether
    /// there was one.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Timeout`] at the limit.
    pub fn run<'a, T: Send + 'a>(&'a self, reply: Reply<'a, T>) -> Reply<'a, T> {
        match reply.at_hand() {
            Ok(answer) => {
                self.note(&answer);
                Reply::ready(answer)
            }
            Err(later) => Reply::new(async move {
                let answer = self.limited(later).await;
                self.note(&answer);
                answer
            }),
        }
    }

    /// An answer that comes when it is first asked for, as from a database in this process, sets no timer.
    async fn limited<T>(&self, mut reply: Reply<'_, T>) -> Result<T, Error> {
        let Some(limit) = self.limit else { return reply.await };
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(Pin::new(&mut reply).poll(cx))).await {
            return answer;
        }
        tokio::time::timeout(limit, reply).await.unwrap_or_else(|_| {
            let message = format!("the {} gave no answer within {limit:?} (store_timeout)", self.what);
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
                tracing::info!("the {} answers again", self.what);
            }
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures == self.enough {
            *self.until() = Some(Instant::now() + REST);
            let error = answer.as_ref().err();
            tracing::warn!(
                error = error.map(tracing::field::display),
                "the {} failed {failures} times in a row",
                self.what
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
        let reply = Reply::new(async move { answer.map_err(|kind| Error::new(kind, "down")) });
        let admitted = guard.admit();
        let answer = match admitted {
            Ok(()) => guard.run(reply).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn p10_a_store_that_fails_again_and_again_is_left_alone_for_a_moment() {
        let guard = Guard::new("session store", None, 3);
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
        let guard = Guard::new("session store", None, 2);
        for _ in 0..2 {
            let _ = call(&guard, Err(ErrorKind::Timeout)).await;
        }
        *guard.until() = Some(Instant::now());
        assert_eq!(call(&guard, Err(ErrorKind::Timeout)).await, Err("down".to_owned()));
        assert!(call(&guard, Ok(1)).await.is_err(), "the others wait another moment");
    }

    #[tokio::test]
    async fn answers_of_a_store_that_works_are_no_failures() {
        let guard = Guard::new("session store", None, 2);
        for _ in 0..9 {
            assert!(call(&guard, Err(ErrorKind::Corrupt)).await.is_err());
            assert!(call(&guard, Err(ErrorKind::Unavailable)).await.is_err());
        }
        assert_eq!(call(&guard, Ok(1)).await, Ok(1));
    }
}
