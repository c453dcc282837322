//! The layer as a tower service: a thin adapter of `begin` and `finish`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ampoule_core::{Bytes, Error};
use axum_core::BoxError;
use axum_core::body::Body;
use http::header::SET_COOKIE;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::http::error_response::error_response;
use crate::layer::SessionLayer;
use crate::session::Session;
use crate::session::touch_probe::TouchProbe;

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { layer: self.clone(), inner }
    }
}

/// A service whose requests have a [`Session`] in their extensions. Created by [`SessionLayer`].
///
/// The inner service may have any body; the response has axum's, so that an error of the session can replace it.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    layer: SessionLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let outer = request.extensions_mut().remove::<Session>();
        let (shared, is_of_client) = (Arc::clone(&self.layer.0), is_of_client(&request));
        let probe = TouchProbe::of(request.extensions());
        let session = Session::begin(shared, request.headers(), Some(request.uri()), outer, is_of_client, probe);
        if let Err(error) = session.check_cookie() {
            log(&session, &error, "a request was refused: it passed two session layers with one cookie");
            return SessionFuture { state: State::Refused { response: Some(error_response(&error)) } };
        }
        request.extensions_mut().insert(session.clone());
        SessionFuture { state: State::Handling { inner: self.inner.call(request), session } }
    }
}

pin_project! {
    /// The response of a [`SessionService`].
    pub struct SessionFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<F> {
        Handling { #[pin] inner: F, session: Session },
        Finishing { finish: Pin<Box<dyn Future<Output = Response<Body>> + Send>> },
        Refused { response: Option<Response<Body>> },
    }
}

impl<F, R, E> Future for SessionFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProject::Handling { inner, session } => {
                    // A body that is axum's already, as a router's is, is not boxed again.
                    let mut response = ready!(inner.poll(cx))?.map(Body::new);
                    // Most requests end here: an untouched session, or one that was only read, needs no future.
                    if !session.is_touched() || finish_now(session, &mut response) {
                        return Poll::Ready(Ok(response));
                    }
                    let finish = Box::pin(finish(session.clone(), response));
                    state.set(State::Finishing { finish });
                }
                StateProject::Finishing { finish } => return finish.as_mut().poll(cx).map(Ok),
                StateProject::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("the future was polled after completion")));
                }
            }
        }
    }
}

/// Whether the client sent the request, as opposed to an error page's second request.
#[cfg(feature = "error-pages")]
fn is_of_client<B>(request: &Request<B>) -> bool {
    request.extensions().get::<crate::error_pages::FailedRequest>().is_none()
}

#[cfg(not(feature = "error-pages"))]
fn is_of_client<B>(_: &Request<B>) -> bool {
    true
}

/// Completes the response if it needs no store call, and returns whether it did.
fn finish_now(session: &Session, response: &mut Response<Body>) -> bool {
    let failed = response.extensions().get::<Arc<Error>>().is_some();
    !failed && session.finish_now(response.headers_mut()).is_some_and(|done| done.is_ok())
}

async fn finish(session: Session, mut response: Response<Body>) -> Response<Body> {
    let status = response.status();
    if let Some(error) = response.extensions().get::<Arc<Error>>() {
        log(&session, error, "a handler answered with an error of its session");
    }
    match session.finish(status, response.headers_mut()).await {
        Ok(()) => response,
        Err(error) => {
            log(&session, &error, "the session could not be brought up to date; the response is replaced");
            let mut replaced = error_response(&error);
            // They tell the client what was done before the error, such as a login.
            let cookies = response.headers().get_all(SET_COOKIE).iter();
            replaced.headers_mut().extend(cookies.map(|cookie| (SET_COOKIE, cookie.clone())));
            replaced
        }
    }
}

/// Logs an error. One that the client caused, such as a page that requires a login, is not the server's fault.
fn log(session: &Session, error: &Error, what: &str) {
    match error.kind().for_client() {
        (400..500, _) => tracing::info!(?session, error = %error.report(), "{what}"),
        _ => tracing::error!(?session, error = %error.report(), "{what}"),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ampoule_core::MemoryStore;
    use ampoule_seal::Secret;
    use futures_util::FutureExt;
    use http::{HeaderMap, StatusCode};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::http::cookies::steps;
    use crate::http::transport::Transport;
    use crate::options::Options;

    /// The cookie and the token of a session with a value.
    async fn saved(layer: &SessionLayer) -> (String, String) {
        let (session, mut headers) = (layer.begin(&HeaderMap::new()), HeaderMap::new());
        session.insert("a", 1).unwrap();
        session.save().await.unwrap();
        layer.finish(&session, StatusCode::OK, &mut headers).await.unwrap();
        let cookie = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        (cookie.to_owned(), cookie.split_once('=').unwrap().1.to_owned())
    }

    /// The bytes of the request's tokens that are searched for, decrypted or verified, if its handler reads the
    /// session, or does not.
    fn steps(layer: &SessionLayer, header: &(&str, String), reads: bool) -> usize {
        let handler = service_fn(move |request: Request<()>| async move {
            if reads {
                let session = request.extensions().get::<Session>().unwrap();
                assert_eq!(session.get::<i32>("a").await.unwrap(), Some(1));
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let request = Request::builder().header(header.0, &header.1).body(()).unwrap();
        let answer = layer.layer(handler).oneshot(request);
        steps::of(|| assert_eq!(answer.now_or_never().unwrap().unwrap().status(), StatusCode::OK))
    }

    #[tokio::test]
    async fn p4_an_untouched_session_verifies_no_token() {
        let options = || Options { secrets: vec![Secret::new(Secret::generate()).unwrap()], ..Options::default() };
        let transports = vec![Transport::Cookie, Transport::Bearer];
        let in_store = Options { transports, ..options() };
        let in_store = SessionLayer::new(MemoryStore::default(), in_store).unwrap();
        let in_cookie = SessionLayer::in_cookie(options()).unwrap();
        let (cookie, token) = saved(&in_store).await;
        let (sealed, _) = saved(&in_cookie).await;
        for (layer, header) in [
            (&in_store, ("cookie", cookie)),
            (&in_store, ("authorization", format!("Bearer {token}"))),
            (&in_cookie, ("cookie", sealed)),
        ] {
            assert_eq!(steps(layer, &header, false), 0, "{layer:?} {header:?}");
            assert!(steps(layer, &header, true) >= token.len(), "{layer:?} {header:?}");
        }
    }
}
