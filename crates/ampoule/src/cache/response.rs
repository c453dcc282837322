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

/// How long requests for a response that could not be stored do not wait for each other.
const UNCACHEABLE_LIFETIME: Duration = Duration::from_secs(10);
/// The same for a response of a failure.
const FAILURE_LIFETIME: Duration = Duration::from_secs(1);

/// Returns the tags of a response, from its request.
type Tags = Arc<dyn Fn(&Parts) -> Vec<String> + Send + Sync>;

/// Stores the responses that allow storage by a shared cache, and answers further requests with them: a shared cache by
/// RFC 9111, in the application's process.
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
/// A response to GET with `Cache-Control: public` and a lifetime, or with `s-maxage`; nothing else, whatever the
/// region's options. **The directive is the handler's promise** that its response depends on nothing but the target
/// URI, the host, and the header fields that it names in `Vary`; a CDN relies on the same promise. A handler that reads
/// a cookie of its own, the client's address or an extension that a layer put into the request, and still sends
/// `public`, breaks it.
///
/// **Never stored**, whatever the handler says:
///
/// - a response whose request touched a session in any way, of a layer inside or outside of this one;
/// - one with `Set-Cookie`, or `Vary: Cookie` or `*`; `private`, `no-store` or `no-cache`; a `Cache-Control` that
///   cannot be parsed unambiguously;
/// - one to a request with `Authorization` or another header that commonly has credentials (`X-Api-Key`,
///   `X-Session-Id`, `X-Remote-User`), a body, `Range`, `Upgrade`, `If-Match` or a header that overrides the method;
///   such a request is not answered from stored responses either;
/// - a partial response (206), a switch of protocols (101), an error page's response, a body of unknown length (such as
///   a stream), and one larger than the region's `max_value_size`.
///
/// # The key
///
/// The target URI with its whole query and the `Host`, byte for byte. Nothing is decoded, sorted, omitted or
/// normalized, so that a handler cannot see a difference that the key does not have. The key has both the URI that the
/// client sent and what `Router::nest` made of it, and the header fields that may replace a part of the URI
/// (`Forwarded`, `X-Forwarded-Host`, `X-Original-URL`, `Origin` and similar ones). Requests with cookies and requests
/// without share no response. Each stored response is compared with the request by its own `Vary` before it is used.
///
/// # Directives of requests and responses
///
/// `Cache-Control` of requests is obeyed as RFC 9111 section 5.2.1 specifies, except `max-stale`: only the response can
/// allow stale use, by `stale-while-revalidate` and `stale-if-error` (RFC 5861), within the region's `stale`. A stored
/// response has an `ETag`; `If-None-Match` and `If-Modified-Since` are answered with 304, and HEAD is answered from the
/// response to GET. `Age` gives the age of a response, `Cache-Status` (RFC 9211) the action of the cache. A request by
/// POST, PUT, DELETE or a similar method invalidates the stored responses for its target URI, unless its response is an
/// error (RFC 9111 section 4.4).
///
/// # Position among the layers
///
/// The position is free. Outside of [`SessionLayer`](crate::SessionLayer) it saves the most work; outside of a
/// compression layer it stores no compressed responses, since they have no length. Inside another response cache it
/// does nothing. A layer of your own that **rewrites the URI** and is further out must call [`TargetUri::keep`] first,
/// unless it only removes what the handler cannot see either.
///
/// Clients choose paths and queries, so they determine how many responses are stored: memory is bounded, but a store is
/// bounded only by the lifetimes.
#[derive(Clone)]
pub struct ResponseCacheLayer(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    manager: CacheManager,
    responses: Cache<Stored>,
    tags: Tags,
}

impl ResponseCacheLayer {
    /// Creates a layer that stores responses under this namespace, in the default region.
    pub fn new(manager: &CacheManager, namespace: &str) -> ResponseCacheLayer {
        ResponseCacheLayer::of(manager, manager.cache(namespace))
    }

    /// Creates a layer that stores responses under this namespace, in this region.
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

    /// Sets the function that returns the tags of a response from the head of its request, at most 63: a response
    /// with more is not cached. [`CacheManager::invalidate_tag`] removes the responses with a tag.
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

/// A service whose responses are stored. Created by [`ResponseCacheLayer`].
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

/// A request, and the handler that may be called once for it.
struct Exchange<'a, S> {
    parts: &'a Parts,
    tags: Vec<String>,
    handler: Option<(S, Body)>,
    outcome: Option<Outcome>,
}

/// What happened to the handler's response.
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

    /// Calls the handler. A request that may have changed something invalidates stored responses (RFC 9111 section
    /// 4.4).
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

    /// Answers a request whose own response is not stored: HEAD, since a handler may omit the body, and
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

    /// Returns the stored response, or that of the handler if this request is the one that calls it. The error is the
    /// reason to call the handler for this request alone.
    async fn find<S>(&self, exchange: &mut Exchange<'_, S>) -> Result<Response, Forward>
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let headers = &exchange.parts.headers;
        let primary = key::primary(exchange.parts);
        let (mut key, mut selected) = (primary.clone(), Vec::new());
        // The second lookup uses the header fields that select the response.
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

    /// Returns what is stored under a key, or calls the handler; the exchange then has the outcome of its response.
    async fn stored_or_created<S>(&self, key: &str, selected: &[String], exchange: &mut Exchange<'_, S>) -> Stored
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
    {
        let Exchange { parts, tags, handler, outcome } = exchange;
        let create = move || async move {
            let Some((inner, body)) = handler.take() else {
                return Ok(Created::new(Stored::Uncacheable).expire(FAILURE_LIFETIME));
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

    /// Removes the list of header fields by which responses are selected: a newer response varies by others.
    async fn forget(&self, primary: &str) {
        if let Err(error) = self.responses.remove(primary).await {
            tracing::warn!(cache = self.responses.namespace(), error = %error.report(), "the header fields of Vary could not be forgotten");
        }
    }
}

/// The list of header fields to store if a response varies by others than the known ones.
fn variants(names: Vec<String>, selected: &[String]) -> Created<Stored> {
    let created = Created::new(Stored::Variants(names));
    if selected.is_empty() { created } else { created.expire(FAILURE_LIFETIME) }
}

fn uncacheable(status: StatusCode) -> Created<Stored> {
    let created = Created::new(Stored::Uncacheable);
    match status {
        // If an older response may still be used, it is.
        status if status.is_server_error() => Created::failure(Stored::Uncacheable).expire(FAILURE_LIFETIME),
        status if status.is_client_error() => created.expire(FAILURE_LIFETIME),
        _ => created.expire(UNCACHEABLE_LIFETIME),
    }
}

/// Returns the handler's response, or an older one if that may be used after a failure of the handler.
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
