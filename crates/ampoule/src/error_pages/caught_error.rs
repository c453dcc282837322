//! An error or panic of a handler, with its location and backtrace.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use ampoule_core::Error;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

/// Whether backtraces are captured, which is slow: enabled by an error handler with debug.
static CAPTURES_BACKTRACES: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Where the current panic of this thread is.
    static LAST_PANIC: RefCell<Option<PanicSite>> = const { RefCell::new(None) };
}

#[derive(Clone, Default)]
struct PanicSite {
    location: String,
    backtrace: Option<Arc<Backtrace>>,
}

/// An error or a panic. It is passed in the extensions of its response to the layer that creates a page from it.
#[derive(Clone)]
pub(super) struct CaughtError {
    /// `error` or `panic`.
    pub(super) kind: &'static str,
    /// The message and those of its causes, one per line.
    pub(super) message: String,
    site: PanicSite,
}

impl CaughtError {
    pub(super) fn of_panic(payload: &(dyn Any + Send)) -> CaughtError {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let site = LAST_PANIC.with(RefCell::take).unwrap_or_default();
        CaughtError { kind: "panic", message: message.unwrap_or_else(|| "a panic without a text".to_owned()), site }
    }

    pub(super) fn of_error(error: &(dyn std::error::Error + 'static)) -> CaughtError {
        let causes = std::iter::successors(error.source(), |error| error.source());
        let mut message = error.to_string();
        for cause in causes.map(ToString::to_string) {
            // Many errors include their cause's message.
            if !message.ends_with(&cause) {
                message.push_str("\nbecause: ");
                message.push_str(&cause);
            }
        }
        CaughtError { kind: "error", message, site: PanicSite { location: String::new(), backtrace: backtrace() } }
    }

    /// File and line, if they are known.
    pub(super) fn location(&self) -> &str {
        &self.site.location
    }

    /// The backtrace without the frames of the panic itself.
    pub(super) fn backtrace(&self) -> Option<String> {
        let text = self.site.backtrace.as_ref()?.to_string();
        let own = text.find("rust_begin_unwind").and_then(|start| Some(start + text[start..].find('\n')? + 1));
        Some(text[own.unwrap_or(0)..].to_owned())
    }
}

fn backtrace() -> Option<Arc<Backtrace>> {
    CAPTURES_BACKTRACES.load(Ordering::Relaxed).then(|| Arc::new(Backtrace::force_capture()))
}

/// Adds a panic hook that records where a panic is; the previous hook still runs.
pub(super) fn watch_panics(in_detail: bool) {
    static ONCE: Once = Once::new();
    if in_detail {
        CAPTURES_BACKTRACES.store(true, Ordering::Relaxed);
    }
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(PanicSite { location, backtrace: backtrace() }));
            previous(panic);
        }));
    });
}

/// Any error as a handler's response: a 500 that shows the client no details, while an
/// [`ErrorHandler`](super::ErrorHandler) gets all. An [`Error`] of the session keeps its own response: a 503 while the
/// store is down, a 403 if a login is missing.
///
/// ```
/// use ampoule::ServerError;
///
/// async fn report() -> Result<String, ServerError> {
///     Ok(std::fs::read_to_string("/srv/report.txt")?)
/// }
/// ```
pub struct ServerError(Cause);

enum Cause {
    Session(Error),
    Other(CaughtError),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for ServerError {
    fn from(error: E) -> ServerError {
        let cause = match error.into().downcast::<Error>() {
            Ok(error) => Cause::Session(*error),
            Err(other) => Cause::Other(CaughtError::of_error(&*other)),
        };
        ServerError(cause)
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Session(error) => write!(f, "ServerError: {}", error.report()),
            Cause::Other(caught) => write!(f, "ServerError: {}", caught.message),
        }
    }
}

impl IntoResponse for ServerError {
    fn into_response(self) -> Response {
        let caught = match self.0 {
            Cause::Session(error) => return error.into_response(),
            Cause::Other(caught) => caught,
        };
        let mut response = (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here.\n").into_response();
        response.extensions_mut().insert(caught);
        response
    }
}
