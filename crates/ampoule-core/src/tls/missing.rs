//! What stands in the place of TLS in a program that was built without it.

use std::error::Error as StdError;

use super::settings::TlsFiles;
use crate::error::{Error, ErrorKind};

impl TlsFiles {
    /// Fails if any is set: a program without TLS cannot use them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the features that bring TLS.
    pub fn check(&self) -> Result<(), Error> {
        self.check_pair()?;
        if *self == TlsFiles::default() { Ok(()) } else { check_provider() }
    }
}

/// No program without TLS has a provider for it.
///
/// # Errors
/// [`ErrorKind::Config`], always, with the features that bring TLS.
pub fn check_provider() -> Result<(), Error> {
    let message = "this program was built without TLS, and the URL or an option of the store asks for it: build it with \
                   the cargo feature `tls-ring` or `tls-aws-lc-rs` of ampoule (the command `ampoule`: with `--features \
                   all-stores`)";
    Err(Error::new(ErrorKind::Config, message))
}

/// Gives nothing.
pub fn ensure_provider() {}

/// No error is of a handshake.
pub fn explain(_: &(dyn StdError + 'static)) -> Option<String> {
    None
}
