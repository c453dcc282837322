//! A read-only view of a session.

use ampoule_core::internal::codec;
use ampoule_core::{AsKey, Error, KeyOf, Time};
use serde::de::DeserializeOwned;

use super::Session;

/// A read-only view of a session: it writes nothing, sends no cookie, and does not move the idle deadline.
///
/// For requests that a page makes by itself, such as polling for messages: they read the session without keeping it
/// alive. The response still varies by cookie. It is an extractor, and [`Session::read_only`] returns one.
///
/// ```
/// async fn poll(session: ampoule::ReadOnly) -> Result<String, ampoule::Error> {
///     let unread: Option<u32> = session.get("unread").await?;
///     Ok(format!("{} unread messages", unread.unwrap_or_default()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnly(Session);

impl Session {
    /// Returns a view that only reads: it neither moves the idle deadline nor sends a cookie. For requests that a page
    /// makes by itself, such as polling, which should not keep a session alive.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("unread", 3)?;
    /// let view = session.read_only();
    /// assert_eq!(view.get::<u32>("unread").await?, Some(3));
    /// # Ok(()) }
    /// ```
    pub fn read_only(&self) -> ReadOnly {
        ReadOnly(self.clone())
    }
}

impl ReadOnly {
    /// Returns the value under `key`, or `None`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # session.insert("unread", 3)?;
    /// let view = session.read_only();
    /// assert_eq!(view.get::<u32>("unread").await?, Some(3));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        self.0.peek(|record| record.get(key.as_key()).map(codec::decode).transpose()).await?
    }

    /// Returns whether there is a value under `key`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert!(!session.read_only().contains_key("unread").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn contains_key(&self, key: impl AsKey) -> Result<bool, Error> {
        self.0.peek(|record| record.get(key.as_key()).is_some()).await
    }

    /// Returns the keys, in the order in which they were first inserted.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("unread", 3)?;
    /// assert_eq!(session.read_only().keys().await?, ["unread"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.peek(|record| record.keys().map(str::to_owned).collect()).await
    }

    /// Returns the user that the session belongs to; `None` for a visitor.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.login("user:42").await?;
    /// assert_eq!(session.read_only().principal().await?.as_deref(), Some("user:42"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn principal(&self) -> Result<Option<String>, Error> {
        self.0.peek(|record| record.principal().map(str::to_owned)).await
    }

    /// Returns when the session ends if it is not used. Reading through this view does not move that moment.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use std::time::Duration;
    ///
    /// // A page can warn its user in time.
    /// let left = session.read_only().expires().await?.since(SystemClock.now());
    /// assert!(left > Duration::from_secs(23 * 3_600));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn expires(&self) -> Result<Time, Error> {
        self.0.peek_deadline().await
    }
}
