//! A WebSocket that is closed when its session ends, on any node and device. It serves two nodes of one site: open
//! http://127.0.0.1:3000/ and http://127.0.0.1:3001/ in two tabs, log in, and log out in one of them. The socket of the
//! other is closed within five seconds, since the file store does not notify of changes; with Redis it is closed at
//! once.

use std::path::Path;
use std::pin::pin;

use ampoule::store::{self, StoreOptions};
use ampoule::{CookieOptions, CsrfLayer, Error, Options, RequireLogin, Secret, Session, SessionLayer};
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};

const PAGE: &str = r#"<!doctype html><title>Socket</title>
<form method=post action=/login><button id=login>Log in</button></form>
<form method=post action=/logout><button id=logout>Log out</button></form>
<pre id=log></pre>
<script>
  const log = (text) => document.getElementById("log").append(text + "\n");
  const socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = (event) => log("echo: " + event.data);
  socket.onclose = (event) => log(`closed: ${event.code} ${event.reason}`);
</script>"#;

/// Logs in without a check; see the example `login`.
async fn login(session: Session) -> Result<Redirect, Error> {
    session.login("ada").await?;
    session.save().await?;
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Result<Redirect, Error> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

async fn socket(session: Session, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| echo(session, socket))
}

async fn echo(session: Session, mut socket: WebSocket) {
    let mut ended = pin!(session.ended());
    loop {
        tokio::select! {
            () = &mut ended => {
                let frame = CloseFrame { code: close_code::POLICY, reason: "logged out".into() };
                // Fails if the client has closed the socket already.
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if socket.send(Message::Text(text.clone())).await.is_ok() => {}
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return,
            }
        }
    }
}

/// One node of a site; all of them have the same store and the same secret.
pub(crate) fn node(folder: &Path, secret: &str) -> Result<Router, Box<dyn std::error::Error>> {
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let options = Options { secrets: vec![Secret::new(secret)?], cookie, ..Options::default() };
    let store = store::open(&format!("file:{}", folder.display()), &StoreOptions::default())?;
    Ok(Router::new()
        .route("/socket", get(socket))
        .route_layer(RequireLogin::new("/"))
        // Refuses a socket that another site's page opens with the user's cookie.
        .route_layer(CsrfLayer::new())
        .route("/", get(|| async { Html(PAGE) }))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(store, options)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (folder, secret) = (std::env::temp_dir().join("ampoule-web-socket"), Secret::generate());
    let nodes = [node(&folder, secret.as_str())?, node(&folder, secret.as_str())?];
    let listeners = [
        tokio::net::TcpListener::bind("127.0.0.1:3000").await?,
        tokio::net::TcpListener::bind("127.0.0.1:3001").await?,
    ];
    let [one, two] = nodes;
    let [first, second] = listeners;
    let (one, two) = tokio::join!(async { axum::serve(first, one).await }, async { axum::serve(second, two).await });
    one.and(two).map_err(Into::into)
}
