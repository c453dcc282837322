//! Reads values that differ from a valid cookie's value in one byte or more: none of them leads to a session.
#![no_main]

use std::sync::LazyLock;

use ampoule::{CookieOptions, HostPrefix, MemoryStore, Options, Secret, SessionLayer};
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// A layer with a store and one with sealed cookies, each with the value of a live cookie.
static SITES: LazyLock<[(SessionLayer, String); 2]> = LazyLock::new(|| {
    let secret = || vec![Secret::new("sRVXleZEt9XNRWlDgUQk1lHH3Kd8Qsmnp9LmaiZapfU").unwrap()];
    let cookie = || CookieOptions { name: "sid".into(), host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    let options = || Options { cookie: cookie(), secrets: secret(), store_timeout: None, ..Options::default() };
    let layers =
        [SessionLayer::new(MemoryStore::default(), options()).unwrap(), SessionLayer::in_cookie(options()).unwrap()];
    layers.map(|layer| {
        let cookie = RUNTIME.block_on(async {
            let session = layer.begin(&HeaderMap::new());
            session.insert("mine", &true).unwrap();
            session.save().await.unwrap();
            let mut response = HeaderMap::new();
            layer.finish(&session, StatusCode::OK, &mut response).await.unwrap();
            response["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
        });
        let value = cookie["sid=".len()..].to_owned();
        assert_eq!(is_new(&layer, value.as_bytes()), Some(false), "the valid value leads to the session");
        (layer, value)
    })
});

fn is_new(layer: &SessionLayer, value: &[u8]) -> Option<bool> {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_bytes(&[b"sid=", value].concat()).ok()?);
    let session = layer.begin(&headers);
    Some(RUNTIME.block_on(session.is_new()).expect("a cookie is never an error"))
}

// Each pair of bytes of the input is a position in the valid value and its new byte. The whole input is read as a value
// too.
fuzz_target!(|data: &[u8]| {
    for (layer, valid) in &*SITES {
        let mut changed = valid.clone().into_bytes();
        for pair in data.chunks_exact(2) {
            let position = usize::from(pair[0]) % changed.len();
            changed[position] = pair[1];
        }
        let seen: Vec<u8> = changed.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
        let trimmed = String::from_utf8_lossy(&seen).trim_matches([' ', '\t']).trim_matches('"').to_owned();
        assert!(is_new(layer, &changed) != Some(false) || trimmed == *valid, "{changed:?}");
        assert!(is_new(layer, data) != Some(false) || data.starts_with(valid.as_bytes()));
    }
});
