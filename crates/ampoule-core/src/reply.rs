//! `Reply`: what a store answers, at once or later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Error;

/// What every method of a [`Store`](crate::Store) returns: the answer itself where it is at hand, as from memory, or a
/// future of it. It can be sent between threads, and is awaited like any future.
///
/// ```
/// use ampoule_core::Reply;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let at_hand = Reply::ready(Ok(7));
/// let later = Reply::new(async { Ok(8) });
/// assert_eq!((at_hand.await?, later.await?), (7, 8));
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
///
/// A caller that finds the answer at hand needs neither a future of its own nor a timer.
#[must_use = "a store may begin its work when the reply is awaited"]
pub struct Reply<'a, T>(Answer<'a, T>);

enum Answer<'a, T> {
    Ready(Option<Result<T, Error>>),
    Later(Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>),
}

impl<'a, T> Reply<'a, T> {
    /// An answer that is there. Whatever was asked for is done.
    pub const fn ready(answer: Result<T, Error>) -> Reply<'a, T> {
        Reply(Answer::Ready(Some(answer)))
    }

    /// An answer that somebody has to wait for. Nothing happens before that.
    pub fn new(answer: impl Future<Output = Result<T, Error>> + Send + 'a) -> Reply<'a, T> {
        Reply(Answer::Later(Box::pin(answer)))
    }

    /// The answer, if it is at hand; otherwise the reply again, to be awaited.
    ///
    /// # Errors
    /// The reply, if it has to be waited for.
    ///
    /// # Panics
    /// If the reply was awaited before.
    pub fn at_hand(self) -> Result<Result<T, Error>, Reply<'a, T>> {
        match self.0 {
            Answer::Ready(answer) => Ok(answer.expect(TWICE)),
            Answer::Later(_) => Err(self),
        }
    }

    /// What becomes of the answer: at once where it is at hand, or when it comes.
    pub fn map<U, F>(self, change: F) -> Reply<'a, U>
    where
        T: Send + 'a,
        F: FnOnce(Result<T, Error>) -> Result<U, Error> + Send + 'a,
    {
        match self.at_hand() {
            Ok(answer) => Reply::ready(change(answer)),
            Err(later) => Reply::new(async move { change(later.await) }),
        }
    }
}

const TWICE: &str = "a reply is awaited once";

/// What is at hand is only moved out, never pinned; the future has a place of its own.
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
    use crate::ErrorKind;

    #[tokio::test]
    async fn what_is_at_hand_is_told_from_what_comes_later() {
        assert_eq!(Reply::ready(Ok(1)).at_hand().unwrap().unwrap(), 1);
        let later = Reply::new(async { Ok(2) }).at_hand().unwrap_err();
        assert_eq!(later.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn an_answer_is_changed_when_it_is_there() {
        let double = |answer: Result<u8, Error>| answer.map(|n| 2 * n);
        assert_eq!(Reply::ready(Ok(1)).map(double).at_hand().unwrap().unwrap(), 2);
        let later = Reply::new(async { Ok(2) }).map(double).at_hand().unwrap_err();
        assert_eq!(later.await.unwrap(), 4);
        let failed = Reply::ready(Err(Error::new(ErrorKind::Full, "no room"))).map(double);
        assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::Full);
    }
}
