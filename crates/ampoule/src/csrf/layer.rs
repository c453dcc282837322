//! `CsrfLayer`: the check around a whole site.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ampoule_core::{Error, ErrorKind};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{HOST, HeaderName, ORIGIN, UPGRADE, VARY};
use http::{HeaderValue, Method, Request, Uri, Version};
use tower_http::csrf::{Csrf, CsrfLayer as OriginLayer, ProtectionError};
use tower_layer::Layer;
use tower_service::Service;

use super::body;
use super::rejection::CsrfRejection;
use super::token::CsrfToken;
use crate::axum::MissingLayer;
use crate::session::Session;

/// Rejects state-changing requests that originate from another site (cross-site request forgery, CWE-352).
///
/// It checks all methods but GET, HEAD, OPTIONS and TRACE, whose handlers must change nothing. Such a request needs two
/// things:
///
/// - **its origin**: `Sec-Fetch-Site` must say that it comes from this site, or `Origin` where that header is missing
///   (the check of tower-http, which is that of Go 1.25's `CrossOriginProtection`);
/// - **its token** ([`CsrfToken`]), in the header `X-CSRF-Token`, or else in the field `_authentication_token` of the
///   form, urlencoded or multipart. The field is removed from an urlencoded body; a handler can still read the rest.
///
/// A session whose token browsers do not send by themselves, such as a bearer's, needs no form token.
///
/// **WebSocket handshakes** are GET requests, but their origin is checked too: browsers let a page of any site open a
/// connection, send the site's cookies with it, and let the page read what comes back (CWE-1385). A handshake is a GET
/// with `Upgrade: websocket` (RFC 6455 section 4.1), or an extended CONNECT of HTTP/2 or HTTP/3 (RFC 8441, RFC 9220).
/// It needs no token, since a page cannot send one with it. A handshake without `Sec-Fetch-Site` and `Origin`, as a
/// program sends it, passes; so does every handshake [without the origin check](CsrfLayer::without_origin_check).
///
/// ```
/// use ampoule::{CsrfLayer, MemoryStore, Options, Secret, SessionLayer};
/// use axum::{Router, routing::post};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = Secret::generate();
/// # let sessions = SessionLayer::new(MemoryStore::default(), Options { secrets: vec![Secret::new(secret)?], ..Options::default() })?;
/// let app: Router = Router::new()
///     .route("/transfer", post(|| async { "done" }))
///     .layer(CsrfLayer::new().trusted_origin("https://shop.example")?)
///     .layer(sessions);
/// # Ok(()) }
/// ```
///
/// It must be inside the session's layer: in axum, add it before that one.
#[derive(Clone, Debug)]
pub struct CsrfLayer {
    policy: Policy,
    origins: Option<OriginLayer>,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a token is searched for.
#[derive(Clone)]
pub(super) struct Policy {
    from_query: bool,
    max_body: usize,
    exempt: Arc<Exempt>,
}

/// Marks a request whose token was verified, so that a second check passes although the first has removed the token.
#[derive(Clone, Copy)]
struct Verified;

type Exempt = dyn Fn(&Method, &Uri) -> bool + Send + Sync;

impl Default for Policy {
    fn default() -> Policy {
        Policy { from_query: false, max_body: 2 << 20, exempt: Arc::new(|_, _| false) }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("from_query", &self.from_query)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

impl CsrfLayer {
    /// Creates a layer with both checks and without exemptions.
    ///
    /// ```
    /// # use ampoule::{CsrfLayer, MemoryStore, Options, Secret, SessionLayer};
    /// # use axum::{Router, routing::post};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sessions = SessionLayer::new(MemoryStore::default(), Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() })?;
    /// let app: Router = Router::new()
    ///     .route("/transfer", post(|| async { "done" }))
    ///     .layer(CsrfLayer::new())
    ///     .layer(sessions);
    /// # Ok(()) }
    /// ```
    pub fn new() -> CsrfLayer {
        CsrfLayer { policy: Policy::default(), origins: Some(OriginLayer::new()) }
    }

    /// Also accepts requests from pages of this origin, if they have the token. Write the origin as a browser does:
    /// `https://shop.example`, in lower case, without the scheme's default port and without a slash at the end.
    ///
    /// ```
    /// use ampoule::CsrfLayer;
    ///
    /// let layer = CsrfLayer::new().trusted_origin("https://shop.example")?;
    /// assert!(CsrfLayer::new().trusted_origin("shop.example").is_err(), "the scheme is missing");
    /// # Ok::<(), ampoule::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the text is not an origin.
    pub fn trusted_origin(mut self, origin: &str) -> Result<CsrfLayer, Error> {
        let bad = |cause: String| {
            let message = format!("trusted_origin: expected an origin such as https://shop.example, found {origin:?}");
            Error::new(ErrorKind::Config, message).because(cause)
        };
        let origins = self.origins.clone().unwrap_or_default();
        let origins = origins.add_trusted_origin(origin).map_err(|error| bad(error.to_string()))?;
        self.origins = self.origins.map(|_| origins);
        Ok(self)
    }

    /// Disables the check of the origin: for sites behind a proxy that changes `Host`, whose users have browsers
    /// without `Sec-Fetch-Site`. The token is still checked.
    ///
    /// ```
    /// use ampoule::CsrfLayer;
    ///
    /// let layer = CsrfLayer::new().without_origin_check();
    /// ```
    #[must_use]
    pub fn without_origin_check(self) -> CsrfLayer {
        CsrfLayer { origins: None, ..self }
    }

    /// Also accepts the token in the query, as Pylons did: `?_authentication_token=…`. It then appears in logs, in the
    /// browser's history, and in the `Referer` of the next request.
    ///
    /// ```
    /// use ampoule::CsrfLayer;
    ///
    /// let layer = CsrfLayer::new().token_from_query();
    /// ```
    #[must_use]
    pub fn token_from_query(mut self) -> CsrfLayer {
        self.policy.from_query = true;
        self
    }

    /// Limits how many bytes of a body are read to find the token: 2 MiB by default. An urlencoded form is read whole,
    /// so a longer one is refused (413), wherever its token is. In a multipart form, reading stops at the token's
    /// field, so put that field first: what follows it does not count. A body whose token is in the header is not read.
    ///
    /// ```
    /// use ampoule::CsrfLayer;
    ///
    /// let layer = CsrfLayer::new().max_body(16 << 20); // 16 MiB
    /// ```
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> CsrfLayer {
        self.policy.max_body = bytes;
        self
    }

    /// Exempts the requests for which this function returns `true`: those that are authenticated in another way, such
    /// as the signed calls of another service.
    ///
    /// ```
    /// use ampoule::CsrfLayer;
    ///
    /// let layer = CsrfLayer::new().exempt(|_method, uri| uri.path().starts_with("/webhooks/"));
    /// ```
    #[must_use]
    pub fn exempt(mut self, exempt: impl Fn(&Method, &Uri) -> bool + Send + Sync + 'static) -> CsrfLayer {
        self.policy.exempt = Arc::new(exempt);
        self
    }

    /// Runs tower-http's check of the origin, if it is enabled. Since that check passes every GET, it is given a POST
    /// with the same headers.
    fn is_allowed_origin(&self, request: &Request<Body>) -> bool {
        let Some(origins) = &self.origins else { return true };
        if (self.policy.exempt)(request.method(), request.uri()) {
            return true;
        }
        if is_repeated(request) {
            return false;
        }
        let mut question = Request::new(());
        *question.method_mut() = Method::POST;
        question.uri_mut().clone_from(request.uri());
        for name in [HOST, ORIGIN, SEC_FETCH_SITE] {
            if let Some(value) = request.headers().get(&name) {
                question.headers_mut().insert(name, value.clone());
            }
        }
        let refuse = |_: ProtectionError| http::Response::new(false);
        let mut check: Csrf<Passed, _> = origins.clone().with_rejection_response(refuse).layer(Passed);
        check.call(question).now_or_never().is_some_and(|Ok(answer)| answer.into_body())
    }
}

impl Default for CsrfLayer {
    fn default() -> CsrfLayer {
        CsrfLayer::new()
    }
}

impl Policy {
    /// Returns the request for its handler, if it has the session's token or needs none.
    pub(super) async fn check(&self, request: Request<Body>) -> Result<Request<Body>, CsrfRejection> {
        if request.extensions().get::<Verified>().is_some() || (self.exempt)(request.method(), request.uri()) {
            return Ok(request);
        }
        let session = request.extensions().get::<Session>().cloned().ok_or(CsrfRejection::NoSession(MissingLayer))?;
        if !session.is_ambient().await? {
            return Ok(request);
        }
        let (tokens, mut request) = match tokens_of_header(&request) {
            tokens if !tokens.is_empty() => (tokens, request),
            _ => self.search(request).await?,
        };
        if tokens.is_empty() {
            return Err(CsrfRejection::Missing);
        }
        for token in tokens {
            if !session.verify_csrf_token(&token).await? {
                return Err(CsrfRejection::Wrong);
            }
        }
        request.extensions_mut().insert(Verified);
        Ok(request)
    }

    async fn search(&self, request: Request<Body>) -> Result<(Vec<String>, Request<Body>), CsrfRejection> {
        let searched = body::search(request, CsrfToken::FIELD, self.max_body).await?;
        let mut tokens = searched.tokens;
        if self.from_query && tokens.is_empty() {
            let query = searched.request.uri().query().unwrap_or_default();
            let pairs = form_urlencoded::parse(query.as_bytes());
            tokens = pairs.filter(|(name, _)| name == CsrfToken::FIELD).map(|(_, value)| value.into_owned()).collect();
        }
        Ok((tokens, searched.request))
    }
}

fn tokens_of_header(request: &Request<Body>) -> Vec<String> {
    let values = request.headers().get_all(HeaderName::from_static(CsrfToken::HEADER));
    values.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

impl<S> Layer<S> for CsrfLayer {
    type Service = CsrfService<S>;

    fn layer(&self, inner: S) -> CsrfService<S> {
        CsrfService { layer: self.clone(), inner }
    }
}

/// A service that rejects forged requests. Created by [`CsrfLayer`].
#[derive(Clone, Debug)]
pub struct CsrfService<S> {
    layer: CsrfLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for CsrfService<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let is_handshake = is_handshake(&request);
        if is_safe(request.method()) && !is_handshake {
            return Box::pin(inner.call(request));
        }
        let is_allowed_origin = self.layer.is_allowed_origin(&request);
        let policy = self.layer.policy.clone();
        Box::pin(async move {
            let checked = match (is_allowed_origin, is_handshake) {
                (false, _) => Err(CsrfRejection::CrossOrigin),
                (true, true) => Ok(request),
                (true, false) => policy.check(request).await,
            };
            let mut response = match checked {
                Ok(request) => inner.call(request).await?,
                Err(refused) => refused.into_response(),
            };
            response.headers_mut().append(VARY, HeaderValue::from_static("Sec-Fetch-Site, Origin"));
            Ok(response)
        })
    }
}

/// Whether the request opens a connection that a page can read and write: a WebSocket of HTTP/1.1, or an extended
/// CONNECT of a later version, which has a path (RFC 8441 section 4); a plain CONNECT has none (RFC 9113 section 8.5).
fn is_handshake(request: &Request<Body>) -> bool {
    const PROTOCOL: &[u8] = b"websocket";
    let names_it =
        |value: &HeaderValue| value.as_bytes().windows(PROTOCOL.len()).any(|part| part.eq_ignore_ascii_case(PROTOCOL));
    match *request.method() {
        Method::GET => request.headers().get_all(UPGRADE).iter().any(names_it),
        Method::CONNECT => request.version() > Version::HTTP_11 && !request.uri().path().is_empty(),
        _ => false,
    }
}

/// The service inside the check of origins: if it is called, the request has passed.
struct Passed;

impl Service<Request<()>> for Passed {
    type Response = http::Response<bool>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(http::Response::new(true)))
    }
}

/// The safe methods of RFC 9110 section 9.2.1.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A browser sends each of these headers once; a repeated one is not trusted.
fn is_repeated(request: &Request<Body>) -> bool {
    [SEC_FETCH_SITE, ORIGIN].iter().any(|name| request.headers().get_all(name).iter().count() > 1)
}
