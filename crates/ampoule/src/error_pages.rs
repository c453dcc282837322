//! Pages for statuses, panics and errors: Pylons' `StatusCodeRedirect` and `ErrorHandler`, and the order of all layers.

mod caught_error;
mod error_handler;
mod frames;
mod stack;
mod status_code_redirect;
mod subrequest;

pub use self::caught_error::ServerError;
pub use self::error_handler::{ErrorHandler, ErrorHandlerService};
pub use self::stack::Stack;
pub use self::status_code_redirect::{FailedRequest, StatusCodeRedirect, StatusCodeRedirectService};
