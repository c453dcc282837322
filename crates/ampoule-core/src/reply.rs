//! `Reply`: the answer of a store, at once or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;

/// The return type of every method of a [`Store`](crate::Store): the answer itself if it is ready, as from memory, or a
/// future of it. It is `Send`, and is awaited like any future.
///
/// ```
/// use ampoule_core::Reply;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let ready = Reply::ready(Ok(7));
/// let later = Reply::new(async { Ok(8) });
/// assert_eq!((ready.await?, later.await?), (7, 8));
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
///
/// A caller that takes a ready answer with [`Reply::try_now`] needs neither a future of its own nor a timer.
/// [`Reply::map`] and [`Reply::and_then`] continue with an answer whether it is ready or not.
#[must_use = "a store may begin its work when the reply is awaited"]
pub struct Reply<'a, T>(Answer<'a, T>);

enum Answer<'a, T> {
    Ready(Option<Result<T, Error>>),
    Later(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<'a, T> Reply<'a, T> {
    /// Creates a reply whose answer is ready, since the operation is done.
    pub const fn ready(answer: Result<T, Error>) -> Reply<'a, T> {
        Reply(Answer::Ready(Some(answer)))
    }

    /// Creates a reply whose answer comes later. The operation does not begin before the reply is awaited.
    pub fn new(answer: impl Future<Output = Result<T, Error>> + Send + 'a) -> Reply<'a, T> {
        Reply(Answer::Later(Box::pin(answer)))
    }

    /// Returns the answer if it is ready; otherwise returns the reply, to be awaited.
    ///
    /// # Errors
    /// The reply, if it is not ready.
    ///
    /// # Panics
    /// Panics if the reply was awaited to its end before.
    pub fn try_now(self) -> Result<Result<T, Error>, Reply<'a, T>> {
        match self.0 {
            Answer::Ready(answer) => Ok(answer.expect(POLLED_AFTER_COMPLETION)),
            Answer::Later(_) => Err(self),
        }
    }

    /// Applies `change` to the answer: at once if it is ready, otherwise when it comes.
    pub fn map<U, F>(self, change: F) -> Reply<'a, U>
    where
        T: Send + 'a,
        F: FnOnce(Result<T, Error>) -> Result<U, Error> + Send + 'a,
    {
        match self.try_now() {
            Ok(answer) => Reply::ready(change(answer)),
            Err(later) => Reply::new(async move { change(later.await) }),
        }
    }

    /// Calls `next` with the value of this answer, and returns the reply of that call. An error ends the chain, and
    /// `next` is not called.
    ///
    /// If both answers are ready, so is the reply, and nothing is allocated; otherwise it is one future for both.
    ///
    /// ```
    /// use ampoule_core::{MemoryStore, Reply, Store, StoreKey};
    /// use std::time::Duration;
    ///
    /// /// Extends the lifetime of a value, and returns whether there was one.
    /// fn prolong(store: &dyn Store, key: StoreKey) -> Reply<'_, bool> {
    ///     store.get(key).and_then(move |found| match found {
    ///         Some(stored) => store.touch(key, stored.version, Duration::from_secs(60)),
    ///         None => Reply::ready(Ok(false)),
    ///     })
    /// }
    ///
    /// let store = MemoryStore::default();
    /// let answer = prolong(&store, StoreKey::new([7; 32])).try_now().expect("memory answers at once");
    /// assert_eq!(answer?, false);
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    pub fn and_then<U, F>(self, next: F) -> Reply<'a, U>
    where
        T: Send + 'a,
        U: Send + 'a,
        F: FnOnce(T) -> Reply<'a, U> + Send + 'a,
    {
        match self.try_now() {
            Ok(Ok(value)) => next(value),
            Ok(Err(error)) => Reply::ready(Err(error)),
            Err(later) => Reply::new(async move { next(later.await?).await }),
        }
    }
}

const POLLED_AFTER_COMPLETION: &str = "a `Reply` was polled after completion";

/// `poll` only moves a ready answer out, never pins it; the future has a box of its own.
impl<T> Unpin for Reply<'_, T> {}

impl<T> Future for Reply<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        match &mut self.0 {
            Answer::Ready(answer) => Poll::Ready(answer.take().expect(POLLED_AFTER_COMPLETION)),
            Answer::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Reply<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Answer::Ready(_) => "Reply(ready)",
            Answer::Later(_) => "Reply(later)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn try_now_returns_a_ready_answer_only() {
        assert_eq!(Reply::ready(Ok(1)).try_now().unwrap().unwrap(), 1);
        let later = Reply::new(async { Ok(2) }).try_now().unwrap_err();
        assert_eq!(later.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn map_applies_to_ready_and_later_answers() {
        let double = |answer: Result<u8, Error>| answer.map(|n| 2 * n);
        assert_eq!(Reply::ready(Ok(1)).map(double).try_now().unwrap().unwrap(), 2);
        let later = Reply::new(async { Ok(2) }).map(double).try_now().unwrap_err();
        assert_eq!(later.await.unwrap(), 4);
        let failed = Reply::ready(Err(Error::new(ErrorKind::Full, "no room"))).map(double);
        assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::Full);
    }

    fn twice(number: u8, ready: bool) -> Reply<'static, u8> {
        if ready { Reply::ready(Ok(2 * number)) } else { Reply::new(async move { Ok(2 * number) }) }
    }

    #[tokio::test]
    async fn a_chain_is_ready_where_both_answers_are_and_is_one_future_otherwise() {
        assert_eq!(twice(1, true).and_then(|n| twice(n, true)).try_now().unwrap().unwrap(), 4);
        for (first, second) in [(true, false), (false, true), (false, false)] {
            let later = twice(1, first).and_then(|n| twice(n, second)).try_now().unwrap_err();
            assert_eq!(later.await.unwrap(), 4, "ready: {first}, {second}");
        }
    }

    #[tokio::test]
    async fn an_error_ends_a_chain() {
        let full = || Error::new(ErrorKind::Full, "no room");
        let next = |_: u8| -> Reply<'static, u8> { panic!("the next question was asked after an error") };
        assert_eq!(Reply::ready(Err(full())).and_then(next).await.unwrap_err().kind(), ErrorKind::Full);
        let later = Reply::new(async move { Err(full()) }).and_then(next);
        assert_eq!(later.await.unwrap_err().kind(), ErrorKind::Full);
        let second = twice(1, true).and_then(|_| Reply::<u8>::ready(Err(full())));
        assert_eq!(second.await.unwrap_err().kind(), ErrorKind::Full);
    }
}
