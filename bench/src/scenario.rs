//! The scenarios: a kind of request, with its budget and its ceilings.

use axum::Router;
use axum::body::Bytes;

use crate::sites::{Site, Subject, shared};

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The path that fills the session before the measurement; empty if the request has no session.
    fill: &'static str,
    path: &'static str,
    other_cookies: bool,
    /// Ampoule, with the session in memory or in its cookie.
    pub subject: Subject,
    /// The budget, as a share of the first peer's overhead; 0 if there is no budget.
    pub budget: f64,
    /// The ceilings of the overhead in allocations and instructions: the counts when they were set, with a small
    /// margin.
    pub ceilings: (u64, u64),
}

const fn scenario(name: &'static str, fill: &'static str, path: &'static str, budget: f64) -> Scenario {
    Scenario { name, fill, path, other_cookies: false, subject: Subject::Ours, budget, ceilings: (0, 0) }
}

impl Scenario {
    const fn with_other_cookies(self) -> Scenario {
        Scenario { other_cookies: true, ..self }
    }

    const fn in_cookie(self) -> Scenario {
        Scenario { subject: Subject::OursInCookie, ..self }
    }

    const fn at_most(self, allocations: u64, instructions: u64) -> Scenario {
        Scenario { ceilings: (allocations, instructions), ..self }
    }
}

/// Scenarios with the session in memory.
pub const IN_MEMORY: [Scenario; 7] = [
    scenario("no cookie, untouched", "", "/untouched", 0.0).at_most(4, 2_500),
    scenario("cookie, untouched", "/five", "/untouched", 0.35).at_most(4, 2_900),
    scenario("read one of five keys", "/five", "/read", 0.35).at_most(6, 18_200),
    scenario("read one of five keys, four other cookies", "/five", "/read", 0.30)
        .with_other_cookies()
        .at_most(6, 18_700),
    scenario("read and write one of five keys", "/five", "/write", 0.35).at_most(9, 23_200),
    scenario("new session", "", "/new", 0.40).at_most(10, 22_400),
    scenario("read one key of 3.5 KB", "/large", "/read", 0.0).at_most(6, 20_500),
];

/// Scenarios with the session in its encrypted cookie.
pub const IN_COOKIE: [Scenario; 6] = [
    scenario("100 B, read one key", "/hundred", "/read", 0.0).in_cookie().at_most(7, 11_900),
    scenario("100 B, read and write one key", "/hundred", "/write", 0.0).in_cookie().at_most(14, 21_400),
    scenario("1 KB, read one key", "/kilobyte", "/read", 0.0).in_cookie().at_most(7, 17_100),
    scenario("1 KB, read and write one key", "/kilobyte", "/write", 0.0).in_cookie().at_most(14, 34_300),
    scenario("3.5 KB, read one key", "/large", "/read", 0.0).in_cookie().at_most(9, 38_300),
    scenario("3.5 KB, read and write one key", "/large", "/write", 0.0).in_cookie().at_most(22, 82_000),
];

/// A scenario whose site has a session, and whose request can be sent repeatedly.
pub struct Prepared {
    site: Site,
    path: Bytes,
    cookie: Bytes,
}

impl Scenario {
    /// Returns the scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        IN_MEMORY.into_iter().chain(IN_COOKIE).find(|scenario| scenario.name == name)
    }

    /// Creates the site of a subject, with a session in it.
    pub async fn prepare(&self, subject: Subject) -> Prepared {
        let mut site = subject.site().await;
        let cookie = self.cookie(subject, &mut site).await;
        Prepared { site, path: shared(self.path), cookie: shared(&cookie) }
    }

    /// Sends the requests to existing routes, with this cookie.
    pub fn prepare_on(&self, router: Router, cookie: &str) -> Prepared {
        Prepared { site: Site::axum(router), path: shared(self.path), cookie: shared(cookie) }
    }

    /// Fills a session, and returns the value of the header `Cookie`.
    pub async fn cookie(&self, subject: Subject, site: &mut Site) -> String {
        let mut cookie = match subject {
            _ if self.fill.is_empty() => String::new(),
            // A site without sessions gets the cookie of Ampoule's site.
            _ if subject.is_plain() => self.subject.site().await.fill(self.fill).await,
            _ => site.fill(self.fill).await,
        };
        if self.other_cookies {
            cookie = format!("_ga=GA1.1.1234567.1234567; theme=dark; {cookie}; consent=yes-to-all; lang=en-GB");
        }
        cookie
    }
}

impl Prepared {
    pub async fn send(&mut self) {
        self.site.send(&self.path, &self.cookie).await;
    }
}
