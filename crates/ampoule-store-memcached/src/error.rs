//! Errors that do not come from a server.

use ampoule_core::{Error, ErrorKind};

pub(crate) fn no_random(cause: getrandom::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").because(cause.to_string())
}
