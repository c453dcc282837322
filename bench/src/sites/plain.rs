//! The routes without sessions.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;

use super::{FILL, TEXT};

pub fn bare() -> Router {
    let paths = ["/untouched", "/read", "/write", "/new"].into_iter().chain(FILL.map(|(path, _)| path));
    paths.fold(Router::new(), |routes, path| routes.route(path, get(|| async { TEXT })))
}

pub fn floor() -> Router {
    let paths = ["/read", "/write", "/new"].into_iter().chain(FILL.map(|(path, _)| path));
    let routes = Router::new().route("/untouched", get(|| async { TEXT }));
    let routes = paths.fold(routes, |routes, path| routes.route(path, get(|_: Extension<Handle>| async { TEXT })));
    routes.layer(tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().insert(Handle(Arc::new(())));
        request
    }))
}

/// What the floor's layer hands to its handlers.
#[derive(Clone)]
struct Handle(#[allow(dead_code, reason = "it is held, as a session would be")] Arc<()>);
