//! The files for TLS, in the form that the driver needs.

#[cfg(feature = "tls")]
use std::path::PathBuf;

use ampoule_core::Error;
#[cfg(feature = "tls")]
use ampoule_core::ErrorKind;
use ampoule_core::internal::tls::{TlsFiles, check_provider};
#[cfg(feature = "tls")]
use redis::ClientTlsConfig;
use redis::{Client, ConnectionInfo, RedisError};

#[cfg(feature = "tls")]
pub(crate) type Certificates = redis::TlsCertificates;

/// Has no value, since the feature `tls` is off.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) enum Certificates {}

/// Reads the files; `None` if none is set.
#[cfg(feature = "tls")]
pub(crate) fn read(files: &TlsFiles) -> Result<Option<Certificates>, Error> {
    check_provider()?;
    files.check()?;
    let read = |file: &PathBuf| {
        let unreadable =
            |cause| Error::new(ErrorKind::Config, format!("cannot read {}", file.display())).because(cause);
        std::fs::read(file).map_err(unreadable)
    };
    let root_cert = files.ca.as_ref().map(read).transpose()?;
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        _ => None,
    };
    let is_any_set = root_cert.is_some() || client_tls.is_some();
    Ok(is_any_set.then_some(Certificates { client_tls, root_cert }))
}

#[cfg(not(feature = "tls"))]
pub(crate) fn read(_: &TlsFiles) -> Result<Option<Certificates>, Error> {
    check_provider().map(|()| None)
}

/// Creates a client that uses them.
pub(crate) fn client(info: ConnectionInfo, tls: Certificates) -> Result<Client, RedisError> {
    #[cfg(feature = "tls")]
    return Client::build_with_tls(info, tls);
    #[cfg(not(feature = "tls"))]
    {
        let _ = info;
        match tls {}
    }
}
