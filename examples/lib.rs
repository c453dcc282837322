//! One runnable example for each question:
//!
//! | question | command |
//! |---|---|
//! | How do I add a session to an axum app? | `cargo run -p ampoule-examples --example counter` |
//! | How do I log users in and out, with passwords and secure forms? | `cargo run -p ampoule-examples --example login` |
//! | How does a stream of events end at logout? | `cargo run -p ampoule-examples --example live_stream` |
//! | How is a WebSocket closed at logout, in all processes? | `cargo run -p ampoule-examples --example web_socket` |
//! | How does an API do without cookies? | `cargo run -p ampoule-examples --example bearer_api` |
//! | How do I cache a slow function? | `cargo run -p ampoule-examples --example cached_function` |
//! | How do I keep a row of a database in a session? | `cargo run -p ampoule-examples --example models` |
//! | How do I keep the session in its cookie? | `cargo run -p ampoule-examples --example cookie_session` |
//! | How do I keep two sessions apart in one app? | `cargo run -p ampoule-examples --example two_sessions` |
//! | How do users log in by OpenID Connect? | `cargo run --manifest-path examples/oidc/Cargo.toml` |
//! | How do I use it with Leptos, or Dioxus? | `cargo run --manifest-path examples/fullstack/leptos/Cargo.toml`, or `…/dioxus/…` |
//! | How do I use it without a framework? | `cargo run -p ampoule-examples --example without_framework` |

#[cfg(any(test, doctest))]
mod guide;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::Request;
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use tower::ServiceExt;

/// A minimal browser for the tests of the examples: it keeps cookies and submits forms.
pub struct Browser {
    app: Router,
    /// The cookies by name.
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Creates a browser for this site, without cookies.
    pub fn new(app: Router) -> Browser {
        Browser { app, cookies: BTreeMap::new() }
    }

    /// Returns the text at a path.
    pub async fn get(&mut self, path: &str) -> String {
        self.send(Request::get(path), String::new()).await
    }

    /// Opens a page and submits a form with these fields and the page's token.
    pub async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> String {
        const TOKEN: &str = "name=\"_authentication_token\" value=\"";
        let html = self.get(page).await;
        let token = html.split(TOKEN).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let field = |(name, value): &(&str, &str)| format!("{name}={}&", value.replace(' ', "+"));
        let form = fields.iter().map(field).collect::<String>() + "_authentication_token=" + token;
        self.send(Request::post(action).header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form).await
    }

    async fn send(&mut self, request: http::request::Builder, body: String) -> String {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            request.header(COOKIE, cookies.join("; ")).body(Body::from(body)).expect("a request of ours is one");
        let Ok(response) = self.app.clone().oneshot(request).await;
        self.keep(&response);
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn keep(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
