//! A client with a cookie, which sends requests to any node and keeps a ledger of what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampoule_core::conformance::workload::WorkloadReport;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::random::Random;
use crate::support::nodes::{Limits, ask};

/// How long a client repeats refused requests: longer than a store is locked.
const MAX_WAIT: Duration = Duration::from_secs(100);

/// The result of all clients.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) report: WorkloadReport,
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
    /// Whether the test has not ended yet.
    continues: Arc<AtomicBool>,
    outcome: Outcome,
}

/// The response of a node: whether the request succeeded, the cookie that it set, and the body.
struct Response {
    is_ok: bool,
    cookie: Option<String>,
    text: String,
}

impl Client {
    pub(crate) fn new(number: u64, ports: Vec<u16>, limits: Limits, continues: Arc<AtomicBool>) -> Client {
        Client {
            user: format!("user{number}"),
            ports,
            limits,
            random: Random::new(number),
            cookie: String::new(),
            ledger: Ledger::default(),
            dead: Vec::new(),
            writes: 0,
            continues,
            outcome: Outcome::default(),
        }
    }

    /// Runs for this time and until the ledger has enough entries, then checks everything once more.
    pub(crate) async fn work(mut self, time: Duration) -> Outcome {
        let started = Instant::now();
        while self.outcome.faults.is_empty() && (started.elapsed() < time || !self.has_enough()) {
            self.step().await;
            if started.elapsed() > 2 * time + MAX_WAIT {
                self.fail(format!("{}: too few requests succeeded: {}", self.user, self.outcome.report));
            }
        }
        let stopped = Instant::now();
        while !self.check_values().await && self.wait_to_retry(stopped).await {}
        for cookie in std::mem::take(&mut self.dead) {
            while !self.check_ended(&cookie).await && self.wait_to_retry(stopped).await {}
        }
        self.outcome
    }

    fn has_enough(&self) -> bool {
        let is_over = !self.continues.load(Ordering::SeqCst);
        is_over && self.outcome.report.acknowledged >= 40 && self.outcome.ended >= 2
    }

    async fn step(&mut self) {
        if self.cookie.is_empty() {
            return self.begin().await;
        }
        match self.random.below(16) {
            0..5 => self.write().await,
            5..7 => self.count().await,
            7..9 => self.burst().await,
            9..11 => drop(self.check_values().await),
            11 => self.rotate().await,
            12 => self.log_in().await,
            13..15 if !self.dead.is_empty() => {
                let dead = self.dead[self.random.below(self.dead.len())].clone();
                self.check_ended(&dead).await;
            }
            13..15 => {}
            _ if self.random.one_in(3) => self.leave_for_another_device().await,
            _ => self.end().await,
        }
    }

    /// Starts an anonymous session and logs in, or logs in at once.
    async fn begin(&mut self) {
        if self.random.one_in(2) {
            self.write().await;
        }
        self.log_in().await;
    }

    async fn write(&mut self) {
        let (key, value) = self.next_write();
        let answer = self.request("POST", &format!("/set/{key}/{value}")).await;
        // An anonymous session whose first save was not acknowledged has no cookie, so this client has no session.
        if answer.is_ok || !self.cookie.is_empty() {
            self.ledger.wrote(&key, &value, answer.is_ok);
        }
        self.keep(answer.cookie);
    }

    fn next_write(&mut self) -> (String, String) {
        self.writes += 1;
        (format!("k{}", self.random.below(4)), format!("v{}", self.writes))
    }

    async fn count(&mut self) {
        let answer = self.request("POST", "/count/n").await;
        self.ledger.counted(answer.is_ok);
        self.keep(answer.cookie);
    }

    async fn rotate(&mut self) {
        let answer = self.request("POST", "/regenerate").await;
        self.keep(answer.cookie);
    }

    async fn log_in(&mut self) {
        let answer = self.request("POST", &format!("/login/{}", self.user)).await;
        if answer.is_ok {
            self.ledger.logged_in(&self.user);
        } else {
            self.ledger.is_in_doubt = true;
        }
        self.keep(answer.cookie);
    }

    /// Sends concurrent requests on one session to any nodes. One of them may be a rotation.
    async fn burst(&mut self) {
        let mut requests = JoinSet::new();
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
            requests.spawn(async move { (send(limits, port, "POST", &path, &cookie).await, path) });
        }
        for (answer, path) in requests.join_all().await {
            let answer = self.record(&path, answer);
            let words: Vec<&str> = path.split('/').collect();
            match words[1] {
                "count" => self.ledger.counted(answer.is_ok),
                "set" => self.ledger.wrote(words[2], words[3], answer.is_ok),
                _ => self.keep(answer.cookie),
            }
        }
    }

    /// Logs out, sometimes with writes in progress.
    async fn end(&mut self) {
        let mut late = JoinSet::new();
        for n in 0..self.random.below(4) {
            let (port, cookie, limits) = (self.port(), self.cookie.clone(), self.limits);
            let path = if n == 0 { "/count/n".to_owned() } else { format!("/set/k{n}/late") };
            late.spawn(async move { send(limits, port, "POST", &path, &cookie).await });
        }
        let began = Instant::now();
        while !self.request("POST", "/logout").await.is_ok && self.wait_to_retry(began).await {}
        for answer in late.join_all().await {
            if !matches!(answer, Ok((200 | 409 | 503, ..))) {
                self.outcome.faults.push(format!("a write beside a logout: {answer:?}"));
            }
        }
        self.record_end().await;
    }

    /// Logs the same user in on another device, and ends the user's other sessions.
    async fn leave_for_another_device(&mut self) {
        let began = Instant::now();
        let old = std::mem::take(&mut self.ledger).without_anonymous_cookies();
        self.cookie.clear();
        self.log_in().await;
        while self.cookie.is_empty() && self.wait_to_retry(began).await {
            self.log_in().await;
        }
        while !self.request("POST", "/revoke-others").await.is_ok && self.wait_to_retry(began).await {}
        let new = (std::mem::replace(&mut self.ledger, old), std::mem::take(&mut self.cookie));
        self.record_end().await;
        (self.ledger, self.cookie) = new;
    }

    /// Records that the end of the session was acknowledged, and checks its cookies.
    async fn record_end(&mut self) {
        let ended = std::mem::take(&mut self.ledger);
        self.cookie.clear();
        self.outcome.ended += 1;
        for cookie in &ended.cookies {
            self.check_ended(cookie).await;
        }
        self.dead.extend(ended.cookies);
    }

    /// Compares the session with the ledger; returns whether it was answered.
    async fn check_values(&mut self) -> bool {
        for key in self.ledger.keys() {
            let answer = self.request("GET", &format!("/get/{key}")).await;
            if !answer.is_ok {
                return false;
            }
            self.keep(answer.cookie);
            if let Some(fault) = self.ledger.fault(&key, &answer.text) {
                self.outcome.report.lost += 1;
                self.outcome.faults.push(format!("{}: lost: {fault}", self.user));
            }
        }
        true
    }

    /// Checks that an ended session's cookie shows nothing, and a write with it restores nothing; returns whether it
    /// was answered.
    async fn check_ended(&mut self, cookie: &str) -> bool {
        let (method, path) = if self.random.one_in(4) { ("POST", "/count/n") } else { ("GET", "/get/user") };
        let port = self.port();
        let answer = send(self.limits, port, method, path, cookie).await;
        let lives = match &answer {
            Ok((200, set, text)) if method == "POST" => text != "1" || set.as_deref().is_none_or(|set| set == cookie),
            Ok((200, _, text)) => text != "none",
            Ok((409, ..)) if method == "POST" => false,
            Ok((503, ..)) => return false,
            _ => return self.fail(format!("{}: ended, {method} {path}: {answer:?}", self.user)),
        };
        if lives {
            self.outcome.report.revived += 1;
            return self.fail(format!("{}: ended, and answered {method} {path} with {answer:?}", self.user));
        }
        true
    }

    async fn request(&mut self, method: &str, path: &str) -> Response {
        let port = self.port();
        let answer = send(self.limits, port, method, path, &self.cookie).await;
        self.record(path, answer)
    }

    /// Records an answer. While the store is in trouble a request may fail, with an error that names the store.
    fn record(&mut self, path: &str, answer: Result<(u16, Option<String>, String), String>) -> Response {
        let fault = match answer {
            Ok((200, cookie, text)) => {
                self.outcome.report.acknowledged += 1;
                return Response { is_ok: true, cookie, text };
            }
            Ok((503, _, text)) if !text.is_empty() => {
                self.outcome.report.refused += 1;
                self.outcome.report.last_error = text.trim_end().to_owned();
                None
            }
            Ok((409, ..)) if self.ledger.is_in_doubt => None,
            other => Some(format!("{} {path}: {other:?}", self.user)),
        };
        self.outcome.faults.extend(fault);
        Response { is_ok: false, cookie: None, text: String::new() }
    }

    fn fail(&mut self, fault: String) -> bool {
        self.outcome.faults.push(fault);
        true
    }

    /// Waits, and returns whether a refused request is to be repeated.
    async fn wait_to_retry(&mut self, since: Instant) -> bool {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !self.outcome.faults.is_empty() {
            return false;
        }
        let wait_to_retry = since.elapsed() < MAX_WAIT;
        if !wait_to_retry {
            self.outcome
                .faults
                .push(format!("{}: refused for too long: {}", self.user, self.outcome.report.last_error));
        }
        wait_to_retry
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

/// Sends a request. Each of three operations of the store may take its time limit; a request that takes much longer
/// hangs.
async fn send(
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
