//! What is measured: one request, of one kind, on one site.

use axum::Router;
use axum::body::Body;
use http::Request;
use tower::{Service, ServiceExt};

use crate::sites::Who;

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The path that fills the session before; empty for none.
    fill: &'static str,
    path: &'static str,
    neighbours: bool,
    pub who: Who,
    /// The share of the peer's cost over bare that we allow ourselves, by the design; 0 for no such budget.
    pub budget: f64,
    /// The most allocations over bare, counted when this was written, with a small margin.
    pub ceiling: u64,
}

const fn scenario(name: &'static str, fill: &'static str, path: &'static str, budget: f64, ceiling: u64) -> Scenario {
    Scenario { name, fill, path, neighbours: false, who: Who::Ours, budget, ceiling }
}

pub const SCENARIOS: [Scenario; 8] = [
    scenario("no cookie, untouched", "", "/untouched", 0.0, 7),
    scenario("cookie, untouched", "/five", "/untouched", 0.35, 7),
    scenario("read one of five", "/five", "/read", 0.35, 13),
    Scenario { neighbours: true, ..scenario("read one of five among four other cookies", "/five", "/read", 0.30, 13) },
    scenario("read and write one of five", "/five", "/write", 0.35, 24),
    scenario("new session", "", "/new", 0.40, 28),
    scenario("read one beside 2 KB", "/large", "/read", 0.0, 13),
    Scenario { who: Who::OursInCookie, ..scenario("cookie session of 1 KB, read one", "/kilobyte", "/read", 0.0, 16) },
];

/// A scenario on a site, ready to be asked again and again.
pub struct Ready {
    site: Router,
    request: Box<dyn Fn() -> Request<Body>>,
}

impl Scenario {
    pub async fn on(&self, who: Who) -> Ready {
        let mut site = who.site();
        let mut cookie = String::new();
        if !self.fill.is_empty() && !matches!(who, Who::Bare | Who::Floor) {
            let request = Request::get(self.fill).body(Body::empty()).expect("a good request");
            let response = ask(&mut site, request).await;
            let set = response.headers().get("set-cookie").expect("a session was made");
            cookie = set.to_str().expect("it is ASCII").split(';').next().expect("a pair").to_owned();
        } else if !self.fill.is_empty() {
            cookie = format!("sid={}", "A".repeat(64));
        }
        if self.neighbours {
            cookie = format!("_ga=GA1.1.1234567.1234567; theme=dark; {cookie}; consent=yes-to-all; lang=en-GB");
        }
        let path = self.path;
        let request = move || {
            let request = Request::get(path);
            let request = if cookie.is_empty() { request } else { request.header("cookie", &cookie) };
            request.body(Body::empty()).expect("a good request")
        };
        Ready { site, request: Box::new(request) }
    }
}

impl Ready {
    pub async fn ask(&mut self) {
        let response = ask(&mut self.site, (self.request)()).await;
        assert_eq!(response.status(), 200);
    }
}

async fn ask(site: &mut Router, request: Request<Body>) -> http::Response<Body> {
    let site = <Router as ServiceExt<Request<Body>>>::ready(site).await;
    match site {
        Ok(site) => site.call(request).await.unwrap_or_else(|never| match never {}),
        Err(never) => match never {},
    }
}
