//! The site of the walks, and its notes on each request: an oracle that no client has.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ampoule::{Error, ErrorKind, Event, EventHook, EventKind, Flash, Session, SessionId, SessionLayer, Time};
use ampoule_core::internal::Content;
use ampoule_core::{Record, Store, StoreKey};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;

use crate::store::SteppingStore;

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Peek,
    Write,
    Count,
    Rotate,
    Login(&'static str),
    Logout,
    /// Ends the session, and saves something to a new one.
    Restart,
    RevokeOthers,
    Push,
    Pop,
    PutVoucher,
    TakeVoucher,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// One of the browser's two tabs. They share its cookies, and each has a connection of its own.
    Tab(usize),
    /// It has sessions of its own, and those that it planted.
    Attacker,
}

/// One request, as the site knows it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) who: Sender,
    pub(crate) op: Op,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    /// The tokens that came.
    pub(crate) tokens: Vec<String>,
    pub(crate) started: usize,
    /// When the session was loaded.
    pub(crate) loaded: Option<usize>,
    /// The session that it came with.
    pub(crate) id: Option<SessionId>,
    pub(crate) principal: Option<String>,
    pub(crate) saw: BTreeSet<String>,
    pub(crate) saw_count: u32,
    /// When the handler had done what was asked for.
    pub(crate) done: Option<usize>,
    pub(crate) failed: Option<ErrorKind>,
    /// The session that it left.
    pub(crate) left: Option<SessionId>,
    pub(crate) had: BTreeSet<String>,
    /// Messages that it popped, and vouchers that it took.
    pub(crate) took: Vec<String>,
    pub(crate) answered: Option<usize>,
    pub(crate) answered_at: Time,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) was_dropped: bool,
    /// The answer of one of its writes was lost.
    pub(crate) had_fault: bool,
}

impl Report {
    pub(crate) fn new(who: Sender, op: Op, host: &'static str, path: &'static str) -> Report {
        Report {
            who,
            op,
            host,
            path,
            tokens: Vec::new(),
            started: 0,
            loaded: None,
            id: None,
            principal: None,
            saw: BTreeSet::new(),
            saw_count: 0,
            done: None,
            failed: None,
            left: None,
            had: BTreeSet::new(),
            took: Vec::new(),
            answered: None,
            answered_at: Time::from_millis(0),
            set_cookies: Vec::new(),
            was_dropped: false,
            had_fault: false,
        }
    }

    /// Whether the handler's operation was acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.done.is_some() && self.failed.is_none()
    }

    /// Whether the outcome is unknown.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.done.is_none() || self.failed == Some(ErrorKind::Timeout)
    }
}

/// An event, and when it was raised.
#[derive(Clone, Debug)]
pub(crate) struct RecordedEvent {
    pub(crate) kind: EventKind,
    pub(crate) id: SessionId,
    pub(crate) step: usize,
    /// The request in which it was raised.
    pub(crate) request: usize,
    /// Of a login: whether the session that it came from was there, so that its data went along.
    pub(crate) carried: bool,
    /// The device of the session.
    pub(crate) device: SessionId,
    /// The session that the login came from. One whose session had just ended came from none.
    pub(crate) origin: Option<SessionId>,
    /// When its user logged in.
    pub(crate) logged_in: Option<Time>,
}

/// The notes of the site.
pub(crate) struct Notes {
    pub(crate) reports: Mutex<Vec<Report>>,
    pub(crate) events: Mutex<Vec<RecordedEvent>>,
    pub(crate) step: AtomicUsize,
    /// The request that is polled; `NONE` for the oracle's own.
    pub(crate) current: AtomicUsize,
    pub(crate) store: Arc<SteppingStore>,
}

pub(crate) const NONE: usize = usize::MAX;

impl Notes {
    pub(crate) fn new(store: Arc<SteppingStore>) -> Arc<Notes> {
        let (reports, events) = (Mutex::default(), Mutex::default());
        Arc::new(Notes { reports, events, step: AtomicUsize::new(0), current: AtomicUsize::new(NONE), store })
    }

    pub(crate) fn now(&self) -> usize {
        self.step.load(Ordering::SeqCst)
    }

    pub(crate) fn hook(self: &Arc<Notes>) -> EventHook {
        let notes = Arc::clone(self);
        EventHook::new(move |event: &Event<'_>| notes.note(event))
    }

    fn note(&self, event: &Event<'_>) {
        let request = self.current.load(Ordering::SeqCst);
        if request != NONE {
            let carried = matches!(event.kind, EventKind::Forked { from } if self.goes_along(from, event.principal));
            let record = self.record(event.id);
            let device = record.as_ref().map_or(event.id, |record| record.identity.device_of(event.id));
            let origin = record.as_ref().and_then(|record| record.identity.origin);
            let logged_in = record.as_ref().and_then(|record| record.authenticated_at);
            let noted = RecordedEvent {
                kind: event.kind,
                id: event.id,
                step: self.now(),
                request,
                carried,
                device,
                origin,
                logged_in,
            };
            self.events.lock().unwrap().push(noted);
        }
    }

    /// Whether the data of a session goes into a login of this principal: it is there, and not another user's.
    fn goes_along(&self, from: SessionId, principal: Option<&str>) -> bool {
        self.record(from).is_some_and(|old| old.principal().is_none_or(|old| Some(old) == principal))
    }

    /// A session's record, as it is stored in the store.
    fn record(&self, id: SessionId) -> Option<Arc<Record>> {
        let stored = self.store.store.get(StoreKey::from(id)).try_now().ok()?.ok()??;
        match Content::decode(stored.value) {
            Ok(Content::Session(record)) => Some(record),
            _ => None,
        }
    }

    fn edit(&self, number: usize, edit: impl FnOnce(&mut Report)) {
        edit(&mut self.reports.lock().unwrap()[number]);
    }
}

pub(crate) fn routes(notes: &Arc<Notes>, layer: SessionLayer) -> Router {
    let one = Router::new().route("/do/{number}", post(handle)).with_state(Arc::clone(notes));
    Router::new().merge(one.clone()).nest("/shop", one).layer(layer)
}

async fn handle(State(notes): State<Arc<Notes>>, Path(number): Path<usize>, session: Session) -> Result<(), Error> {
    let op = notes.reports.lock().unwrap()[number].op;
    if op == Op::Peek {
        return peek(&notes, number, &session).await;
    }
    let (id, principal) = (session.id().await?, session.principal().await?);
    let (keys, count) = (session.keys().await?, session.get("count").await?.unwrap_or_default());
    notes.edit(number, |report| {
        (report.id, report.principal, report.saw_count) = (id, principal, count);
        report.saw = keys.into_iter().collect();
        report.loaded = Some(notes.now());
    });
    let done = act(op, number, &session).await;
    let (left, had) = (session.id().await?, session.keys().await?);
    notes.edit(number, |report| {
        (report.left, report.had) = (left, had.into_iter().collect());
        report.done = Some(notes.now());
        match &done {
            Ok(took) => report.took.clone_from(took),
            Err(error) => report.failed = Some(error.kind()),
        }
    });
    done.map(drop)
}

/// A background request of a page.
async fn peek(notes: &Notes, number: usize, session: &Session) -> Result<(), Error> {
    let session = session.read_only();
    let (keys, principal) = (session.keys().await?, session.principal().await?);
    notes.edit(number, |report| {
        (report.saw, report.principal) = (keys.into_iter().collect(), principal);
        report.saw_count = 0;
        (report.loaded, report.done) = (Some(notes.now()), Some(notes.now()));
    });
    Ok(())
}

/// Does the operation, and returns what was taken.
async fn act(op: Op, number: usize, session: &Session) -> Result<Vec<String>, Error> {
    match op {
        Op::Read | Op::Peek => return Ok(Vec::new()),
        Op::Write => session.insert(&format!("write{number}"), number)?,
        Op::Count => drop(session.update("count", |count: &mut u32| *count += 1).await?),
        Op::Rotate => session.regenerate_id(),
        Op::Login(user) => {
            session.login(user).await?;
            session.insert(&format!("login{number}"), number)?;
        }
        Op::Logout => {
            session.logout().await?;
            return Ok(Vec::new());
        }
        Op::Restart => {
            session.invalidate().await?;
            session.insert(&format!("write{number}"), number)?;
        }
        Op::RevokeOthers => {
            session.revoke_others().await?;
            return Ok(Vec::new());
        }
        Op::Push => Flash::of(session).notice(format!("message{number}"))?,
        Op::Pop => {
            let messages = Flash::of(session).pop_messages().await?;
            return Ok(messages.into_iter().map(|message| message.text).collect());
        }
        Op::PutVoucher => session.insert(&format!("voucher{number}"), number)?,
        Op::TakeVoucher => {
            let keys = session.keys().await?;
            let Some(key) = keys.into_iter().find(|key| key.starts_with("voucher")) else { return Ok(Vec::new()) };
            let taken: Option<usize> = session.take(key.as_str()).await?;
            return Ok(taken.map(|_| key).into_iter().collect());
        }
    }
    session.save().await?;
    Ok(Vec::new())
}
