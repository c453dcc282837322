//! Apps under paths and hosts: Paste's urlmap.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use tower::{Service, ServiceExt};

use crate::registry::{App, app};

/// The path under which an app is mounted, in the extensions of its requests: what WSGI calls `SCRIPT_NAME`. `/shop`,
/// or empty at the root. The app itself sees the rest; links to itself begin with this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountPath(pub String);

/// The map, in the order in which it is searched.
#[derive(Clone, Default)]
pub(crate) struct UrlMap {
    places: Vec<Place>,
    pub(crate) not_found: Option<App>,
}

#[derive(Clone)]
struct Place {
    /// `example.com`, or `example.com:8080` where the entry says a port; `None` for any host.
    host: Option<String>,
    /// Without a slash at its end: empty for the root.
    path: String,
    app: App,
}

impl UrlMap {
    /// Adds an entry: `/path`, or `domain example.com [port 8080] [/path]`.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn add(&mut self, entry: &str, app: App) -> Result<(), String> {
        let (host, path) = parse_entry(entry)?;
        if self.places.iter().any(|place| place.host == host && place.path == path) {
            return Err("another app is mounted there".to_owned());
        }
        self.places.push(Place { host, path, app });
        // Entries for a host before those for any, and longer paths before shorter ones.
        self.places.sort_by_key(|place| (place.host.is_none(), std::cmp::Reverse(place.path.len())));
        Ok(())
    }

    pub(crate) fn into_app(self) -> App {
        app(self)
    }

    fn find(&self, hosts: &[String; 2], path: &str) -> Option<&Place> {
        self.places.iter().find(|place| {
            let host = place.host.as_ref().is_none_or(|host| hosts.contains(host));
            host && path.strip_prefix(&place.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn parse_entry(entry: &str) -> Result<(Option<String>, String), String> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let (host, path) = match words[..] {
        ["domain", host] => (Some(host.to_owned()), "/"),
        ["domain", host, "port", port] => (Some(format!("{host}:{port}")), "/"),
        ["domain", host, path] => (Some(host.to_owned()), path),
        ["domain", host, "port", port, path] => (Some(format!("{host}:{port}")), path),
        [path] => (None, path),
        _ => ("".to_owned().into(), ""),
    };
    if !path.starts_with('/') {
        return Err("expected `/path = app` or `domain HOST [port PORT] /path = app`".to_owned());
    }
    Ok((host.map(|host| host.to_ascii_lowercase()), path.trim_end_matches('/').to_owned()))
}

impl Service<Request<Body>> for UrlMap {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = collapse(request.uri().path());
        match self.find(&hosts(&request), &path) {
            Some(place) => {
                mount(&mut request, &place.path, &path[place.path.len()..]);
                Box::pin(place.app.clone().oneshot(request))
            }
            None => match &self.not_found {
                Some(app) => Box::pin(app.clone().oneshot(request)),
                None => Box::pin(std::future::ready(Ok(not_found()))),
            },
        }
    }
}

/// The host without and with its port, in lower case: from the URI (HTTP/2) or the Host header.
fn hosts(request: &Request<Body>) -> [String; 2] {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or(header).unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let colon = host.rfind(':').filter(|colon| host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    [host[..colon.unwrap_or(host.len())].to_owned(), host.clone()]
}

/// As Paste does: `//` is `/`.
fn collapse(path: &str) -> String {
    let mut collapsed = String::with_capacity(path.len());
    for part in path.chars() {
        if part != '/' || !collapsed.ends_with('/') {
            collapsed.push(part);
        }
    }
    collapsed
}

/// Moves the prefix from the path to the mount path; the query stays.
fn mount(request: &mut Request<Body>, prefix: &str, rest: &str) {
    let outer = request.extensions_mut().remove::<MountPath>().unwrap_or_default();
    request.extensions_mut().insert(MountPath(outer.0 + prefix));
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // What was part of a valid URI and starts with a slash is one again; if not, the app sees the whole path.
    if let Ok(path_and_query) = PathAndQuery::try_from(path_and_query) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404: no app is mounted at this address.\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
