//! A client with a cookie, which sends requests to any node and keeps its own books.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampoule_core::conformance::workload::WorkloadReport;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::random::Random;
use crate::support::nodes::{Limits, ask};

/// Longer than a store may be in trouble.
const PATIENCE: Duration = Duration::from_secs(100);

/// The result of all clients.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) books: WorkloadReport,
    /// Sessions that were acknowledged to have ended.
    pub(crate) ended: usize,
    /// The violations.
    pub(crate) faults: Vec<String>,
}

pub(crate) struct Client {
    user: String,
    ports: Vec<u16>,
    limits: Limits,
    random: Random,
    cookie: String,
    ledger: Ledger,
    /// The cookies of ended sessions.
    dead: Vec<String>,
    writes: u64,
    /// Whether something is still to happen.
    goes_on: Arc<AtomicBool>,
    outcome: Outcome,
}

/// What a node said: whether it did what it was asked for, the cookie that it set, the body.
struct Answer {
    is_done: bool,
    cookie: Option<String>,
    text: String,
}

impl Client {
    pub(crate) fn new(number: u64, ports: Vec<u16>, limits: Limits, goes_on: Arc<AtomicBool>) -> Client {
        Client {
            user: format!("user{number}"),
            ports,
            limits,
            random: Random::new(number),
            cookie: String::new(),
            ledger: Ledger::default(),
            dead: Vec::new(),
            writes: 0,
            goes_on,
            outcome: Outcome::default(),
        }
    }

    /// Works for this time and until there is enough in the books, then looks at everything once more.
    pub(crate) async fn work(mut self, time: Duration) -> Outcome {
        let started = Instant::now();
        while self.outcome.faults.is_empty() && (started.elapsed() < time || !self.has_enough()) {
            self.step().await;
            if started.elapsed() > 2 * time + PATIENCE {
                self.fail(format!("{}: hardly a request was answered: {}", self.user, self.outcome.books));
            }
        }
        let stopped = Instant::now();
        while !self.look().await && self.is_patient(stopped).await {}
        for cookie in std::mem::take(&mut self.dead) {
            while !self.look_at_dead(&cookie).await && self.is_patient(stopped).await {}
        }
        self.outcome
    }

    fn has_enough(&self) -> bool {
        let is_over = !self.goes_on.load(Ordering::SeqCst);
        is_over && self.outcome.books.acknowledged >= 40 && self.outcome.ended >= 2
    }

    async fn step(&mut self) {
        if self.cookie.is_empty() {
            return self.begin().await;
        }
        match self.random.below(16) {
            0..5 => self.write().await,
            5..7 => self.count().await,
            7..9 => self.burst().await,
            9..11 => drop(self.look().await),
            11 => self.rotate().await,
            12 => self.log_in().await,
            13..15 if !self.dead.is_empty() => {
                let dead = self.dead[self.random.below(self.dead.len())].clone();
                self.look_at_dead(&dead).await;
            }
            13..15 => {}
            _ if self.random.one_in(3) => self.leave_for_another_device().await,
            _ => self.end().await,
        }
    }

    /// An anonymous session, or at once a login.
    async fn begin(&mut self) {
        if self.random.one_in(2) {
            self.write().await;
        }
        self.log_in().await;
    }

    async fn write(&mut self) {
        let (key, value) = self.next_write();
        let answer = self.ask("POST", &format!("/set/{key}/{value}")).await;
        // An anonymous session whose first save was not acknowledged has no cookie, so this client has no session.
        if answer.is_done || !self.cookie.is_empty() {
            self.ledger.wrote(&key, &value, answer.is_done);
        }
        self.keep(answer.cookie);
    }

    fn next_write(&mut self) -> (String, String) {
        self.writes += 1;
        (format!("k{}", self.random.below(4)), format!("v{}", self.writes))
    }

    async fn count(&mut self) {
        let answer = self.ask("POST", "/count/n").await;
        self.ledger.counted(answer.is_done);
        self.keep(answer.cookie);
    }

    async fn rotate(&mut self) {
        let answer = self.ask("POST", "/regenerate").await;
        self.keep(answer.cookie);
    }

    async fn log_in(&mut self) {
        let answer = self.ask("POST", &format!("/login/{}", self.user)).await;
        if answer.is_done {
            self.ledger.logged_in(&self.user);
        } else {
            self.ledger.is_in_doubt = true;
        }
        self.keep(answer.cookie);
    }

    /// Requests on one session at once, on any nodes. A rotation may be among them.
    async fn burst(&mut self) {
        let mut asking = JoinSet::new();
        let mut paths = vec!["/count/n".to_owned(), "/count/n".to_owned()];
        for key in 0..3 {
            self.writes += 1;
            paths.push(format!("/set/k{key}/v{}", self.writes));
        }
        if self.random.one_in(3) {
            paths.push("/regenerate".to_owned());
        }
        for path in paths {
            let (port, cookie, limits) = (self.port(), self.cookie.clone(), self.limits);
            asking.spawn(async move { (answered(limits, port, "POST", &path, &cookie).await, path) });
        }
        for (answer, path) in asking.join_all().await {
            let answer = self.judge(&path, answer);
            let words: Vec<&str> = path.split('/').collect();
            match words[1] {
                "count" => self.ledger.counted(answer.is_done),
                "set" => self.ledger.wrote(words[2], words[3], answer.is_done),
                _ => self.keep(answer.cookie),
            }
        }
    }

    /// Logs out, sometimes with writes under way.
    async fn end(&mut self) {
        let mut late = JoinSet::new();
        for n in 0..self.random.below(4) {
            let (port, cookie, limits) = (self.port(), self.cookie.clone(), self.limits);
            let path = if n == 0 { "/count/n".to_owned() } else { format!("/set/k{n}/late") };
            late.spawn(async move { answered(limits, port, "POST", &path, &cookie).await });
        }
        let began = Instant::now();
        while !self.ask("POST", "/logout").await.is_done && self.is_patient(began).await {}
        for answer in late.join_all().await {
            if !matches!(answer, Ok((200 | 409 | 503, ..))) {
                self.outcome.faults.push(format!("a write beside a logout: {answer:?}"));
            }
        }
        self.bury().await;
    }

    /// The same user logs in on another device, and ends what is elsewhere.
    async fn leave_for_another_device(&mut self) {
        let began = Instant::now();
        let old = std::mem::take(&mut self.ledger).without_anonymous_cookies();
        self.cookie.clear();
        self.log_in().await;
        while self.cookie.is_empty() && self.is_patient(began).await {
            self.log_in().await;
        }
        while !self.ask("POST", "/revoke-others").await.is_done && self.is_patient(began).await {}
        let new = (std::mem::replace(&mut self.ledger, old), std::mem::take(&mut self.cookie));
        self.bury().await;
        (self.ledger, self.cookie) = new;
    }

    /// Has the end of the session acknowledged.
    async fn bury(&mut self) {
        let ended = std::mem::take(&mut self.ledger);
        self.cookie.clear();
        self.outcome.ended += 1;
        for cookie in &ended.cookies {
            self.look_at_dead(cookie).await;
        }
        self.dead.extend(ended.cookies);
    }

    /// Compares the session with the books, and says whether it could.
    async fn look(&mut self) -> bool {
        for key in self.ledger.keys() {
            let answer = self.ask("GET", &format!("/get/{key}")).await;
            if !answer.is_done {
                return false;
            }
            self.keep(answer.cookie);
            if let Some(fault) = self.ledger.fault(&key, &answer.text) {
                self.outcome.books.lost += 1;
                self.outcome.faults.push(format!("{}: lost: {fault}", self.user));
            }
        }
        true
    }

    /// Checks that an ended session's cookie shows nothing, and a write with it restores nothing; returns whether it was
    /// answered.
    async fn look_at_dead(&mut self, cookie: &str) -> bool {
        let (method, path) = if self.random.one_in(4) { ("POST", "/count/n") } else { ("GET", "/get/user") };
        let port = self.port();
        let answer = answered(self.limits, port, method, path, cookie).await;
        let lives = match &answer {
            Ok((200, set, text)) if method == "POST" => text != "1" || set.as_deref().is_none_or(|set| set == cookie),
            Ok((200, _, text)) => text != "none",
            Ok((409, ..)) if method == "POST" => false,
            Ok((503, ..)) => return false,
            _ => return self.fail(format!("{}: ended, {method} {path}: {answer:?}", self.user)),
        };
        if lives {
            self.outcome.books.revived += 1;
            return self.fail(format!("{}: ended, and answered {method} {path} with {answer:?}", self.user));
        }
        true
    }

    async fn ask(&mut self, method: &str, path: &str) -> Answer {
        let port = self.port();
        let answer = answered(self.limits, port, method, path, &self.cookie).await;
        self.judge(path, answer)
    }

    /// During trouble of its store a request may fail, with an error that names it.
    fn judge(&mut self, path: &str, answer: Result<(u16, Option<String>, String), String>) -> Answer {
        let fault = match answer {
            Ok((200, cookie, text)) => {
                self.outcome.books.acknowledged += 1;
                return Answer { is_done: true, cookie, text };
            }
            Ok((503, _, text)) if !text.is_empty() => {
                self.outcome.books.refused += 1;
                self.outcome.books.last_error = text.trim_end().to_owned();
                None
            }
            Ok((409, ..)) if self.ledger.is_in_doubt => None,
            other => Some(format!("{} {path}: {other:?}", self.user)),
        };
        self.outcome.faults.extend(fault);
        Answer { is_done: false, cookie: None, text: String::new() }
    }

    fn fail(&mut self, fault: String) -> bool {
        self.outcome.faults.push(fault);
        true
    }

    /// Whether what was refused is to be repeated, now.
    async fn is_patient(&mut self, since: Instant) -> bool {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !self.outcome.faults.is_empty() {
            return false;
        }
        let is_patient = since.elapsed() < PATIENCE;
        if !is_patient {
            self.outcome.faults.push(format!("{}: refused for too long: {}", self.user, self.outcome.books.last_error));
        }
        is_patient
    }

    fn keep(&mut self, cookie: Option<String>) {
        let Some(cookie) = cookie.filter(|cookie| !cookie.ends_with('=')) else { return };
        self.ledger.cookies.push(cookie.clone());
        self.cookie = cookie;
    }

    fn port(&mut self) -> u16 {
        self.random.pick(&self.ports)
    }
}

/// Three operations of the store may each take its limit; what takes much longer hangs.
async fn answered(
    limits: Limits,
    port: u16,
    method: &str,
    path: &str,
    cookie: &str,
) -> Result<(u16, Option<String>, String), String> {
    let hang = limits.store_timeout * 3 + Duration::from_secs(10);
    match tokio::time::timeout(hang, ask(port, method, path, cookie)).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("the connection broke".to_owned()),
        Err(_) => Err(format!("no answer within {hang:?}")),
    }
}
