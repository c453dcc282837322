//! The routes of the test site.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ampoule::{Error, ErrorKind, ReadOnly, ServerError, Session, SessionId};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use tokio::sync::{Mutex, Semaphore};

/// Where a slow request waits, by a name that its test gives: it has loaded its session and is to save it later.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) loaded: Arc<Semaphore>,
    pub(crate) go_on: Arc<Semaphore>,
}

static GATES: LazyLock<Mutex<HashMap<String, Gate>>> = LazyLock::new(Mutex::default);

pub(crate) async fn gate(name: &str) -> Gate {
    let new = || Gate { loaded: Arc::new(Semaphore::new(0)), go_on: Arc::new(Semaphore::new(0)) };
    GATES.lock().await.entry(name.to_owned()).or_insert_with(new).clone()
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { "untouched" }))
        .route("/get/{key}", get(get_value))
        .route("/peek/{key}", get(peek))
        .route("/set/{key}/{value}", post(set))
        .route("/forget/{key}/{value}", post(set_without_save))
        .route("/count/{key}", post(count))
        .route("/same/{key}", post(save_the_same))
        .route("/login/{user}", post(login))
        .route("/login-fails/{user}", post(login_fails))
        .route("/login-saved-then-fails/{user}", post(login_saved_then_fails))
        .route("/login-slowly/{user}/{gate}", post(login_slowly))
        .route("/remember/{seconds}", post(remember))
        .route("/logout", post(logout))
        .route("/delete", post(delete))
        .route("/restart", post(restart))
        .route("/clear", post(clear))
        .route("/slow/{key}/{value}/{gate}", post(slow))
        .route("/sessions", get(sessions))
        .route("/revoke/{handle}", post(revoke))
        .route("/revoke-others", post(revoke_others))
        .route("/revoke-all", post(revoke_all))
        .route("/reachable", get(reachable))
        .route("/required", get(|session: Session| async move { session.require_login().await }))
        .route("/info", get(info))
        .route("/id", get(id))
        .route("/principal", get(principal))
        .route("/principal/{user}", post(set_principal))
        .route("/login-late/{user}/{gate}", post(login_late))
        .route("/login-error/{user}", post(login_error))
        .route("/login-server-error/{user}", post(login_server_error))
        .route("/regenerate", post(rotate))
        .route("/regenerate-late/{gate}", post(rotate_late))
        .route("/regenerate-and-revoke-others/{gate}", post(rotate_and_revoke_others))
        .route("/get-slowly/{key}/{gate}", get(get_slowly))
        .route("/reload/{key}/{gate}", get(reload))
        .route("/take/{key}", post(take))
        .route("/stream/{what}", post(stream))
        .route("/cached/{directive}/{key}/{value}", post(cached))
        .route("/a/b/c/d/e/get/{key}", get(get_value))
        .route("/a/b/c/d/e/login/{user}", post(login))
}

async fn get_value(session: Session, Path(key): Path<String>) -> Result<String, Error> {
    Ok(session.get::<String>(key.as_str()).await?.unwrap_or_else(|| "none".into()))
}

async fn peek(session: ReadOnly, Path(key): Path<String>) -> Result<String, Error> {
    Ok(session.get::<String>(key.as_str()).await?.unwrap_or_else(|| "none".into()))
}

async fn set(session: Session, Path((key, value)): Path<(String, String)>) -> Result<&'static str, Error> {
    session.insert(key.as_str(), &value)?;
    session.save().await?;
    Ok("saved")
}

async fn set_without_save(session: Session, Path((key, value)): Path<(String, String)>) -> Result<&'static str, Error> {
    session.insert(key.as_str(), &value)?;
    Ok("not saved")
}

async fn count(session: Session, Path(key): Path<String>) -> Result<String, Error> {
    // Another key's value is a String; this one's too, so that /get can show it.
    let one_more = |count: &mut String| *count = (count.parse::<u64>().unwrap_or(0) + 1).to_string();
    session.update(key.as_str(), one_more).await?;
    session.save().await?;
    Ok(session.get::<String>(key.as_str()).await?.unwrap_or_default())
}

async fn save_the_same(session: Session, Path(key): Path<String>) -> Result<&'static str, Error> {
    if let Some(value) = session.get::<String>(key.as_str()).await? {
        session.insert(key.as_str(), &value)?;
    }
    session.save().await?;
    Ok("saved")
}

async fn begin_login(session: &Session, user: &str) -> Result<(), Error> {
    session.login(user).await?;
    session.insert("user", user)
}

async fn login(session: Session, Path(user): Path<String>) -> Result<&'static str, Error> {
    begin_login(&session, &user).await?;
    session.save().await?;
    Ok("logged in")
}

async fn login_fails(session: Session, Path(user): Path<String>) -> Result<StatusCode, Error> {
    begin_login(&session, &user).await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn login_saved_then_fails(session: Session, Path(user): Path<String>) -> Result<StatusCode, Error> {
    begin_login(&session, &user).await?;
    session.save().await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn login_slowly(session: Session, Path((user, name)): Path<(String, String)>) -> Result<&'static str, Error> {
    begin_login(&session, &user).await?;
    session.save().await?;
    wait_at(&name).await;
    Ok("logged in")
}

async fn remember(session: Session, Path(seconds): Path<u64>) -> Result<&'static str, Error> {
    session.set_timeout(std::time::Duration::from_secs(seconds))?;
    session.save().await?;
    Ok("remembered")
}

async fn logout(session: Session) -> Result<&'static str, Error> {
    session.logout().await?;
    Ok("logged out")
}

async fn delete(session: Session) -> Result<&'static str, Error> {
    session.delete().await?;
    Ok("deleted")
}

async fn restart(session: Session) -> Result<&'static str, Error> {
    session.invalidate().await?;
    session.insert("fresh", "yes")?;
    session.save().await?;
    Ok("restarted")
}

async fn clear(session: Session) -> Result<&'static str, Error> {
    session.clear()?;
    session.save().await?;
    Ok("cleared")
}

/// The principal, and the seconds between the creation of the session and the last login.
async fn principal(session: Session) -> Result<String, Error> {
    let (proved, made) = (session.authenticated_at().await?, session.created().await?);
    let since = proved.map_or_else(|| "never".to_owned(), |proved| proved.since(made).as_secs().to_string());
    Ok(format!("{} {since}", session.principal().await?.unwrap_or_else(|| "none".into())))
}

/// A session that is given to a user without a login.
async fn set_principal(session: Session, Path(user): Path<String>) -> Result<&'static str, Error> {
    session.set_principal(Some(&user))?;
    session.save().await?;
    Ok("given")
}

/// Loads before it waits, and logs in after.
async fn login_late(session: Session, Path((user, name)): Path<(String, String)>) -> Result<&'static str, Error> {
    session.keys().await?;
    wait_at(&name).await;
    begin_login(&session, &user).await?;
    session.save().await?;
    Ok("logged in late")
}

async fn login_error(session: Session, Path(user): Path<String>) -> Result<&'static str, Error> {
    begin_login(&session, &user).await?;
    session.save().await?;
    Err(Error::new(ErrorKind::Value, "what follows the login fails"))
}

async fn login_server_error(session: Session, Path(user): Path<String>) -> Result<&'static str, ServerError> {
    begin_login(&session, &user).await?;
    session.save().await?;
    Err(std::io::Error::other("what follows the login fails").into())
}

async fn rotate(session: Session) -> Result<&'static str, Error> {
    session.regenerate_id();
    session.save().await?;
    Ok("rotated")
}

async fn rotate_late(session: Session, Path(name): Path<String>) -> Result<&'static str, Error> {
    session.keys().await?;
    wait_at(&name).await;
    rotate(session).await
}

async fn rotate_and_revoke_others(session: Session, Path(name): Path<String>) -> Result<String, Error> {
    rotate_late(session.clone(), Path(name)).await?;
    revoke_others(session).await
}

async fn get_slowly(session: Session, Path((key, name)): Path<(String, String)>) -> Result<String, Error> {
    session.keys().await?;
    wait_at(&name).await;
    get_value(session, Path(key)).await
}

/// Whether the session still lives after the wait, and a value in it then.
async fn reload(session: Session, Path((key, name)): Path<(String, String)>) -> Result<String, Error> {
    session.keys().await?;
    wait_at(&name).await;
    let lives = session.reload().await?;
    Ok(format!("{lives} {}", get_value(session, Path(key)).await?))
}

async fn take(session: Session, Path(key): Path<String>) -> Result<String, Error> {
    Ok(session.take::<String>(key.as_str()).await?.unwrap_or_else(|| "none".into()))
}

/// Changes its session after the response has started, and writes the result into the body.
async fn stream(session: Session, Path(what): Path<String>) -> Result<Body, Error> {
    session.keys().await?;
    let work = async move {
        let done = async {
            match what.as_str() {
                "rotate" => session.regenerate_id(),
                "login" => begin_login(&session, "ada").await?,
                "take" => return session.take::<String>("a").await.map(drop),
                key => session.insert(key, "streamed")?,
            }
            session.save().await
        };
        let said = done.await.map_or_else(|error| error.kind().name(), |()| "saved");
        Ok::<_, std::convert::Infallible>(said)
    };
    Ok(Body::from_stream(futures_util::stream::once(work)))
}

/// Saves, and sets its own Cache-Control.
async fn cached(
    session: Session,
    Path((directive, key, value)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, Error> {
    set(session, Path((key, value))).await?;
    Ok(([(CACHE_CONTROL, directive)], "saved"))
}

async fn wait_at(name: &str) {
    let gate = gate(name).await;
    gate.loaded.add_permits(1);
    gate.go_on.acquire().await.unwrap().forget();
}

async fn slow(
    session: Session,
    Path((key, value, name)): Path<(String, String, String)>,
) -> Result<&'static str, Error> {
    session.keys().await?;
    wait_at(&name).await;
    session.insert(key.as_str(), &value)?;
    session.save().await?;
    Ok("saved late")
}

async fn info(session: Session) -> Result<String, Error> {
    let (new, len, keys) = (session.is_new().await?, session.len().await?, session.keys().await?.join(","));
    let accessed = session.last_accessed().await?.map_or(0, ampoule::Time::as_millis);
    let (created, expires) = (session.created().await?.as_millis(), session.expires().await?.as_millis());
    Ok(format!("new={new} len={len} keys={keys} created={created} accessed={accessed} expires={expires}"))
}

async fn id(session: Session) -> Result<String, Error> {
    Ok(session.id().await?.map_or("none".to_owned(), |id| id.to_string()))
}

/// A line for each session of the same principal: its handle, its agent, and a star for this one.
async fn sessions(session: Session) -> Result<String, Error> {
    let mut text = String::new();
    for info in session.sessions().await? {
        let agent = info.get::<String>("agent")?.unwrap_or_default();
        let mark = if info.is_current() { "*" } else { "" };
        text += &format!("{} {agent}{mark}\n", info.id());
    }
    Ok(text)
}

async fn revoke(session: Session, Path(id): Path<SessionId>) -> Result<String, Error> {
    Ok(session.revoke(id).await?.to_string())
}

async fn revoke_others(session: Session) -> Result<String, Error> {
    Ok(session.revoke_others().await?.to_string())
}

async fn revoke_all(session: Session) -> Result<String, Error> {
    Ok(session.revoke_all().await?.to_string())
}

async fn reachable(session: Session) -> Result<String, Error> {
    Ok((!session.is_unreachable().await?).to_string())
}
