//! The driver's TLS options.

use ampoule_core::internal::tls::{TlsFiles, TlsMode};
use mysql_async::SslOpts;

#[cfg(feature = "tls")]
pub(crate) fn ssl_opts(mode: TlsMode, files: TlsFiles) -> SslOpts {
    use mysql_async::ClientIdentity;

    let identity = files.cert.zip(files.key).map(|(cert, key)| ClientIdentity::new(cert.into(), key.into()));
    SslOpts::default()
        .with_disable_built_in_roots(files.ca.is_some())
        .with_root_certs(files.ca.into_iter().map(Into::into).collect())
        .with_client_identity(identity)
        .with_danger_accept_invalid_certs(mode == TlsMode::Require)
}

/// Never called: without the feature every mode that requires TLS is an error before.
#[cfg(not(feature = "tls"))]
pub(crate) fn ssl_opts(_: TlsMode, _: TlsFiles) -> SslOpts {
    SslOpts::default()
}
