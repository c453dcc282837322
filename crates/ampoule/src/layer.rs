//! `SessionLayer`: where an application says how its sessions are.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ampoule_core::{Error, ErrorKind, GuardedStore, SealedStore, SessionId, Store, SweepReport, Text, Time};
use ampoule_seal::KeyRing;
use http::{HeaderMap, StatusCode};

use crate::backend::{Backend, CookieBackend, StoreBackend, StoreRules};
use crate::http::set_cookie;
use crate::http::transport::Transport;
use crate::options::Options;
use crate::session::Session;
use crate::session::devices::SessionInfo;
use crate::shared::Shared;

/// Puts a [`Session`] into each request, and sends its cookie with the response.
///
/// ```
/// use ampoule::{Error, MemoryStore, Options, Secret, Session, SessionLayer};
/// use axum::{Router, routing::get};
///
/// async fn hello(session: Session) -> Result<String, Error> {
///     let visits = session.update("visits", |visits: &mut u32| *visits += 1).await?;
///     session.save().await?;
///     Ok(format!("visit {visits}"))
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = Secret::generate();
/// let options = Options { secrets: vec![Secret::new(secret)?], ..Options::default() };
/// let app: Router = Router::new().route("/", get(hello)).layer(SessionLayer::new(MemoryStore::default(), options)?);
/// # Ok(()) }
/// ```
///
/// Cloning it shares it. An application may have several, under different names: see [`Session::named`]. Where a request
/// passes two with one cookie the response is a 500 and the log says why. Without a
/// framework, call [`begin`](SessionLayer::begin) and [`finish`](SessionLayer::finish).
#[derive(Clone)]
pub struct SessionLayer(pub(crate) Arc<Shared>);

impl SessionLayer {
    /// Sessions in a store, which may be shared: `Arc<dyn Store>` is a store too.
    ///
    /// ```
    /// use ampoule::{Options, Secret, SessionLayer, store};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let secret = Secret::generate();
    /// let options = Options { secrets: vec![Secret::new(secret)?], ..Options::default() };
    /// let sessions = SessionLayer::new(store::open("memory:", &Default::default())?, options)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn new(store: impl Store + 'static, options: Options) -> Result<SessionLayer, Error> {
        SessionLayer::build(options, |name, ring, options| {
            let mut store: Arc<dyn Store> = Arc::new(store);
            if let Some(keys) = encryption(options) {
                store = Arc::new(SealedStore::new(store, keys.sealer("session record")));
            }
            let store = GuardedStore::new(store, "session store", options.store_timeout, options.fail_fast_after);
            let rules = StoreRules {
                max_size: options.max_record_size,
                grace: options.rotation_grace,
                limit: options.store_timeout,
            };
            let signer = ring.signer(&format!("session token of {name}"));
            Backend::Store(StoreBackend::new(store, signer, Text::new(name), rules))
        })
    }

    /// Sessions in the cookie itself, sealed so that the client can neither read nor change them.
    ///
    /// The client holds the data, so two promises cannot be kept: requests that run at once overwrite each other (P1),
    /// and a cookie that was copied before the logout is good until it expires (P2). Where that matters, use a store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn in_cookie(options: Options) -> Result<SessionLayer, Error> {
        if options.transports != [Transport::Cookie] {
            let message = "Options::transports: expected `vec![Transport::Cookie]`, since a session in its own cookie travels in cookies";
            return Err(Error::new(ErrorKind::Config, message));
        }
        SessionLayer::build(options, |name, ring, options| {
            let sealer = encryption(options).as_ref().unwrap_or(ring).sealer(&format!("session cookie {name}"));
            Backend::Cookie(CookieBackend::new(sealer, name, options.cookie.max_pieces))
        })
    }

    /// The store that these sessions are kept in, for tools that look at all of them; `None` for sessions in cookies. With
    /// [`encryption_keys`](Options::encryption_keys) it is the one that seals and opens.
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        self.0.backend.store().map(StoreBackend::inner)
    }

    /// The name of the cookie, by which layers that share a store are told apart.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn build(
        mut options: Options,
        backend: impl FnOnce(&str, &KeyRing, &Options) -> Backend,
    ) -> Result<SessionLayer, Error> {
        options.check()?;
        let ring = KeyRing::new(options.secrets.clone())
            .map_err(|cause| Error::new(ErrorKind::Config, "Options::secrets").because(cause))?;
        options.cookie.normalize();
        let name = options.cookie.sent_name();
        let backend = backend(&name, &ring, &options);
        let layer = if backend.is_cookie() { Text::default() } else { Text::new(&name) };
        let attributes = set_cookie::attributes(&options.cookie, None, None);
        Ok(SessionLayer(Arc::new(Shared {
            name,
            layer,
            options,
            attributes,
            backend,
            is_swept: AtomicBool::new(false),
        })))
    }

    /// The session of a request, from its headers. Nothing is read before it is touched.
    ///
    /// ```
    /// use ampoule::{MemoryStore, Options, Secret, SessionLayer};
    /// use http::{HeaderMap, StatusCode};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let secret = Secret::new(Secret::generate())?;
    /// let layer = SessionLayer::new(MemoryStore::default(), Options { secrets: vec![secret], ..Options::default() })?;
    ///
    /// let request_headers = HeaderMap::new();
    /// let session = layer.begin(&request_headers);
    /// session.insert("n", &1)?;
    /// session.save().await?;
    ///
    /// let mut response_headers = HeaderMap::new();
    /// layer.finish(&session, StatusCode::OK, &mut response_headers).await?;
    /// assert!(response_headers.contains_key("set-cookie"));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn begin(&self, headers: &HeaderMap) -> Session {
        self.begin_within(headers, None)
    }

    /// As [`begin`](SessionLayer::begin), inside the session of another layer, which [`Session::named`] then finds. Of
    /// two layers with one cookie the inner session is [`ErrorKind::Config`] at its first use.
    pub fn begin_within(&self, headers: &HeaderMap, outer: Option<Session>) -> Session {
        Session::begin(Arc::clone(&self.0), headers, None, outer, true, None)
    }

    /// Ends a request: saves if the layer has `auto_save`, and adds to the response's headers what the client must know.
    /// Call it for every session that was begun, once the status is known.
    ///
    /// # Errors
    /// Those of saving and of the store. The response must then not be sent as it is: it says that something was done
    /// which was not. [`error_response`](crate::error_response) makes the one to send instead; give it every `Set-Cookie`
    /// of these headers, since they tell of what was done.
    pub async fn finish(&self, session: &Session, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Error> {
        session.finish(status, headers).await
    }

    /// Writes to the store and reads back, for a health check or before an application starts to serve, and returns the
    /// store's present time: if it differs from this machine's by more than a second, one of the two clocks is wrong.
    /// Sessions in cookies are always there.
    ///
    /// # Errors
    /// Those of the store: that it cannot be reached, or refuses.
    pub async fn ping(&self) -> Result<Time, Error> {
        match &self.0.backend {
            Backend::Store(store) => store.ping().await,
            Backend::Cookie(_) => Ok(self.0.options.clock.now()),
        }
    }

    /// Frees what has expired, looking at about `budget` sessions at most. For tools: a layer does so by itself, every
    /// [`sweep_interval`](Options::sweep_interval).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.0.sweep(budget).await
    }

    /// The live sessions of a principal, the last used first, one for each device: a second click on a login's button makes
    /// two sessions of one device. For an administrator's page; a user's own are listed by
    /// [`Session::sessions`](crate::Session::sessions). Layers that share a store have sessions of their own.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for sessions in cookies, which cannot be listed; those of the store.
    pub async fn sessions_of(&self, principal: &str) -> Result<Vec<SessionInfo>, Error> {
        self.0.devices_of(principal, None).await
    }

    /// Ends a session by its id, with its siblings of the same device, and says whether it was there. No request under way
    /// brings it back (promise P2).
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of).
    pub async fn revoke(&self, id: SessionId) -> Result<bool, Error> {
        self.0.revoke(id).await
    }

    /// Ends all sessions of a principal in this layer, and says how many there were: after a theft, or a change of
    /// password.
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of). Some may have ended before the error.
    pub async fn revoke_all(&self, principal: &str) -> Result<usize, Error> {
        self.0.revoke_all_but(principal, None).await
    }

    /// The cookie's name, and where the sessions are, in a line for the operator.
    ///
    /// ```
    /// # use ampoule::{MemoryStore, Options, Secret, SessionLayer};
    /// # let secrets = vec![Secret::new(Secret::generate()).unwrap()];
    /// let layer = SessionLayer::new(MemoryStore::default(), Options { secrets, ..Options::default() })?;
    /// assert_eq!(layer.describe(), "__Host-session: memory (lost at restart)");
    /// # Ok::<(), ampoule::Error>(())
    /// ```
    pub fn describe(&self) -> String {
        format!("{}: {}", self.0.name, self.0.backend.describe())
    }
}

/// The keys that seal records, if there are any.
fn encryption(options: &Options) -> Option<KeyRing> {
    KeyRing::new(options.encryption_keys.clone()).ok()
}

impl std::fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionLayer({})", self.describe())
    }
}
