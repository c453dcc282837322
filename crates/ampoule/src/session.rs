//! `Session`: the handle that a handler works with.

mod auth;
mod cookie_action;
pub(crate) mod devices;
mod drive;
mod ended;
pub(crate) mod fingerprint;
mod lifecycle;
#[cfg(feature = "auth")]
mod login_user;
pub(crate) mod read_only;
mod response;
mod state;
pub(crate) mod touch_probe;
pub(crate) mod typed;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::internal::{Change, codec};
use ampoule_core::{AsKey, Error, ErrorKind, KeyFor, KeyOf, Record, SessionId, Time};
use ampoule_seal::Token;
use http::{HeaderMap, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::state::State;
use self::touch_probe::TouchProbe;
use crate::backend::Backend;
use crate::http::credentials::Credentials;
use crate::shared::Shared;

/// The session of the client that sent this request. In axum a handler takes it as an argument.
///
/// A `Session` is a cheap handle: clones share one session. It holds the request's cookies and loads nothing until it
/// is touched; then it loads once. Changes stay in the request until [`save`](Session::save), or until the handler has
/// answered if the layer has [`auto_save`](crate::Options::auto_save).
///
/// ```
/// use ampoule::{Error, Session};
///
/// async fn count(session: Session) -> Result<String, Error> {
///     let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
///     session.save().await?;
///     Ok(format!("You have been here {visits} times."))
/// }
/// ```
///
/// | to | call |
/// |---|---|
/// | read values | [`get`](Session::get), [`contains_key`](Session::contains_key), [`keys`](Session::keys), [`len`](Session::len), [`is_empty`](Session::is_empty) |
/// | change values | [`insert`](Session::insert), [`update`](Session::update), [`remove`](Session::remove), [`clear`](Session::clear) |
/// | use a value exactly once | [`take`](Session::take), [`Flash`](crate::Flash) |
/// | store the changes, or drop them | [`save`](Session::save), [`revert`](Session::revert) |
/// | log a user in and out | [`login`](Session::login), [`logout`](Session::logout) |
/// | end a user's sessions when the password changes (feature `auth`) | `login_user`, `renew_login` |
/// | ask who is logged in | [`principal`](Session::principal), [`require_login`](Session::require_login), [`require_fresh`](Session::require_fresh), [`authenticated_at`](Session::authenticated_at) |
/// | keep a user logged in for longer | [`set_timeout`](Session::set_timeout) |
/// | end the session | [`delete`](Session::delete), [`invalidate`](Session::invalidate), [`clear_site_data`](Session::clear_site_data) |
/// | list a user's devices, and sign them out | [`sessions`](Session::sessions), [`revoke`](Session::revoke), [`revoke_others`](Session::revoke_others), [`revoke_all`](Session::revoke_all) |
/// | replace the token | [`regenerate_id`](Session::regenerate_id) |
/// | learn about the session | [`id`](Session::id), [`is_new`](Session::is_new), [`created`](Session::created), [`last_accessed`](Session::last_accessed), [`expires`](Session::expires), [`is_unreachable`](Session::is_unreachable) |
/// | read without keeping it alive | [`read_only`](Session::read_only) |
/// | follow it in a stream or a WebSocket | [`reload`](Session::reload), [`ended`](Session::ended) |
/// | protect forms | [`csrf_token`](Session::csrf_token), [`verify_csrf_token`](Session::verify_csrf_token) |
/// | hand tokens out without a cookie | [`token`](Session::token), [`set_token`](Session::set_token) |
/// | ask for the language that was chosen (feature `language`) | `get_lang` |
/// | choose the cookie's scope for one response | [`set_cookie_domain`](Session::set_cookie_domain), [`set_cookie_path`](Session::set_cookie_path) |
/// | keep one struct of your own | [`Typed`](crate::Typed) |
/// | reach another layer's session | [`named`](Session::named) |
///
/// Concurrent requests on one session lose no update: different keys all survive, an [`update`](Session::update) counts
/// exactly, and of two [`insert`](Session::insert)s under one key the later commit's value stays (promise P1; a session
/// that is kept in its own cookie cannot promise this).
///
/// Errors of loading the session are those of its store, and [`ErrorKind::Config`] if an outer layer has the same
/// cookie.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    credentials: Credentials,
    /// The session of the next layer outward, if a request passes through several.
    outer: Option<Session>,
    /// Whether the client itself sent the request, so that its cookies are what the client holds. The subrequest of an
    /// error page carries cookies that the client has not received yet.
    is_of_client: bool,
    /// The request's span, if the options ask for fingerprints on it.
    span: Option<Box<tracing::Span>>,
    /// Whether the request has touched its session.
    touched: AtomicBool,
    /// Reports a touch to an outer response cache.
    probe: Option<TouchProbe>,
    /// Whether the request used its session in a way that keeps it alive.
    used: AtomicBool,
    /// Whether the response has begun, so that no header can be sent any more.
    begun: AtomicBool,
    /// Held by the task that loads or saves.
    io: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    chosen: Mutex<Chosen>,
}

/// What the application chose for this request; usually nothing.
#[derive(Default)]
struct Chosen {
    /// The token to use in place of the request's.
    token: Option<String>,
    /// Attributes of the cookie.
    domain: Option<String>,
    path: Option<String>,
    /// Whether the response gets `Clear-Site-Data`.
    clear_site_data: bool,
}

impl Session {
    pub(crate) fn begin(
        shared: Arc<Shared>,
        headers: &HeaderMap,
        uri: Option<&Uri>,
        outer: Option<Session>,
        is_of_client: bool,
        probe: Option<TouchProbe>,
    ) -> Session {
        let probe = probe.or_else(|| outer.as_ref()?.0.probe.clone());
        let credentials = Credentials::of(headers, uri, &shared.options.transports);
        let span = shared.fingerprints.is_some().then(|| Box::new(tracing::Span::current()));
        Session(Arc::new(Inner {
            span,
            shared,
            credentials,
            outer,
            is_of_client,
            touched: AtomicBool::new(false),
            probe,
            used: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            io: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
            chosen: Mutex::default(),
        }))
    }

    /// Returns the value under `key`, or `None`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("theme", "dark")?;
    /// let theme: Option<String> = session.get("theme").await?;
    /// assert_eq!(theme.as_deref(), Some("dark"));
    /// assert_eq!(session.get::<u32>("visits").await?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// If a deployment of the program changed a value's type, reading the old value is an error, and the value stays as
    /// it is. Replace it with one of the new type, or remove it as [`IgnoredAny`](serde::de::IgnoredAny), which reads
    /// any value:
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use ampoule::ErrorKind;
    ///
    /// session.insert("cart", "7,9")?; // The release before this one.
    /// let cart = match session.get::<Vec<u32>>("cart").await {
    ///     Err(error) if error.kind() == ErrorKind::Value => {
    ///         let text: String = session.get("cart").await?.unwrap_or_default();
    ///         let cart: Vec<u32> = text.split(',').filter_map(|id| id.parse().ok()).collect();
    ///         session.insert("cart", &cart)?;
    ///         cart
    ///     }
    ///     cart => cart?.unwrap_or_default(),
    /// };
    /// assert_eq!(cart, [7, 9]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the stored value is not a `T`; errors of loading the session.
    pub async fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        self.read(|record| record.get(key.as_key()).map(codec::decode).transpose()).await?
    }

    /// Puts a value under `key` and replaces the one that is there. Nothing is stored before the next save.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use ampoule::Key;
    ///
    /// const CART: Key<Vec<u32>> = Key::new("cart");
    ///
    /// let name = "Ada".to_owned();
    /// session.insert("theme", "dark")?;
    /// session.insert("visits", 1)?;
    /// session.insert("name", &name)?;
    /// session.insert(CART, vec![7, 9])?;
    /// session.save().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The value is only read, so a reference does as well. `Some(None)` is stored as `None` and read back as `None`:
    /// where they differ, store a `Vec` of at most one element, or an enum.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the key is empty or longer than 255 bytes. [`ErrorKind::Config`] if an outer layer has
    /// the same cookie. [`ErrorKind::Value`] if the value cannot be encoded, or could not be read back:
    ///
    /// - lists and maps that are nested more than 128 deep, as in `serde_json`;
    /// - a 128-bit integer in an enum with `#[serde(tag)]` or a struct with `#[serde(flatten)]`, which serde cannot
    ///   read in any format. (It cannot read one with `#[serde(untagged)]` either; that error appears only when the
    ///   value is read.)
    pub fn insert<V: Serialize>(&self, key: impl KeyFor<V>, value: V) -> Result<(), Error> {
        self.change(Change::insert(key.as_key(), &value)?)
    }

    /// Removes the value under `key` and returns it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("voucher", "10 %")?;
    /// let voucher: Option<String> = session.remove("voucher").await?;
    /// assert_eq!(voucher.as_deref(), Some("10 %"));
    /// assert!(!session.contains_key("voucher").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// Two concurrent requests may both get the value; [`take`](Session::take) gives it to one of them.
    ///
    /// # Errors
    /// As [`Session::get`]; a value of another type stays where it is.
    pub async fn remove<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        let value = self.get(key.as_key()).await?;
        if value.is_some() {
            self.change(Change::Remove(key.as_key().to_owned()))?;
        }
        Ok(value)
    }

    /// Computes a new value under `key` from the present one, or from `T::default()`, and returns it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
    /// assert_eq!(visits, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// If another request committed first, the save applies `change` again to the value that the other request wrote,
    /// so concurrent updates count exactly. `change` may therefore run several times and should do nothing but compute.
    /// The returned value is that of the first run; call [`get`](Session::get) after the save for the value that was
    /// stored.
    ///
    /// Since `change` may run several times it is an `Fn`: a closure that owns a value must clone what it gives away.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let name = "Ada".to_owned();
    /// session.update("visitors", move |names: &mut Vec<String>| names.push(name.clone())).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Without `clone` the compiler says "expected a closure that implements the `Fn` trait, but this closure only
    /// implements `FnOnce`" (E0525).
    ///
    /// # Errors
    /// As [`Session::get`] and [`Session::insert`].
    pub async fn update<T, F>(&self, key: impl KeyOf<T>, change: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Default,
        F: Fn(&mut T) + Send + Sync + 'static,
    {
        drop(self.load().await?);
        let run = move |old: Option<&[u8]>| {
            let mut value = old.map(codec::decode).transpose()?.unwrap_or_default();
            change(&mut value);
            codec::encode::<T>(&value).map(Some)
        };
        self.change(Change::Update(key.as_key().to_owned(), Arc::new(run)))?;
        self.get(key).await.map(Option::unwrap_or_default)
    }

    /// Removes all values. Id, principal and lifetime stay; to end the session, call [`delete`](Session::delete) or
    /// [`invalidate`](Session::invalidate).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("theme", "dark")?;
    /// session.clear()?;
    /// assert!(session.is_empty().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if an outer layer has the same cookie.
    pub fn clear(&self) -> Result<(), Error> {
        self.change(Change::Clear)
    }

    /// Returns whether there is a value under `key`, of any type.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use ampoule::Key;
    ///
    /// const CART: Key<Vec<u32>> = Key::new("cart");
    ///
    /// session.insert(CART, vec![7])?;
    /// let is_shopping = session.contains_key(CART).await? || session.contains_key("voucher").await?;
    /// assert!(is_shopping);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn contains_key(&self, key: impl AsKey) -> Result<bool, Error> {
        self.read(|record| record.get(key.as_key()).is_some()).await
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
    /// session.insert("theme", "dark")?;
    /// session.insert("cart", [7, 9])?;
    /// assert_eq!(session.keys().await?, ["theme", "cart"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|record| record.keys().map(str::to_owned).collect()).await
    }

    /// Returns the number of values.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("theme", "dark")?;
    /// assert_eq!(session.len().await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn len(&self) -> Result<usize, Error> {
        self.read(Record::len).await
    }

    /// Returns whether there are no values.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert!(session.is_empty().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.read(Record::is_empty).await
    }

    /// Returns the user that this session belongs to, as [`login`](Session::login) or
    /// [`set_principal`](Session::set_principal) named it; `None` for a visitor.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert_eq!(session.principal().await?, None);
    /// session.login("user:42").await?;
    /// assert_eq!(session.principal().await?.as_deref(), Some("user:42"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn principal(&self) -> Result<Option<String>, Error> {
        self.read(|record| record.principal().map(str::to_owned)).await
    }

    /// Sets the user that this session belongs to, in the application's own terms ("user:42"); `None` makes it a
    /// visitor's. The sessions of a user are listed and revoked by this text. A save with another principal creates a
    /// new session, as after a [`login`](Session::login): call `login` instead where a user has proved an identity.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.set_principal(Some("kiosk:3"))?; // A device, which logs in with no password.
    /// session.save().await?;
    /// assert_eq!(layer.sessions_of("kiosk:3").await?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text is empty or longer than 255 bytes; [`ErrorKind::Config`] if an outer layer
    /// has the same cookie.
    pub fn set_principal(&self, principal: Option<&str>) -> Result<(), Error> {
        self.change(Change::Principal(principal.map(str::to_owned)))
    }

    /// Gives this session its own idle timeout, and its cookie an expiry of the same length, but of 400 days at most,
    /// as browsers allow: "remember me". If the absolute timeout would end the session earlier, it is extended.
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
    /// session.login("user:42").await?;
    /// session.set_timeout(Duration::from_secs(30 * 24 * 3_600))?;
    /// session.save().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is less than a millisecond; [`ErrorKind::Config`] if an outer layer has the same
    /// cookie.
    pub fn set_timeout(&self, idle: Duration) -> Result<(), Error> {
        if idle < Duration::from_millis(1) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a session's timeout is at least a millisecond; to end it, delete it",
            ));
        }
        self.change(Change::Timeout(idle, self.now()))
    }

    /// Returns whether the client sent no token of a live session, or the session was invalidated in this request. A
    /// save does not change the answer.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert!(session.is_new().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn is_new(&self) -> Result<bool, Error> {
        Ok(self.load().await?.is_new())
    }

    /// Returns whether the store could not be reached and the request continues with an empty session that cannot be
    /// saved: a page can say so, and hide what needs the session. Always `false` without
    /// [`OutagePolicy::Anonymous`](crate::OutagePolicy::Anonymous).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let note = if session.is_unreachable().await? { "Logging in is not possible at the moment." } else { "" };
    /// assert_eq!(note, "");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn is_unreachable(&self) -> Result<bool, Error> {
        Ok(self.load().await?.is_unreachable())
    }

    /// Returns the session's id, which stays the same for its whole life; `None` before a new session is first saved.
    /// The id is not a secret: it may be shown, logged, and used in a URL. A login creates another session, with
    /// another id.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert!(session.id().await?.is_none());
    /// session.save().await?;
    /// assert!(session.id().await?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn id(&self) -> Result<Option<SessionId>, Error> {
        Ok(self.load().await?.live().map(|live| live.snapshot.id))
    }

    /// Returns the token that the client's cookie holds: 64 characters of the URL-safe base64 alphabet. An application
    /// that hands tokens out by itself must do so over TLS only. `None` before a new session is first saved, and for a
    /// session that is kept in its own cookie, which has no token. [`regenerate_id`](Session::regenerate_id) and a
    /// login, each followed by a save, change the token.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.login("user:42").await?;
    /// session.save().await?;
    /// let token = session.token().await?.expect("the session is saved");
    /// assert_eq!(token.as_str().len(), 64);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn token(&self) -> Result<Option<Token>, Error> {
        let credential = self.load().await?.live().map(|live| live.credential);
        Ok(match (&self.0.shared.backend, credential) {
            (Backend::Store(store), Some(credential)) => Some(store.sign(&credential)),
            _ => None,
        })
    }

    /// Selects the session of this request by its [token](Session::token) and ignores the request's headers: for an
    /// application that finds the token in a message's body or a path. Call it before the session is touched. A token
    /// that this server did not sign, or whose session has ended, selects a new session.
    ///
    /// The response then sends no token: if [`is_new`](Session::is_new), hand out [`token`](Session::token) after the
    /// save.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # struct Message { token: String, text: String }
    /// # let message = Message { token: String::new(), text: "hello".into() };
    /// session.set_token(&message.token)?;
    /// session.insert("last_message", &message.text)?;
    /// session.save().await?;
    /// if session.is_new().await? {
    ///     let hand_out = session.token().await?;
    ///     assert!(hand_out.is_some());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Never take the token from a source that a third party can fill, such as a link: the user would be logged in to
    /// the session of the link's author.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the session was touched before, or is kept in its own cookie.
    #[doc(alias = "set_id")]
    pub fn set_token(&self, token: &str) -> Result<(), Error> {
        if self.0.shared.backend.is_cookie() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a session in its own cookie has no token that could select it",
            ));
        }
        if self.state().is_loaded() {
            return Err(Error::new(ErrorKind::Invalid, "call set_token before anything is read from the session"));
        }
        self.chosen().token = Some(token.to_owned());
        Ok(())
    }

    /// Returns when the session was created; for a new session, when this request first touched it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let created = session.created().await?;
    /// assert!(created <= session.expires().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn created(&self) -> Result<Time, Error> {
        self.read(|record| record.created).await
    }

    /// Returns when the session was last used before this request, to a tenth of its idle timeout; `None` for a new
    /// one.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert_eq!(session.last_accessed().await?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn last_accessed(&self) -> Result<Option<Time>, Error> {
        Ok(self.load().await?.last_accessed())
    }

    /// Returns when the session ends if it is not used after this request, to a tenth of its idle timeout: a request
    /// that writes nothing moves the deadline only after that time, and not at all if
    /// [`save_accessed_time`](crate::Options::save_accessed_time) is `false`.
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
    /// session.set_timeout(Duration::from_secs(600))?;
    /// let left = session.expires().await?.since(session.created().await?);
    /// assert!(left >= Duration::from_secs(600));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn expires(&self) -> Result<Time, Error> {
        let is_moved = self.load().await?.is_changed() || self.0.shared.options.save_accessed_time;
        if !is_moved {
            return self.peek_deadline().await;
        }
        let now = self.now();
        self.read(|record| record.effective_lifetime().deadline(now)).await
    }

    /// Whether browsers attach the session's token by themselves, so that a page of another site could use it.
    #[cfg(feature = "forms")]
    pub(crate) async fn is_ambient(&self) -> Result<bool, Error> {
        let state = self.load().await?;
        Ok(self.transport(&state).is_some_and(crate::http::transport::Transport::is_ambient))
    }

    /// Returns the session of another layer around this request, by the name of its cookie, with or without the prefix
    /// `__Host-`; `None` if the request passed through no such layer.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// // The one layer here has the default name, "session". A second one could be "admin".
    /// assert!(session.named("session").is_some());
    /// assert!(session.named("admin").is_none());
    /// # Ok(()) }
    /// ```
    pub fn named(&self, name: &str) -> Option<Session> {
        let shared = &self.0.shared;
        if shared.name == name || shared.options.cookie.name == name {
            Some(self.clone())
        } else {
            self.0.outer.as_ref()?.named(name)
        }
    }

    /// Reads without counting as a use, for a read-only view.
    pub(crate) async fn peek<R>(&self, read: impl FnOnce(&Record) -> R) -> Result<R, Error> {
        self.note_touch();
        Ok(self.with_record(&*self.load_once().await?, read))
    }

    async fn peek_deadline(&self) -> Result<Time, Error> {
        self.peek(|_| ()).await?;
        let state = self.state();
        Ok(match state.live() {
            Some(live) => live.snapshot.deadline,
            None => self.0.shared.blank(self.now()).deadline(),
        })
    }

    /// Checks that no outer layer has the same cookie, since each would overwrite the other's.
    pub(crate) fn check_cookie(&self) -> Result<(), Error> {
        let (shared, Some(outer)) = (&self.0.shared, &self.0.outer) else { return Ok(()) };
        if !outer.chain().any(|outer| shared.has_cookie_of(&outer.0.shared)) {
            return Ok(());
        }
        let message = format!(
            "two session layers around this route have the cookie `{}`: remove one, or give it another Options::cookie.name \
             (`key` in settings)",
            shared.name
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// The sessions of all layers that the request passed through, this one first.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Session> {
        std::iter::successors(Some(self), |session| session.0.outer.as_ref())
    }

    async fn read<R>(&self, read: impl FnOnce(&Record) -> R) -> Result<R, Error> {
        Ok(self.with_record(&*self.load().await?, read))
    }

    fn with_record<R>(&self, state: &State, read: impl FnOnce(&Record) -> R) -> R {
        match state.record() {
            Some(record) => read(record),
            // The session was deleted in this request, so it is empty.
            None => read(&self.0.shared.blank(self.now())),
        }
    }

    pub(crate) fn change(&self, change: Change) -> Result<(), Error> {
        self.check_cookie()?;
        self.note_use();
        self.state().change(change)
    }

    /// The token of the session's forms; `None` before one is created.
    pub(crate) async fn form_token(&self) -> Result<Option<[u8; 32]>, Error> {
        self.read(|record| record.form_token).await
    }

    /// Whether the request touched its session. One that did not costs nothing more (promise P4).
    pub(crate) fn is_touched(&self) -> bool {
        self.0.touched.load(Ordering::Relaxed)
    }

    fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
    }

    fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn begin_response(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }

    /// Records that the request has touched its session. A write is enough: the flag is never cleared.
    fn note_touch(&self) {
        self.0.touched.store(true, Ordering::Relaxed);
        if let Some(probe) = &self.0.probe {
            probe.set();
        }
    }

    fn note_use(&self) {
        self.note_touch();
        self.0.used.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // While the lock is held, only a value's `Deserialize` and an update's function can panic; both leave the state
        // as it was.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chosen(&self) -> MutexGuard<'_, Chosen> {
        self.0.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client holds the session itself, in its cookie.
    pub(crate) fn is_in_cookie(&self) -> bool {
        self.0.shared.backend.is_cookie()
    }

    fn now(&self) -> Time {
        self.0.shared.options.clock.now()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.0.shared.name).finish_non_exhaustive()
    }
}
