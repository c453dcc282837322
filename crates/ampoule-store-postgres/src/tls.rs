//! The TLS connector: rustls with the feature `tls`, otherwise a placeholder.

use ampoule_core::Error;
use ampoule_core::internal::tls::{self, TlsFiles, TlsMode};

#[cfg(feature = "tls")]
pub(crate) type TlsConnector = tokio_postgres_rustls::MakeRustlsConnect;

/// A placeholder, which [`connector`] never returns.
#[cfg(not(feature = "tls"))]
pub(crate) type TlsConnector = tokio_postgres::NoTls;

#[cfg(feature = "tls")]
pub(crate) fn connector(mode: TlsMode, files: &TlsFiles) -> Result<TlsConnector, Error> {
    tls::client_config(mode, files).map(TlsConnector::new)
}

/// Returns the error that names the missing feature.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(_: TlsMode, _: &TlsFiles) -> Result<TlsConnector, Error> {
    tls::check_provider().map(|()| tokio_postgres::NoTls)
}
