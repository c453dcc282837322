//! The middleware around all apps: applies the headers of trusted proxies, writes the access log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;
use std::time::Instant;

use ampoule_deploy::TrustedProxies;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{FORWARDED, HOST, HeaderMap, ORIGIN, SET_COOKIE};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::listen::Peer;

/// The state of the middleware.
pub(crate) struct Front {
    proxies: TrustedProxies,
    /// Whether the file declares that clients use https.
    is_https: bool,
    warned: Once,
}

impl Front {
    pub(crate) fn new(proxies: TrustedProxies, is_https: bool) -> Front {
        Front { proxies, is_https, warned: Once::new() }
    }

    /// Warns once that browsers drop a cookie: it is `Secure`, and the request apparently came over plain http from
    /// another machine.
    fn warn_about_secure_cookie(&self, info: &RequestInfo, response: &Response) {
        let is_plain = info.scheme != Some(Scheme::HTTPS) && !self.is_https && !info.claims_https && !info.is_local;
        if is_plain && response.headers().get_all(SET_COOKIE).iter().any(is_secure) {
            self.warned.call_once(|| {
                tracing::warn!(
                    host = info.host,
                    "a Secure cookie was sent over plain http: browsers drop it. Name the proxy that has TLS in \
                     `trusted_proxies`, or write beaker.session.secure = false"
                );
            });
        }
    }
}

/// The parts of a request that are needed after its response.
struct RequestInfo {
    line: String,
    client: Option<IpAddr>,
    scheme: Option<Scheme>,
    /// Whether an untrusted header says that the client used https.
    claims_https: bool,
    is_local: bool,
    host: String,
    origin: Option<HeaderValue>,
}

pub(crate) async fn middleware(
    State(front): State<std::sync::Arc<Front>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions_mut().remove::<ConnectInfo<Peer>>().and_then(|ConnectInfo(Peer(peer))| peer);
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
    }
    let info = front.request_info(&mut request, peer);
    let started = Instant::now();
    let response = next.run(request).await;
    log_access(&info, &response, started);
    front.warn_about_secure_cookie(&info, &response);
    response
}

impl Front {
    fn request_info(&self, request: &mut Request, peer: Option<SocketAddr>) -> RequestInfo {
        let claims_https = claims_https(request.headers());
        let client = self.proxies.apply(request, peer.map(|peer| peer.ip()));
        let host = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let host = host.unwrap_or_default();
        RequestInfo {
            line: format!("{} {}", request.method(), request.uri().path()),
            client: client.ip,
            // The scheme that a trusted proxy reports counts, also if it is http.
            claims_https: claims_https && client.scheme.is_none(),
            scheme: client.scheme,
            is_local: is_local(&host),
            host,
            origin: request.headers().get(ORIGIN).cloned(),
        }
    }
}

/// Logs a line for each request, without its query, which may contain secrets. For a 403, such as of the check against
/// cross-site requests, the line also has the headers Origin and Host.
fn log_access(info: &RequestInfo, response: &Response, started: Instant) {
    let (status, took) = (response.status(), started.elapsed().as_secs_f64() * 1_000.0);
    let client = info.client.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
    let (line, code) = (&info.line, status.as_u16());
    match &info.origin {
        Some(origin) if status == StatusCode::FORBIDDEN => {
            let host = &info.host;
            tracing::info!(target: "access", "{client} {line} {code} {took:.1} ms (Origin {origin:?}, Host {host:?})");
        }
        _ => tracing::info!(target: "access", "{client} {line} {code} {took:.1} ms"),
    }
}

fn claims_https(headers: &HeaderMap) -> bool {
    let says = |value: Option<&HeaderValue>| {
        value.is_some_and(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("https"))
    };
    says(headers.get("x-forwarded-proto")) || says(headers.get(FORWARDED))
}

/// Whether the host is the browser's own machine, from which browsers accept `Secure` cookies without TLS.
fn is_local(host: &str) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return true };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_loopback || name == "localhost" || name.ends_with(".localhost")
}

fn is_secure(cookie: &HeaderValue) -> bool {
    let text = String::from_utf8_lossy(cookie.as_bytes()).into_owned();
    text.split(';').skip(1).any(|attribute| attribute.trim().eq_ignore_ascii_case("secure"))
}
