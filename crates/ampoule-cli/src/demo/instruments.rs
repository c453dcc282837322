//! What the demo's rooms look through: the session filter of this program's files, with a store that is watched.
//!
//! It takes the place of `egg:Beaker#beaker_session`, whose options it has. Beside the layer that the file describes
//! stand two over a store that is away, one for each [`OutagePolicy`]; a cookie says which of them a visitor's requests
//! pass, so an outage concerns no other visitor, and opens no circuit breaker.

mod away;
mod events;
mod watched;

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

pub(crate) use self::away::{OUTAGE, Outage, Policy};
use self::events::Events;
pub(crate) use self::events::Happened;
pub(crate) use self::watched::Trip;
use self::watched::{TRIPS, Trips, WatchedStore};
use super::frame::ERROR_PAGE;

/// So many rooms may make requests of their own at once, for all visitors together.
const AT_ONCE: usize = 2;

/// In the extensions of each request that passes the filter. Not there where sessions are kept in their cookies.
#[derive(Clone)]
pub(crate) struct Lab(Arc<Inner>);

struct Inner {
    /// The layer that the file describes.
    sessions: SessionLayer,
    /// Its options.
    options: Options,
    events: Arc<Events>,
    busy: Semaphore,
    /// The sessions whose visitors are at it.
    playing: Mutex<HashSet<SessionId>>,
}

/// The right of a visitor's to have a room make requests.
pub(crate) struct LabPermit<'a> {
    inner: &'a Inner,
    id: SessionId,
    _busy: SemaphorePermit<'a>,
}

/// The layers of requests: while the store is there, and while it is away.
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
    let layer = |is_away, options| SessionLayer::new(WatchedStore { store: Arc::clone(&store), is_away }, options);
    // No circuit opens there: the log would report an outage to the operator, although the store is up.
    let away = |on_outage| Options { on_outage, fail_fast_after: 0, sweep_interval: None, ..settings.options.clone() };
    let there = layer(false, Options { on_event, ..settings.options.clone() })?;
    let (error, anonymous) = (layer(true, away(OutagePolicy::Error))?, layer(true, away(OutagePolicy::Anonymous))?);
    let options = away(OutagePolicy::Error);
    let (busy, playing) = (Semaphore::new(AT_ONCE), Mutex::default());
    let lab = Lab(Arc::new(Inner { sessions: there.clone(), options, events, busy, playing }));
    let layers = Layers { there: there.clone(), error, anonymous };
    // What an app could not draw itself, since its session failed after it had answered.
    let pages = StatusCodeRedirect::new(ERROR_PAGE)?.with_statuses([409, 413, 500, 503]).with_debug(debug);
    Ok((there, Box::new(move |inner| around(&layers, lab, &pages, inner))))
}

fn around(layers: &Layers, lab: Lab, pages: &StatusCodeRedirect, inner: App) -> App {
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
        request.extensions_mut().insert(lab.clone());
        TRIPS.scope(Trips::default(), service.oneshot(request))
    }))
}

impl Inner {
    fn playing(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LabPermit<'_> {
    fn drop(&mut self) {
        self.inner.playing().remove(&self.id);
    }
}

impl Lab {
    /// The layer around the site, for requests that a room makes itself.
    pub(crate) fn sessions(&self) -> &SessionLayer {
        &self.0.sessions
    }

    /// The right to make such requests; `None` while too many visitors do, or this one does, and without a session.
    pub(crate) async fn permit(&self, id: Option<SessionId>) -> Option<LabPermit<'_>> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let (id, inner) = (id?, &*self.0);
        let busy = tokio::time::timeout(PATIENCE, inner.busy.acquire()).await.ok()?.ok()?;
        // Not `then_some`: a permit that is not given would take the other one's session off the list when it is dropped.
        inner.playing().insert(id).then(|| LabPermit { inner, id, _busy: busy })
    }

    /// The last events of a session, the latest first.
    pub(crate) fn events_of(&self, id: SessionId) -> Vec<Happened> {
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

    /// The attributes of the cookie that the layer sends for a new session, in their order; of one with a timeout of its own
    /// if that is said.
    ///
    /// # Errors
    /// Errors of saving a session in memory, which only a fault of this program causes.
    pub(crate) async fn attributes(&self, timeout: Option<Duration>) -> Result<Vec<(String, String)>, Error> {
        // In memory, and only as long as this takes.
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
