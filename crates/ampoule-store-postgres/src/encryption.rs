//! What encrypts a connection: rustls with the feature `tls`, else nothing that could be made.

use ampoule_core::Error;
use ampoule_core::internal::tls::{self, TlsFiles, TlsMode};

#[cfg(feature = "tls")]
pub(crate) type Encryption = tokio_postgres_rustls::MakeRustlsConnect;

/// A type of the same kind.
#[cfg(not(feature = "tls"))]
pub(crate) type Encryption = tokio_postgres::NoTls;

#[cfg(feature = "tls")]
pub(crate) fn new(mode: TlsMode, files: &TlsFiles) -> Result<Encryption, Error> {
    tls::client_config(mode, files).map(Encryption::new)
}

#[cfg(not(feature = "tls"))]
pub(crate) fn new(_: TlsMode, _: &TlsFiles) -> Result<Encryption, Error> {
    tls::check_provider().map(|()| tokio_postgres::NoTls)
}
