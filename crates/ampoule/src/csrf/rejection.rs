//! The rejection of a request, as a text for the user who sent it.

use std::fmt;

use ampoule_core::Error;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use crate::axum::MissingLayer;

/// Why a request was rejected. As a response it tells the user the reason and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum CsrfRejection {
    /// The request has no token: 403.
    Missing,
    /// The token is not this session's: 403.
    Wrong,
    /// `Sec-Fetch-Site` or `Origin` says that a page of another site made the request: 403.
    CrossOrigin,
    /// The form is longer than [`max_body`](crate::CsrfLayer::max_body) allows (of a multipart form, the part up to the
    /// token's field): 413.
    TooLarge,
    /// The body does not match its `Content-Type`: 400.
    Malformed,
    /// No session layer is around the route: 500.
    NoSession(MissingLayer),
    /// The session could not be loaded.
    Session(Error),
}

impl CsrfRejection {
    fn status(&self) -> StatusCode {
        match self {
            CsrfRejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            CsrfRejection::Malformed => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Display for CsrfRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = "Go back, reload the page, and send the form again.";
        match self {
            CsrfRejection::Missing => write!(
                f,
                "This request was refused: nothing shows that it comes from a page of this site, since it has no token \
                 in the field {} or the header X-CSRF-Token. {again}",
                super::token::TOKEN
            ),
            CsrfRejection::Wrong => write!(
                f,
                "This request was refused: its token belongs to another session, or to one that has ended. {again}"
            ),
            CsrfRejection::CrossOrigin => f.write_str(
                "This request was refused: a page of another site made it. Open this site itself, and try there.",
            ),
            CsrfRejection::TooLarge => f.write_str(
                "This request was refused: it is too long to be searched for its token. Send the token in the header \
                 X-CSRF-Token, or put the hidden field first in a form of the type multipart/form-data.",
            ),
            CsrfRejection::Malformed => {
                f.write_str("This request was refused: its body is not what its Content-Type says.")
            }
            CsrfRejection::NoSession(error) => error.fmt(f),
            CsrfRejection::Session(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CsrfRejection {
    /// `Display` shows the session's error, so the next error in the chain is that one's source.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CsrfRejection::Session(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for CsrfRejection {
    fn from(error: Error) -> CsrfRejection {
        CsrfRejection::Session(error)
    }
}

impl IntoResponse for CsrfRejection {
    fn into_response(self) -> Response {
        match self {
            CsrfRejection::NoSession(error) => error.into_response(),
            CsrfRejection::Session(error) => error.into_response(),
            refused => {
                tracing::warn!(reason = ?refused, "a possibly forged request was refused");
                (refused.status(), format!("{refused}\n")).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use ampoule_core::ErrorKind;

    use super::*;

    #[test]
    fn the_chain_prints_each_error_once() {
        let inner = Error::new(ErrorKind::Unavailable, "the store cannot be reached").because("connection refused");
        let rejection = CsrfRejection::from(inner);
        assert_eq!(rejection.to_string(), "the store cannot be reached");
        assert_eq!(rejection.source().map(ToString::to_string).as_deref(), Some("connection refused"));
    }
}
