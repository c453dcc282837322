//! A secret: bytes that sign and seal, and that are never printed.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::text;
use crate::weakness::{self, Weakness};

/// What signs and seals. Wiped from memory when it is dropped, and never printed.
///
/// Text counts as its UTF-8 bytes, as in Beaker: there is no decoding to get wrong.
///
/// ```
/// use ampoule_seal::{Secret, Weakness};
///
/// assert_eq!(Secret::new("somesecret").unwrap_err(), Weakness::Short { bytes: 10 });
/// let fresh = Secret::generate();
/// assert_eq!(fresh.len(), 43);
/// assert_eq!(format!("{:?}", Secret::new(fresh.as_str())), "Ok(Secret(..))");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A secret that is good enough to guard logins: 32 bytes or more that look random.
    ///
    /// It is refused if it stands in documentation, consists of words, counts or repeats itself; and if it has white
    /// space, quotes around it, control characters or a byte order mark, which are signs of a mistake in a file. What a
    /// generator writes in base64, base64url, hexadecimal or decimal digits passes, and so do random bytes. Passing does
    /// not prove that a secret is random: words without anything between them cannot be told from random letters.
    ///
    /// # Errors
    /// Its [`Weakness`], which says what to do.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Secret, Weakness> {
        match weakness::find(bytes.as_ref()) {
            None => Ok(Secret(Zeroizing::new(bytes.as_ref().to_vec()))),
            Some(weakness) => Err(weakness),
        }
    }

    /// A secret that may be weak, for a developer's own machine; `None` if it is empty. An attacker who guesses it makes
    /// cookies that we believe.
    pub fn insecure_weak(bytes: impl AsRef<[u8]>) -> Option<Secret> {
        let bytes = bytes.as_ref();
        (!bytes.is_empty()).then(|| Secret(Zeroizing::new(bytes.to_vec())))
    }

    /// Text for a fresh secret: 256 bits of the operating system's generator as 43 characters of base64url.
    ///
    /// # Panics
    /// If the operating system gives no random bytes. Nothing can be secret then.
    pub fn generate() -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).expect("the operating system gives random bytes");
        Zeroizing::new(text::encode(bytes.as_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    /// In constant time, but for the length.
    fn eq(&self, other: &Secret) -> bool {
        self.bytes().ct_eq(other.bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
