//! The check around a whole site.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ampoule_core::{Error, ErrorKind};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{HeaderName, VARY};
use http::{HeaderValue, Method, Request, Uri};
use tower_http::csrf::{Csrf, CsrfLayer as OriginLayer, ProtectionError};
use tower_layer::Layer;
use tower_service::Service;

use super::{CsrfRejection, CsrfToken, body};
use crate::{MissingLayer, Session};

/// Lets no request change anything that a page of another site made (cross-site request forgery, CWE-352).
///
/// It looks at all methods but GET, HEAD, OPTIONS and TRACE, which a handler must keep free of effects. Such a request
/// passes if both say so:
///
/// - **what the browser says of it**, by `Sec-Fetch-Site`, or `Origin` where that is missing (the check of tower-http,
///   which is that of Go 1.25's `CrossOriginProtection`);
/// - **its token** ([`CsrfToken`]), from the header `X-CSRF-Token`, or else from the field `_authentication_token` of the
///   form, urlencoded or multipart. The field is taken out of an urlencoded body; any handler can still read the rest.
///
/// A session that came by a way that no browser takes by itself, such as a bearer's, needs no token.
///
/// ```
/// use ampoule::{CsrfLayer, MemoryStore, Options, Secret, SessionLayer};
/// use axum::{Router, routing::post};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = "3sB7cNq1vJ8kT4xWfH2mZ6yRdL9pGaUe";
/// # let sessions = SessionLayer::new(MemoryStore::default(), Options { secret: vec![Secret::new(secret)?], ..Options::default() })?;
/// let app: Router = Router::new()
///     .route("/transfer", post(|| async { "done" }))
///     .layer(CsrfLayer::new().trusted_origin("https://shop.example")?)
///     .layer(sessions);
/// # Ok(()) }
/// ```
///
/// It stands inside the session's layer: in axum, added before it.
#[derive(Clone, Debug)]
pub struct CsrfLayer {
    policy: Policy,
    origins: Option<OriginLayer>,
}

/// Where a token is looked for.
#[derive(Clone)]
pub(super) struct Policy {
    from_query: bool,
    max_body: usize,
    exempt: Arc<Exempt>,
}

/// The mark of a request that has proved itself, for whoever asks again: its token may be taken out by now.
#[derive(Clone, Copy)]
struct Proved;

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
    /// Both checks, and no exemptions.
    pub fn new() -> CsrfLayer {
        CsrfLayer { policy: Policy::default(), origins: Some(OriginLayer::new()) }
    }

    /// Lets pages of this origin send requests too, as long as they have the token: `https://shop.example`, as a browser
    /// writes it, in lower case, without the scheme's own port and without a slash at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is no origin.
    pub fn trusted_origin(mut self, origin: &str) -> Result<CsrfLayer, Error> {
        let bad =
            |cause| Error::new(ErrorKind::Config, "expected an origin such as https://shop.example").because(cause);
        let added = self
            .origins
            .take()
            .map(|origins| origins.add_trusted_origin(origin).map_err(|error| bad(error.to_string())));
        self.origins = added.transpose()?;
        Ok(self)
    }

    /// Goes by the token alone: where a proxy changes `Host`, and browsers are too old for `Sec-Fetch-Site`.
    #[must_use]
    pub fn without_origin_check(self) -> CsrfLayer {
        CsrfLayer { origins: None, ..self }
    }

    /// Takes the token from the address too, as Pylons did: `?_authentication_token=…`. It then stands in logs, in the
    /// browser's history, and in the `Referer` of the next request.
    #[must_use]
    pub fn token_from_query(mut self) -> CsrfLayer {
        self.policy.from_query = true;
        self
    }

    /// Searches at most so many bytes of a body for the token: 2 MiB by default. Of a multipart form no more is read than
    /// the token takes, if its field comes first.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> CsrfLayer {
        self.policy.max_body = bytes;
        self
    }

    /// Lets requests through that this function names, unchecked: those that prove themselves otherwise, such as the
    /// signed calls of another service.
    #[must_use]
    pub fn exempt(mut self, exempt: impl Fn(&Method, &Uri) -> bool + Send + Sync + 'static) -> CsrfLayer {
        let exempt = Arc::new(exempt);
        self.policy.exempt = exempt.clone();
        self.origins = self.origins.map(|origins| origins.with_insecure_bypass(move |method, uri| exempt(method, uri)));
        self
    }
}

impl Default for CsrfLayer {
    fn default() -> CsrfLayer {
        CsrfLayer::new()
    }
}

impl Policy {
    /// The request, for its handler, if it has proved itself.
    pub(super) async fn check(&self, request: Request<Body>) -> Result<Request<Body>, CsrfRejection> {
        if request.extensions().get::<Proved>().is_some() || (self.exempt)(request.method(), request.uri()) {
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
        request.extensions_mut().insert(Proved);
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

/// A service that only requests of the site's own pages can change. Made by [`CsrfLayer`].
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
        if is_safe(request.method()) {
            return Box::pin(inner.call(request));
        }
        let token = TokenCheck { policy: self.layer.policy.clone(), inner };
        let origins = self.layer.origins.clone();
        Box::pin(async move {
            let mut response = match origins {
                Some(_) if is_said_twice(&request) => CsrfRejection::CrossOrigin.into_response(),
                Some(origins) => {
                    let refuse = |_: ProtectionError| CsrfRejection::CrossOrigin.into_response();
                    let mut checked: Csrf<_, _> = origins.with_rejection_response(refuse).layer(token);
                    checked.call(request).await?
                }
                None => token.run(request).await?,
            };
            response.headers_mut().append(VARY, HeaderValue::from_static("Sec-Fetch-Site, Origin"));
            Ok(response)
        })
    }
}

/// As RFC 9110 section 9.2.1 has it.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A browser says where a request comes from once; of two answers none can be believed.
fn is_said_twice(request: &Request<Body>) -> bool {
    ["sec-fetch-site", "origin"].iter().any(|name| request.headers().get_all(*name).iter().count() > 1)
}

/// The token's part of the check, inside that of the origin.
#[derive(Clone)]
struct TokenCheck<S> {
    policy: Policy,
    inner: S,
}

impl<S> TokenCheck<S>
where
    S: Service<Request<Body>, Response = Response>,
{
    async fn run(mut self, request: Request<Body>) -> Result<Response, S::Error> {
        match self.policy.check(request).await {
            Ok(request) => self.inner.call(request).await,
            Err(refused) => Ok(refused.into_response()),
        }
    }
}

impl<S> Service<Request<Body>> for TokenCheck<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    /// The service inside was ready before it came here.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(TokenCheck { policy: self.policy.clone(), inner }.run(request))
    }
}
