//! One login attempt: counted when it begins, subtracted again when it succeeds.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ampoule_cache::{Admission, RateLimiter};
use ampoule_core::Error;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::LoginThrottle;
use super::known_device::DeviceTokens;
use crate::observe;

/// The login attempts of a request's client, as an extractor. It needs a [`LoginThrottle`](crate::LoginThrottle) around
/// the route.
#[derive(Clone)]
pub struct LoginAttempts {
    throttle: LoginThrottle,
    address: Option<IpAddr>,
    tokens: DeviceTokens,
}

/// A login attempt that was counted. Without a call of [`succeeded`](LoginAttempt::succeeded) it stays counted.
#[must_use = "without a call of `succeeded` the attempt counts as a wrong guess"]
pub struct LoginAttempt {
    attempts: LoginAttempts,
    principal: String,
    counted: Vec<(Count, String)>,
}

/// What an attempt is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Address,
    Principal,
    KnownDevice,
}

impl Count {
    fn name(self) -> &'static str {
        match self {
            Count::Address => "address",
            Count::Principal => "principal",
            Count::KnownDevice => "known_device",
        }
    }
}

impl LoginAttempts {
    /// Counts an attempt to log in as this principal. Call it before the password is checked.
    ///
    /// `principal` is any text that identifies the user, in one spelling: if `Ada` and `ada` are one user, pass the
    /// same text for both. A name that no user has is counted as well.
    ///
    /// # Errors
    /// [`LoginRefused`], which is a response: 429 after too many attempts, 503 while the store is down.
    pub async fn begin(&self, principal: &str) -> Result<LoginAttempt, LoginRefused> {
        let mut attempt = LoginAttempt { attempts: self.clone(), principal: principal.to_owned(), counted: Vec::new() };
        match self.throttle.0.devices.device_id(&self.tokens, principal) {
            Some(device_id) => attempt.count(Count::KnownDevice, device_id).await?,
            None => {
                if let Some(address) = self.address {
                    // First, so that a client whose address is refused does not fill the counts of principals.
                    attempt.count(Count::Address, network_of(address)).await?;
                }
                attempt.count(Count::Principal, principal.to_owned()).await?;
            }
        }
        Ok(attempt)
    }

    fn limiter(&self, count: Count) -> &RateLimiter {
        match count {
            Count::Address => &self.throttle.0.by_address,
            Count::Principal => &self.throttle.0.by_principal,
            Count::KnownDevice => &self.throttle.0.by_known_device,
        }
    }
}

impl LoginAttempt {
    async fn count(&mut self, count: Count, key: String) -> Result<(), LoginRefused> {
        match self.attempts.limiter(count).admit(&key).await.map_err(LoginRefused::Failed)? {
            Admission::Admitted => {
                self.counted.push((count, key));
                Ok(())
            }
            Admission::Refused { retry_after } => {
                observe::login_refused(count.name());
                tracing::info!(by = count.name(), ?retry_after, "a login is refused: too many have failed");
                Err(LoginRefused::TooMany { retry_after })
            }
        }
    }

    /// Subtracts the attempt again, since the login has succeeded, and makes the device a known one. Put the result
    /// into the response, as `(device, Redirect::to("/"))`. Call it when the session is saved.
    ///
    /// If the store fails, the attempt stays counted, and the log has a warning: the login is not affected.
    pub async fn succeeded(self) -> KnownDevice {
        for (count, key) in &self.counted {
            if let Err(error) = self.attempts.limiter(*count).give_back(key).await {
                tracing::warn!(by = count.name(), error = %error.report(), "a successful login stays counted");
            }
        }
        let cookie = self.attempts.throttle.0.devices.remember(&self.attempts.tokens, &self.principal);
        if let Err(error) = &cookie {
            tracing::error!(error = %error.report(), "the cookie of a known device could not be made");
        }
        KnownDevice(cookie.ok())
    }
}

/// The text by which an address is counted: an IPv6 client can use any address of its /64.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_string(),
    }
}

/// The cookie of a device that has logged in, as a part of a response. Without it the login works, and the next one
/// from this device counts as one from an unknown device.
#[must_use = "the cookie goes into the response: (device, Redirect::to(\"/\"))"]
pub struct KnownDevice(Option<HeaderValue>);

impl KnownDevice {
    /// Adds the cookie to these headers, for a response that is not a tuple of axum's.
    pub fn add_to(self, headers: &mut HeaderMap) {
        headers.extend(self.0.map(|cookie| (SET_COOKIE, cookie)));
    }
}

impl IntoResponseParts for KnownDevice {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.add_to(parts.headers_mut());
        Ok(parts)
    }
}

/// Why a login may not be attempted now. As a response it is a 429 with `Retry-After` (RFC 6585 section 4), or the
/// response of the error.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginRefused {
    /// Too many logins have failed.
    TooMany {
        /// After this time the next may be attempted.
        retry_after: Duration,
    },
    /// The attempt could not be counted.
    Failed(Error),
}

impl fmt::Display for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginRefused::TooMany { .. } => f.write_str("too many logins have failed"),
            LoginRefused::Failed(_) => f.write_str("an attempt to log in could not be counted"),
        }
    }
}

impl std::error::Error for LoginRefused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoginRefused::TooMany { .. } => None,
            LoginRefused::Failed(error) => Some(error),
        }
    }
}

impl IntoResponse for LoginRefused {
    fn into_response(self) -> Response {
        match self {
            LoginRefused::TooMany { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1_000).max(1).to_string();
                let headers = [(RETRY_AFTER, seconds), (CACHE_CONTROL, "no-store".to_owned())];
                const TEXT: &str = "Too many logins have failed. Please try again later.\n";
                (StatusCode::TOO_MANY_REQUESTS, headers, TEXT).into_response()
            }
            LoginRefused::Failed(error) => error.into_response(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for LoginAttempts {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<LoginAttempts, Response> {
        let throttle = parts.extensions.get::<LoginThrottle>().cloned().ok_or_else(|| mistake(NO_LAYER))?;
        let address = (throttle.0.address)(parts);
        if address.is_none() && throttle.0.is_connected {
            return Err(mistake(NO_ADDRESS));
        }
        let tokens = throttle.0.devices.tokens(&parts.headers);
        Ok(LoginAttempts { throttle, address, tokens })
    }
}

const NO_LAYER: &str = "this handler takes LoginAttempts, but no LoginThrottle is around its route: add .layer(throttle) after \
                        the route";
const NO_ADDRESS: &str = "a LoginThrottle does not know the client's address: serve the application with \
                          into_make_service_with_connect_info::<SocketAddr>(), or set LoginThrottleOptions::address";

/// A 500 response that says what the program must change.
fn mistake(message: &'static str) -> Response {
    tracing::error!("{message}");
    (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
}

impl fmt::Debug for LoginAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempts").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt").field("counted", &self.counted.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for KnownDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownDevice(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_as_its_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", "2001:db8:1:2::"),
            ("2001:db8:1:2::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()), expected, "{address}");
        }
    }
}
