//! Typical code on axum without a session library: a signed id in the cookie, JSON in Redis. And a variant for concurrent
//! requests, which writes only if the stored value is the one that it read, and otherwise retries.

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

/// What all requests share: one connection, as Ampoule's store has, and the key, ready to sign.
#[derive(Clone)]
struct Site {
    redis: MultiplexedConnection,
    signer: Hmac<Sha256>,
    /// The digest of the script that compares before it writes, for the one that compares.
    compare: Option<Arc<str>>,
}

/// KEYS[1] is the session, ARGV[1] what was read, [2] what is to be there, [3] for how many seconds.
const COMPARE: &str = "
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
    let mut compare = None;
    if compares {
        let digest: String =
            redis::cmd("SCRIPT").arg("LOAD").arg(COMPARE).query_async(&mut redis).await.expect("a script");
        compare = Some(digest.into());
    }
    let signer = Hmac::new_from_slice(&SECRET).expect("a key of any length");
    Router::new()
        .route("/untouched", get(async || TEXT))
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/count", get(count))
        .route("/new", get(new))
        .with_state(Site { redis, signer, compare })
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
        let (mut data, read) = site.load(&key).await?;
        data.d += 1;
        if site.replace(&key, &data, &read).await? {
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
    /// The name in Redis of the session whose id the cookie bears.
    fn key(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let cookies = headers.get(COOKIE).and_then(|cookies| cookies.to_str().ok()).unwrap_or_default();
        let value = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("session="));
        let (id, signature) = value.and_then(|value| value.split_once('.')).ok_or(StatusCode::UNAUTHORIZED)?;
        let signature = BASE64.decode(signature).map_err(|_| StatusCode::UNAUTHORIZED)?;
        let signer = self.signer.clone().chain_update(id);
        signer.verify_slice(&signature).map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(format!("session:{id}"))
    }

    /// The session, and the bytes that it was read from.
    async fn load(&mut self, key: &str) -> Result<(Data, Vec<u8>), StatusCode> {
        let bytes: Option<Vec<u8>> = self.redis.get(key).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let bytes = bytes.ok_or(StatusCode::UNAUTHORIZED)?;
        let data = serde_json::from_slice(&bytes).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok((data, bytes))
    }

    /// Writes, and returns whether it succeeded; without the comparison it always does.
    async fn replace(&mut self, key: &str, data: &Data, read: &[u8]) -> Result<bool, StatusCode> {
        let Some(compare) = &self.compare else { return self.save(key, data).await.map(|()| true) };
        let bytes = serde_json::to_vec(data).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let mut command = redis::cmd("EVALSHA");
        command.arg(&**compare).arg(1).arg(key).arg(read).arg(bytes).arg(LIFETIME_SECONDS);
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
