//! `SessionLayer`: where an application says how its sessions are.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, Guard, Lifetime, Record, Store, StoreKey, Swept, Time};
use ampoule_seal::KeyRing;
use http::{HeaderMap, StatusCode};

use crate::cookie::{attributes, pieces};
use crate::event::{Event, EventKind};
use crate::home::Home;
use crate::observe;
use crate::options::{BadOptions, Options};
use crate::protocol::Protocol;
use crate::queue::Queue;
use crate::session::Session;
use crate::store::Sealed;
use crate::transport::Transport;

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
/// # let secret = "3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe";
/// let options = Options { secret: vec![Secret::new(secret)?], ..Options::default() };
/// let app: Router = Router::new().route("/", get(hello)).layer(SessionLayer::new(MemoryStore::default(), options)?);
/// # Ok(()) }
/// ```
///
/// Cloning it shares it. An application may have several, under different names: see [`Session::named`]. Without a
/// framework, call [`begin`](SessionLayer::begin) and [`finish`](SessionLayer::finish).
#[derive(Clone)]
pub struct SessionLayer(pub(crate) Arc<Shared>);

/// What all sessions of a layer share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) options: Options,
    /// Those of the cookie, where a request chooses none of its own.
    pub(crate) attributes: String,
    pub(crate) home: Home,
}

impl Shared {
    /// A session that starts now.
    pub(crate) fn blank(&self, now: Time) -> Record {
        Record::new(now, Lifetime::starting(now, self.options.timeout, self.options.absolute_timeout))
    }

    /// Tells whoever counts or keeps an audit.
    pub(crate) fn tell(&self, kind: EventKind, handle: StoreKey, principal: Option<&str>) {
        observe::event(kind);
        if let Some(hook) = &self.options.on_event {
            hook.tell(&Event { kind, handle, principal });
        }
    }
}

impl SessionLayer {
    /// Sessions in a store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn new(store: impl Store + 'static, options: Options) -> Result<SessionLayer, Error> {
        SessionLayer::from_arc(Arc::new(store), options)
    }

    /// Sessions in a store that others use too.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn from_arc(store: Arc<dyn Store>, options: Options) -> Result<SessionLayer, Error> {
        SessionLayer::build(options, |name, ring, options| {
            let store: Arc<dyn Store> = match encryption(options) {
                Some(keys) => Arc::new(Sealed::new(store, keys.sealer("session record"))),
                None => store,
            };
            let guard = Guard::new("session store", options.store_timeout, options.fail_fast_after);
            let protocol = Protocol { store, guard, queue: Queue::new(), max_size: options.max_size };
            Home::Store { protocol, signer: ring.signer(&format!("session id of {name}")) }
        })
    }

    /// Sessions in the cookie itself, sealed so that the client can neither read nor change them.
    ///
    /// The client holds the data, so two promises cannot be kept: requests that run at once overwrite each other (P1),
    /// and who copied a cookie before the logout still has its session until it expires (P2). Where that matters, use
    /// a store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn in_cookie(options: Options) -> Result<SessionLayer, Error> {
        if options.transports != [Transport::Cookie] {
            let message = "transports: a session in its own cookie travels in cookies alone";
            return Err(Error::new(ErrorKind::Config, message));
        }
        SessionLayer::build(options, |name, ring, options| Home::Cookie {
            sealer: encryption(options).as_ref().unwrap_or(ring).sealer(&format!("session cookie {name}")),
            max_size: pieces::capacity(name, options.cookie.max_pieces),
        })
    }

    /// The store that these sessions are kept in, for tools that look at all of them; `None` for sessions in cookies. With
    /// [`encrypt_key`](Options::encrypt_key) it is the one that seals and opens.
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        match &self.0.home {
            Home::Store { protocol, .. } => Some(Arc::clone(&protocol.store)),
            Home::Cookie { .. } => None,
        }
    }

    fn build(options: Options, home: impl FnOnce(&str, &KeyRing, &Options) -> Home) -> Result<SessionLayer, Error> {
        let faults = options.faults();
        if !faults.is_empty() {
            return Err(BadOptions(faults).into());
        }
        let ring = KeyRing::new(options.secret.clone())
            .map_err(|cause| Error::new(ErrorKind::Config, "secret").because(cause))?;
        let name = options.cookie_name();
        let home = home(&name, &ring, &options);
        let attributes = attributes::attributes(&options.cookie, None, None);
        Ok(SessionLayer(Arc::new(Shared { name, options, attributes, home })))
    }

    /// The session of a request, from its headers. Nothing is read before it is touched.
    ///
    /// ```
    /// use ampoule::{MemoryStore, Options, Secret, SessionLayer};
    /// use http::{HeaderMap, StatusCode};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let secret = Secret::new("3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe")?;
    /// let layer = SessionLayer::new(MemoryStore::default(), Options { secret: vec![secret], ..Options::default() })?;
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

    /// As [`begin`](SessionLayer::begin), inside the session of another layer, which [`Session::named`] then finds.
    pub fn begin_within(&self, headers: &HeaderMap, outer: Option<Session>) -> Session {
        Session::begin(Arc::clone(&self.0), headers, outer)
    }

    /// Ends a request: saves if the layer has `auto`, and adds to the response's headers what the client must know.
    /// Call it for every session that was begun, once the status is known.
    ///
    /// # Errors
    /// Those of saving and of the store. The response must then not be sent as it is: it says that something was done
    /// which was not. [`error_response`](crate::error_response) makes the one to send instead.
    pub async fn finish(&self, session: &Session, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Error> {
        session.finish(status, headers).await
    }

    /// Asks the store one question, for a health check or before an application starts to serve. Sessions in cookies
    /// are always there.
    ///
    /// # Errors
    /// Those of the store: that it cannot be reached, or refuses.
    pub async fn ping(&self) -> Result<(), Error> {
        match &self.0.home {
            Home::Store { protocol, .. } => protocol.find(StoreKey::new(ampoule_seal::random_bytes())).await.map(drop),
            Home::Cookie { .. } => Ok(()),
        }
    }

    /// Frees what has expired, looking at about `budget` sessions at most.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sweep(&self, budget: usize) -> Result<Swept, Error> {
        match &self.0.home {
            Home::Store { protocol, .. } => protocol.sweep(budget).await,
            Home::Cookie { .. } => Ok(Swept::default()),
        }
    }

    /// Sweeps as long as it is polled: about every `interval`, so that several processes do not meet, in small portions
    /// with pauses between. An error is told of in the log and ends nothing. Spawn it once in each process:
    ///
    /// ```no_run
    /// # async fn start(layer: ampoule::SessionLayer) {
    /// tokio::spawn(async move { layer.keep_swept(std::time::Duration::from_secs(60)).await });
    /// # }
    /// ```
    pub async fn keep_swept(&self, interval: Duration) {
        loop {
            let jitter = f64::from(u16::from_le_bytes(ampoule_seal::random_bytes())) / f64::from(u16::MAX);
            tokio::time::sleep(interval.mul_f64(0.5 + jitter)).await;
            let mut removed = 0;
            loop {
                let swept = self.sweep(1_000).await.unwrap_or_else(|error| {
                    tracing::warn!(session = %self.0.name, %error, "expired sessions could not be swept");
                    Swept::default()
                });
                removed += swept.removed;
                if !swept.more {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if removed > 0 {
                tracing::info!(session = %self.0.name, removed, "swept expired sessions");
            }
        }
    }

    /// The cookie's name, and where the sessions are, in a line for the operator.
    ///
    /// ```
    /// # use ampoule::{MemoryStore, Options, Secret, SessionLayer};
    /// # let secret = vec![Secret::new("3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe").unwrap()];
    /// let layer = SessionLayer::new(MemoryStore::default(), Options { secret, ..Options::default() })?;
    /// assert_eq!(layer.describe(), "session: memory (lost at restart)");
    /// # Ok::<(), ampoule::Error>(())
    /// ```
    pub fn describe(&self) -> String {
        format!("{}: {}", self.0.name, self.0.home.describe())
    }
}

/// The keys that seal records, if there are any.
fn encryption(options: &Options) -> Option<KeyRing> {
    KeyRing::new(options.encrypt_key.clone()).ok()
}

impl std::fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionLayer({})", self.describe())
    }
}
