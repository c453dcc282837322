//! What a URL and the options say of TLS.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// Whether a connection is encrypted, and what of the server's certificate is verified: `sslmode`, as libpq means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Not encrypted.
    Disable,
    /// Encrypted if the server offers it; nothing is verified.
    Prefer,
    /// Encrypted; nothing is verified, unless a CA is given.
    Require,
    /// Encrypted, and the certificate was signed by a CA that is trusted.
    VerifyCa,
    /// Encrypted, and the certificate was signed by a CA that is trusted, for this host.
    VerifyFull,
}

/// Files in PEM, each optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the CAs that are trusted, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, and those between it and its CA.
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key: Option<PathBuf>,
}

impl TlsMode {
    /// Reads the words of libpq and of MySQL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the words that there are.
    pub fn parse(word: &str) -> Result<TlsMode, Error> {
        match word.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Ok(TlsMode::Disable),
            "prefer" | "preferred" => Ok(TlsMode::Prefer),
            "require" | "required" => Ok(TlsMode::Require),
            "verify-ca" => Ok(TlsMode::VerifyCa),
            "verify-full" | "verify-identity" => Ok(TlsMode::VerifyFull),
            _ => {
                let message =
                    "unknown TLS mode in the URL: expected disable, prefer, require, verify-ca or verify-full";
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
        let message = "a client's certificate needs its key, and a key its certificate: give both files";
        Err(Error::new(ErrorKind::Config, message))
    }
}
