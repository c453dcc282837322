//! The demo's session filter, which records events and trips to the store, and simulates outages.
//!
//! It replaces `egg:Beaker#beaker_session` and has the same options. Beside the layer that the file describes, it has
//! two whose store is unavailable, one for each [`OutagePolicy`]. A cookie selects the layer for a visitor's requests,
//! so an outage affects no other visitor, and opens no circuit breaker.

mod events;
mod outage;
mod traced_store;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ampoule::{
    Error, EventHook, EventKind, Kind, MemoryStore, Options, OutagePolicy, SessionId, SessionLayer, Settings,
    StatusCodeRedirect, store,
};
use ampoule_deploy::{App, Conf, Faults, Filter, app, session_filter};
use axum::body::Body;
use axum::http::header::{ACCEPT, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tower::{Layer, ServiceExt, service_fn};

use self::events::Events;
pub(crate) use self::events::RecordedEvent;
pub(crate) use self::outage::{OUTAGE_DURATION, Outage, Policy};
pub(crate) use self::traced_store::Trip;
use self::traced_store::{TRIPS, TracedStore, Trips};
use super::frame::ERROR_PAGE;

/// The maximum number of simulations at once, of all visitors.
const MAX_SIMULATIONS: usize = 2;

/// In the extensions of each request that passes the filter, except if sessions are kept in cookies.
#[derive(Clone)]
pub(crate) struct Instruments(Arc<Inner>);

struct Inner {
    /// The layer that the file describes.
    sessions: SessionLayer,
    /// Its options.
    options: Options,
    events: Arc<Events>,
    busy: Semaphore,
    /// The sessions of visitors whose simulation is running.
    simulating: Mutex<HashSet<SessionId>>,
}

/// The permit for a visitor's simulation.
pub(crate) struct SimulationPermit<'a> {
    inner: &'a Inner,
    id: SessionId,
    _busy: SemaphorePermit<'a>,
}

/// The layers: one with the store, two without.
struct Layers {
    there: SessionLayer,
    error: SessionLayer,
    anonymous: SessionLayer,
}

/// The factory of the session filter.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    let debug = conf.debug()?;
    session_filter(conf, |settings| make(settings, debug))
}

fn make(settings: &Settings, debug: bool) -> Result<(SessionLayer, Filter), Error> {
    let Kind::Store { url, options } = &settings.kind else {
        let layer = settings.layer()?;
        return Ok((layer.clone(), Box::new(move |inner| app(layer.layer(inner)))));
    };
    let (store, events) = (store::open(url, options)?, Arc::<Events>::default());
    let noted = Arc::clone(&events);
    let on_event = Some(EventHook::new(move |event| noted.note(event)));
    let layer = |is_away, options| SessionLayer::new(TracedStore { store: Arc::clone(&store), is_away }, options);
    // Without a circuit breaker, which would report an outage to the operator although the store is up.
    let away = |on_outage| Options { on_outage, fail_fast_after: 0, sweep_interval: None, ..settings.options.clone() };
    let there = layer(false, Options { on_event, ..settings.options.clone() })?;
    let (error, anonymous) = (layer(true, away(OutagePolicy::Error))?, layer(true, away(OutagePolicy::Anonymous))?);
    let options = away(OutagePolicy::Error);
    let (busy, simulating) = (Semaphore::new(MAX_SIMULATIONS), Mutex::default());
    let instruments = Instruments(Arc::new(Inner { sessions: there.clone(), options, events, busy, simulating }));
    let layers = Layers { there: there.clone(), error, anonymous };
    // Error pages for a session that fails after the app has answered.
    let pages = StatusCodeRedirect::new(ERROR_PAGE)?.with_statuses([409, 413, 500, 503]).with_debug(debug);
    Ok((there, Box::new(move |inner| around(&layers, instruments, &pages, inner))))
}

fn around(layers: &Layers, instruments: Instruments, pages: &StatusCodeRedirect, inner: App) -> App {
    let under = |layer: &SessionLayer| {
        let service = app(layer.layer(inner.clone()));
        (app(pages.layer(service.clone())), service)
    };
    let (there, error, anonymous) = (under(&layers.there), under(&layers.error), under(&layers.anonymous));
    app(service_fn(move |mut request: Request<Body>| {
        let (with_pages, without) = match Outage::of(request.headers()).map(|outage| outage.policy) {
            None => &there,
            Some(Policy::Error) => &error,
            Some(Policy::Anonymous) => &anonymous,
        };
        let is_html = |accept: &HeaderValue| accept.as_bytes().windows(9).any(|part| part == b"text/html");
        let is_for_people = request.headers().get(ACCEPT).is_some_and(is_html);
        let service = if is_for_people { with_pages.clone() } else { without.clone() };
        request.extensions_mut().insert(instruments.clone());
        TRIPS.scope(Trips::default(), service.oneshot(request))
    }))
}

impl Inner {
    fn simulating(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.simulating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SimulationPermit<'_> {
    fn drop(&mut self) {
        self.inner.simulating().remove(&self.id);
    }
}

impl Instruments {
    /// The layer around the site, for simulated requests.
    pub(crate) fn sessions(&self) -> &SessionLayer {
        &self.0.sessions
    }

    /// Returns a permit for a simulation; `None` without a session, if this visitor's is running, or if too many are.
    pub(crate) async fn permit(&self, id: Option<SessionId>) -> Option<SimulationPermit<'_>> {
        const PERMIT_TIMEOUT: Duration = Duration::from_secs(2);
        let (id, inner) = (id?, &*self.0);
        let busy = tokio::time::timeout(PERMIT_TIMEOUT, inner.busy.acquire()).await.ok()?.ok()?;
        // Not `then_some`, which would create a permit even if this visitor's other one exists: dropping it removes the
        // session.
        inner.simulating().insert(id).then(|| SimulationPermit { inner, id, _busy: busy })
    }

    /// The last events of a session, latest first.
    pub(crate) fn events_of(&self, id: SessionId) -> Vec<RecordedEvent> {
        self.0.events.of(id)
    }

    /// The kind of the last event of a session.
    pub(crate) fn last_event_of(&self, id: SessionId) -> Option<EventKind> {
        self.events_of(id).first().map(|event| event.kind)
    }

    /// The trips to the store that this request has made so far.
    pub(crate) fn trips() -> Vec<Trip> {
        TRIPS.try_with(Trips::so_far).unwrap_or_default()
    }

    /// Returns the attributes of the cookie that the layer sends for a new session, in order; with `timeout`, for a
    /// session with a timeout of its own.
    ///
    /// # Errors
    /// Saving a session in memory fails, which only a bug causes.
    pub(crate) async fn attributes(&self, timeout: Option<Duration>) -> Result<Vec<(String, String)>, Error> {
        // A temporary session in memory.
        let layer = SessionLayer::new(MemoryStore::default(), self.0.options.clone())?;
        let mut headers = HeaderMap::new();
        let session = layer.begin(&headers);
        timeout.map_or(Ok(()), |timeout| session.set_timeout(timeout))?;
        session.save().await?;
        layer.finish(&session, StatusCode::OK, &mut headers).await?;
        let sent = headers.get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
        let attribute = |text: &str| {
            let (name, value) = text.trim().split_once('=').unwrap_or((text.trim(), ""));
            (name.to_owned(), value.to_owned())
        };
        Ok(sent.split(';').skip(1).map(attribute).collect())
    }
}
