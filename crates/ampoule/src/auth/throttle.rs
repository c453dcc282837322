//! A throttle of logins: guesses are slowed down, and no user is locked out by the guesses of others.

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

/// Where a request's client is found: see [`LoginThrottleOptions::address`].
pub type FindAddress = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// How many logins may fail. One that succeeds is not counted.
///
/// End a literal with `..LoginThrottleOptions::default()`: a later version may add options.
#[derive(Clone)]
pub struct LoginThrottleOptions {
    /// Of one principal, from all devices together that have never logged in as it: 10 at once and in each hour by default,
    /// 240 a day. NIST SP 800-63B section 5.2.2 allows 100 in a row.
    pub by_principal: Rate,
    /// From one address, whatever the principals: 100 at once and in each hour by default, since an office may have one
    /// address. An IPv6 address counts with all of its /64, which a client has to itself (RFC 6177).
    pub by_address: Rate,
    /// Of one principal, from one device that has logged in as it before: 10 at once and in each quarter of an hour by
    /// default.
    pub by_known_device: Rate,
    /// Where a request's client is. `None`, the default, takes the connection's other end, which axum tells where the
    /// application is served with `into_make_service_with_connect_info::<SocketAddr>()`. **Behind a proxy that is the
    /// proxy's**: there, give a function that reads what your trusted proxies say, such as
    /// `ampoule_deploy::Client` of a request, which `trusted_proxies` filled. Where the function returns `None` the address is
    /// unknown, and logins are counted by principal alone.
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

/// Slows down the guessing of passwords, over a [cache](crate::cache::Backend). The layer goes around the login's route, whose
/// handler takes [`LoginAttempts`](crate::LoginAttempts).
///
/// ```
/// use ampoule::cache::Backend;
/// use ampoule::{LoginAttempts, LoginThrottle, Session};
/// # use ampoule::*;
/// use axum::response::{IntoResponse, Redirect, Response, Result};
/// use axum::{Form, Router, routing::post};
///
/// async fn login(session: Session, logins: LoginAttempts, Form(form): Form<Login>) -> Result<Response> {
///     let attempt = logins.begin(&form.name).await?; // 429 where there were too many
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
/// **An attempt counts when it begins**, so that guesses which are sent at once are counted too, by a conditional put: among all
/// processes that share the store no more than the [rates](LoginThrottleOptions) allow pass. One that succeeds is taken back.
///
/// | the client | is counted | refused means |
/// |---|---|---|
/// | has never logged in as this principal | by its address, and by the principal together with all such clients | guesses from many addresses are slowed down as from one |
/// | has, by the signed cookie that [`succeeded`](crate::LoginAttempt::succeeded) sends | by this device and principal alone | an attacker who fills the other counts does not lock it out |
///
/// So an attacker who guesses can keep a user from logging in **on a new device**, and never on one on which the user has logged
/// in before. The cookie tells nothing of the principal, opens nothing, and lasts 400 days; each login gives it a new number (OWASP, "Slow Down
/// Online Guessing Attacks with Device Cookies"). Unknown names are counted as known ones are, so the answer does not tell
/// which there are.
///
/// While the store is down, logins are refused with 503 rather than let through uncounted. In a [memory](Backend::memory) of
/// its own each process counts alone; a store that forgets under pressure, such as memcached, forgets counts too.
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
    /// A throttle of the logins of these sessions, whose secrets sign the cookie of known devices and whose cookie's
    /// attributes it has. Its name is that of the session's cookie and `-device`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a rate that cannot be.
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

/// The other end of the connection.
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

/// A service whose handlers can take [`LoginAttempts`](crate::LoginAttempts). Made by [`LoginThrottle`].
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
