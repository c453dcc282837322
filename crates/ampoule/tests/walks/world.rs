//! One walk: a browser with two tabs, an attacker on a sibling domain, two processes of the site, and time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ampoule::{
    Clock, CookieExpires, EventKind, HostPrefix, ManualClock, MemoryBounds, MemoryStore, Options, Secret, SessionId,
    SessionLayer, Time,
};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::ServiceExt;

use crate::jar::Jar;
use crate::random::Random;
use crate::site::{self, NONE, Notes, Op, Report, Sender};
use crate::store::{OmittedRule, SteppingStore};
use crate::support;

pub(crate) const HOSTS: [&str; 2] = ["shop.example.com", "www.example.com"];
pub(crate) const PATHS: [&str; 2] = ["/do", "/shop/do"];
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How a walk goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) left_out: OmittedRule,
    /// An attacker plants its cookies, and uses what it planted.
    pub(crate) attacks: bool,
    /// `__Host-` keeps planted cookies out.
    pub(crate) host_prefix: bool,
    /// The cookie's domain is changed on the way.
    pub(crate) changes_domain: bool,
    /// The cookie has an expiry, so that it is sent again.
    pub(crate) refreshes: bool,
    /// Requests are dropped, answers of the store and responses are lost.
    pub(crate) faults: bool,
    /// Responses of different connections overtake each other, also where both have a cookie.
    pub(crate) overtakes: bool,
    pub(crate) one_process: bool,
}

impl Setting {
    /// That of a walk.
    pub(crate) fn of(seed: u64, left_out: OmittedRule) -> Setting {
        let mut random = Random::new(seed ^ 0x5e77_1265);
        let host_prefix = random.one_in(6);
        Setting {
            left_out,
            attacks: !random.one_in(3),
            host_prefix,
            changes_domain: !host_prefix && random.one_in(3),
            refreshes: random.one_in(3),
            faults: random.one_in(2),
            overtakes: random.one_in(6),
            one_process: random.one_in(2),
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Running {
    number: usize,
    future: Pin<Box<dyn Future<Output = Response<Body>> + Send>>,
    woken: Arc<Woken>,
}

pub(crate) struct World {
    pub(crate) setting: Setting,
    pub(crate) random: Random,
    pub(crate) clock: Arc<ManualClock>,
    store: Arc<SteppingStore>,
    pub(crate) notes: Arc<Notes>,
    secrets: Vec<Secret>,
    domain: Option<&'static str>,
    processes: Vec<(SessionLayer, Router)>,
    pub(crate) name: String,
    pub(crate) jar: Jar,
    /// The tokens that the browser was sent, and received.
    pub(crate) received: BTreeSet<String>,
    /// The tokens that the attacker holds.
    pub(crate) stolen: Vec<String>,
    running: Vec<Running>,
    /// Responses on their way to each tab, in the order in which they were sent.
    wire: [VecDeque<usize>; 2],
    /// The session of each token that was sent.
    pub(crate) issued: BTreeMap<String, SessionId>,
    /// Tokens in the order in which they were sent.
    pub(crate) order: Vec<String>,
    pub(crate) last_use: BTreeMap<SessionId, Time>,
    /// A response came after a later one, and both had a cookie.
    pub(crate) was_overtaken: bool,
    /// What happened, to be read when something is wrong.
    pub(crate) story: Vec<String>,
}

/// What a token leads to, as the oracle sees it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: SessionId,
    pub(crate) keys: Vec<String>,
    pub(crate) count: u32,
    pub(crate) messages: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, setting: Setting) -> World {
        let clock = Arc::new(ManualClock::default());
        let memory = MemoryStore::new(MemoryBounds::default(), clock.clone());
        let store = Arc::new(SteppingStore::new(memory, setting.left_out));
        let mut world = World {
            setting,
            random: Random::new(seed),
            clock,
            notes: Notes::new(store.clone()),
            store,
            secrets: vec![Secret::new(support::SECRET).unwrap()],
            domain: None,
            processes: Vec::new(),
            name: if setting.host_prefix { "__Host-sid" } else { "sid" }.to_owned(),
            jar: Jar::default(),
            received: BTreeSet::new(),
            stolen: Vec::new(),
            running: Vec::new(),
            wire: Default::default(),
            issued: BTreeMap::new(),
            order: Vec::new(),
            last_use: BTreeMap::new(),
            was_overtaken: false,
            story: Vec::new(),
        };
        if !setting.host_prefix {
            world.domain = world.random.pick(&[None, Some("example.com"), Some("shop.example.com")]);
        }
        world.deploy();
        world
    }

    /// Starts the site's processes anew, with the present secrets and domain.
    fn deploy(&mut self) {
        let layer = || {
            let mut options = Options {
                store_timeout: None,
                fail_fast_after: 0,
                secrets: self.secrets.clone(),
                on_event: Some(self.notes.hook()),
                ..support::options(self.clock.clone())
            };
            options.cookie.domain = self.domain.map(str::to_owned);
            options.cookie.host_prefix = if self.setting.host_prefix { HostPrefix::Always } else { HostPrefix::Never };
            if self.setting.refreshes {
                options.cookie.expires = CookieExpires::After(Duration::from_secs(1_000));
            }
            SessionLayer::new(self.store.clone(), options).unwrap()
        };
        let one = layer();
        let layers = [one.clone(), if self.setting.one_process { one } else { layer() }];
        self.processes = layers.into_iter().map(|layer| (layer.clone(), site::routes(&self.notes, layer))).collect();
    }

    /// The hosts that the cookie's domain allows.
    pub(crate) fn hosts(&self) -> &'static [&'static str] {
        if self.domain == Some(HOSTS[0]) { &HOSTS[..1] } else { &HOSTS }
    }

    fn tell(&mut self, what: String) {
        self.story.push(format!("{} {what}", self.notes.now()));
    }

    fn next_step(&mut self) {
        self.notes.step.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn report(&self, number: usize) -> Report {
        self.notes.reports.lock().unwrap()[number].clone()
    }

    /// Whether two sessions came with the request, so that none counted.
    pub(crate) fn was_conflict(&self, number: usize) -> bool {
        let events = self.notes.events.lock().unwrap();
        events.iter().any(|event| event.request == number && event.kind == EventKind::Conflicting)
    }

    // The possible steps.

    /// Starts a request, and returns its number.
    pub(crate) fn start(&mut self, who: Sender, op: Op, host: &'static str, path: &'static str) -> usize {
        self.next_step();
        let mut report = Report::new(who, op, host, path);
        report.tokens = match who {
            Sender::Tab(_) => {
                let sent = self.jar.sent(host, path, self.clock.now());
                sent.into_iter().filter(|cookie| cookie.name == self.name).map(|cookie| cookie.value.clone()).collect()
            }
            Sender::Attacker if self.stolen.is_empty() || self.random.one_in(5) => Vec::new(),
            Sender::Attacker => vec![self.stolen[self.random.below(self.stolen.len())].clone()],
        };
        report.started = self.notes.now();
        let cookies: Vec<String> = report.tokens.iter().map(|token| format!("{}={token}", self.name)).collect();
        let number = self.notes.reports.lock().unwrap().len();
        self.tell(format!("request {number}: {who:?} {op:?} {host}{path} with {}", self.short(&report.tokens)));
        let mut request = Request::post(format!("https://{host}{path}/{number}"));
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        self.notes.reports.lock().unwrap().push(report);
        let app = self.processes[self.random.below(2)].1.clone();
        let request = request.body(Body::empty()).unwrap();
        let future = Box::pin(async move { app.oneshot(request).await.unwrap() });
        self.running.push(Running { number, future, woken: Arc::new(Woken(AtomicBool::new(true))) });
        number
    }

    /// Tokens by the order in which they were sent, which is easier to read.
    pub(crate) fn short(&self, tokens: &[String]) -> String {
        let place = |token: &String| self.order.iter().position(|other| other == token);
        let names: Vec<String> = tokens.iter().map(|token| format!("t{:?}", place(token).unwrap_or(NONE))).collect();
        names.join(" ")
    }

    /// Resumes a request until it waits for the store.
    fn poll(&mut self, at: usize) {
        self.next_step();
        let Running { number, future, woken } = &mut self.running[at];
        let number = *number;
        woken.0.store(false, Ordering::SeqCst);
        self.notes.current.store(number, Ordering::SeqCst);
        let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone())));
        self.notes.current.store(NONE, Ordering::SeqCst);
        let ids = {
            let report = &self.notes.reports.lock().unwrap()[number];
            [report.id, report.left]
        };
        for id in ids.into_iter().flatten() {
            self.last_use.insert(id, self.clock.now());
        }
        if let Poll::Ready(response) = polled {
            drop(self.running.remove(at));
            self.answered(number, self.report(number), &response);
        }
    }

    fn answered(&mut self, number: usize, mut report: Report, response: &Response<Body>) {
        let set = response.headers().get_all("set-cookie").iter();
        report.set_cookies = set.map(|value| value.to_str().unwrap().to_owned()).collect();
        assert!(
            report.set_cookies.is_empty() || response.headers()["cache-control"] == "no-store",
            "a response with a cookie can be stored"
        );
        (report.answered, report.answered_at) = (Some(self.notes.now()), self.clock.now());
        let tokens: Vec<String> = report.set_cookies.iter().filter_map(|header| self.token_of(header)).collect();
        for token in &tokens {
            let id = report.left.expect("a token is sent for the session that the request left");
            if self.issued.insert(token.clone(), id).is_none() {
                self.order.push(token.clone());
            }
            if report.who == Sender::Attacker {
                self.stolen.push(token.clone());
            }
        }
        let removals = report.set_cookies.len() - tokens.len();
        let (status, failed, took) = (response.status().as_u16(), report.failed, &report.took);
        self.tell(format!(
            "  answered {number}: {status} {failed:?} {took:?} {} {removals} removals, {:?} -> {:?}",
            self.short(&tokens),
            report.id,
            report.left
        ));
        if let Sender::Tab(tab) = report.who {
            self.wire[tab].push_back(number);
        }
        self.notes.reports.lock().unwrap()[number] = report;
    }

    /// The token that a Set-Cookie header has.
    pub(crate) fn token_of(&self, header: &str) -> Option<String> {
        let (name, value) = header.split(';').next()?.split_once('=')?;
        assert_eq!(name, self.name);
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn drop_request(&mut self, at: usize) {
        let number = self.running.remove(at).number;
        self.notes.reports.lock().unwrap()[number].was_dropped = true;
        self.tell(format!("  dropped {number}"));
    }

    fn lose_answer(&mut self, at: usize) {
        let number = self.running[at].number;
        self.store.loses_next_answer.store(true, Ordering::SeqCst);
        self.poll(at);
        if !self.store.loses_next_answer.swap(false, Ordering::SeqCst) {
            self.notes.reports.lock().unwrap()[number].had_fault = true;
            self.tell(format!("  the store's answer to {number} is lost"));
        }
    }

    /// The next response that arrives: of the tab whose first one was sent first, unless they may overtake each other.
    fn next_tab(&mut self) -> Option<usize> {
        let answered = |number: usize| self.notes.reports.lock().unwrap()[number].answered;
        let first = |tab: usize| self.wire[tab].front().map(|number| (answered(*number), tab));
        let fronts: Vec<_> = [first(0), first(1)].into_iter().flatten().collect();
        if self.setting.overtakes && !fronts.is_empty() {
            return Some(fronts[self.random.below(fronts.len())].1);
        }
        fronts.into_iter().min().map(|(_, tab)| tab)
    }

    /// A response arrives, or is lost. Returns what the browser must not have lost by it.
    fn deliver(&mut self, is_lost: bool) -> Result<(), String> {
        let Some(tab) = self.next_tab() else { return Ok(()) };
        let number = self.wire[tab].pop_front().expect("the tab has one");
        if is_lost {
            self.tell(format!("  the response {number} is lost"));
            return Ok(());
        }
        let report = self.report(number);
        if report.set_cookies.is_empty() {
            return Ok(());
        }
        let earlier = self.wire[1 - tab].iter().map(|other| self.report(*other));
        self.was_overtaken |=
            earlier.into_iter().any(|other| other.answered < report.answered && !other.set_cookies.is_empty());
        let before = self.held(report.host, report.path);
        let now = self.clock.now();
        for header in &report.set_cookies {
            self.jar.receive(report.host, report.path, header, now);
            self.received.extend(self.token_of(header));
        }
        let after = self.held(report.host, report.path);
        self.tell(format!("  delivered {number}: {} -> {}", self.short(&before), self.short(&after)));
        self.judge_change(number, &report, &before, &after)
    }

    /// The tokens that the browser sends there.
    pub(crate) fn held(&self, host: &str, path: &str) -> Vec<String> {
        let sent = self.jar.sent(host, path, self.clock.now());
        sent.into_iter().filter(|cookie| cookie.name == self.name).map(|cookie| cookie.value.clone()).collect()
    }

    // A walk is made of rounds: some requests that meet, and then something that happens while all is quiet.

    /// Some requests, in a random order of all that they do, until all are answered or lost.
    pub(crate) async fn round(&mut self) -> Result<(), String> {
        let mut left = 1 + self.random.below(4);
        let began = self.clock.now();
        loop {
            if left > 0 && self.running.len() < 3 && (self.running.is_empty() || self.random.one_in(4)) {
                left -= 1;
                self.start_any();
            }
            if self.setting.faults && self.random.one_in(60) && !self.running.is_empty() {
                let at = self.random.below(self.running.len());
                self.drop_request(at);
            }
            if self.random.one_in(3) {
                let is_lost = self.setting.faults && self.random.one_in(8);
                self.deliver(is_lost)?;
            }
            if self.random.one_in(20) && self.clock.now() + Duration::from_secs(1) < began + GRACE {
                self.clock.advance(Duration::from_millis(700));
                self.tell("700 ms pass".to_owned());
            }
            let woken: Vec<usize> =
                (0..self.running.len()).filter(|at| self.running[*at].woken.0.load(Ordering::SeqCst)).collect();
            if !woken.is_empty() {
                let at = self.random.pick(&woken);
                if self.setting.faults && self.random.one_in(60) { self.lose_answer(at) } else { self.poll(at) }
            } else if !self.running.is_empty() {
                // A request waits before it tries again.
                tokio::time::advance(Duration::from_millis(25)).await;
            } else if left == 0 {
                break;
            }
        }
        while self.wire.iter().any(|tab| !tab.is_empty()) {
            self.deliver(false)?;
        }
        Ok(())
    }

    fn start_any(&mut self) {
        const OPS: [Op; 24] = [
            Op::Read,
            Op::Read,
            Op::Read,
            Op::Peek,
            Op::Peek,
            Op::Write,
            Op::Write,
            Op::Write,
            Op::Count,
            Op::Count,
            Op::Rotate,
            Op::Rotate,
            Op::Login("ada"),
            Op::Login("ada"),
            Op::Login("bob"),
            Op::Logout,
            Op::Restart,
            Op::RevokeOthers,
            Op::Push,
            Op::Push,
            Op::Pop,
            Op::Pop,
            Op::PutVoucher,
            Op::TakeVoucher,
        ];
        let is_attack = self.setting.attacks && self.random.one_in(4);
        let who = if is_attack { Sender::Attacker } else { Sender::Tab(self.random.below(2)) };
        let op = match (who, self.random.pick(&OPS)) {
            (Sender::Attacker, Op::Login(_)) => Op::Login("mallory"),
            (_, op) => op,
        };
        let (host, path) = (self.random.pick(self.hosts()), PATHS[usize::from(self.random.one_in(4))]);
        self.start(who, op, host, path);
    }

    /// What happens while no request is under way.
    pub(crate) fn pause(&mut self) {
        self.next_step();
        let passes = match self.random.below(12) {
            0..4 => 0,
            4..6 => 2,
            6..9 => 6,
            9 => 150,
            10 => 3 * 3_600,
            _ => self.random.pick(&[20, 25]) * 3_600,
        };
        if passes > 0 {
            self.clock.advance(Duration::from_secs(passes));
            self.tell(format!("{passes} s pass"));
        }
        if self.setting.attacks && !self.stolen.is_empty() && self.random.one_in(4) {
            self.plant();
        }
        let rotates_secrets = self.secrets.len() < 4 && self.random.one_in(12);
        let changes_domain = self.setting.changes_domain && self.random.one_in(4);
        if rotates_secrets {
            self.secrets.insert(0, Secret::new(Secret::generate()).unwrap());
        }
        if changes_domain {
            self.domain = self.random.pick(&[None, Some("example.com"), Some("shop.example.com")]);
        }
        if rotates_secrets || changes_domain {
            self.tell(format!("deployed with {} secrets and the domain {:?}", self.secrets.len(), self.domain));
            self.deploy();
        }
    }

    /// A page of a sibling domain sets a cookie for all of the domain.
    fn plant(&mut self) {
        let token = self.stolen[self.random.below(self.stolen.len())].clone();
        let path = self.random.pick(&["/", "/shop"]);
        let header = format!("{}={token}; Domain=example.com; Path={path}; Secure", self.name);
        let now = self.clock.now();
        self.jar.receive("evil.example.com", "/", &header, now);
        self.tell(format!("planted {} for {path}", self.short(&[token])));
    }

    /// A request of the browser that no other meets, from its first byte to its cookies.
    pub(crate) async fn ask(&mut self, op: Op, host: &'static str, path: &'static str) -> Result<Report, String> {
        let number = self.start(Sender::Tab(0), op, host, path);
        while !self.running.is_empty() {
            self.poll(0);
        }
        self.deliver(false)?;
        Ok(self.report(number))
    }

    /// What a token leads to, without any trace of having looked.
    pub(crate) fn look(&self, token: &str) -> Option<Opened> {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::try_from(format!("{}={token}", self.name)).unwrap());
        let session = self.processes[0].0.begin(&headers);
        let mut looking = Box::pin(async {
            let id = session.id().await.unwrap()?;
            let messages = ampoule::Flash::of(&session).peek_messages().await.unwrap();
            Some(Opened {
                id,
                keys: session.keys().await.unwrap(),
                count: session.get("count").await.unwrap().unwrap_or_default(),
                messages: messages.into_iter().map(|message| message.text).collect(),
            })
        });
        loop {
            if let Poll::Ready(seen) = looking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return seen;
            }
        }
    }
}
