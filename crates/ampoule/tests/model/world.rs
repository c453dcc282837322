//! One run: a browser and an attacker that hold tokens, requests under way, responses on the wire, and time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ampoule::{Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Options, Session, SessionLayer};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::store::{OmittedRule, SteppingStore};
use crate::support;

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Read,
    Write,
    Count,
    Rotate,
    Login(&'static str),
    Logout,
    RevokeOthers,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sender {
    Browser,
    /// It planted the browser's first token, and holds it still.
    Attacker,
}

pub(crate) type Script = Vec<(Sender, Op)>;

/// A possible next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Poll(usize),
    Drop(usize),
    LoseAnswer(usize),
    Deliver,
    Lose,
    PassGrace,
}

/// The result of a request: what it read and wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) token: Option<String>,
    pub(crate) saw: BTreeSet<String>,
    pub(crate) saw_count: u32,
    pub(crate) had: BTreeSet<String>,
    pub(crate) principal: Option<String>,
    pub(crate) started: usize,
    pub(crate) ended: Option<usize>,
    pub(crate) failed: Option<ErrorKind>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) was_dropped: bool,
    pub(crate) was_delivered: bool,
    /// Whether a grace passed during the request.
    pub(crate) was_late: bool,
    id: Option<String>,
    /// The id after the request.
    pub(crate) left: Option<String>,
}

impl Report {
    /// The session that the request came with.
    pub(crate) fn id(&self) -> Option<String> {
        self.id.clone()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Set(String),
    Removed,
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct World {
    layers: Vec<SessionLayer>,
    pub(crate) store: Arc<SteppingStore>,
    clock: Arc<ManualClock>,
    script: Script,
    limit: Option<usize>,
    running: Vec<(Option<Running>, Arc<Woken>)>,
    pub(crate) reports: Vec<Rc<RefCell<Report>>>,
    /// Responses on the wire, in the order in which they were sent.
    wire: Vec<usize>,
    /// The browser's cookie.
    pub(crate) jar: Option<String>,
    pub(crate) planted: String,
    /// The requests whose responses the browser received, in that order.
    pub(crate) delivered: Vec<usize>,
    /// The data that each token opened when it was issued.
    pub(crate) issued: BTreeMap<String, BTreeSet<String>>,
    pub(crate) step: usize,
    graces: usize,
    faults: usize,
    /// Requests that started before the last grace passed: their responses come too late.
    late: usize,
}

/// The settings of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    pub(crate) left_out: OmittedRule,
    /// All requests in one process, which shares locks.
    pub(crate) one_process: bool,
    /// The number of graces that may pass.
    pub(crate) graces: usize,
    /// The number of requests that may be dropped, and of answers that may be lost.
    pub(crate) faults: usize,
    pub(crate) limit: Option<usize>,
    /// The cookie has an expiry that is due, so that it would be sent again.
    pub(crate) refreshes: bool,
    /// The user is logged in before all else.
    pub(crate) logged_in: bool,
}

pub(crate) const GRACE: Duration = Duration::from_secs(5);

impl World {
    pub(crate) fn new(setting: &Setting, script: Script) -> World {
        let clock = Arc::new(ManualClock::default());
        let memory = MemoryStore::new(MemoryBounds::default(), clock.clone());
        let store = Arc::new(SteppingStore::new(memory, setting.left_out));
        let layer = || {
            let mut options = Options { store_timeout: None, fail_fast_after: 0, ..support::options(clock.clone()) };
            options.sessions_per_principal = setting.limit;
            if setting.refreshes {
                options.cookie.expires = ampoule::CookieExpires::After(Duration::from_secs(1_000));
            }
            SessionLayer::new(store.clone(), options).unwrap()
        };
        let one = layer();
        let layers = script.iter().map(|_| if setting.one_process { one.clone() } else { layer() }).collect();
        let mut world = World {
            layers,
            store,
            clock: clock.clone(),
            script: Vec::new(),
            limit: setting.limit,
            running: Vec::new(),
            reports: Vec::new(),
            wire: Vec::new(),
            jar: None,
            planted: String::new(),
            delivered: Vec::new(),
            issued: BTreeMap::new(),
            step: 0,
            graces: setting.graces,
            faults: setting.faults,
            late: 0,
        };
        world.begin(&one, setting.logged_in);
        if setting.refreshes {
            clock.advance(Duration::from_secs(150));
        }
        world.script = script;
        world
    }

    /// The browser has a session with some data, and the attacker its token.
    fn begin(&mut self, layer: &SessionLayer, logged_in: bool) {
        let report = self.ask(layer, Op::Write, None, 99);
        let Some(Cookie::Set(first)) = report.cookie else { panic!("a new session sends its token") };
        (self.planted, self.jar) = (first.clone(), Some(first.clone()));
        self.issued.insert(first, BTreeSet::new());
        if logged_in {
            let report = self.ask(layer, Op::Login("ada"), self.jar.clone(), 98);
            let Some(Cookie::Set(login)) = report.cookie else { panic!("a login sends its token") };
            self.ask(layer, Op::Read, Some(login.clone()), 97);
            self.issued.insert(login.clone(), report.had.clone());
            (self.planted, self.jar) = (login.clone(), Some(login));
        }
    }

    /// Resumes requests that wait before a retry.
    pub(crate) async fn wait(&self) {
        if !self.steps().iter().any(|step| matches!(step, Step::Poll(_))) {
            tokio::time::advance(Duration::from_millis(50)).await;
        }
    }

    /// A request that no other interrupts.
    pub(crate) fn ask(&self, layer: &SessionLayer, op: Op, token: Option<String>, number: usize) -> Report {
        let report = Rc::new(RefCell::new(Report { token: token.clone(), ..Report::default() }));
        let mut future = Box::pin(request(layer.clone(), op, token, number, report.clone()));
        for _ in 0..10_000 {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                let report = report.borrow().clone();
                return report;
            }
        }
        panic!("a request that runs alone does not end");
    }

    pub(crate) fn layer(&self) -> &SessionLayer {
        &self.layers[0]
    }

    /// The steps that are possible now.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, (running, woken)) in self.running.iter().enumerate() {
            if running.is_some() && woken.0.load(Ordering::SeqCst) {
                steps.push(Step::Poll(at));
            }
        }
        if self.running.len() < self.script.len() {
            steps.push(Step::Start);
        }
        if !self.wire.is_empty() {
            steps.extend([Step::Deliver, Step::Lose]);
        }
        if self.faults > 0 {
            for (at, (running, woken)) in self.running.iter().enumerate() {
                if running.is_some() && woken.0.load(Ordering::SeqCst) {
                    steps.extend([Step::Drop(at), Step::LoseAnswer(at)]);
                }
            }
        }
        if self.graces > 0 && !self.reports.is_empty() {
            steps.push(Step::PassGrace);
        }
        steps
    }

    pub(crate) fn is_done(&self) -> bool {
        self.running.len() == self.script.len()
            && self.running.iter().all(|(running, _)| running.is_none())
            && self.wire.is_empty()
    }

    pub(crate) fn take(&mut self, step: Step) {
        self.step += 1;
        match step {
            Step::Start => self.start(),
            Step::Poll(at) => self.poll(at),
            Step::Drop(at) => {
                self.faults -= 1;
                self.running[at].0 = None;
                self.reports[at].borrow_mut().was_dropped = true;
            }
            Step::LoseAnswer(at) => {
                self.faults -= 1;
                self.store.loses_next_answer.store(true, Ordering::SeqCst);
                self.poll(at);
                self.store.loses_next_answer.store(false, Ordering::SeqCst);
            }
            Step::Deliver => {
                let at = self.wire.remove(0);
                self.delivered.push(at);
                let mut report = self.reports[at].borrow_mut();
                report.was_delivered = true;
                match &report.cookie {
                    Some(Cookie::Set(token)) => self.jar = Some(token.clone()),
                    Some(Cookie::Removed) => self.jar = None,
                    None => {}
                }
            }
            Step::Lose => drop(self.wire.remove(0)),
            Step::PassGrace => {
                self.graces -= 1;
                self.clock.advance(GRACE + Duration::from_secs(1));
                // A request that is delayed beyond the grace may be lost: its outcome is unknown.
                self.wire.clear();
                self.late = self.running.len();
                for ((running, _), report) in self.running.iter().zip(&self.reports) {
                    report.borrow_mut().was_late |= running.is_some();
                }
            }
        }
    }

    fn start(&mut self) {
        let at = self.running.len();
        let (who, op) = self.script[at];
        let token = match who {
            Sender::Browser => self.jar.clone(),
            Sender::Attacker => Some(self.planted.clone()),
        };
        let report = Report { token: token.clone(), started: self.step, ..Report::default() };
        let report = Rc::new(RefCell::new(report));
        let future = Box::pin(request(self.layers[at].clone(), op, token, at, report.clone()));
        self.running.push((Some(future), Arc::new(Woken(AtomicBool::new(true)))));
        self.reports.push(report);
    }

    fn poll(&mut self, at: usize) {
        let (running, woken) = &mut self.running[at];
        woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(woken.clone());
        let future = running.as_mut().expect("only those that run are polled");
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            return;
        }
        *running = None;
        let mut report = self.reports[at].borrow_mut();
        report.ended = Some(self.step);
        if let Some(Cookie::Set(token)) = &report.cookie {
            let kept = report.token.as_ref().and_then(|token| self.issued.get(token)).cloned();
            let shown = if report.left == report.id { kept.unwrap_or_default() } else { report.had.clone() };
            self.issued.entry(token.clone()).or_insert(shown);
        }
        if self.script[at].0 == Sender::Browser && at >= self.late {
            drop(report);
            self.wire.push(at);
        }
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    pub(crate) fn pass_grace(&self) {
        self.clock.advance(GRACE + Duration::from_secs(1));
    }
}

/// One request from its first byte to its response.
async fn request(layer: SessionLayer, op: Op, token: Option<String>, number: usize, report: Rc<RefCell<Report>>) {
    let mut headers = HeaderMap::new();
    if let Some(token) = &token {
        headers.insert("cookie", HeaderValue::try_from(format!("sid={token}")).unwrap());
    }
    let session = layer.begin(&headers);
    let done = handle(&session, op, number, &report).await;
    let mut response = HeaderMap::new();
    let status = if done.is_ok() { StatusCode::OK } else { StatusCode::CONFLICT };
    let finished = layer.finish(&session, status, &mut response).await;
    let failed = done.err().or(finished.err()).map(|error| error.kind());
    let keys = session.keys().await.unwrap_or_default();
    let left = session.id().await.ok().flatten().map(|id| id.to_string());
    let mut report = report.borrow_mut();
    report.failed = failed;
    report.had = keys.into_iter().filter(|key| key.starts_with("login")).collect();
    report.left = left;
    report.cookie = response.get("set-cookie").map(|cookie| {
        let value = cookie.to_str().unwrap().split(';').next().unwrap().strip_prefix("sid=").unwrap();
        if value.is_empty() { Cookie::Removed } else { Cookie::Set(value.to_owned()) }
    });
}

async fn handle(session: &Session, op: Op, number: usize, report: &Rc<RefCell<Report>>) -> Result<(), Error> {
    let keys = session.keys().await?;
    let count = session.get("count").await?.unwrap_or_default();
    let principal = session.principal().await?;
    let id = session.id().await?.map(|id| id.to_string());
    {
        let mut report = report.borrow_mut();
        report.saw = keys.into_iter().collect();
        report.saw_count = count;
        report.principal = principal;
        report.id = id;
    }
    match op {
        Op::Read => return Ok(()),
        Op::Write => session.insert(&format!("write{number}"), number)?,
        Op::Count => drop(session.update("count", |count: &mut u32| *count += 1).await?),
        Op::Rotate => session.regenerate_id(),
        Op::Login(user) => {
            session.login(user).await?;
            session.insert(&format!("login{number}"), number)?;
        }
        Op::Logout => return session.logout().await,
        Op::RevokeOthers => return session.revoke_others().await.map(drop),
    }
    session.save().await
}
