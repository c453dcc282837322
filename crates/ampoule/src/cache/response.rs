//! `ResponseCacheLayer`: a shared cache of whole responses (RFC 9111).

mod body;
mod conditional;
mod decision;
mod key;
mod policy;
mod status;
mod stored;

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
use http::request::Parts;
use http::{Method, Request, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use self::decision::{Cacheability, Decision};
pub use self::key::TargetUri;
use self::status::{CacheStatus, Forward};
use self::stored::{Stored, StoredResponse};

/// How long it is remembered that a response could not be stored, so that requests for it do not wait for each other.
const UNCACHEABLE: Duration = Duration::from_secs(10);
/// The same for a response that says that something failed.
const FAILED: Duration = Duration::from_secs(1);

/// Says what a response is marked with, by its request.
type Tags = Arc<dyn Fn(&Parts) -> Vec<String> + Send + Sync>;

/// Stores the responses that say that a shared cache may store them, and answers other requests with them: a shared cache
/// by RFC 9111, in the process of the application.
///
/// ```
/// use ampoule::cache::{Backend, CacheManager, CacheOptions, ResponseCacheLayer};
/// use axum::{Router, extract::Path, http::header::CACHE_CONTROL, response::IntoResponse, routing::get};
///
/// async fn article(Path(id): Path<u32>) -> impl IntoResponse {
///     ([(CACHE_CONTROL, "public, max-age=60")], format!("article {id}"))
/// }
///
/// # fn main() -> Result<(), ampoule::Error> {
/// let manager = CacheManager::new(Backend::memory(&Default::default()), CacheOptions::default())?;
/// let responses = ResponseCacheLayer::new(&manager, "articles")
///     .tags(|request| vec![format!("path:{}", request.uri.path())]);
/// let app: Router = Router::new().route("/articles/{id}", get(article)).layer(responses);
/// // When article 7 has changed: manager.invalidate_tag("path:/articles/7").await?
/// # Ok(()) }
/// ```
///
/// # What is stored
///
/// A response to GET that says `Cache-Control: public` with a lifetime, or `s-maxage`; nothing else, whatever the region
/// says. **That word is the handler's promise** that its response depends on nothing but the target URI, the host, and
/// the header fields that it names in `Vary`: the same promise that a CDN takes it at. A handler that reads a cookie of
/// its own, the client's address or what a layer put into the request's extensions, and says `public` all the same,
/// breaks it.
///
/// **Never stored**, whatever the handler says:
///
/// - a response whose request touched a session in any way, of a layer inside or outside of this one;
/// - one with `Set-Cookie`, or `Vary: Cookie` or `*`; `private`, `no-store` or `no-cache`; a `Cache-Control` that cannot
///   be read without doubt;
/// - one to a request with `Authorization` or another header whose name is one of credentials (`X-Api-Key`,
///   `X-Session-Id`, `X-Remote-User`), a body, `Range`, `Upgrade`, `If-Match` or a header that names another method; such
///   a request is not answered from stored responses either;
/// - a part (206), a switch of protocols (101), an answer on an error page, a body of unknown length (such as a stream),
///   and one larger than the region's `max_value_size`.
///
/// # The key
///
/// The target URI with its whole query and the `Host`, byte for byte: nothing is decoded, sorted, left out or brought
/// into one form, so that a handler sees no difference that the key does not have. Both the URI that the client sent and
/// what `Router::nest` made of it are in it, and so are header fields that stand for a part of the URI (`Forwarded`,
/// `X-Forwarded-Host`, `X-Original-URL`, `Origin` and their like). Requests with cookies and without share no response.
/// Each stored response is compared with the request by its own `Vary` before it is used.
///
/// # What requests and responses say
///
/// `Cache-Control` of requests counts as RFC 9111 section 5.2.1 has it, but `max-stale`, which only the response can
/// allow: by `stale-while-revalidate` and `stale-if-error` (RFC 5861), as far as the region's `stale` reaches. A stored
/// response has an `ETag`; `If-None-Match` and `If-Modified-Since` are answered with 304, HEAD from the response to GET.
/// `Age` says how old a response is, `Cache-Status` (RFC 9211) what the cache did. A request by POST, PUT, DELETE and
/// their like that did not fail invalidates what is stored for its target URI (RFC 9111 section 4.4).
///
/// # Where it goes
///
/// Anywhere. Outside of [`SessionLayer`](crate::SessionLayer) it saves most; outside of a layer that compresses it
/// stores nothing compressed, since that has no length. Within another response cache it does nothing. A layer of your
/// own that **rewrites the URI** and stands further out must call [`TargetUri::keep`] first, unless it only loses what
/// the handler cannot see either.
///
/// Clients choose paths and queries, so they choose how many responses are stored: memory is bounded, a store is by the
/// lifetimes alone.
#[derive(Clone)]
pub struct ResponseCacheLayer(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    manager: CacheManager,
    responses: Cache<Stored>,
    tags: Tags,
}

impl ResponseCacheLayer {
    /// Stores responses under this namespace, in the default region.
    pub fn new(manager: &CacheManager, namespace: &str) -> ResponseCacheLayer {
        ResponseCacheLayer::of(manager, manager.cache(namespace))
    }

    /// Stores responses under this namespace, in this region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if there is no such region.
    pub fn in_region(manager: &CacheManager, region: &str, namespace: &str) -> Result<ResponseCacheLayer, Error> {
        Ok(ResponseCacheLayer::of(manager, manager.cache_in(region, namespace)?))
    }

    fn of(manager: &CacheManager, responses: Cache<Stored>) -> ResponseCacheLayer {
        let tags: Tags = Arc::new(|_| Vec::new());
        ResponseCacheLayer(Arc::new(Inner { manager: manager.clone(), responses, tags }))
    }

    /// What a response is marked with, by the head of its request, so that it can be removed with
    /// [`CacheManager::invalidate_tag`]: at most 63 tags.
    #[must_use]
    pub fn tags(mut self, tags: impl Fn(&Parts) -> Vec<String> + Send + Sync + 'static) -> ResponseCacheLayer {
        Arc::make_mut(&mut self.0).tags = Arc::new(tags);
        self
    }
}

impl<S> Layer<S> for ResponseCacheLayer {
    type Service = ResponseCacheService<S>;

    fn layer(&self, inner: S) -> ResponseCacheService<S> {
        ResponseCacheService { layer: self.clone(), inner }
    }
}

/// A service whose responses are stored. Made by [`ResponseCacheLayer`].
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

/// A request that is answered, with the handler that may be called once for it.
struct Exchange<'a, S> {
    parts: &'a Parts,
    tags: Vec<String>,
    handler: Option<(S, Body)>,
    outcome: Option<Outcome>,
}

/// What became of the handler's response.
enum Outcome {
    Stored,
    /// It is for this request alone.
    NotStored(Response),
}

impl Inner {
    async fn answer<S>(&self, inner: S, request: Request<Body>) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        match key::bypass(&request) {
            Some(Forward::Method) => self.unsafe_method(inner, request).await,
            Some(why) => CacheStatus::Forwarded(why).on(call(inner, request).await),
            None if request.method() == Method::HEAD || policy::is_only_if_cached(request.headers()) => {
                self.stored_only(inner, request).await
            }
            None => self.get(inner, request).await,
        }
    }

    /// Calls the handler; a request that may have changed something invalidates what is stored (RFC 9111 section 4.4).
    async fn unsafe_method<S>(&self, inner: S, request: Request<Body>) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let is_safe = request.method().is_safe();
        let (parts, body) = request.into_parts();
        let tag = key::tag(self.responses.namespace(), &parts);
        let response = call(inner, Request::from_parts(parts, body)).await;
        let has_succeeded = response.status().is_success() || response.status().is_redirection();
        if !is_safe
            && has_succeeded
            && let Err(error) = self.manager.invalidate_tag(&tag).await
        {
            tracing::error!(cache = self.responses.namespace(), error = %error.report(), "stored responses could not be invalidated");
        }
        CacheStatus::Forwarded(Forward::Method).on(response)
    }

    /// Answers a request whose own response is not stored: HEAD, since a handler may leave out the body, and
    /// `only-if-cached`.
    async fn stored_only<S>(&self, inner: S, request: Request<Body>) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let (parts, body) = request.into_parts();
        let primary = key::primary(&parts);
        let mut stored = self.responses.get(&primary).await;
        if let Some(Stored::Variants(names)) = &stored {
            stored = self.responses.get(&key::variant(&primary, names, &parts.headers)).await;
        }
        let reused = match &stored {
            Some(Stored::Response(stored)) => stored.reuse(&parts.headers, self.responses.now(), false),
            _ => Err(Forward::Miss),
        };
        match reused {
            Ok(response) if parts.method == Method::HEAD => response.map(|_| Body::empty()),
            Ok(response) => response,
            Err(_) if policy::is_only_if_cached(&parts.headers) => {
                CacheStatus::OnlyIfCached.on(StatusCode::GATEWAY_TIMEOUT.into_response())
            }
            Err(why) => CacheStatus::Forwarded(why).on(call(inner, Request::from_parts(parts, body)).await),
        }
    }

    async fn get<S>(&self, inner: S, request: Request<Body>) -> Response
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let (parts, body) = request.into_parts();
        let mut tags = (self.tags)(&parts);
        tags.push(key::tag(self.responses.namespace(), &parts));
        let mut exchange = Exchange { parts: &parts, tags, handler: Some((inner, body)), outcome: None };
        let answer = self.find(&mut exchange).await;
        match (answer, exchange.handler) {
            (Ok(response), _) => response,
            (Err(why), Some((inner, body))) => {
                CacheStatus::Forwarded(why).on(call(inner, Request::from_parts(parts, body)).await)
            }
            (Err(_), None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// The answer from what is stored, or from the handler as the one request that calls it; or else why the handler is to
    /// be called for this request alone.
    async fn find<S>(&self, exchange: &mut Exchange<'_, S>) -> Result<Response, Forward>
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let headers = &exchange.parts.headers;
        let primary = key::primary(exchange.parts);
        let (mut key, mut selected) = (primary.clone(), Vec::new());
        // The second time with the header fields that select the response.
        for _ in 0..2 {
            let stored = self.stored_or_created(&key, &selected, exchange).await;
            let now = self.responses.now();
            match (stored, exchange.outcome.take()) {
                (Stored::Response(stored), Some(Outcome::Stored)) => return Ok(stored.answer_first(headers, now)),
                (Stored::Response(stored), None) => return stored.reuse(headers, now, false),
                (stored, Some(Outcome::NotStored(response))) => {
                    if let Stored::Variants(_) = stored
                        && !selected.is_empty()
                    {
                        self.forget(&primary).await;
                    }
                    return Ok(in_place_of(stored, response, headers, now));
                }
                (Stored::Variants(names), None) if selected.is_empty() => {
                    key = key::variant(&primary, &names, headers);
                    selected = names;
                }
                _ => break,
            }
        }
        Err(Forward::Miss)
    }

    /// What is stored under a key. Where the handler is called for it, the exchange says what became of its response.
    async fn stored_or_created<S>(&self, key: &str, selected: &[String], exchange: &mut Exchange<'_, S>) -> Stored
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let Exchange { parts, tags, handler, outcome } = exchange;
        let create = move || async move {
            let Some((inner, body)) = handler.take() else {
                return Ok(Created::new(Stored::Uncacheable).expire(FAILED));
            };
            let mut request = Request::from_parts(key::unconditional(parts), body);
            let cacheability = Cacheability::of(&mut request);
            let response = call(inner, request).await;
            let (now, most) = (self.responses.now(), self.responses.max_value_size());
            let (created, what) = match cacheability.decide(response, (&parts.headers, selected), now, most).await {
                Decision::Store(stored, lifetime) => {
                    (Created::new(Stored::Response(stored)).expire(lifetime), Outcome::Stored)
                }
                Decision::Vary(names, response) => (variants(names, selected), Outcome::NotStored(response)),
                Decision::Uncacheable(response) => (uncacheable(response.status()), Outcome::NotStored(response)),
            };
            *outcome = Some(what);
            Ok::<_, Infallible>(created)
        };
        match self.responses.entry(key).tags(tags.iter()).get_or_try_create_with(create).await {
            Ok(stored) => stored,
            Err(never) => match never {},
        }
    }

    /// Forgets by which header fields a response is selected: a later one varies by others.
    async fn forget(&self, primary: &str) {
        if let Err(error) = self.responses.remove(primary).await {
            tracing::warn!(cache = self.responses.namespace(), error = %error.report(), "the header fields of Vary could not be forgotten");
        }
    }
}

/// Where a response varies by others than those that had been known, they are to be learnt anew.
fn variants(names: Vec<String>, selected: &[String]) -> Created<Stored> {
    let created = Created::new(Stored::Variants(names));
    if selected.is_empty() { created } else { created.expire(FAILED) }
}

fn uncacheable(status: StatusCode) -> Created<Stored> {
    let created = Created::new(Stored::Uncacheable);
    match status {
        // Where an older response may still be used, it is.
        status if status.is_server_error() => Created::failure(Stored::Uncacheable).expire(FAILED),
        status if status.is_client_error() => created.expire(FAILED),
        _ => created.expire(UNCACHEABLE),
    }
}

/// The handler's own response, or an older one if that may be used where the handler failed.
fn in_place_of(stored: Stored, response: Response, request: &http::HeaderMap, now: ampoule_core::Time) -> Response {
    let older: Option<Arc<StoredResponse>> = match stored {
        Stored::Response(stored) if response.status().is_server_error() => Some(stored),
        _ => None,
    };
    match older.and_then(|older| older.reuse(request, now, true).ok()) {
        Some(older) => older,
        None => CacheStatus::Forwarded(Forward::Miss).on(conditional::answer(request, response)),
    }
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
        write!(f, "ResponseCacheLayer({})", self.0.responses.namespace())
    }
}
