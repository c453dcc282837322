//! Secure forms: a token in the session, which pages of this site can read and pages of other sites cannot.

#[cfg(feature = "forms")]
mod body;
#[cfg(feature = "forms")]
mod extract;
mod html;
#[cfg(feature = "forms")]
mod layer;
#[cfg(feature = "forms")]
mod rejection;
mod token;

#[cfg(feature = "forms")]
pub use self::extract::AuthenticateForm;
pub use self::html::SafeHtml;
#[cfg(feature = "error-pages")]
pub(crate) use self::html::escape;
#[cfg(feature = "forms")]
pub use self::layer::{CsrfLayer, CsrfService};
#[cfg(feature = "forms")]
pub use self::rejection::CsrfRejection;
pub use self::token::CsrfToken;
