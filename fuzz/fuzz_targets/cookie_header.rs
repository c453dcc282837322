//! Reads any bytes as a Cookie header: nothing panics, and only a cookie of this site leads to a session.
#![no_main]

use std::sync::LazyLock;

use ampoule::{CookieOptions, HostPrefix, MemoryStore, Options, Secret, SessionLayer};
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// A layer with a store, a layer with sealed cookies, and a live cookie of the first.
static SITE: LazyLock<(SessionLayer, SessionLayer, String)> = LazyLock::new(|| {
    let secret = || vec![Secret::new("sRVXleZEt9XNRWlDgUQk1lHH3Kd8Qsmnp9LmaiZapfU").unwrap()];
    let cookie = || CookieOptions { name: "sid".into(), host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    let options = || Options { cookie: cookie(), secrets: secret(), store_timeout: None, ..Options::default() };
    let stored = SessionLayer::new(MemoryStore::default(), options()).unwrap();
    let sealed = SessionLayer::in_cookie(options()).unwrap();
    let cookie = RUNTIME.block_on(async {
        let session = stored.begin(&HeaderMap::new());
        session.insert("mine", &true).unwrap();
        session.save().await.unwrap();
        let mut response = HeaderMap::new();
        stored.finish(&session, StatusCode::OK, &mut response).await.unwrap();
        response["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    });
    (stored, sealed, cookie)
});

async fn is_new(layer: &SessionLayer, header: &[u8]) -> Option<bool> {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_bytes(header).ok()?);
    let session = layer.begin(&headers);
    let is_new = session.is_new().await.expect("a cookie is never an error");
    let mut response = HeaderMap::new();
    layer.finish(&session, StatusCode::OK, &mut response).await.expect("finish does not fail after a cookie is read");
    assert!(!response.contains_key("set-cookie"), "reading sets no cookie");
    Some(is_new)
}

fuzz_target!(|data: &[u8]| {
    // Initialized before `block_on`, since it uses the runtime itself.
    let (stored, sealed, cookie) = &*SITE;
    RUNTIME.block_on(async {
        let contains_ours = data.windows(64).any(|window| &cookie.as_bytes()[4..] == window);
        assert!(is_new(stored, data).await != Some(false) || contains_ours);
        assert_ne!(is_new(sealed, data).await, Some(false));
        // Our cookie is found after any other text that does not contain its name.
        if !data.windows(3).any(|window| window == b"sid") {
            let with_ours = [data, b"; ", cookie.as_bytes()].concat();
            assert_ne!(is_new(stored, &with_ours).await, Some(true));
        }
    });
});
