//! Random sites: nesting of routes, order of layers, and handlers that answer with what they saw.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ampoule::Session;
use ampoule::cache::{Backend, BackendOptions, CacheLayer, CacheManager, CacheOptions, ResponseCacheLayer, TargetUri};
use ampoule::{
    CookieOptions, CsrfLayer, HostPrefix, ManualClock, MemoryBounds, MemoryStore, Options, Secret, SessionLayer,
};
use axum::RequestPartsExt;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, RawPathParams, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::random::Random;
use crate::request::{Attack, RequestSpec};

type App = BoxCloneSyncService<Request, Response, Infallible>;

/// The nesting of the routes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nesting {
    Flat,
    Nest,
    NestTwice,
    NestService,
    Merge,
    Fallback,
    /// A layer of the application's own takes the first segment away; it keeps the target URI.
    Rewritten,
    /// The same, which does not, inside of a `CacheLayer`.
    RewrittenInside,
}

/// The positions of layers: around the method's handlers (0), the inner router (1), the outer one (2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrangement {
    nesting: Nesting,
    cache: usize,
    sessions: usize,
    cache_first: bool,
    /// A second layer of sessions.
    more_sessions: Option<usize>,
    /// A layer that forgets what inner layers said in headers, but for cookies.
    strips: Option<usize>,
    csrf: bool,
    route_layer: bool,
}

impl Arrangement {
    pub(crate) fn random(random: &mut Random) -> Arrangement {
        let nesting = random.pick(&[
            Nesting::Flat,
            Nesting::Nest,
            Nesting::NestTwice,
            Nesting::NestService,
            Nesting::Merge,
            Nesting::Fallback,
            Nesting::Rewritten,
            Nesting::RewrittenInside,
        ]);
        let mut maybe = |times| if random.one_in(times) { Some(random.below(3)) } else { None };
        let (more_sessions, strips) = (maybe(3), maybe(3));
        let (cache, cache_first) = (random.below(3), random.one_in(2));
        Arrangement {
            nesting,
            cache,
            sessions: random.below(3),
            cache_first,
            more_sessions,
            // Outside the cache it would remove the headers that the test needs.
            strips: strips.filter(|place| *place < cache || (*place == cache && !cache_first)),
            csrf: random.one_in(4),
            route_layer: random.one_in(3),
        }
    }
}

/// The site with its cache, and the same site without.
pub(crate) struct World {
    with_cache: App,
    without: App,
    pub(crate) clock: Arc<ManualClock>,
    /// The cookies of the users.
    pub(crate) users: [String; 2],
    /// What the attacker does here: little, and often, so that requests meet.
    pub(crate) attacks: [Attack; 3],
    nonces: AtomicUsize,
}

impl World {
    pub(crate) async fn new(arrangement: Arrangement, seed: u64) -> World {
        let mut random = Random::new(seed ^ 0xa77a);
        let attacks = [(); 3].map(|()| Attack::random(&mut random));
        let clock = Arc::new(ManualClock::default());
        let backend = BackendOptions { clock: clock.clone(), ..BackendOptions::default() };
        let options = CacheOptions { stale: std::time::Duration::from_secs(20), ..CacheOptions::default() };
        let manager = CacheManager::new(Backend::memory(&backend), options).unwrap();
        let (sessions, more) = (sessions("sid", &clock), sessions("more", &clock));
        let users = [cookie_of(&sessions, &more, "ada").await, cookie_of(&sessions, &more, "bob").await];
        let plans = Some(Arc::new(Mutex::new(Random::new(seed))));
        let build = |plans, cached: bool| {
            let cache = cached.then(|| ResponseCacheLayer::new(&manager, "responses"));
            Site { arrangement, plans, cache, sessions: sessions.clone(), more: more.clone() }.build(&manager)
        };
        World {
            with_cache: build(plans, true),
            without: build(None, false),
            clock,
            users,
            attacks,
            nonces: AtomicUsize::new(0),
        }
    }

    pub(crate) fn nonce(&self) -> usize {
        self.nonces.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn ask(&self, asked: &RequestSpec) -> Answer {
        answer(self.with_cache.clone(), asked).await
    }

    /// What the request has: a handler's answer that was made for it alone, and has all.
    pub(crate) async fn own_view(&self, asked: &RequestSpec) -> Answer {
        answer(self.without.clone(), asked).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

async fn answer(app: App, asked: &RequestSpec) -> Answer {
    let (parts, body) = app.oneshot(asked.build::<Body>()).await.unwrap().into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn sessions(name: &str, clock: &Arc<ManualClock>) -> SessionLayer {
    let cookie = CookieOptions { name: name.into(), host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    let secrets = vec![Secret::new("GZPWqTzRUawYl5M_ZajECnzkm2OsL-ET6-7Z6M4JxwE").unwrap()];
    let options = Options { secrets, cookie, clock: clock.clone(), ..Options::default() };
    SessionLayer::new(MemoryStore::new(MemoryBounds::default(), clock.clone()), options).unwrap()
}

/// The cookies of a user of both layers.
async fn cookie_of(one: &SessionLayer, other: &SessionLayer, user: &str) -> String {
    let mut pairs = Vec::new();
    for layer in [one, other] {
        let session = layer.begin(&HeaderMap::new());
        session.insert("user", format!("secret-{user}")).unwrap();
        session.save().await.unwrap();
        let mut headers = HeaderMap::new();
        layer.finish(&session, StatusCode::OK, &mut headers).await.unwrap();
        pairs.push(headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
    }
    pairs.join("; ")
}

struct Site {
    arrangement: Arrangement,
    plans: Option<Arc<Mutex<Random>>>,
    cache: Option<ResponseCacheLayer>,
    sessions: SessionLayer,
    more: SessionLayer,
}

impl Site {
    fn build(self, manager: &CacheManager) -> App {
        let plans = self.plans.clone();
        let handler = any(move |request: Request| echo(plans.clone(), request));
        let handler = self.around_handler(handler);
        let routes = Router::new().route("/page", handler.clone()).route("/page/{*rest}", handler.clone());
        let inner = match self.arrangement.nesting {
            Nesting::Fallback => Router::new().fallback_service(handler.clone()),
            Nesting::Flat => Router::new().route("/{tenant}/page", handler.clone()).fallback_service(handler.clone()),
            // axum nests no fallback under a parameter.
            Nesting::Nest | Nesting::NestTwice => routes,
            _ => routes.fallback_service(handler.clone()),
        };
        let inner = self.around(inner, 1);
        let outer = match self.arrangement.nesting {
            Nesting::Nest => Router::new().nest("/{tenant}", inner),
            Nesting::NestTwice => Router::new().nest("/{tenant}", Router::new().nest("/x", inner)),
            Nesting::NestService => Router::new().nest_service("/{tenant}", inner),
            Nesting::Merge => Router::new().nest("/b", Router::new().route("/page", handler.clone())).merge(inner),
            _ => inner,
        };
        let outer = self.around(outer, 2);
        match self.arrangement.nesting {
            Nesting::Rewritten => rewritten(outer, true),
            Nesting::RewrittenInside => App::new(CacheLayer::new(manager.clone()).layer(rewritten(outer, false))),
            _ => App::new(outer),
        }
    }

    fn around_handler(&self, mut handler: MethodRouter) -> MethodRouter {
        for layer in self.layers(0) {
            handler = match layer {
                LayerSpec::Cache(cache) => handler.layer(cache),
                LayerSpec::Sessions(sessions) => handler.layer(sessions),
                LayerSpec::Csrf => handler.layer(CsrfLayer::new()),
                LayerSpec::Strip => handler.layer(from_fn(strip)),
            };
        }
        handler
    }

    fn around(&self, mut router: Router, place: usize) -> Router {
        // A route_layer is around routes alone.
        let has_routes = !matches!(self.arrangement.nesting, Nesting::Fallback | Nesting::NestService);
        let route_layer = self.arrangement.route_layer && has_routes;
        for layer in self.layers(place) {
            router = match layer {
                LayerSpec::Cache(cache) if route_layer => router.route_layer(cache),
                LayerSpec::Cache(cache) => router.layer(cache),
                LayerSpec::Sessions(sessions) => router.layer(sessions),
                LayerSpec::Csrf => router.layer(CsrfLayer::new()),
                LayerSpec::Strip => router.layer(from_fn(strip)),
            };
        }
        router
    }

    /// The layers of a place, the innermost first.
    fn layers(&self, place: usize) -> Vec<LayerSpec> {
        let arrangement = &self.arrangement;
        let mut layers = Vec::new();
        if arrangement.sessions == place {
            if arrangement.csrf {
                layers.push(LayerSpec::Csrf);
            }
            layers.push(LayerSpec::Sessions(self.sessions.clone()));
        }
        if arrangement.more_sessions == Some(place) {
            layers.push(LayerSpec::Sessions(self.more.clone()));
        }
        if arrangement.strips == Some(place) {
            layers.push(LayerSpec::Strip);
        }
        if let Some(cache) = self.cache.clone().filter(|_| arrangement.cache == place) {
            let at = if arrangement.cache_first { 0 } else { layers.len() };
            layers.insert(at, LayerSpec::Cache(cache));
        }
        layers
    }
}

enum LayerSpec {
    Cache(ResponseCacheLayer),
    Sessions(SessionLayer),
    Csrf,
    Strip,
}

/// Removes the cache headers of inner layers, and marks everything as public.
async fn strip(request: Request, next: Next) -> Response {
    let (parts, body) = next.run(request).await.into_parts();
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    for name in ["x-echo", "x-seen", "set-cookie"] {
        for value in parts.headers.get_all(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    // Public only if the handler marked its answer as not depending on the request.
    let said = if parts.headers.contains_key("x-plain") { "public, max-age=60" } else { "private" };
    response.headers_mut().insert("cache-control", HeaderValue::from_static(said));
    response
}

/// The tenant that a layer found in the path.
#[derive(Clone)]
struct Tenant(String);

fn rewritten(inner: Router, keeps: bool) -> App {
    App::new(service_fn(move |mut request: Request| {
        if keeps {
            TargetUri::keep(&mut request);
        }
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (tenant, rest) = path.split_once('/').unwrap_or((&path, ""));
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut uri = request.uri().clone().into_parts();
        uri.path_and_query = Some(format!("/{rest}{query}").parse().unwrap());
        request.extensions_mut().insert(Tenant(tenant.to_owned()));
        *request.uri_mut() = http::Uri::from_parts(uri).unwrap();
        inner.clone().oneshot(request)
    }))
}

/// What a handler does and says; drawn anew for each request, so that a later response varies by more than an earlier
/// one.
struct Plan {
    reads_session: bool,
    writes_session: bool,
    tells: Vec<&'static str>,
    vary: &'static str,
    cache_control: &'static str,
    sets_cookie: bool,
    status: u16,
    yields: bool,
}

/// Header fields that some handlers look at.
pub(crate) const SEEN: [&str; 5] = ["cookie", "accept", "accept-encoding", "accept-language", "user-agent"];

impl Plan {
    fn random(random: &mut Random) -> Plan {
        let vary = random.pick(&[
            "",
            "",
            "",
            "Accept",
            "accept-encoding",
            "Accept-Encoding, Cookie",
            "Accept, ACCEPT-ENCODING",
            "Accept-Encoding, Accept-Language",
            "*",
            "Cookie",
        ]);
        let cache_control = random.pick(&[
            "public, max-age=60",
            "public, max-age=60",
            "public, max-age=60",
            "public, max-age=60",
            "s-maxage=30",
            "Public, max-age=10, stale-while-revalidate=10",
            "public",
            "private, max-age=60",
            "public, max-age=60, Private",
            "no-store",
            "max-age=60",
            "",
            "public, max-age=60, no-cache=\"x\"",
            "public, max-age=60, private=\"x, y\"",
        ]);
        // Most handlers are such as a cache is for.
        let is_plain = !random.one_in(3);
        Plan {
            reads_session: random.one_in(if is_plain { 12 } else { 3 }),
            writes_session: random.one_in(40),
            tells: SEEN.into_iter().filter(|_| random.one_in(2)).collect(),
            vary,
            cache_control: if is_plain { "public, max-age=60" } else { cache_control },
            sets_cookie: random.one_in(if is_plain { 40 } else { 4 }),
            status: if is_plain { 200 } else { random.pick(&[200, 200, 404, 301, 206, 500]) },
            yields: random.one_in(3),
        }
    }

    fn all() -> Plan {
        Plan {
            reads_session: true,
            writes_session: false,
            tells: SEEN.to_vec(),
            vary: "",
            cache_control: "",
            sets_cookie: false,
            status: 200,
            yields: false,
        }
    }
}

/// Answers with everything that it saw, one `name=value` after the other.
async fn echo(plans: Option<Arc<Mutex<Random>>>, request: Request) -> Response {
    let plan = plans.map_or_else(Plan::all, |plans| Plan::random(&mut plans.lock().unwrap()));
    let (mut parts, body) = request.into_parts();
    let body: Bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if plan.yields {
        tokio::task::yield_now().await;
    }
    let mut seen = of_target(&mut parts).await;
    seen.push(("body", format!("{body:?}")));
    if let Some(session) = parts.extensions.get::<Session>() {
        if plan.reads_session {
            let named = ["sid", "more"].into_iter().filter_map(|name| session.named(name));
            for session in named {
                seen.push(("session", format!("{:?}", session.get::<String>("user").await.unwrap_or_default())));
            }
        }
        if plan.writes_session {
            session.insert("seen", 1).unwrap();
            let _ = session.save().await;
            seen.push(("session", "written".to_owned()));
        }
    }
    for name in &plan.tells {
        seen.push((name, values(&parts.headers, name)));
    }
    respond(&plan, &parts, seen)
}

fn respond(plan: &Plan, parts: &Parts, seen: Vec<(&'static str, String)>) -> Response {
    let text = seen.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" | ");
    let mut response = Response::builder().status(plan.status).header("x-echo", &text);
    for (name, value) in [("vary", plan.vary), ("cache-control", plan.cache_control)] {
        if !value.is_empty() {
            response = response.header(name, value);
        }
    }
    if plan.sets_cookie {
        response = response.header("set-cookie", format!("n={}", values(&parts.headers, "x-nonce")));
    }
    // Marks an answer that an outer layer may declare public.
    if plan.vary.is_empty() && plan.cache_control.contains("max-age=60") && !plan.cache_control.contains("riv") {
        response = response.header("x-plain", "");
    }
    response.body(Body::from(text)).unwrap()
}

async fn of_target(parts: &mut Parts) -> Vec<(&'static str, String)> {
    let params = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().map(|(name, value)| format!("{name}:{value}")).collect(),
        Err(_) => Vec::new(),
    };
    let original = parts.extensions.get().map(|OriginalUri(uri)| uri.clone());
    let tenant = parts.extensions.get().map(|Tenant(tenant)| tenant.clone());
    let mut seen = vec![
        ("nonce", values(&parts.headers, "x-nonce")),
        ("method", parts.method.to_string()),
        ("uri", format!("{:?}", parts.uri)),
        ("original", format!("{original:?}")),
        ("tenant", format!("{tenant:?}")),
        ("params", format!("{params:?}")),
    ];
    for name in ["host", "origin", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-original-url"] {
        seen.push((name, values(&parts.headers, name)));
    }
    for name in ["x-host", "x-rewrite-url", "x-forwarded-prefix", "x-http-method-override", "x-method-override"] {
        seen.push((name, values(&parts.headers, name)));
    }
    seen.push(("authorization", values(&parts.headers, "authorization")));
    seen.push(("range", values(&parts.headers, "range")));
    seen
}

fn values(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    values.join(" & ")
}
