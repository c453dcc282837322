//! Reads any bytes as a form: without the session's token it is refused, and with it the handler receives the whole
//! body.
#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use ampoule::{CookieOptions, CsrfLayer, HostPrefix, MemoryStore, Options, Secret, SessionLayer};
use axum_core::body::Body;
use axum_core::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// A session layer, a live cookie, and a CSRF token of its session.
static SITE: LazyLock<(SessionLayer, String, String)> = LazyLock::new(|| {
    let secrets = vec![Secret::new("sRVXleZEt9XNRWlDgUQk1lHH3Kd8Qsmnp9LmaiZapfU").unwrap()];
    let cookie = CookieOptions { name: "sid".into(), host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    let options = Options { cookie, secrets, store_timeout: None, ..Options::default() };
    let layer = SessionLayer::new(MemoryStore::default(), options).unwrap();
    let (cookie, token) = RUNTIME.block_on(async {
        let session = layer.begin(&HeaderMap::new());
        let token = session.csrf_token().await.unwrap().masked();
        let mut response = HeaderMap::new();
        layer.finish(&session, StatusCode::OK, &mut response).await.unwrap();
        (response["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned(), token)
    });
    (layer, cookie, token)
});

async fn send(layer: &SessionLayer, cookie: &str, content_type: &[u8], body: Vec<u8>) -> Option<(StatusCode, Vec<u8>)> {
    let echo =
        service_fn(|request: Request<Body>| async move { Ok::<_, Infallible>(Response::new(request.into_body())) });
    let site = layer.layer(CsrfLayer::new().max_body(10_000).layer(echo));
    let request =
        Request::post("/").header("cookie", cookie).header("content-type", HeaderValue::from_bytes(content_type).ok()?);
    let Ok(response) = site.oneshot(request.body(Body::from(body)).unwrap()).await;
    let status = response.status();
    Some((status, response.into_body().collect().await.unwrap().to_bytes().to_vec()))
}

fuzz_target!(|data: &[u8]| {
    // Initialized before `block_on`, since it uses the runtime itself.
    let (layer, cookie, token) = &*SITE;
    RUNTIME.block_on(async {
        let (content_type, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
        if let Some((status, _)) = send(layer, cookie, content_type, body.to_vec()).await {
            assert!(status.is_client_error(), "{status}");
        }
        let start =
            format!("--b\r\ncontent-disposition: form-data; name=\"_authentication_token\"\r\n\r\n{token}\r\n--b");
        let upload = [start.as_bytes(), body].concat();
        if let Some((StatusCode::OK, echoed)) =
            send(layer, cookie, b"multipart/form-data; boundary=b", upload.clone()).await
        {
            assert_eq!(echoed, upload);
        }
        let form = [format!("_authentication_token={token}&").as_bytes(), body].concat();
        if let Some((StatusCode::OK, echoed)) = send(layer, cookie, b"application/x-www-form-urlencoded", form).await {
            assert_eq!(echoed, body);
        }
    });
});
