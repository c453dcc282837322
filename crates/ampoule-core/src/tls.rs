//! TLS for the drivers of stores: the meaning of `sslmode`, the trusted certificates, and advice for errors of a
//! handshake.
//!
//! The TLS settings of a URL or of options are parsed with or without the feature `tls`; without it, settings that
//! require TLS return an error that names the features to build with.

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
