//! `Session`: what a handler holds.

mod busy;
mod finish;
mod lifecycle;
mod login;
mod principal;
mod save;
mod state;

#[cfg(feature = "cache")]
pub(crate) use self::finish::add_vary;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule_core::{AsKey, Change, Error, ErrorKind, Record, Time, codec};
use http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::state::{Known, State};
use crate::id::SessionId;
use crate::layer::Shared;
use crate::transport::Brought;

/// The session of the client whose request this is.
///
/// A cheap handle: cloning it shares the session. It knows the request's cookies and nothing else until it is touched;
/// then it loads once. Changes are kept in the request until [`save`](Session::save), or until the handler has answered
/// if the layer has `auto`.
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
    brought: Brought,
    /// The session of the next layer outward, if a request passes through several.
    outer: Option<Session>,
    /// Whether the request has looked at its session at all.
    touched: AtomicBool,
    /// Whether it did so in a way that keeps the session alive.
    used: AtomicBool,
    state: Mutex<State>,
}

impl Session {
    pub(crate) fn begin(shared: Arc<Shared>, headers: &HeaderMap, outer: Option<Session>) -> Session {
        let brought = Brought::of(headers, &shared.options.transports);
        let (touched, used) = (AtomicBool::new(false), AtomicBool::new(false));
        Session(Arc::new(Inner { shared, brought, outer, touched, used, state: Mutex::default() }))
    }

    /// The value under `key`, or `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if what is stored is not a `T`; those of loading.
    pub async fn get<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, Error> {
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
    /// session.insert("theme", &"dark")?;
    /// session.insert(CART, &vec![7, 9])?;
    /// session.save().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the value cannot be encoded, [`ErrorKind::Invalid`] if the key has not 1 to 255 bytes.
    pub fn insert<T: Serialize>(&self, key: impl AsKey<T>, value: &T) -> Result<(), Error> {
        self.change(Change::insert(key.as_key(), value)?)
    }

    /// Takes the value under `key` out and returns it.
    ///
    /// # Errors
    /// As [`Session::get`]; a value of another type stays where it is.
    pub async fn remove<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, Error> {
        let value = self.get(AsKey::<T>::as_key(&key)).await?;
        if value.is_some() {
            self.change(Change::Remove(key.as_key().to_owned()))?;
        }
        Ok(value)
    }

    /// Computes the value under `key` from the present one, or from `T::default()`, and returns the new one.
    ///
    /// When requests run at once `change` is applied again to what the faster one wrote, so it may run several times
    /// and should do nothing but compute: `update("visits", |n: &mut u32| *n += 1)` counts exactly. What is returned
    /// is the value at the first run; ask [`get`](Session::get) after the save for what was stored.
    ///
    /// # Errors
    /// As [`Session::get`] and [`Session::insert`].
    pub async fn update<T, F>(&self, key: impl AsKey<T>, change: F) -> Result<T, Error>
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

    /// Removes all values. Id, principal and lifetime stay; to log somebody out, [`delete`](Session::delete) or
    /// [`invalidate`](Session::invalidate) the session.
    ///
    /// # Errors
    /// None today.
    pub fn clear(&self) -> Result<(), Error> {
        self.change(Change::Clear)
    }

    /// Whether there is a value under `key`.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn contains_key(&self, key: &str) -> Result<bool, Error> {
        self.read(|record| record.get(key).is_some()).await
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

    /// Says whose session it is, in the application's own terms ("user:42"), or nobody's. A user's sessions are found
    /// by it. Call [`regenerate_id`](Session::regenerate_id) with it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the text has not 1 to 255 bytes.
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
        Ok(self.load().await?.is_new)
    }

    /// Whether the store could not be reached and the request goes on with an empty session that cannot be saved. Only
    /// with [`Outage::Anonymous`](crate::Outage::Anonymous): a page can say so, and hide what needs the session.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn is_unreachable(&self) -> Result<bool, Error> {
        Ok(matches!(self.load().await?.known, Known::Unreachable(_)))
    }

    /// The session's id; `None` before a new session is first saved. After
    /// [`regenerate_id`](Session::regenerate_id) and a save, the new one.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn id(&self) -> Result<Option<SessionId>, Error> {
        let id = match &self.load().await?.known {
            Known::Live(id, _) => Some(*id),
            _ => None,
        };
        Ok(id.map(|id| self.0.shared.home.session_id(id)))
    }

    /// Says which session this request has, by its [token](SessionId::token), whatever its headers say: for an
    /// application that finds the id by itself, in a message's body or a path. Call it before the session is touched. A
    /// token that this server did not sign, or whose session has ended, leads to a new session under an id of its own.
    ///
    /// From here on nothing is sent to the client by itself: when [`is_new`](Session::is_new), hand out
    /// [`id`](Session::id) after the save.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session, message: (Option<String>, u32)) -> Result<Option<String>, ampoule::Error> {
    /// let (token, fred) = message;
    /// session.set_id(token.as_deref().unwrap_or_default())?;
    /// session.insert("fred", &fred)?;
    /// session.save().await?;
    /// let hand_out = if session.is_new().await? { session.id().await? } else { None };
    /// Ok(hand_out.and_then(|id| id.token().map(str::to_owned)))
    /// # }
    /// ```
    ///
    /// Take it from nowhere that a third party can fill, such as a link: it would log the user into the session of
    /// whoever made the link.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the session was touched before, or lies in its own cookie.
    pub fn set_id(&self, token: &str) -> Result<(), Error> {
        if self.0.shared.home.is_cookie() {
            return Err(Error::new(ErrorKind::Invalid, "a session in its own cookie has no id that stands for it"));
        }
        let mut state = self.state();
        if state.is_loaded() {
            return Err(Error::new(ErrorKind::Invalid, "set_id comes before anything is read from the session"));
        }
        state.chosen().token = Some(token.to_owned());
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
        let state = self.load().await?;
        Ok(if state.is_new { None } else { state.last_accessed })
    }

    /// When the session ends if nobody uses it after this request.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn expires(&self) -> Result<Time, Error> {
        let now = self.now();
        self.read(|record| record.lifetime.deadline(now)).await
    }

    /// A view that only reads: it neither moves the idle deadline nor sends a cookie. For requests that a page makes
    /// by itself, such as polling, which should not keep a session alive.
    pub fn read_only(&self) -> crate::ReadOnly {
        crate::ReadOnly::new(self.clone())
    }

    /// Whether the session came, or would go out, on a way that browsers take by themselves, so that another site's page
    /// could make them use it.
    #[cfg(feature = "forms")]
    pub(crate) async fn is_ambient(&self) -> Result<bool, Error> {
        Ok(self.load().await?.transport(&self.0.shared.options).is_some_and(crate::transport::Transport::is_ambient))
    }

    /// The session whose cookie has this name, among those of the layers that the request passed through.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// // Two layers, one with the key "shop", one with the key "admin".
    /// let admin = session.named("admin").expect("the admin layer is mounted");
    /// # Ok(()) }
    /// ```
    pub fn named(&self, name: &str) -> Option<Session> {
        if self.0.shared.name == name { Some(self.clone()) } else { self.0.outer.as_ref()?.named(name) }
    }

    /// Reads through a read-only view: like a use, but it leaves no trace.
    pub(crate) async fn peek<R>(&self, read: impl FnOnce(&Record) -> R) -> Result<R, Error> {
        self.note_touch();
        Ok(self.with_record(&*self.load_once().await?, read))
    }

    pub(crate) async fn peek_deadline(&self) -> Result<Time, Error> {
        self.peek(|_| ()).await?;
        let state = self.state();
        Ok(match &state.known {
            Known::Live(_, found) => found.deadline,
            _ => self.0.shared.blank(self.now()).deadline(),
        })
    }

    /// The session that a request came with, and which writing of it, as a cached response is known by; `None` if it came
    /// with none. Any change makes it another text.
    #[cfg(feature = "cache")]
    pub(crate) async fn edition(&self) -> Result<Option<String>, Error> {
        self.peek(|_| ()).await?;
        let state = self.state();
        match &state.known {
            Known::Live(_, found) => Ok(Some(format!("{} {:x}", found.key, found.version.0))),
            Known::Unreachable(_) => Err(Error::new(ErrorKind::Unavailable, "the session is not known")),
            _ => Ok(None),
        }
    }

    /// The sessions of all layers that the request passed through, this one first.
    #[cfg(feature = "cache")]
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
        self.note_use();
        self.state().change(change)
    }

    /// Does the pending changes again, after one of them has changed its mind.
    pub(crate) fn replay(&self) {
        let mut state = self.state();
        let known = state.known.clone();
        // What was accepted once is accepted again.
        let _ = state.learn(known);
    }

    /// Notes that the request has looked at its session. Plain writes do: nothing is ever taken back.
    fn note_touch(&self) {
        self.0.touched.store(true, Ordering::Relaxed);
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

    fn now(&self) -> Time {
        self.0.shared.options.clock.now()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.0.shared.name).finish_non_exhaustive()
    }
}
