//! `CacheLayer`: places the caches into each request.

use std::task::{Context, Poll};

use ampoule_cache::CacheManager;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::response::TargetUri;

/// Places a [`CacheManager`] into each request, which handlers take as an extractor. In Pylons it was
/// `environ['beaker.cache']`.
///
/// ```
/// use ampoule::cache::{Backend, CacheLayer, CacheManager, CacheOptions};
/// use axum::{Router, routing::get};
///
/// async fn handler(caches: CacheManager) -> String {
///     caches.cache::<String>("greetings").get_or_insert_with("you", || async { "hello".to_owned() }).await
/// }
///
/// # fn main() -> Result<(), ampoule::Error> {
/// let manager = CacheManager::new(Backend::memory(&Default::default()), CacheOptions::default())?;
/// let app: Router = Router::new().route("/", get(handler)).layer(CacheLayer::new(manager));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CacheLayer(CacheManager);

impl CacheLayer {
    /// Creates a layer that places this manager.
    pub fn new(manager: CacheManager) -> CacheLayer {
        CacheLayer(manager)
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { manager: self.0.clone(), inner }
    }
}

/// A service whose requests have a [`CacheManager`] in their extensions. Created by [`CacheLayer`].
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    manager: CacheManager,
    inner: S,
}

impl<S, B> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // For a response cache further in: layers between may rewrite the URI.
        TargetUri::keep(&mut request);
        request.extensions_mut().insert(self.manager.clone());
        self.inner.call(request)
    }
}
