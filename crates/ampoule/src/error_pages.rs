//! Pages in place of bare statuses, panics and errors: Pylons' `StatusCodeRedirect` and `ErrorHandler`, and the order in
//! which layers stand.

mod caught;
mod error_handler;
mod following;
mod frames;
mod stack;
mod status_code_redirect;

pub use self::caught::ServerError;
pub use self::error_handler::{ErrorHandler, ErrorHandlerService};
pub use self::stack::Stack;
pub use self::status_code_redirect::{FailedRequest, StatusCodeRedirect, StatusCodeRedirectService};
