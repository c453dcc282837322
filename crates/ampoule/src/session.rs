//! `Session`: what a handler holds.

mod auth;
mod cookie_action;
pub(crate) mod devices;
mod drive;
mod lifecycle;
pub(crate) mod read_only;
mod response;
mod state;
pub(crate) mod touch_probe;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::{AsKey, Change, Error, ErrorKind, KeyFor, KeyOf, Record, SessionId, Time, codec};
use ampoule_seal::Token;
use http::{HeaderMap, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::state::State;
use self::touch_probe::TouchProbe;
use crate::backend::Backend;
use crate::http::credentials::Credentials;
use crate::shared::Shared;

/// The session of the client whose request this is.
///
/// A cheap handle: cloning it shares the session. It knows the request's cookies and nothing else until it is touched;
/// then it loads once. Changes are kept in the request until [`save`](Session::save), or until the handler has answered
/// if the layer has `auto_save`.
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
/// Requests that run at once on one session lose nothing: different keys all survive, an
/// [`update`](Session::update) counts exactly, and of two [`insert`](Session::insert)s under one key the later commit's
/// stays (promise P1; a session in its own cookie cannot keep it).
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    credentials: Credentials,
    /// The session of the next layer outward, if a request passes through several.
    outer: Option<Session>,
    /// Whether the client has sent the request, so that what it came with is what the client holds. An error page's own
    /// request comes with what the client is yet to be told.
    is_of_client: bool,
    /// Whether the request has looked at its session at all.
    touched: AtomicBool,
    /// Tells a response cache further out of it.
    probe: Option<TouchProbe>,
    /// Whether it did so in a way that keeps the session alive.
    used: AtomicBool,
    /// Whether the response has begun, so that no header can be sent any more.
    begun: AtomicBool,
    /// Held by the task that loads or saves.
    io: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    chosen: Mutex<Chosen>,
}

/// What an application chooses for one request: most choose nothing.
#[derive(Default)]
struct Chosen {
    /// The token that counts, in place of what came.
    token: Option<String>,
    /// Attributes of the cookie.
    domain: Option<String>,
    path: Option<String>,
    /// The browser is to forget what else it keeps of the site.
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
        Session(Arc::new(Inner {
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

    /// The value under `key`, or `None`.
    ///
    /// A value that a deployment of the program has given another type is an error, and stays as it is. Put one of the
    /// new type in its place, or remove it as [`IgnoredAny`](serde::de::IgnoredAny), which reads any value:
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let options = ampoule::Options { secrets: vec![ampoule::Secret::new(ampoule::Secret::generate())?], ..Default::default() };
    /// # let layer = ampoule::SessionLayer::new(ampoule::MemoryStore::default(), options)?;
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
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if what is stored is not a `T`; those of loading.
    pub async fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        self.read(|record| record.get(key.as_key()).map(codec::decode).transpose()).await?
    }

    /// Puts a value under `key`, in place of the one that is there. Nothing is stored before the next save.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// use ampoule::Key;
    ///
    /// const CART: Key<Vec<u32>> = Key::new("cart");
    ///
    /// let name = "Ada".to_owned();
    /// session.insert("theme", "dark")?;
    /// session.insert("visits", 1)?;
    /// session.insert("name", &name)?;
    /// session.insert(CART, vec![7, 9])?;
    /// session.save().await
    /// # }
    /// ```
    ///
    /// The value is only read, so a reference does as well. `Some(None)` is stored as `None` is and read as `None`: where
    /// they differ, store a list of none or one, or an enum.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the value cannot be encoded, or not be read back: one that nests lists and maps more than
    /// 128 deep, as in `serde_json`, or holds a 128-bit integer in an enum with `#[serde(tag)]` or a struct with `#[serde(flatten)]`, which
    /// serde cannot read in any format. (With `#[serde(untagged)]` it cannot either, which is not seen before the value is
    /// read.) [`ErrorKind::Invalid`] if the key is empty or longer than 255 bytes.
    pub fn insert<V: Serialize>(&self, key: impl KeyFor<V>, value: V) -> Result<(), Error> {
        self.change(Change::insert(key.as_key(), &value)?)
    }

    /// Takes the value under `key` out and returns it.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// let voucher: Option<String> = session.remove("voucher").await?;
    /// session.save().await
    /// # }
    /// ```
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

    /// Computes the value under `key` from the present one, or from `T::default()`, and returns the new one.
    ///
    /// When requests run at once `change` is applied again to what another has written, so it may run several times
    /// and should do nothing but compute: `update("visits", |n: &mut u32| *n += 1)` counts exactly. What is returned
    /// is the value at the first run; ask [`get`](Session::get) after the save for what was stored.
    ///
    /// Since it may run several times it is an `Fn`: a closure that owns a value gives away a clone of it.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session, name: String) -> Result<(), ampoule::Error> {
    /// session.update("visitors", move |names: &mut Vec<String>| names.push(name.clone())).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Without `clone` the compiler says "expected a closure that implements the `Fn` trait, but this closure only
    /// implements `FnOnce`".
    ///
    /// ```compile_fail,E0525
    /// # async fn handler(session: ampoule::Session, name: String) -> Result<(), ampoule::Error> {
    /// session.update("visitors", move |names: &mut Vec<String>| names.push(name)).await?;
    /// # Ok(()) }
    /// ```
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
    /// # Errors
    /// None today.
    pub fn clear(&self) -> Result<(), Error> {
        self.change(Change::Clear)
    }

    /// Whether there is a value under `key`, of whatever type.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// use ampoule::Key;
    ///
    /// const CART: Key<Vec<u32>> = Key::new("cart");
    ///
    /// let is_shopping = session.contains_key(CART).await? || session.contains_key("voucher").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of loading.
    pub async fn contains_key(&self, key: impl AsKey) -> Result<bool, Error> {
        self.read(|record| record.get(key.as_key()).is_some()).await
    }

    /// The keys, in the order in which they were first inserted.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|record| record.keys().map(str::to_owned).collect()).await
    }

    /// How many values there are.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn len(&self) -> Result<usize, Error> {
        self.read(Record::len).await
    }

    /// Whether there are no values.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.read(Record::is_empty).await
    }

    /// Whose session it is, as [`set_principal`](Session::set_principal) said.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn principal(&self) -> Result<Option<String>, Error> {
        self.read(|record| record.principal().map(str::to_owned)).await
    }

    /// Says whose session it is, in the application's own terms ("user:42"), or that it has no user. A user's sessions are
    /// found by it. A change of principal is kept in a session of its own, as a [`login`](Session::login) is: call that
    /// where a user has proved who they are.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text is empty or longer than 255 bytes.
    pub fn set_principal(&self, principal: Option<&str>) -> Result<(), Error> {
        self.change(Change::Principal(principal.map(str::to_owned)))
    }

    /// Gives this session an idle time of its own, and its cookie an expiry of as much: "remember me". An absolute
    /// end that would come sooner moves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is zero.
    pub fn set_timeout(&self, idle: Duration) -> Result<(), Error> {
        if idle < Duration::from_millis(1) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a session's timeout is at least a millisecond; to end it, delete it",
            ));
        }
        self.change(Change::Timeout(idle, self.now()))
    }

    /// Whether the client came without a live session, or it was invalidated in this request. Stays so after a save.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn is_new(&self) -> Result<bool, Error> {
        Ok(self.load().await?.is_new())
    }

    /// Whether the store could not be reached and the request goes on with an empty session that cannot be saved. Only
    /// with [`OutagePolicy::Anonymous`](crate::OutagePolicy::Anonymous): a page can say so, and hide what needs the session.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn is_unreachable(&self) -> Result<bool, Error> {
        Ok(self.load().await?.is_unreachable())
    }

    /// What names the session for its whole life; `None` before a new session is first saved. It is no secret: it may be
    /// shown, logged, and stand in a URL. A login is a session of its own, with another id.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn id(&self) -> Result<Option<SessionId>, Error> {
        Ok(self.load().await?.live().map(|live| live.snapshot.id))
    }

    /// The token by which a client has the session: 64 characters of the URL-safe base64 alphabet, as the cookie holds
    /// it. For an application that hands tokens out by itself, over TLS only. `None` before a new session is first
    /// saved, and for a session in its cookie, which has no token. After
    /// [`regenerate_id`](Session::regenerate_id) or a login, and a save, the new one.
    ///
    /// ```
    /// async fn api_login(session: ampoule::Session) -> Result<String, ampoule::Error> {
    ///     session.login("user:42").await?;
    ///     session.save().await?;
    ///     Ok(session.token().await?.map(|token| token.as_str().to_owned()).unwrap_or_default())
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of loading.
    pub async fn token(&self) -> Result<Option<Token>, Error> {
        let credential = self.load().await?.live().map(|live| live.credential);
        Ok(match (&self.0.shared.backend, credential) {
            (Backend::Store(store), Some(credential)) => Some(store.sign(&credential)),
            _ => None,
        })
    }

    /// Says which session this request has, by its [token](Session::token), whatever its headers say: for an
    /// application that finds the token by itself, in a message's body or a path. Call it before the session is touched. A
    /// token that this server did not sign, or whose session has ended, leads to a new session.
    ///
    /// From here on nothing is sent to the client by itself: when [`is_new`](Session::is_new), hand out
    /// [`token`](Session::token) after the save.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session, message: (Option<String>, u32)) -> Result<Option<String>, ampoule::Error> {
    /// let (token, fred) = message;
    /// session.set_id(token.as_deref().unwrap_or_default())?;
    /// session.insert("fred", &fred)?;
    /// session.save().await?;
    /// let hand_out = if session.is_new().await? { session.token().await? } else { None };
    /// Ok(hand_out.map(|token| token.as_str().to_owned()))
    /// # }
    /// ```
    ///
    /// Take it from nowhere that a third party can fill, such as a link: it would log the user into the session of the
    /// link's author.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the session was touched before, or is kept in its own cookie.
    pub fn set_id(&self, token: &str) -> Result<(), Error> {
        if self.0.shared.backend.is_cookie() {
            return Err(Error::new(ErrorKind::Invalid, "a session in its own cookie has no token that stands for it"));
        }
        if self.state().is_loaded() {
            return Err(Error::new(ErrorKind::Invalid, "set_id comes before anything is read from the session"));
        }
        self.chosen().token = Some(token.to_owned());
        Ok(())
    }

    /// When the session was made; for a new one, when this request first asked.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn created(&self) -> Result<Time, Error> {
        self.read(|record| record.created).await
    }

    /// When the session was last used before this request, to a tenth of its idle time; `None` for a new one.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn last_accessed(&self) -> Result<Option<Time>, Error> {
        Ok(self.load().await?.last_accessed())
    }

    /// When the session ends if it is not used after this request.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn expires(&self) -> Result<Time, Error> {
        let now = self.now();
        self.read(|record| record.effective_lifetime().deadline(now)).await
    }

    /// Whether the session came, or would go out, on a way that browsers take by themselves, so that another site's page
    /// could make them use it.
    #[cfg(feature = "forms")]
    pub(crate) async fn is_ambient(&self) -> Result<bool, Error> {
        let state = self.load().await?;
        Ok(self.transport(&state).is_some_and(crate::http::transport::Transport::is_ambient))
    }

    /// The session whose cookie has this name, with or without the prefix `__Host-`, among those of the layers that the
    /// request passed through.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// // Two layers, one with the key "shop", one with the key "admin".
    /// let admin = session.named("admin").expect("the admin layer is mounted");
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

    /// Reads through a read-only view: like a use, but it leaves no trace.
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

    /// That no layer further out has the same cookie: each would overwrite the other's.
    pub(crate) fn check_cookie(&self) -> Result<(), Error> {
        let shared = &self.0.shared;
        if !self.0.outer.iter().flat_map(Session::chain).any(|outer| shared.has_cookie_of(&outer.0.shared)) {
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
            // Deleted in this request: there is nothing in it any more.
            None => read(&self.0.shared.blank(self.now())),
        }
    }

    pub(crate) fn change(&self, change: Change) -> Result<(), Error> {
        self.check_cookie()?;
        self.note_use();
        self.state().change(change)
    }

    /// The token of the session's forms, once there is one.
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

    /// Notes that the request has looked at its session. Plain writes do: nothing is ever taken back.
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
        // Nothing panics while the lock is held but what a value's type does to decode itself, and an update's own
        // function; both leave the state as it was.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chosen(&self) -> MutexGuard<'_, Chosen> {
        self.0.chosen.lock().unwrap_or_else(PoisonError::into_inner)
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
