//! Typical code on axum without a session library: a signed id in the cookie, JSON in Redis. The variant with
//! compare-and-set writes only if the stored value is still the one that it read, and retries otherwise.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{LIFETIME_SECONDS, SECRET, TEXT};

/// The state of the handlers: one connection, as in Ampoule's store, and the key that signs.
#[derive(Clone)]
struct Site {
    redis: MultiplexedConnection,
    signer: Hmac<Sha256>,
    /// The digest of the script `COMPARE_AND_SET`; `None` for the variant that does not compare.
    compare_and_set: Option<Arc<str>>,
}

/// KEYS[1] is the session, ARGV[1] the value that was read, ARGV[2] the new value, ARGV[3] its lifetime in seconds.
const COMPARE_AND_SET: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
";

/// A session.
#[derive(Default, Serialize, Deserialize)]
struct Data {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    text: String,
}

pub async fn router(redis: &str, compares: bool) -> Router {
    let client = redis::Client::open(redis).expect("a good URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let mut compare_and_set = None;
    if compares {
        let digest: String =
            redis::cmd("SCRIPT").arg("LOAD").arg(COMPARE_AND_SET).query_async(&mut redis).await.expect("a script");
        compare_and_set = Some(digest.into());
    }
    let signer = Hmac::new_from_slice(&SECRET).expect("a key of any length");
    Router::new()
        .route("/untouched", get(async || TEXT))
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/count", get(count))
        .route("/new", get(new))
        .with_state(Site { redis, signer, compare_and_set })
}

async fn fill(State(site): State<Site>) -> Result<impl IntoResponse, StatusCode> {
    site.create(&Data { a: 7, b: 7, c: 7, d: 0, text: "horse".to_owned() }).await
}

async fn read(State(mut site): State<Site>, headers: HeaderMap) -> Result<&'static str, StatusCode> {
    let key = site.key(&headers)?;
    assert_eq!(site.load(&key).await?.0.c, 7);
    Ok(TEXT)
}

async fn write(State(mut site): State<Site>, headers: HeaderMap) -> Result<&'static str, StatusCode> {
    let key = site.key(&headers)?;
    loop {
        let (mut data, stored) = site.load(&key).await?;
        data.d += 1;
        if site.replace(&key, &data, &stored).await? {
            return Ok(TEXT);
        }
    }
}

async fn count(State(mut site): State<Site>, headers: HeaderMap) -> Result<String, StatusCode> {
    let key = site.key(&headers)?;
    Ok(site.load(&key).await?.0.d.to_string())
}

async fn new(State(site): State<Site>) -> Result<impl IntoResponse, StatusCode> {
    site.create(&Data { a: 7, ..Data::default() }).await
}

impl Site {
    /// Verifies the cookie's signature, and returns the session's key in Redis.
    fn key(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let cookies = headers.get(COOKIE).and_then(|cookies| cookies.to_str().ok()).unwrap_or_default();
        let value = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("session="));
        let (id, signature) = value.and_then(|value| value.split_once('.')).ok_or(StatusCode::UNAUTHORIZED)?;
        let signature = BASE64.decode(signature).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let signer = self.signer.clone().chain_update(id);
        signer.verify_slice(&signature).map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(format!("session:{id}"))
    }

    /// Loads the session, and returns its data and its bytes in Redis.
    async fn load(&mut self, key: &str) -> Result<(Data, Vec<u8>), StatusCode> {
        let bytes: Option<Vec<u8>> = self.redis.get(key).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let bytes = bytes.ok_or(StatusCode::UNAUTHORIZED)?;
        let data = serde_json::from_slice(&bytes).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok((data, bytes))
    }

    /// Writes the session. Returns false if another request has changed it; without the comparison, it is overwritten.
    async fn replace(&mut self, key: &str, data: &Data, stored: &[u8]) -> Result<bool, StatusCode> {
        let Some(script) = &self.compare_and_set else { return self.save(key, data).await.map(|()| true) };
        let bytes = serde_json::to_vec(data).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let mut command = redis::cmd("EVALSHA");
        command.arg(&**script).arg(1).arg(key).arg(stored).arg(bytes).arg(LIFETIME_SECONDS);
        command.query_async(&mut self.redis).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }

    async fn save(&mut self, key: &str, data: &Data) -> Result<(), StatusCode> {
        let bytes = serde_json::to_vec(data).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let saved = self.redis.set_ex(key, bytes, LIFETIME_SECONDS.into()).await;
        saved.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }

    async fn create(mut self, data: &Data) -> Result<impl IntoResponse + use<>, StatusCode> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let id = BASE64.encode(id);
        self.save(&format!("session:{id}"), data).await?;
        let signature = BASE64.encode(self.signer.chain_update(&id).finalize().into_bytes());
        let cookie = format!("session={id}.{signature}; Path=/; HttpOnly; Secure; SameSite=Lax");
        Ok((AppendHeaders([(SET_COOKIE, cookie)]), TEXT))
    }
}
