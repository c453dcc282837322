//! `SessionLayer`: puts sessions around an application.

use std::sync::Arc;

use ampoule_core::internal::{GuardedStore, SealedStore, Sweep, Sweeper, Text};
use ampoule_core::{Error, ErrorKind, SessionId, Store, SweepReport, Time};
use ampoule_seal::KeyRing;
use http::{HeaderMap, StatusCode};

use crate::backend::{Backend, CookieBackend, StoreBackend, StoreRules};
use crate::endings::Endings;
use crate::http::set_cookie;
use crate::http::transport::Transport;
use crate::options::Options;
use crate::options::invalid::{BadOptions, InvalidOption};
use crate::session::Session;
use crate::session::devices::SessionInfo;
use crate::session::fingerprint::fingerprint;
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
/// Clones share one layer. An application may have several layers with different cookie names: see [`Session::named`].
/// If a request passes through two layers with the same cookie, the response is a 500, and the log names the cookie.
/// Without a framework, call [`begin`](SessionLayer::begin) and [`finish`](SessionLayer::finish).
#[derive(Clone)]
pub struct SessionLayer(pub(crate) Arc<Shared>);

impl SessionLayer {
    /// Creates a layer that keeps its sessions in a store. The store may be shared: `Arc<dyn Store>` is a store too.
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

    /// Creates a layer that keeps each session in its own cookie, encrypted so that the client can neither read nor
    /// change it.
    ///
    /// ```
    /// use ampoule::{Options, Secret, SessionLayer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let secret = Secret::generate();
    /// let options = Options { secrets: vec![Secret::new(secret)?], ..Options::default() };
    /// let sessions = SessionLayer::in_cookie(options)?;
    /// assert!(sessions.store().is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// The client holds the data, so two promises cannot be kept: concurrent requests overwrite each other's changes
    /// (P1), and a cookie that was copied before the logout stays valid until it expires (P2). Where that matters, use
    /// a store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn in_cookie(options: Options) -> Result<SessionLayer, Error> {
        if options.transports != [Transport::Cookie] {
            let message = "expected `vec![Transport::Cookie]`, since a session in its own cookie travels in cookies";
            let fault = InvalidOption { name: "Options::transports".to_owned(), message: message.to_owned() };
            let others = options.check().err().map_or_else(Vec::new, |bad| bad.0);
            return Err(BadOptions([vec![fault], others].concat()).into());
        }
        SessionLayer::build(options, |name, ring, options| {
            let sealer = encryption(options).as_ref().unwrap_or(ring).sealer(&format!("session cookie {name}"));
            Backend::Cookie(CookieBackend::new(sealer, name, options.cookie.max_pieces))
        })
    }

    /// Returns the store of these sessions, for tools that read all of it; `None` for sessions in cookies. With
    /// [`encryption_keys`](Options::encryption_keys) it is the store that encrypts and decrypts.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// assert_eq!(layer.store().unwrap().describe(), "memory (lost at restart)");
    /// # Ok(()) }
    /// ```
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        self.0.backend.store().map(StoreBackend::inner)
    }

    /// Returns the name of the cookie. Layers that share a store are told apart by it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// assert_eq!(layer.name(), "__Host-session");
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn build(
        mut options: Options,
        backend: impl FnOnce(&str, &KeyRing, &Options) -> Backend,
    ) -> Result<SessionLayer, Error> {
        options.check()?;
        #[cfg(feature = "metrics")]
        crate::observe::describe_metrics();
        let ring = KeyRing::new(options.secrets.clone())
            .map_err(|cause| Error::new(ErrorKind::Config, "Options::secrets").because(cause))?;
        options.cookie.normalize();
        let name = options.cookie.sent_name();
        let backend = backend(&name, &ring, &options);
        let layer = if backend.is_cookie() { Text::default() } else { Text::new(&name) };
        let attributes = set_cookie::attributes(&options.cookie, None, None);
        Ok(SessionLayer(Arc::new(Shared {
            fingerprints: options.trace_fingerprints.then(|| ring.signer(&format!("fingerprints of {name}"))),
            #[cfg(feature = "auth")]
            auth_hashes: ring.signer(&format!("auth hash of {name}")),
            name,
            layer,
            options,
            attributes,
            backend,
            sweeper: Sweeper::default(),
            endings: Endings::default(),
        })))
    }

    /// Returns the session of a request, from its headers. Nothing is loaded before the session is touched.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// use http::{HeaderMap, StatusCode};
    ///
    /// let request_headers = HeaderMap::new();
    /// let session = layer.begin(&request_headers);
    /// session.insert("theme", "dark")?;
    /// session.save().await?;
    ///
    /// let mut response_headers = HeaderMap::new();
    /// layer.finish(&session, StatusCode::OK, &mut response_headers).await?;
    /// assert!(response_headers.contains_key("set-cookie"));
    /// # Ok(()) }
    /// ```
    pub fn begin(&self, headers: &HeaderMap) -> Session {
        self.begin_within(headers, None)
    }

    /// As [`begin`](SessionLayer::begin), inside the session of an outer layer, which [`Session::named`] then finds. If
    /// both layers have the same cookie, the first use of the inner session is [`ErrorKind::Config`].
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let cookie = CookieOptions { name: "admin".into(), ..CookieOptions::default() };
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], cookie, ..Options::default() };
    /// # let admin_layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// let headers = http::HeaderMap::new();
    /// let admin = admin_layer.begin(&headers);
    /// let session = layer.begin_within(&headers, Some(admin));
    /// assert!(session.named("admin").is_some());
    /// # Ok(()) }
    /// ```
    pub fn begin_within(&self, headers: &HeaderMap, outer: Option<Session>) -> Session {
        Session::begin(Arc::clone(&self.0), headers, None, outer, true, None)
    }

    /// Ends a request: saves the session if the layer has [`auto_save`](Options::auto_save), and adds to the response's
    /// headers what the client must receive. Call it for every session that was begun, once the status is known.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// use ampoule::error_response;
    /// use http::{HeaderMap, StatusCode};
    ///
    /// let session = layer.begin(&HeaderMap::new());
    /// let (status, mut headers) = (StatusCode::OK, HeaderMap::new());
    /// if let Err(error) = layer.finish(&session, status, &mut headers).await {
    ///     let mut instead = error_response::<String>(&error);
    ///     for cookie in headers.get_all("set-cookie") {
    ///         instead.headers_mut().append("set-cookie", cookie.clone());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of saving and of the store. The response must then not be sent: it reports success for a change that was
    /// not saved. Send that of [`error_response`](crate::error_response) instead, with every `Set-Cookie` of these
    /// headers, since they belong to changes that were saved.
    pub async fn finish(&self, session: &Session, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Error> {
        session.finish(status, headers).await
    }

    /// Writes a value to the store, reads it back and removes it: for a health check, or before an application starts
    /// to serve. Returns the store's present time: if it differs from this machine's by more than a second, or by more
    /// than three with memcached, whose time lags up to two seconds, one of the two clocks is wrong. With sessions in
    /// cookies there is nothing to reach, and the result is this machine's time.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// let time = layer.ping().await?;
    /// assert!(SystemClock.now().since(time) < std::time::Duration::from_secs(1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store, such as [`ErrorKind::Unavailable`].
    pub async fn ping(&self) -> Result<Time, Error> {
        match &self.0.backend {
            Backend::Store(store) => store.ping().await,
            Backend::Cookie(_) => Ok(self.0.options.clock.now()),
        }
    }

    /// Removes expired sessions from the store, reading about `budget` sessions at most. For tools: a layer does so by
    /// itself, every [`sweep_interval`](Options::sweep_interval).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// let swept = layer.sweep(1_000).await?;
    /// assert_eq!((swept.removed, swept.more), (0, false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.0.sweep(budget).await
    }

    /// Lists the live sessions of a principal, one for each device, the last used first: for an administrator's page. A
    /// user's own sessions are listed by [`Session::sessions`](crate::Session::sessions). Two sessions that a double
    /// click on a login's button made count as one device. Sessions of other layers in the same store are not listed.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// let session = layer.begin(&http::HeaderMap::new());
    /// session.login("user:42").await?;
    /// session.save().await?;
    /// assert_eq!(layer.sessions_of("user:42").await?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for sessions in cookies, which cannot be listed; errors of the store.
    pub async fn sessions_of(&self, principal: &str) -> Result<Vec<SessionInfo>, Error> {
        self.0.devices_of(principal, None).await
    }

    /// Ends a session and the other sessions of its device, by the session's id, and returns whether it was there. No
    /// request that is still running brings it back (promise P2).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # session.login("user:42").await?;
    /// # session.save().await?;
    /// for info in layer.sessions_of("user:42").await? {
    ///     assert!(layer.revoke(info.id()).await?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of).
    pub async fn revoke(&self, id: SessionId) -> Result<bool, Error> {
        self.0.revoke(id).await
    }

    /// Ends all sessions of a principal in this layer, and returns how many: after a theft, or a change of the
    /// password.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # session.login("user:42").await?;
    /// # session.save().await?;
    /// assert_eq!(layer.revoke_all("user:42").await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of). Some sessions may have ended before the error.
    pub async fn revoke_all(&self, principal: &str) -> Result<usize, Error> {
        self.0.revoke_all_but(principal, None).await
    }

    /// Returns the fingerprint of a principal, or of the text of a session's id, in the spans of requests: to find a
    /// user's requests in the log. `None` without [`Options::trace_fingerprints`].
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let secret = Secret::generate();
    /// let options = Options { secrets: vec![Secret::new(secret)?], trace_fingerprints: true, ..Options::default() };
    /// let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// assert_eq!(layer.fingerprint("user:42").unwrap().len(), 16);
    /// # Ok(()) }
    /// ```
    pub fn fingerprint(&self, text: &str) -> Option<String> {
        self.0.fingerprints.as_ref().map(|fingerprints| fingerprint(fingerprints, text))
    }

    /// Returns the cookie's name and the store, in one line for the operator. It contains no password.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// assert_eq!(layer.describe(), "__Host-session: memory (lost at restart)");
    /// # Ok(()) }
    /// ```
    pub fn describe(&self) -> String {
        format!("{}: {}", self.0.name, self.0.backend.describe())
    }
}

/// The keys that seal records, if they are configured.
fn encryption(options: &Options) -> Option<KeyRing> {
    KeyRing::new(options.encryption_keys.clone()).ok()
}

impl std::fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionLayer({})", self.describe())
    }
}
