//! The TLS settings of a URL and of options.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind};
use crate::non_exhaustive::NonExhaustive;

/// Whether a connection is encrypted, and how far the server's certificate is verified: `sslmode`, as in libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Not encrypted.
    Disable,
    /// Encrypted if the server offers it; nothing is verified.
    Prefer,
    /// Encrypted; nothing is verified, unless a CA is set.
    Require,
    /// Encrypted, and a trusted CA has signed the certificate.
    VerifyCa,
    /// Encrypted, and a trusted CA has signed the certificate for this host.
    VerifyFull,
}

/// Files in PEM for a connection by TLS, each optional.
///
/// ```
/// use ampoule_core::TlsFiles;
///
/// let tls = TlsFiles { ca: Some("ca.pem".into()), ..TlsFiles::default() };
/// ```
///
/// End a literal with `..TlsFiles::default()`: a later version may add files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the trusted CAs. Default: those of the system, and for MySQL those of Mozilla's list.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, followed by those between it and its CA.
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key: Option<PathBuf>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for TlsFiles {
    fn default() -> TlsFiles {
        TlsFiles { ca: None, cert: None, key: None, __non_exhaustive: NonExhaustive::NEW }
    }
}

/// The names of the client's certificate and its key.
pub(super) const CERT_NAMES: &str = "TlsFiles::cert and key; tls_cert_file and tls_key_file in settings and in the URL of \
                                     Redis, sslcert and sslkey in that of a database";

impl TlsMode {
    /// Parses the words of libpq and of MySQL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], which lists the words.
    pub fn parse(word: &str) -> Result<TlsMode, Error> {
        match word.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Ok(TlsMode::Disable),
            "prefer" | "preferred" => Ok(TlsMode::Prefer),
            "require" | "required" => Ok(TlsMode::Require),
            "verify-ca" => Ok(TlsMode::VerifyCa),
            "verify-full" | "verify-identity" => Ok(TlsMode::VerifyFull),
            _ => {
                let message = "unknown sslmode in the URL: expected disable, prefer, require, verify-ca or verify-full";
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }
}

impl TlsFiles {
    /// Checks that a certificate has its key.
    pub(super) fn check_pair(&self) -> Result<(), Error> {
        if self.cert.is_some() == self.key.is_some() {
            return Ok(());
        }
        let message = format!(
            "a client's certificate requires its key, and the key its certificate: set both files ({CERT_NAMES})"
        );
        Err(Error::new(ErrorKind::Config, message))
    }
}
