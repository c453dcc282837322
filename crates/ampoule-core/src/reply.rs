//! `Reply`: what a store answers, at once or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;

/// What every method of a [`Store`](crate::Store) returns: the answer itself where it is ready, as from memory, or a
/// future of it. It can be sent between threads, and is awaited like any future.
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
/// A caller that takes a ready answer with [`Reply::try_now`] needs neither a future of its own nor a timer. What follows
/// from an answer, ready or not, is written once with [`Reply::map`] and [`Reply::and_then`].
#[must_use = "a store may begin its work when the reply is awaited"]
pub struct Reply<'a, T>(Answer<'a, T>);

enum Answer<'a, T> {
    Ready(Option<Result<T, Error>>),
    Later(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<'a, T> Reply<'a, T> {
    /// An answer that is ready. What was asked for is done.
    pub const fn ready(answer: Result<T, Error>) -> Reply<'a, T> {
        Reply(Answer::Ready(Some(answer)))
    }

    /// An answer that comes later. Nothing happens before the reply is awaited.
    pub fn new(answer: impl Future<Output = Result<T, Error>> + Send + 'a) -> Reply<'a, T> {
        Reply(Answer::Later(Box::pin(answer)))
    }

    /// The answer, if it is ready; otherwise the reply again, to be awaited.
    ///
    /// # Errors
    /// The reply, if it is not ready.
    ///
    /// # Panics
    /// If the reply was awaited before.
    pub fn try_now(self) -> Result<Result<T, Error>, Reply<'a, T>> {
        match self.0 {
            Answer::Ready(answer) => Ok(answer.expect(TWICE)),
            Answer::Later(_) => Err(self),
        }
    }

    /// Changes the answer: at once where it is ready, otherwise when it comes.
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

    /// Asks the next question with the value of this answer, and returns that question's reply. An error ends the chain
    /// and `next` is not called.
    ///
    /// Where both answers are ready, so is the reply, and nothing is allocated; otherwise it is one future for both.
    ///
    /// ```
    /// use ampoule_core::{MemoryStore, Reply, Store, StoreKey};
    /// use std::time::Duration;
    ///
    /// /// Prolongs what is stored, and says whether there was anything.
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

const TWICE: &str = "a reply is awaited once";

/// A ready answer is only moved out, never pinned; the future has a box of its own.
impl<T> Unpin for Reply<'_, T> {}

impl<T> Future for Reply<'_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        match &mut self.0 {
            Answer::Ready(answer) => Poll::Ready(answer.take().expect(TWICE)),
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
    async fn a_ready_answer_is_told_from_one_that_comes_later() {
        assert_eq!(Reply::ready(Ok(1)).try_now().unwrap().unwrap(), 1);
        let later = Reply::new(async { Ok(2) }).try_now().unwrap_err();
        assert_eq!(later.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn an_answer_is_changed_when_it_is_there() {
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
