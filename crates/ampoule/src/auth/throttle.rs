//! A throttle of logins: it slows down guessing, and no user is locked out by others' guesses.

pub(crate) mod attempt;
mod known_device;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ampoule_cache::{Backend, Rate, RateLimiter};
use ampoule_core::Error;
use ampoule_core::internal::NonExhaustive;
use axum::extract::ConnectInfo;
use http::Request;
use http::request::Parts;
use tower_layer::Layer;
use tower_service::Service;

use self::known_device::KnownDevices;
use crate::layer::SessionLayer;

/// A function that finds a client's address: see [`LoginThrottleOptions::address`].
pub type FindAddress = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// How many logins may fail. Successful logins are not counted.
///
/// ```
/// # use ampoule::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// # let sessions = SessionLayer::new(MemoryStore::default(), options)?;
/// use std::time::Duration;
/// use ampoule::cache::{Backend, Rate};
///
/// let by_principal = Rate::new(5, Duration::from_secs(3_600)); // 5 at once, and per hour
/// let options = LoginThrottleOptions { by_principal, ..LoginThrottleOptions::default() };
/// let throttle = LoginThrottle::new(&sessions, &Backend::memory(&Default::default()), options)?;
/// # Ok(()) }
/// ```
///
/// End a literal with `..LoginThrottleOptions::default()`: a later version may add options.
#[derive(Clone)]
pub struct LoginThrottleOptions {
    /// The rate for one principal, for all devices together that have never logged in as it: 10 at once and per hour by
    /// default, 240 a day. NIST SP 800-63B section 5.2.2 allows 100 in a row.
    pub by_principal: Rate,
    /// The rate for one address, for all principals together: 100 at once and per hour by default, since an office may
    /// share one address. An IPv6 address counts as its /64, which belongs to one client (RFC 6177).
    pub by_address: Rate,
    /// The rate for one principal, for one device that has logged in as it before: 10 at once and per quarter of an
    /// hour by default.
    pub by_known_device: Rate,
    /// Finds the client's address. `None`, the default, takes the connection's peer address, which axum provides if the
    /// application is served with `into_make_service_with_connect_info::<SocketAddr>()`. **Behind a proxy that is the
    /// proxy's address**: provide a function that reads what your trusted proxies report, such as
    /// `ampoule_deploy::Client` of a request, which `trusted_proxies` filled. If the function returns `None` the
    /// address is unknown, and logins are counted by principal alone.
    pub address: Option<FindAddress>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for LoginThrottleOptions {
    fn default() -> LoginThrottleOptions {
        const HOUR: Duration = Duration::from_secs(3_600);
        LoginThrottleOptions {
            by_principal: Rate::new(10, HOUR),
            by_address: Rate::new(100, HOUR),
            by_known_device: Rate::new(10, HOUR / 4),
            address: None,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

/// Slows down the guessing of passwords; its counts are in a [cache backend](crate::cache::Backend). Put the layer
/// around the login route, whose handler takes [`LoginAttempts`](crate::LoginAttempts).
///
/// ```
/// use ampoule::cache::Backend;
/// use ampoule::{LoginAttempts, LoginThrottle, Session};
/// # use ampoule::*;
/// use axum::response::{IntoResponse, Redirect, Response, Result};
/// use axum::{Form, Router, routing::post};
///
/// async fn login(session: Session, logins: LoginAttempts, Form(form): Form<Login>) -> Result<Response> {
///     let attempt = logins.begin(&form.name).await?; // 429 after too many
///     let Some(user) = verify(&form).await else {
///         return Ok(Redirect::to("/login?wrong").into_response()); // stays counted
///     };
///     session.login(&user).await?;
///     session.save().await?;
///     let device = attempt.succeeded().await;
///     Ok((device, Redirect::to("/")).into_response())
/// }
/// # #[derive(serde::Deserialize)]
/// # struct Login { name: String, password: String }
/// # async fn verify(form: &Login) -> Option<String> { (form.password == "right").then(|| form.name.clone()) }
/// # fn main() -> Result<(), Error> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate()).unwrap()], ..Options::default() };
/// # let sessions = SessionLayer::new(MemoryStore::default(), options)?;
///
/// let throttle = LoginThrottle::new(&sessions, &Backend::memory(&Default::default()), Default::default())?;
/// let app: Router = Router::new().route("/login", post(login)).layer(throttle).layer(sessions);
/// # Ok(()) }
/// ```
///
/// **An attempt counts when it begins**, by a conditional put, so that guesses which are sent at once are counted too:
/// all processes that share the store together admit no more than the [rates](LoginThrottleOptions) allow. A successful
/// attempt is subtracted again.
///
/// | the client | is counted by | consequence |
/// |---|---|---|
/// | has never logged in as this principal | its address, and the principal together with all such clients | guesses from many addresses are slowed down like guesses from one |
/// | has logged in as it before, by the signed cookie that [`succeeded`](crate::LoginAttempt::succeeded) sends | this device and principal alone | an attacker who exhausts the other counts does not lock it out |
///
/// So an attacker can keep a user from logging in **on a new device**, but never on a device on which the user has
/// logged in before. The cookie does not reveal the principal, grants no access, and lasts 400 days; each login gives
/// it a new number (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). Unknown names are counted like
/// known ones, so the response does not reveal which names exist.
///
/// While the store is down, logins are refused with 503 rather than admitted uncounted. With a [memory
/// backend](Backend::memory), each process counts alone; a store that evicts, such as memcached, loses counts too.
#[derive(Clone)]
pub struct LoginThrottle(Arc<Inner>);

struct Inner {
    by_principal: RateLimiter,
    by_address: RateLimiter,
    by_known_device: RateLimiter,
    devices: KnownDevices,
    address: FindAddress,
    is_connected: bool,
}

impl LoginThrottle {
    /// Creates a throttle for the logins of these sessions. It signs the cookie of known devices with the sessions'
    /// secrets, and sends it with their cookie's attributes. The cookie's name is that of the session's cookie and
    /// `-device`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an invalid rate.
    pub fn new(
        sessions: &SessionLayer,
        backend: &Backend,
        options: LoginThrottleOptions,
    ) -> Result<LoginThrottle, Error> {
        let name = sessions.name();
        let limiter = |by: &str, rate| RateLimiter::new(backend, &format!("logins of {name} by {by}"), rate);
        let is_connected = options.address.is_none();
        Ok(LoginThrottle(Arc::new(Inner {
            by_principal: limiter("principal", options.by_principal)?,
            by_address: limiter("address", options.by_address)?,
            by_known_device: limiter("known device", options.by_known_device)?,
            devices: KnownDevices::of(&sessions.0)?,
            address: options.address.unwrap_or_else(|| Arc::new(connected_to)),
            is_connected,
        })))
    }
}

/// The connection's peer address.
fn connected_to(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connection| connection.0.ip())
}

impl fmt::Debug for LoginThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { by_principal, by_address, by_known_device, .. } = &*self.0;
        f.debug_tuple("LoginThrottle").field(by_principal).field(by_address).field(by_known_device).finish()
    }
}

impl fmt::Debug for LoginThrottleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginThrottleOptions")
            .field("by_principal", &self.by_principal)
            .field("by_address", &self.by_address)
            .field("by_known_device", &self.by_known_device)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for LoginThrottle {
    type Service = LoginThrottleService<S>;

    fn layer(&self, inner: S) -> LoginThrottleService<S> {
        LoginThrottleService { throttle: self.clone(), inner }
    }
}

/// A service whose handlers can take [`LoginAttempts`](crate::LoginAttempts). Created by [`LoginThrottle`].
#[derive(Clone, Debug)]
pub struct LoginThrottleService<S> {
    throttle: LoginThrottle,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for LoginThrottleService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.throttle.clone());
        self.inner.call(request)
    }
}
