//! A stream of events that ends when its session ends, on any node and device. Open http://127.0.0.1:3000/ in two tabs,
//! log in, and log out in one of them: the other shows it.
//!
//! A WebSocket is closed in the same way: see the example `web_socket`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ampoule::{CookieOptions, Error, MemoryStore, Options, RequireLogin, Secret, Session, SessionLayer};
use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};

const PAGE: &str = r#"<!doctype html><title>Live</title>
<form method=post action=/login><button>Log in</button></form><form method=post action=/logout><button>Log out</button></form>
<pre id=log></pre>
<script>
  const events = new EventSource("/events"), log = (text) => document.getElementById("log").append(text + "\n");
  events.onmessage = (event) => log(event.data);
  events.onerror = () => { events.close(); log("logged out"); };
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

async fn events(session: Session) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(0, |count| async move {
        if count > 0 {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Some((Ok(Event::default().data(format!("tick {count}"))), count + 1))
    });
    Sse::new(ticks.take_until(Box::pin(session.ended())))
}

/// One node of a site; all of them have the same store and the same secret.
fn node(store: &Arc<MemoryStore>, secret: &str) -> Result<Router, Box<dyn std::error::Error>> {
    let cookie = CookieOptions { secure: false, ..CookieOptions::default() };
    let options = Options { secrets: vec![Secret::new(secret)?], cookie, ..Options::default() };
    Ok(Router::new()
        .route("/events", get(events))
        .route_layer(RequireLogin::new("/"))
        .route("/", get(|| async { Html(PAGE) }))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(Arc::clone(store), options)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, node(&Arc::default(), Secret::generate().as_str())?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ampoule_examples::Browser;
    use axum::body::Body;
    use futures_util::StreamExt;
    use http::{Request, StatusCode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_logout_on_one_node_ends_the_stream_of_another() {
        let (store, secret) = (Arc::default(), ampoule::Secret::generate());
        let (here, there) =
            (super::node(&store, secret.as_str()).unwrap(), super::node(&store, secret.as_str()).unwrap());
        let mut browser = Browser::new(there.clone());
        browser.submit("/", "/login", &[]).await;
        let cookie: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();

        let visitor = Request::get("/events").body(Body::empty()).unwrap();
        assert_eq!(here.clone().oneshot(visitor).await.unwrap().status(), StatusCode::FORBIDDEN);

        // A real connection to the node here.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, here).await });
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /events HTTP/1.0\r\nHost: {address}\r\nCookie: {}\r\n\r\n", cookie.join("; "));
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut begun = Vec::new();
        while !String::from_utf8_lossy(&begun).contains("tick 0") {
            assert!(connection.read_buf(&mut begun).await.unwrap() > 0, "{}", String::from_utf8_lossy(&begun));
        }

        browser.submit("/", "/logout", &[]).await;
        // Returns when the server closes the stream; otherwise the test would hang.
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).await.unwrap();
    }

    #[tokio::test]
    async fn a_logout_on_the_same_node_ends_the_stream_at_once() {
        let app = super::node(&Arc::default(), ampoule::Secret::generate().as_str()).unwrap();
        let mut browser = Browser::new(app.clone());
        browser.submit("/", "/login", &[]).await;
        let cookie: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get("/events").header("cookie", cookie.join("; ")).body(Body::empty()).unwrap();
        let mut events = app.oneshot(request).await.unwrap().into_body().into_data_stream();
        assert_eq!(events.next().await.unwrap().unwrap(), "data: tick 0\n\n");
        browser.submit("/", "/logout", &[]).await;
        assert!(events.next().await.is_none());
    }
}
