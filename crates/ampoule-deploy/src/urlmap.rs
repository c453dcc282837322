//! Routes requests to apps by path and host: Paste's urlmap.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ampoule::cache::TargetUri;
use axum_core::body::Body;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use tower::{Service, ServiceExt};

use crate::app::{App, Apps, app};
use crate::conf::Conf;
use crate::error::Faults;

/// The path at which an app is mounted, in the extensions of its requests; WSGI calls it `SCRIPT_NAME`. It is empty at
/// the root, otherwise such as `/shop`, without a trailing slash. The app sees the rest of the path; it prefixes links
/// to its own pages with the mount path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountPath(pub String);

/// The mounted apps, in the order in which they are searched.
#[derive(Clone, Default)]
struct UrlMap {
    mounts: Vec<Mount>,
    not_found: Option<App>,
}

#[derive(Clone)]
struct Mount {
    at: Address,
    app: App,
}

/// The condition under which a request goes to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    /// In lower case; `None` for any.
    host: Option<String>,
    /// `None` for any.
    port: Option<u16>,
    /// Without a trailing slash; empty for the root.
    path: String,
}

/// The factory of `egg:Paste#urlmap`.
pub(crate) fn factory(conf: &Conf, apps: &mut Apps<'_>) -> Result<App, Faults> {
    const NOT_FOUND: &str = "not_found_app";
    let mut map = UrlMap::default();
    let mut faults = Faults::default();
    if conf.setting(NOT_FOUND).is_some() {
        map.not_found = faults.keep(apps.app(NOT_FOUND));
    }
    let entries = conf.local.iter().map(|local| local.name.as_str()).filter(|entry| *entry != NOT_FOUND);
    for entry in entries.filter(|entry| !conf.is_foreign(entry)) {
        let at = faults.keep(parse_entry(entry).map_err(|text| conf.fault(entry, text)));
        if let (Some(at), Some(app)) = (at, faults.keep(apps.app(entry))) {
            faults.keep(map.add(at, app).map_err(|text| conf.fault(entry, text)));
        }
    }
    faults.if_none(|| app(map))
}

impl UrlMap {
    fn add(&mut self, at: Address, app: App) -> Result<(), String> {
        if self.mounts.iter().any(|mount| mount.at == at) {
            return Err("another app is mounted there".to_owned());
        }
        self.mounts.push(Mount { at, app });
        // With host and port, then with a host only, then for all hosts; of each, longer paths first.
        let rank = |at: &Address| (at.port.is_none(), at.host.is_none(), Reverse(at.path.len()));
        self.mounts.sort_by_key(|mount| rank(&mount.at));
        Ok(())
    }

    fn find(&self, host: &str, port: Option<u16>, path: &str) -> Option<&Mount> {
        self.mounts.iter().find(|Mount { at, .. }| {
            let here = at.host.as_ref().is_none_or(|wanted| wanted == host) && (at.port.is_none() || at.port == port);
            here && path.strip_prefix(&at.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// `/path`, or `domain example.com [port 8080] [/path]`.
fn parse_entry(entry: &str) -> Result<Address, String> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let (host, port, path) = match words[..] {
        ["domain", host] => (Some(host), None, "/"),
        ["domain", host, "port", port] => (Some(host), Some(port), "/"),
        ["domain", host, path] => (Some(host), None, path),
        ["domain", host, "port", port, path] => (Some(host), Some(port), path),
        [path] => (None, None, path),
        _ => (None, None, ""),
    };
    let number = port.map(|port| port.parse::<u16>()).transpose();
    match number {
        Ok(port) if path.starts_with('/') => Ok(Address {
            host: host.map(str::to_ascii_lowercase),
            port,
            path: collapse(path).trim_end_matches('/').to_owned(),
        }),
        _ => Err("expected `/path = app` or `domain HOST [port PORT] /path = app`".to_owned()),
    }
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
        let (host, port) = host_of(&request);
        match self.find(&host, port, &path) {
            Some(Mount { at, app }) => {
                mount(&mut request, &at.path, &path[at.path.len()..]);
                Box::pin(app.clone().oneshot(request))
            }
            None => match &self.not_found {
                Some(app) => Box::pin(app.clone().oneshot(request)),
                None => Box::pin(std::future::ready(Ok(not_found()))),
            },
        }
    }
}

/// The host in lower case and the port, from the URI (HTTP/2) or the Host header. The default port is that of the
/// scheme, and the default scheme is `http`, as in HTTP/1.
fn host_of(request: &Request<Body>) -> (String, Option<u16>) {
    let header = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(authority) = request.uri().authority().or(header.as_ref()) else { return (String::new(), None) };
    let scheme = if request.uri().scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = authority.port().map_or(Some(scheme), |port| port.as_str().parse().ok());
    (authority.host().to_ascii_lowercase(), port)
}

/// Replaces runs of slashes by one, as Paste does.
fn collapse(path: &str) -> String {
    let mut collapsed = String::with_capacity(path.len());
    for part in path.chars() {
        if part != '/' || !collapsed.ends_with('/') {
            collapsed.push(part);
        }
    }
    collapsed
}

/// Moves the prefix from the path to the mount path.
fn mount(request: &mut Request<Body>, prefix: &str, rest: &str) {
    // For a response cache in the app: two apps may have the same paths.
    TargetUri::keep(request);
    let outer = request.extensions_mut().remove::<MountPath>().unwrap_or_default();
    request.extensions_mut().insert(MountPath(outer.0 + prefix));
    set_path(request, rest);
}

/// Sets the path that the app sees; the query stays.
pub(crate) fn set_path(request: &mut Request<Body>, rest: &str) {
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A part of a valid path that starts with a slash is valid. If it does not, the app sees the whole path.
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
