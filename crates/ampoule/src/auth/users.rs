//! The user of a request: the application's own value for the session's principal.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use ampoule_core::{Error, ErrorKind};
use axum_core::BoxError;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, Request, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::axum::MissingLayer;
use crate::session::Session;

/// The users of an application: how a session's user is found, and which change of the user ends the session.
///
/// ```
/// use ampoule::Users;
///
/// struct Account {
///     id: u64,
///     is_admin: bool,
///     password_hash: String,
/// }
///
/// struct Accounts {/* a pool of connections */}
///
/// impl Users for Accounts {
///     type User = Account;
///
///     fn principal(&self, account: &Account) -> String {
///         format!("user:{}", account.id)
///     }
///
///     async fn load(&self, principal: &str) -> Result<Option<Account>, axum::BoxError> {
///         let id = principal.strip_prefix("user:").unwrap_or_default().parse()?;
///         Ok(Some(Account { id, is_admin: false, password_hash: "$argon2id$…".into() })) // SELECT … WHERE id = $1
///     }
///
///     fn auth_hash(&self, account: &Account) -> impl AsRef<[u8]> {
///         format!("{} {}", account.password_hash, account.is_admin)
///     }
/// }
/// ```
pub trait Users: Send + Sync + 'static {
    /// The application's own user.
    type User: Send + Sync + 'static;

    /// Returns the text by which the user's sessions are found, which must never change: see [`Session::login`].
    fn principal(&self, user: &Self::User) -> String;

    /// Loads the user of this principal; `None` if the user is gone or locked, and the session then ends.
    ///
    /// An error becomes [`ErrorKind::Unavailable`] for the request, unless it is an [`ampoule::Error`](Error).
    fn load(&self, principal: &str) -> impl Future<Output = Result<Option<Self::User>, BoxError>> + Send;

    /// Returns bytes whose change ends the user's sessions: the hash of the password, a role, a number that "sign out
    /// everywhere" increments. Django calls it `get_session_auth_hash`.
    ///
    /// A session keeps a keyed digest of it (HMAC-SHA-256, by the first of
    /// [`Options::secrets`](crate::Options::secrets)), never the bytes themselves.
    fn auth_hash(&self, user: &Self::User) -> impl AsRef<[u8]>;
}

/// Loads the user of a request for the extractor [`User`] and for [`RequireLogin`](crate::RequireLogin), once per
/// request. A request that uses neither costs nothing.
///
/// The user is loaded by the session's principal, and then the [`auth_hash`](Users::auth_hash) is compared with that of
/// the login, in constant time. If it has changed, or the user is gone, the session is ended as if it were revoked, and
/// the request has no user. The same happens to a session whose login came by [`Session::login`] alone: log users in
/// with [`Session::login_user`]. Code that reads only [`Session::principal`] loads no user and compares no hash.
///
/// The layer must be inside the session's layer, and outside of [`RequireLogin`](crate::RequireLogin):
///
/// ```
/// # use ampoule::{MemoryStore, Options, Secret, SessionLayer, Users};
/// # struct Accounts;
/// # impl Users for Accounts {
/// #     type User = String;
/// #     fn principal(&self, user: &String) -> String { user.clone() }
/// #     async fn load(&self, principal: &str) -> Result<Option<String>, axum::BoxError> { Ok(Some(principal.into())) }
/// #     fn auth_hash(&self, _: &String) -> impl AsRef<[u8]> { b"" }
/// # }
/// use ampoule::{RequireLogin, User, UserLayer};
/// use axum::{Router, routing::get};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// # let sessions = SessionLayer::new(MemoryStore::default(), options)?;
/// let app: Router = Router::new()
///     .route("/account", get(|user: User<String>| async move { format!("Hello, {}.", *user) }))
///     .route_layer(RequireLogin::new("/login"))
///     .layer(UserLayer::new(Accounts))
///     .layer(sessions);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct UserLayer(Arc<dyn LoadUser>);

impl UserLayer {
    /// Creates the layer for these users, which may be shared as an `Arc`.
    pub fn new<U: Users>(users: U) -> UserLayer {
        UserLayer(Arc::new(users))
    }
}

impl fmt::Debug for UserLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserLayer")
    }
}

impl<U: Users> Users for Arc<U> {
    type User = U::User;

    fn principal(&self, user: &U::User) -> String {
        (**self).principal(user)
    }

    fn load(&self, principal: &str) -> impl Future<Output = Result<Option<U::User>, BoxError>> + Send {
        (**self).load(principal)
    }

    fn auth_hash(&self, user: &U::User) -> impl AsRef<[u8]> {
        (**self).auth_hash(user)
    }
}

/// The user of the request, of the application's own type, as an extractor. A request without a user gets a 403 (a 503
/// if the store could not be reached), or the login page if [`RequireLogin`](crate::RequireLogin) is around the route;
/// `Option<User<T>>` is for pages that visitors may see too. It dereferences to the user.
///
/// ```
/// use ampoule::User;
///
/// struct Account { name: String }
///
/// async fn home(user: Option<User<Account>>) -> String {
///     user.map_or("Hello, stranger.".into(), |user| format!("Hello, {}.", user.name))
/// }
/// ```
#[derive(Debug)]
pub struct User<T>(pub Arc<T>);

impl<T> Clone for User<T> {
    fn clone(&self) -> User<T> {
        User(Arc::clone(&self.0))
    }
}

impl<T> Deref for User<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Sync, T: Send + Sync + 'static> FromRequestParts<S> for User<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<User<T>, Response> {
        match of_request(parts).await? {
            Some(user) => Ok(user),
            None => Err(session_of(parts).map_err(IntoResponse::into_response)?.missing_login().await.into_response()),
        }
    }
}

impl<S: Sync, T: Send + Sync + 'static> OptionalFromRequestParts<S> for User<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<User<T>>, Response> {
        of_request(parts).await
    }
}

async fn of_request<T: Send + Sync + 'static>(parts: &Parts) -> Result<Option<User<T>>, Response> {
    let session = session_of(parts).map_err(IntoResponse::into_response)?;
    let Some(current) = CurrentUser::of(&parts.extensions) else { return Err(missing_layer()) };
    let Some(user) = current.load(session).await.map_err(IntoResponse::into_response)? else { return Ok(None) };
    user.downcast().map(|user| Some(User(user))).map_err(|_| missing_layer())
}

fn session_of(parts: &Parts) -> Result<&Session, MissingLayer> {
    parts.extensions.get().ok_or(MissingLayer)
}

fn missing_layer() -> Response {
    const MESSAGE: &str = "this handler takes a User, but no UserLayer of users of this type is around its route: add \
                           .layer(UserLayer::new(users)) after the route, before the layer of sessions";
    tracing::error!("{MESSAGE}");
    (StatusCode::INTERNAL_SERVER_ERROR, MESSAGE).into_response()
}

type AnyUser = Arc<dyn Any + Send + Sync>;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Users`] of any type.
trait LoadUser: Send + Sync {
    /// Loads the user of this principal, if the session's login is still valid.
    fn load_user<'a>(
        &'a self,
        session: &'a Session,
        principal: &'a str,
    ) -> BoxFuture<'a, Result<Option<AnyUser>, Error>>;
}

impl<U: Users> LoadUser for U {
    fn load_user<'a>(
        &'a self,
        session: &'a Session,
        principal: &'a str,
    ) -> BoxFuture<'a, Result<Option<AnyUser>, Error>> {
        Box::pin(async move {
            let Some(user) = self.load(principal).await.map_err(unavailable)? else {
                session.end_login("its user is gone").await?;
                return Ok(None);
            };
            // Copied, so that no borrow of the application's value is held across an await.
            let hash = self.auth_hash(&user).as_ref().to_vec();
            if session.verify_auth_hash(principal, &hash).await? {
                return Ok(Some(Arc::new(user) as AnyUser));
            }
            session.end_login("its auth_hash is another than at the login, or the login had none").await?;
            Ok(None)
        })
    }
}

fn unavailable(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(ErrorKind::Unavailable, "the user could not be loaded").because(error),
    }
}

/// The user of one request, once it was loaded, and its principal.
#[derive(Clone)]
pub(super) struct CurrentUser {
    users: Arc<dyn LoadUser>,
    loaded: Arc<Mutex<Option<(String, AnyUser)>>>,
}

impl CurrentUser {
    pub(super) fn of(extensions: &Extensions) -> Option<CurrentUser> {
        extensions.get().cloned()
    }

    /// Returns the user of the request. A login or logout in this request changes it.
    pub(super) async fn load(&self, session: &Session) -> Result<Option<AnyUser>, Error> {
        let Some(principal) = session.principal().await? else { return Ok(None) };
        if let Some((_, user)) = self.loaded().as_ref().filter(|(known, _)| *known == principal) {
            return Ok(Some(Arc::clone(user)));
        }
        let user = self.users.load_user(session, &principal).await?;
        *self.loaded() = user.clone().map(|user| (principal, user));
        Ok(user)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, Option<(String, AnyUser)>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for UserLayer {
    type Service = UserService<S>;

    fn layer(&self, inner: S) -> UserService<S> {
        UserService { layer: self.clone(), inner }
    }
}

/// A service whose requests can load their user. Created by [`UserLayer`].
#[derive(Clone, Debug)]
pub struct UserService<S> {
    layer: UserLayer,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for UserService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let users = Arc::clone(&self.layer.0);
        request.extensions_mut().insert(CurrentUser { users, loaded: Arc::default() });
        self.inner.call(request)
    }
}
