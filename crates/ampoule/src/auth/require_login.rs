//! `RequireLogin`: the layer around routes that only users may call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ampoule_core::{Error, ErrorKind};
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::refusal::{forbidden, login_required, to_login};
use super::users::CurrentUser;
use crate::axum::MissingLayer;
use crate::session::Session;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides whether a request is permitted; `Err` is the response if that could not be decided.
type Permit = dyn for<'a> Fn(&'a mut Parts) -> BoxFuture<'a, Result<bool, Response>> + Send + Sync;

/// Admits only requests with a logged-in session to the routes inside it.
///
/// ```
/// use std::time::Duration;
///
/// use ampoule::{MemoryStore, Options, RequireLogin, Secret, Session, SessionLayer};
/// use axum::{Router, routing::{get, post}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// # let sessions = SessionLayer::new(MemoryStore::default(), options)?;
/// let account = Router::new()
///     .route("/password", post(|| async { "changed" }))
///     .route_layer(RequireLogin::new("/login").fresh(Duration::from_secs(300)))
///     .route("/orders", get(|| async { "orders" }))
///     .route_layer(RequireLogin::new("/login"));
/// let admin = Router::new().route("/", get(|| async { "admin" })).layer(RequireLogin::new("/login").permit(
///     |session: Session| async move { Ok(session.get::<bool>("is_admin").await?.unwrap_or_default()) },
/// ));
/// let app: Router = Router::new()
///     .route("/login", get(|| async { "who are you?" }))
///     .nest("/account", account)
///     .nest("/admin", admin)
///     .layer(sessions);
/// # Ok(()) }
/// ```
///
/// | the session | a browser that opens a page gets | another client gets |
/// |---|---|---|
/// | is logged in | the route | the route |
/// | is not, or not [freshly](RequireLogin::fresh) | 303 to the login page with [`?next=`](crate::NextPage) | 401 with a challenge for `Bearer` where that is one of the [transports](crate::Options::transports), else 403, since a login form is no scheme of RFC 9110 section 11 |
/// | has no [permission](RequireLogin::permit) | 403 | 403 |
/// | cannot be loaded | the error's response, such as 503 | the same |
///
/// A request counts as a browser's that opens a page if it is a GET or HEAD, accepts `text/html` by name, and has
/// `Sec-Fetch-Mode: navigate` or no such header. `next` is the path and query that the client requested, including what
/// `nest` removed.
///
/// A refusal is `no-store`, and varies as the session does. A request that is admitted has used its session, so it
/// moves the idle deadline. With a [`UserLayer`](crate::UserLayer) further out the user is loaded too: a user who is
/// gone, or whose password changed since the login, is not logged in. Routes outside the layer cost nothing.
///
/// The layer must be inside the session's layer: in axum, add it before that one. If there are several session layers,
/// it uses the innermost around it. `Router::layer` protects the fallback too; with `Router::route_layer`, unknown
/// paths remain a 404. If a nested router has no fallback of its own, axum uses that of the router around it, which
/// this layer does not protect.
#[derive(Clone)]
pub struct RequireLogin {
    login: Arc<str>,
    fresh: Option<Duration>,
    permits: Vec<Arc<Permit>>,
}

impl RequireLogin {
    /// Creates a layer that sends browsers to this login page: a path, or an address on another site.
    ///
    /// # Panics
    /// If the address is empty, has a fragment, or cannot be sent in a header.
    pub fn new(login: &str) -> RequireLogin {
        let is_valid = HeaderValue::from_str(login).is_ok() && login.is_ascii() && !login.contains('#');
        assert!(is_valid && !login.is_empty(), "expected the path of a login page, such as /login; found {login:?}");
        RequireLogin { login: login.into(), fresh: None, permits: Vec::new() }
    }

    /// Requires a login that is not older than `at_most`, as [`Session::require_fresh`] does: for actions that a stolen
    /// or forgotten session should not be able to do. The login page may then ask for the password alone; its
    /// handler calls [`login`](Session::login) again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ampoule::RequireLogin;
    ///
    /// let layer = RequireLogin::new("/confirm-password").fresh(Duration::from_secs(300));
    /// ```
    #[must_use]
    pub fn fresh(self, at_most: Duration) -> RequireLogin {
        RequireLogin { fresh: Some(at_most), ..self }
    }

    /// Admits a logged-in session only if this function returns `Ok(true)`. `Ok(false)` is a 403, an error is its own
    /// response. If called several times, all functions must agree.
    ///
    /// The function takes an axum extractor, or a tuple of them: the [`Session`], the [`User`](crate::User), the path's
    /// parameters. Extractors that need the router's state cannot be used.
    ///
    /// ```
    /// use ampoule::{RequireLogin, Session};
    ///
    /// let layer = RequireLogin::new("/login").permit(|session: Session| async move {
    ///     Ok(session.get::<bool>("is_admin").await?.unwrap_or_default())
    /// });
    /// ```
    #[must_use]
    pub fn permit<E, F, R>(mut self, is_permitted: F) -> RequireLogin
    where
        E: FromRequestParts<()> + Send + 'static,
        F: Fn(E) -> R + Send + Sync + 'static,
        R: Future<Output = Result<bool, Error>> + Send + 'static,
    {
        let is_permitted = Arc::new(is_permitted);
        let permit: Arc<Permit> = Arc::new(move |parts| {
            let is_permitted = Arc::clone(&is_permitted);
            Box::pin(async move {
                let extracted = E::from_request_parts(parts, &()).await.map_err(IntoResponse::into_response)?;
                is_permitted(extracted).await.map_err(IntoResponse::into_response)
            })
        });
        self.permits.push(permit);
        self
    }

    async fn check(&self, parts: &mut Parts) -> Result<(), Response> {
        let session = parts.extensions.get::<Session>().cloned().ok_or_else(|| MissingLayer.into_response())?;
        let user = CurrentUser::of(&parts.extensions);
        match self.check_login(&session, user).await {
            Err(error) if error.kind() == ErrorKind::LoginRequired => return Err(self.refuse(parts, &session).await),
            checked => checked.map_err(IntoResponse::into_response)?,
        }
        for permit in &self.permits {
            if !permit(parts).await? {
                return Err(forbidden());
            }
        }
        Ok(())
    }

    async fn check_login(&self, session: &Session, user: Option<CurrentUser>) -> Result<(), Error> {
        if let Some(user) = user {
            // A login that is no longer valid ends here.
            user.load(session).await?;
        }
        match self.fresh {
            Some(at_most) => session.require_fresh(at_most).await.map(drop),
            None => session.require_login().await.map(drop),
        }
    }

    async fn refuse(&self, parts: &Parts, session: &Session) -> Response {
        if let Some(redirect) = to_login(parts, &self.login) {
            return redirect;
        }
        let is_logged_in = matches!(session.principal().await, Ok(Some(_)));
        login_required(parts, session.takes_bearer(), self.fresh.filter(|_| is_logged_in))
    }
}

impl fmt::Debug for RequireLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login, fresh, permits } = self;
        let mut debug = f.debug_struct("RequireLogin");
        debug.field("login", login).field("fresh", fresh).field("permits", &permits.len()).finish()
    }
}

impl<S> Layer<S> for RequireLogin {
    type Service = RequireLoginService<S>;

    fn layer(&self, inner: S) -> RequireLoginService<S> {
        RequireLoginService { layer: self.clone(), inner }
    }
}

/// A service that only admits requests with a logged-in session. Created by [`RequireLogin`].
#[derive(Clone, Debug)]
pub struct RequireLoginService<S> {
    layer: RequireLogin,
    inner: S,
}

impl<S, B> Service<Request<B>> for RequireLoginService<S>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match layer.check(&mut parts).await {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(refusal) => Ok(refusal),
            }
        })
    }
}
