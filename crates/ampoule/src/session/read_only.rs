//! A view of a session that leaves no trace.

use ampoule_core::{AsKey, Error, KeyOf, Time, codec};
use serde::de::DeserializeOwned;

use super::Session;

/// A session that can only be read: no write, no cookie, and the idle deadline stays where it is.
///
/// For requests that a page makes by itself, such as polling for messages: they should see the session and not keep it
/// alive. The response still varies by cookie.
///
/// ```
/// # async fn handler(session: ampoule::ReadOnly) -> Result<(), ampoule::Error> {
/// let unread: Option<u32> = session.get("unread").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnly(Session);

impl Session {
    /// A view that only reads: it neither moves the idle deadline nor sends a cookie. For requests that a page makes
    /// by itself, such as polling, which should not keep a session alive.
    pub fn read_only(&self) -> ReadOnly {
        ReadOnly(self.clone())
    }
}

impl ReadOnly {
    /// The value under `key`, or `None`.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        self.0.peek(|record| record.get(key.as_key()).map(codec::decode).transpose()).await?
    }

    /// Whether there is a value under `key`.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn contains_key(&self, key: impl AsKey) -> Result<bool, Error> {
        self.0.peek(|record| record.get(key.as_key()).is_some()).await
    }

    /// The keys, in the order in which they were first inserted.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.peek(|record| record.keys().map(str::to_owned).collect()).await
    }

    /// Whose session it is.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn principal(&self) -> Result<Option<String>, Error> {
        self.0.peek(|record| record.principal().map(str::to_owned)).await
    }

    /// When the session ends if it is not used: reading through this view does not move it.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn expires(&self) -> Result<Time, Error> {
        self.0.peek_deadline().await
    }
}
