//! The scenarios: a kind of request on a site.

use axum::Router;
use axum::body::Bytes;

use crate::sites::{Site, Subject, shared};

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The path that fills the session first; empty for none.
    fill: &'static str,
    path: &'static str,
    neighbours: bool,
    /// Ours, with the session in memory or in its cookie.
    pub subject: Subject,
    /// Our budget, as a share of the first peer's cost over bare; 0 for none.
    pub budget: f64,
    /// The ceilings of allocations and instructions over the same route without a session: the counts at the time of writing,
    /// with a small margin.
    pub ceilings: (u64, u64),
}

const fn scenario(name: &'static str, fill: &'static str, path: &'static str, budget: f64) -> Scenario {
    Scenario { name, fill, path, neighbours: false, subject: Subject::Ours, budget, ceilings: (0, 0) }
}

impl Scenario {
    const fn among_others(self) -> Scenario {
        Scenario { neighbours: true, ..self }
    }

    const fn in_cookie(self) -> Scenario {
        Scenario { subject: Subject::OursInCookie, ..self }
    }

    const fn at_most(self, allocations: u64, instructions: u64) -> Scenario {
        Scenario { ceilings: (allocations, instructions), ..self }
    }
}

/// With the session in memory.
pub const IN_MEMORY: [Scenario; 7] = [
    scenario("no cookie, untouched", "", "/untouched", 0.0).at_most(4, 2_500),
    scenario("cookie, untouched", "/five", "/untouched", 0.35).at_most(4, 2_900),
    scenario("read one of five", "/five", "/read", 0.35).at_most(6, 18_200),
    scenario("read one of five among four other cookies", "/five", "/read", 0.30).among_others().at_most(6, 18_700),
    scenario("read and write one of five", "/five", "/write", 0.35).at_most(9, 23_200),
    scenario("new session", "", "/new", 0.40).at_most(10, 22_000),
    scenario("read one beside 3.5 KB", "/large", "/read", 0.0).at_most(6, 20_500),
];

/// With the session in its cookie, encrypted.
pub const IN_COOKIE: [Scenario; 6] = [
    scenario("100 B, read one", "/hundred", "/read", 0.0).in_cookie().at_most(7, 11_900),
    scenario("100 B, read and write one", "/hundred", "/write", 0.0).in_cookie().at_most(14, 21_400),
    scenario("1 KB, read one", "/kilobyte", "/read", 0.0).in_cookie().at_most(7, 17_100),
    scenario("1 KB, read and write one", "/kilobyte", "/write", 0.0).in_cookie().at_most(14, 34_300),
    scenario("3.5 KB, read one", "/large", "/read", 0.0).in_cookie().at_most(9, 38_300),
    scenario("3.5 KB, read and write one", "/large", "/write", 0.0).in_cookie().at_most(22, 82_000),
];

/// A scenario on a site, ready to run repeatedly.
pub struct Ready {
    site: Site,
    path: Bytes,
    cookie: Bytes,
}

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        IN_MEMORY.into_iter().chain(IN_COOKIE).find(|scenario| scenario.name == name)
    }

    pub async fn on(&self, subject: Subject) -> Ready {
        let mut site = subject.site().await;
        let cookie = self.cookie(subject, &mut site).await;
        Ready { site, path: shared(self.path), cookie: shared(&cookie) }
    }

    /// The scenario on existing routes, with this cookie.
    pub fn over(&self, router: Router, cookie: &str) -> Ready {
        Ready { site: Site::axum(router), path: shared(self.path), cookie: shared(cookie) }
    }

    pub async fn cookie(&self, subject: Subject, site: &mut Site) -> String {
        let mut cookie = match subject {
            _ if self.fill.is_empty() => String::new(),
            // A site without sessions is sent the cookie that ours would be.
            _ if subject.is_plain() => self.subject.site().await.fill(self.fill).await,
            _ => site.fill(self.fill).await,
        };
        if self.neighbours {
            cookie = format!("_ga=GA1.1.1234567.1234567; theme=dark; {cookie}; consent=yes-to-all; lang=en-GB");
        }
        cookie
    }
}

impl Ready {
    pub async fn ask(&mut self) {
        self.site.ask(&self.path, &self.cookie).await;
    }
}
