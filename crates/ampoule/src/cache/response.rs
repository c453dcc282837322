//! `ResponseCacheLayer`: keeps whole responses of handlers.

mod body;
mod judge;
mod key;
mod page;
mod status;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ampoule_cache::{Cache, CacheManager, Created};
use ampoule_core::Error;
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use self::judge::{Depends, Verdict};
use self::key::Keys;
use self::page::Page;
use self::status::status;

/// How long it is remembered that a page cannot be kept, so that those who ask for it do not wait for each other.
const PASS: Duration = Duration::from_secs(10);
/// The same for a page that failed.
const FAILED: Duration = Duration::from_secs(1);

const HIT: &str = "ampoule; hit";
const MISS: &str = "ampoule; fwd=miss";
const BYPASS: &str = "ampoule; fwd=bypass";

/// Says what a response is marked with, by its request.
type Tags = Arc<dyn Fn(&Parts) -> Vec<String> + Send + Sync>;

/// Keeps the responses of the routes that it is around, and gives them to all who ask for the same.
///
/// ```
/// use ampoule::cache::{Backend, CacheManager, CacheOptions, ResponseCacheLayer};
/// use axum::{Router, extract::Path, routing::get};
///
/// # fn main() -> Result<(), ampoule::Error> {
/// let manager = CacheManager::new(Backend::memory(&Default::default()), CacheOptions::default())?;
/// let pages = ResponseCacheLayer::new(&manager, "pages")
///     .query(["page"])
///     .tags(|request| vec![format!("path:{}", request.uri.path())]);
/// let app: Router =
///     Router::new().route("/articles/{id}", get(|Path(id): Path<u32>| async move { format!("article {id}") })).layer(pages);
/// // When article 7 has changed: manager.invalidate_tag("path:/articles/7").await?
/// # Ok(()) }
/// ```
///
/// # What is kept
///
/// Answers to GET with a status that RFC 9110 section 15.1 lets caches keep (200, 203, 204, 300, 301, 308, 404, 405,
/// 410, 414, 501; not 206), for as long as `s-maxage` or `max-age` say, or else the region. HEAD is answered from them.
/// The key is the host, the path, the query or what [`query`](ResponseCacheLayer::query) takes of it, the values of
/// [`headers`](ResponseCacheLayer::headers), and of the headers that a response names in `Vary`. **Whatever else the
/// handler looks at must not change its answer**: behind a proxy that is above all `X-Forwarded-Host`.
///
/// **Never kept** is an answer to a request with `Authorization`; one with `Set-Cookie`, `Cache-Control: private`,
/// `no-store` or `no-cache`, or `Vary: *`; one whose handler touched a session, unless the key names it
/// ([`per_session`](ResponseCacheLayer::per_session)); one of unknown length, such as a stream; and one larger than the
/// region allows. Those who ask for such a page are not kept waiting for each other. What a request says in
/// `Cache-Control` is not heard: it would let any client put the load on the handlers that the cache takes off them.
///
/// Every answer gets an `ETag` if it has none, and `If-None-Match` is answered with 304. `Age` says how old an answer
/// is, `Cache-Status` (RFC 9211) what the cache did.
///
/// # Where it goes
///
/// Inside [`SessionLayer`](crate::SessionLayer), [`Languages`](crate::Languages) and whatever compresses; outside of
/// nothing but the routes it is for. It sees which sessions are touched below it, and which languages are negotiated.
/// (Around a `SessionLayer` it goes by the `Vary` and `Set-Cookie` of that, which is as safe and keeps less.) Layers
/// around different routers need different namespaces, as two routers may have the same paths.
///
/// Clients choose paths and queries, so they choose how many pages there are: memory is bounded, a store is by the
/// expiry alone. [`query`](ResponseCacheLayer::query) takes the choice from them.
#[derive(Clone)]
pub struct ResponseCacheLayer(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    pages: Cache<Page>,
    keys: Keys,
    tags: Tags,
}

impl ResponseCacheLayer {
    /// Keeps pages under this namespace, in the default region.
    pub fn new(manager: &CacheManager, namespace: &str) -> ResponseCacheLayer {
        ResponseCacheLayer::of(manager.cache(namespace))
    }

    /// Keeps pages under this namespace, in this region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no such region.
    pub fn in_region(manager: &CacheManager, region: &str, namespace: &str) -> Result<ResponseCacheLayer, Error> {
        manager.cache_in(region, namespace).map(ResponseCacheLayer::of)
    }

    fn of(pages: Cache<Page>) -> ResponseCacheLayer {
        let tags: Tags = Arc::new(|_| Vec::new());
        ResponseCacheLayer(Arc::new(Inner { pages, keys: Keys::default(), tags }))
    }

    /// The query parameters that the pages depend on, all others being of no matter. Without this the whole query is
    /// part of the key, as it was sent.
    #[must_use]
    pub fn query<S: Into<String>>(self, parameters: impl IntoIterator<Item = S>) -> ResponseCacheLayer {
        let parameters = parameters.into_iter().map(Into::into).collect();
        self.with(|inner| inner.keys.query = Some(parameters))
    }

    /// Headers of requests that the pages depend on. They are named in `Vary` too. A handler may also name them there
    /// by itself.
    #[must_use]
    pub fn headers(self, headers: impl IntoIterator<Item = HeaderName>) -> ResponseCacheLayer {
        let headers = headers.into_iter().collect();
        self.with(|inner| inner.keys.headers = headers)
    }

    /// Pages may depend on the session: each client has its own, and one more whenever its session is changed. Pages
    /// whose handlers change the session are not kept.
    #[must_use]
    pub fn per_session(self) -> ResponseCacheLayer {
        self.with(|inner| inner.keys.per_session = true)
    }

    /// What a page is marked with, by the head of its request, so that it can be cleared with
    /// [`CacheManager::invalidate_tag`].
    #[must_use]
    pub fn tags(self, tags: impl Fn(&Parts) -> Vec<String> + Send + Sync + 'static) -> ResponseCacheLayer {
        self.with(|inner| inner.tags = Arc::new(tags))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> ResponseCacheLayer {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for ResponseCacheLayer {
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> ResponseCacheService<S> {
        ResponseCacheService { layer: self.clone(), inner }
    }
}

/// What [`ResponseCacheLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct ResponseCacheService<S> {
    layer: ResponseCacheLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for ResponseCacheService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let layer = Arc::clone(&self.layer.0);
        Box::pin(async move { Ok(layer.answer(inner, request).await) })
    }
}

impl Inner {
    async fn answer<S>(&self, inner: S, request: Request<Body>) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return call(inner, request).await;
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return status(call(inner, request).await, BYPASS);
        }
        let (parts, body) = request.into_parts();
        let Some(key) = self.keys.of(&parts).await else {
            return status(call(inner, Request::from_parts(parts, body)).await, BYPASS);
        };
        match parts.method {
            Method::HEAD => self.head(inner, Request::from_parts(parts, body), key).await,
            _ => self.get(inner, Request::from_parts(parts, body), key).await,
        }
    }

    /// HEAD is answered with what a GET left; it makes nothing itself, since a handler may leave out the body.
    async fn head<S>(&self, inner: S, request: Request<Body>, key: String) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let mut page = self.pages.get(&key).await;
        if let Some(Page::Varies(names)) = &page {
            page = self.pages.get(&key::varied(&key, names, request.headers())).await;
        }
        match page {
            Some(Page::Kept(kept)) => kept.answer(request.headers(), self.pages.now(), HIT).map(|_| Body::empty()),
            _ => status(call(inner, request).await, MISS),
        }
    }

    async fn get<S>(&self, inner: S, request: Request<Body>, mut key: String) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let (parts, body) = request.into_parts();
        let tags = (self.tags)(&parts);
        let mut ask = Ask { parts: &parts, tags, service: Some((inner, body)), made: None };
        // The second time with what the page varies by.
        for varies in [false, true] {
            match (self.page(&key, varies, &mut ask).await, ask.made.take()) {
                (Page::Kept(kept), Some(Made::Kept)) => return kept.answer(&parts.headers, self.pages.now(), MISS),
                // A page that failed has given way to an old one.
                (Page::Kept(kept), _) => return kept.answer(&parts.headers, self.pages.now(), HIT),
                (_, Some(Made::Other(response))) => return status(response, MISS),
                (Page::Varies(names), None) if !varies => key = key::varied(&key, &names, &parts.headers),
                _ => break,
            }
        }
        match ask.service {
            Some((inner, body)) => status(call(inner, Request::from_parts(parts, body)).await, BYPASS),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// The page under a key. Where the handler is called for it, `ask` says what it made.
    async fn page<S>(&self, key: &str, varied: bool, ask: &mut Ask<'_, S>) -> Page
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let Ask { parts, tags, service, made } = ask;
        let create = move || async move {
            let Some((inner, body)) = service.take() else { return Ok(Created::new(Page::Pass).expire(FAILED)) };
            let request = Request::from_parts(key::unconditional(parts), body);
            let depends = Depends::of(&request, &self.keys, varied);
            let response = call(inner, request).await;
            let verdict = depends.judge(response, self.pages.now(), self.pages.max_value_size()).await;
            let (created, what) = match verdict {
                Verdict::Keep(kept, None) => (Created::new(Page::Kept(kept)), Made::Kept),
                Verdict::Keep(kept, Some(expire)) => (Created::new(Page::Kept(kept)).expire(expire), Made::Kept),
                Verdict::Varies(names, response) => (Created::new(Page::Varies(names)), Made::Other(response)),
                Verdict::Pass(response) => (Created::new(Page::Pass).expire(PASS), Made::Other(response)),
                Verdict::Failed(response) => (Created::failure(Page::Pass).expire(FAILED), Made::Other(response)),
            };
            *made = Some(what);
            Ok::<_, Infallible>(created)
        };
        match self.pages.entry(key).tags(tags.iter()).get_or_try_create_with(create).await {
            Ok(page) => page,
            Err(never) => match never {},
        }
    }
}

/// A request that is answered, with the handler that may be called once for it.
struct Ask<'a, S> {
    parts: &'a Parts,
    tags: Vec<String>,
    service: Option<(S, Body)>,
    made: Option<Made>,
}

/// What the handler made.
enum Made {
    /// A page that can be kept.
    Kept,
    /// A response for this request alone.
    Other(Response),
}

async fn call<S>(mut service: S, request: Request<Body>) -> Response
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl fmt::Debug for ResponseCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseCacheLayer({})", self.0.pages.namespace())
    }
}
