//! `Error` as a response, for handlers that return it with `?`.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

use crate::error::Error;

impl IntoResponse for Error {
    /// Returns the status and text of [`ErrorKind::for_client`](crate::ErrorKind::for_client). The response's
    /// extensions contain the error itself, for a layer that logs it.
    fn into_response(self) -> Response {
        let (status, text) = self.kind().for_client();
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/plain; charset=utf-8")
            .header("cache-control", "no-store");
        let response = if self.is_transient() { response.header("retry-after", "1") } else { response };
        let mut response = response.body(Body::from(text)).expect("a status and headers of our own are valid");
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}
