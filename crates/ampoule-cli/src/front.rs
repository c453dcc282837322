//! What stands before all apps: the word of trusted proxies, and the access log.

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

/// What is known of those who ask.
pub(crate) struct Front {
    proxies: TrustedProxies,
    /// The file says that clients come by https.
    is_https: bool,
    warned: Once,
}

impl Front {
    pub(crate) fn new(proxies: TrustedProxies, is_https: bool) -> Front {
        Front { proxies, is_https, warned: Once::new() }
    }

    /// Says once that browsers drop a cookie: it is `Secure`, and the request came by plain http from another machine, as far
    /// as it is known.
    fn warn_of_secure(&self, asked: &Asked, response: &Response) {
        let is_plain = asked.scheme != Some(Scheme::HTTPS) && !self.is_https && !asked.claims_https && !asked.is_local;
        if is_plain && response.headers().get_all(SET_COOKIE).iter().any(is_secure) {
            self.warned.call_once(|| {
                tracing::warn!(
                    host = asked.host,
                    "a Secure cookie answers a request that came by plain http: browsers drop it. Name the proxy that speaks \
                     TLS in `trusted_proxies`, or write beaker.session.secure = false"
                );
            });
        }
    }
}

/// What of a request is needed when it is answered.
struct Asked {
    line: String,
    client: Option<IpAddr>,
    scheme: Option<Scheme>,
    /// A header that is not believed says so.
    claims_https: bool,
    is_local: bool,
    host: String,
    origin: Option<HeaderValue>,
}

pub(crate) async fn stand_before(
    State(front): State<std::sync::Arc<Front>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions_mut().remove::<ConnectInfo<Peer>>().and_then(|ConnectInfo(Peer(peer))| peer);
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
    }
    let asked = front.ask(&mut request, peer);
    let started = Instant::now();
    let response = next.run(request).await;
    log(&asked, &response, started);
    front.warn_of_secure(&asked, &response);
    response
}

impl Front {
    fn ask(&self, request: &mut Request, peer: Option<SocketAddr>) -> Asked {
        let claims_https = claims_https(request.headers());
        let client = self.proxies.apply(request, peer.map(|peer| peer.ip()));
        let host = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let host = host.unwrap_or_default();
        Asked {
            line: format!("{} {}", request.method(), request.uri().path()),
            client: client.ip,
            // A trusted proxy that says http means it.
            claims_https: claims_https && client.scheme.is_none(),
            scheme: client.scheme,
            is_local: is_local(&host),
            host,
            origin: request.headers().get(ORIGIN).cloned(),
        }
    }
}

/// A line for each request, without its query, where secrets travel; of one that was refused, such as by the check of forms,
/// also where it says that it comes from and goes to.
fn log(asked: &Asked, response: &Response, started: Instant) {
    let (status, took) = (response.status(), started.elapsed().as_secs_f64() * 1_000.0);
    let client = asked.client.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
    let (line, code) = (&asked.line, status.as_u16());
    match &asked.origin {
        Some(origin) if status == StatusCode::FORBIDDEN => {
            let host = &asked.host;
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

/// Browsers take `Secure` cookies of their own machine without TLS.
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
