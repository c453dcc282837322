//! The routes without sessions.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;

use super::{FILL_ROUTES, TEXT};

pub fn bare() -> Router {
    let paths = ["/untouched", "/read", "/write", "/new"].into_iter().chain(FILL_ROUTES.map(|(path, _)| path));
    paths.fold(Router::new(), |routes, path| routes.route(path, get(|| async { TEXT })))
}

pub fn minimal_layer() -> Router {
    let paths = ["/read", "/write", "/new"].into_iter().chain(FILL_ROUTES.map(|(path, _)| path));
    let routes = Router::new().route("/untouched", get(|| async { TEXT }));
    let routes = paths.fold(routes, |routes, path| routes.route(path, get(|_: Extension<Handle>| async { TEXT })));
    routes.layer(tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().insert(Handle(Arc::new(())));
        request
    }))
}

/// The value that the minimal layer passes to its handlers.
#[derive(Clone)]
struct Handle(#[allow(dead_code, reason = "a session would be held in the same way")] Arc<()>);
