//! An attacker sends any bytes over an HTTP/1 connection: what the response cache then serves to others.

use std::net::SocketAddr;
use std::time::Duration;

use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions, ResponseCacheLayer};
use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers with the target that it saw, as a public response.
async fn page(OriginalUri(original): OriginalUri, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut text = format!("{} {:?} {original:?} {body:?}", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        let is_shown = ["host", "origin", "forwarded"].contains(&name.as_str()) || name.as_str().starts_with("x-");
        if is_shown && name != "x-marker" {
            text.push_str(&format!(" {name}={value:?}"));
        }
    }
    ([("cache-control", "public, max-age=600")], text).into_response()
}

async fn serve() -> SocketAddr {
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let inner = Router::new().route("/page", any(page)).layer(ResponseCacheLayer::new(&manager, "wire"));
    let fallback = any(page).layer(ResponseCacheLayer::new(&manager, "wire"));
    let app = Router::new().nest("/{tenant}", inner).fallback_service(fallback);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends bytes and returns all that comes back until the server closes, or is silent.
async fn send(server: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

const VICTIM: &str = "GET /a/page HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n";

/// Requests that a cache could take for the victim's.
const ATTACKS: [&str; 30] = [
    "GET http://evil.test/a/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET http://site.test/a/page HTTP/1.1\r\nHost: evil.test\r\n",
    "GET https://site.test/a/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET http://evil@site.test/a/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: evil.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: SITE.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test:80\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nHost: evil.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: evil.test\r\nHost: site.test\r\n",
    "GET /a/page HTTP/1.0\r\n",
    "GET /evil/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET /%61/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/p%61ge HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a%2Fpage HTTP/1.1\r\nHost: site.test\r\n",
    "GET /A/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET //a/page HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page/ HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page? HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page?evil HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page;evil HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page/evil.css HTTP/1.1\r\nHost: site.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-Host: evil.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nX-Original-URL: /evil\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nForwarded: host=evil.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nOrigin: https://evil.test\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nX-HTTP-Method-Override: POST\r\n",
    "POST /a/page HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nContent-Length: 4\r\n\r\nevil",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "GET /a/page HTTP/1.1\r\nHost: site.test\r\nAuthorization: Bearer evil\r\nX-Evil: evil\r\n",
];

/// The attack as a whole request whose connection ends.
fn complete(attack: &str) -> String {
    match attack.split_once("\r\n\r\n") {
        Some((head, body)) => format!("{head}\r\nConnection: close\r\n\r\n{body}"),
        None => format!("{attack}Connection: close\r\n\r\n"),
    }
}

#[tokio::test]
async fn an_attacker_s_requests_affect_no_other_client() {
    let clean = body(&send(serve().await, VICTIM).await).to_owned();
    assert!(clean.starts_with("GET ") && clean.contains("site.test"), "{clean}");
    for attack in ATTACKS {
        let attack = complete(attack);
        // The attacker's requests are first, twice.
        let server = serve().await;
        let own = body(&send(server, &attack).await).to_owned();
        send(server, &attack).await;
        assert_ne!(own, clean, "the attack cannot be seen: {attack}");
        assert_eq!(body(&send(server, VICTIM).await), clean, "{attack}");
        // The victim's request is first; the attacker sees nothing of it.
        let server = serve().await;
        assert!(send(server, VICTIM).await.contains("; stored"));
        assert_eq!(body(&send(server, &attack).await), own, "{attack}");
    }
}

/// These use the cache: the differing part does not belong to the target, and the response shows that it was cached.
#[tokio::test]
async fn parts_that_are_not_in_the_target_do_not_change_the_key() {
    let server = serve().await;
    let clean = body(&send(server, VICTIM).await).to_owned();
    for same in [
        "GET /a/page HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n",
        "GET /a/page HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 127.0.0.9\r\n",
        "GET /a/page HTTP/1.1\r\nhOST:   site.test\r\nAccept: evil/evil\r\n",
    ] {
        let answer = send(server, &complete(same)).await;
        assert!(answer.contains("; hit") && body(&answer) == clean, "{answer}");
    }
    let head = send(server, &VICTIM.replace("GET", "HEAD")).await;
    assert!(head.contains("; hit") && body(&head).is_empty(), "{head}");
    let range = send(server, &complete("GET /a/page HTTP/1.1\r\nHost: site.test\r\nRange: bytes=0-1\r\n")).await;
    assert!(range.contains("fwd=bypass") && body(&range) == clean, "{range}");
}

/// Malformed requests reach no handler and store nothing.
#[tokio::test]
async fn malformed_requests_store_nothing() {
    let server = serve().await;
    for malformed in [
        "GET /a/page#evil HTTP/1.1\r\nHost: site.test\r\n",
        "GET /a/page HTTP/1.1\r\nHost: site.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil",
        "GET /a/page HTTP/1.1\r\nHost: site.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /a/page HTTP/1.1\r\nHost : site.test\r\n",
        "GET /a/page\tHTTP/1.1\r\nHost: site.test\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: site.test\r\n",
        "GET /a/page HTTP/1.1\r\nHost: site.test\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ] {
        send(server, &complete(malformed)).await;
    }
    let victim = send(server, VICTIM).await;
    assert!(!victim.contains("evil"), "{victim}");
    let again = send(server, VICTIM).await;
    assert!(again.contains("; hit") && body(&again) == body(&victim), "{again}");
}
