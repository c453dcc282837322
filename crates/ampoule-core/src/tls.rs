//! TLS for the drivers of stores: what `sslmode` means, whom to trust, and what an error of a handshake asks for.
//!
//! What a URL or an option says of TLS is read with or without the feature `tls`; without it, what asks for TLS is an error
//! that names the features to build with.

#[cfg(feature = "tls")]
mod client;
#[cfg(not(feature = "tls"))]
mod missing;
mod settings;

#[cfg(feature = "tls")]
pub use self::client::{check_provider, client_config, ensure_provider, explain};
#[cfg(not(feature = "tls"))]
pub use self::missing::{check_provider, ensure_provider, explain};
pub use self::settings::{TlsFiles, TlsMode};
