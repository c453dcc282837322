//! `Typed`: a session as one struct of the application.

use std::fmt;
use std::ops::Deref;

use ampoule_core::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;

/// A struct that is stored in a session under one key.
pub trait SessionData: Serialize + DeserializeOwned + Default + Send + Sync + 'static {
    /// The key under which the session holds it, 1 to 255 bytes, not used for anything else in the session.
    const KEY: &'static str;
}

/// The session as one struct of the application: loaded, changed, saved. In axum a handler takes it as an argument.
///
/// ```
/// use ampoule::{Error, SessionData, Typed};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Deserialize, Serialize)]
/// struct MySession {
///     visits: u32,
///     #[serde(default)] // Sessions of an earlier release lack it.
///     theme: Option<String>,
/// }
///
/// impl SessionData for MySession {
///     const KEY: &'static str = "my session";
/// }
///
/// async fn count(mut session: Typed<MySession>) -> Result<String, Error> {
///     session.update(|mine| mine.visits += 1).await?;
///     session.save().await?;
///     Ok(format!("You have been here {} times.", session.visits))
/// }
/// ```
///
/// It dereferences to the struct for reading, and changes only by [`update`](Typed::update): there is no `&mut`. If
/// another request saved first, the save runs each update again on what that request wrote, so no change of either is
/// lost (promise P1), whether they concern one field or several. A change that assigns a value which was read before
/// (`mine.visits = 7`) overwrites the other request's: compute it from the closure's argument instead. The [`Session`]
/// keeps its other keys, its login and all else; [`session`](Typed::session) returns it.
///
/// The whole struct is encoded at each save, as one value: store large parts that change separately under keys of their
/// own. A session that is kept in its own cookie cannot promise P1.
pub struct Typed<T> {
    session: Session,
    value: T,
}

impl<T: SessionData> Typed<T> {
    /// Loads the struct of this session, or its default if the session has none.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # #[derive(Default, serde::Deserialize, serde::Serialize)]
    /// # struct MySession { visits: u32 }
    /// # impl SessionData for MySession { const KEY: &'static str = "my session"; }
    /// let mine: Typed<MySession> = Typed::of(&session).await?;
    /// assert_eq!(mine.visits, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::get`]: for example if the struct has changed so that it cannot read what an earlier release
    /// stored.
    pub async fn of(session: &Session) -> Result<Typed<T>, Error> {
        let value = session.get(T::KEY).await?.unwrap_or_default();
        Ok(Typed { session: session.clone(), value })
    }

    /// Changes the struct, here at once and in the store at the next save. As with [`Session::update`], the function
    /// may run several times, each time on the stored value: it should do nothing but compute.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # #[derive(Default, serde::Deserialize, serde::Serialize)]
    /// # struct MySession { cart: Vec<u32> }
    /// # impl SessionData for MySession { const KEY: &'static str = "my session"; }
    /// # let mut mine: Typed<MySession> = Typed::of(&session).await?;
    /// let article = 7;
    /// mine.update(move |mine| mine.cart.push(article)).await?;
    /// assert_eq!(mine.cart, [7]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::update`].
    pub async fn update(&mut self, change: impl Fn(&mut T) + Send + Sync + 'static) -> Result<(), Error> {
        self.value = self.session.update(T::KEY, change).await?;
        Ok(())
    }

    /// Saves the session, with this struct and all other changes of the request, and then reads the struct as it is
    /// stored, with what other requests have saved meanwhile.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # #[derive(Default, serde::Deserialize, serde::Serialize)]
    /// # struct MySession { visits: u32 }
    /// # impl SessionData for MySession { const KEY: &'static str = "my session"; }
    /// # let mut mine: Typed<MySession> = Typed::of(&session).await?;
    /// mine.update(|mine| mine.visits += 1).await?;
    /// mine.save().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn save(&mut self) -> Result<(), Error> {
        self.session.save().await?;
        self.value = self.session.get(T::KEY).await?.unwrap_or_default();
        Ok(())
    }
}

impl<T> Typed<T> {
    /// Returns the session that holds the struct: for its login, its id, its end.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl<T> Deref for Typed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Shows the type, not its values.
impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("session", &self.session).finish_non_exhaustive()
    }
}
