//! The replacement of TLS in a program that was built without it.

use std::error::Error as StdError;

use super::settings::TlsFiles;
use crate::error::{Error, ErrorKind};

impl TlsFiles {
    /// Returns an error if any file is set: a program without TLS cannot use them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], which names the features that bring TLS.
    pub fn check(&self) -> Result<(), Error> {
        self.check_pair()?;
        if *self == TlsFiles::default() { Ok(()) } else { check_provider() }
    }
}

/// Returns an error: a program without TLS has no provider.
///
/// # Errors
/// Always [`ErrorKind::Config`], which names the features that bring TLS.
pub fn check_provider() -> Result<(), Error> {
    let message = "this program was built without TLS, and the URL or an option of the store asks for it: build it with \
                   the cargo feature `tls-ring` or `tls-aws-lc-rs` of ampoule (the command `ampoule`: with `--features \
                   all-stores`)";
    Err(Error::new(ErrorKind::Config, message))
}

/// Does nothing.
pub fn ensure_provider() {}

/// Returns `None`: no error comes from a handshake.
pub fn explain(_: &(dyn StdError + 'static)) -> Option<String> {
    None
}
