//! For tests of applications: the cookies of a client that is logged in, without a request that logs it in.
//!
//! ```
//! use ampoule::{MemoryStore, Options, Secret, Session, SessionLayer, testing};
//! use axum::body::Body;
//! use axum::{Router, routing::get};
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
//! let sessions = SessionLayer::new(MemoryStore::default(), options)?;
//! let whose = get(|session: Session| async move { session.require_login().await });
//! let app: Router = Router::new().route("/", whose).layer(sessions.clone());
//!
//! let request = Request::get("/").header("cookie", testing::logged_in(&sessions, "user:42").await?);
//! assert_eq!(app.oneshot(request.body(Body::empty())?).await?.status(), 200);
//! # Ok(()) }
//! ```

use ampoule_core::{Error, ErrorKind};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::layer::SessionLayer;
use crate::session::Session;

/// Logs `principal` in to a new session of this layer, and returns the `Cookie` header of its client.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use ampoule::{MemoryStore, Options, Secret, SessionLayer, testing};
///
/// let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// let sessions = SessionLayer::new(MemoryStore::default(), options)?;
/// let mut request = http::Request::new(());
/// request.headers_mut().insert("cookie", testing::logged_in(&sessions, "user:42").await?);
/// assert_eq!(sessions.begin(request.headers()).principal().await?.as_deref(), Some("user:42"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// As [`Session::login`] and [`cookies_of`].
pub async fn logged_in(layer: &SessionLayer, principal: &str) -> Result<HeaderValue, Error> {
    let session = layer.begin(&HeaderMap::new());
    session.login(principal).await?;
    cookies_of(layer, &session).await
}

/// Saves a session of this layer as a request would, and returns the `Cookie` header of its client: for a session that
/// holds values, or a login of `Users`.
///
/// ```
/// # use ampoule::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
/// use http::{HeaderMap, header::COOKIE};
///
/// let session = layer.begin(&HeaderMap::new());
/// session.login("user:42").await?; // or session.login_user(&accounts, &account)
/// session.insert("cart", [7, 9])?;
/// let cookies = testing::cookies_of(&layer, &session).await?;
///
/// let session = layer.begin(&HeaderMap::from_iter([(COOKIE, cookies)]));
/// assert_eq!(session.get("cart").await?, Some([7, 9]));
/// # Ok(()) }
/// ```
///
/// If tokens travel by another transport, [`Session::token`] returns the client's.
///
/// # Errors
/// Errors of saving; [`ErrorKind::Invalid`] if the layer sends no cookies, or the session has already sent its cookie.
pub async fn cookies_of(layer: &SessionLayer, session: &Session) -> Result<HeaderValue, Error> {
    session.save().await?;
    let mut headers = HeaderMap::new();
    layer.finish(session, StatusCode::OK, &mut headers).await?;
    let pair = |set: &HeaderValue| set.as_bytes().split(|byte| *byte == b';').next().map(<[u8]>::to_vec);
    let pairs: Vec<Vec<u8>> = headers.get_all(SET_COOKIE).iter().filter_map(pair).collect();
    if pairs.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the response of this session sends no cookie"));
    }
    HeaderValue::from_bytes(&pairs.join(&b"; "[..]))
        .map_err(|cause| Error::new(ErrorKind::Invalid, "the cookies cannot be sent in a header").because(cause))
}
