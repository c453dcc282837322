//! Secrets, from which the keys for signing and sealing are derived.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::text;
use crate::weakness::{self, Weakness};

/// A secret, from which the keys for signing and sealing are derived. It is wiped from memory when it is dropped, and
/// never printed.
///
/// The secret of a text is its UTF-8 bytes, as in Beaker; nothing is decoded.
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
    /// Creates a secret that is strong enough to protect logins: at least 32 bytes that look random.
    ///
    /// A secret is refused if it is known from documentation, consists of words, counts or repeats itself. It is
    /// refused too if it contains white space, surrounding quotes, control characters or a byte order mark, which
    /// indicate a mistake in a file. Random bytes pass, and so does the output of generators in base64, base64url,
    /// hexadecimal or decimal digits. Passing does not prove that a secret is random: words in mixed case and without
    /// separators pass too.
    ///
    /// ```
    /// use ampoule_seal::{Secret, Weakness};
    ///
    /// let generated = Secret::generate();
    /// assert!(Secret::new(generated.as_str()).is_ok());
    /// assert_eq!(Secret::new("a password with several words in it").unwrap_err(), Weakness::Known);
    /// assert_eq!(Secret::new("0123456789abcdefghijklmnopqrstuv").unwrap_err(), Weakness::Sequence);
    /// ```
    ///
    /// # Errors
    /// Its [`Weakness`], which says what to do.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Secret, Weakness> {
        match weakness::find(bytes.as_ref()) {
            None => Ok(Secret(Zeroizing::new(bytes.as_ref().to_vec()))),
            Some(weakness) => Err(weakness),
        }
    }

    /// Creates a secret that may be weak, for a developer's own machine; `None` if it is empty. An attacker who guesses
    /// it can forge cookies.
    ///
    /// ```
    /// use ampoule_seal::Secret;
    ///
    /// assert!(Secret::insecure_weak("development").is_some());
    /// assert!(Secret::insecure_weak("").is_none());
    /// ```
    pub fn insecure_weak(bytes: impl AsRef<[u8]>) -> Option<Secret> {
        let bytes = bytes.as_ref();
        (!bytes.is_empty()).then(|| Secret(Zeroizing::new(bytes.to_vec())))
    }

    /// Generates the text of a new secret: 256 random bits of the operating system, as 43 characters of base64url.
    ///
    /// ```
    /// use ampoule_seal::Secret;
    ///
    /// let text = Secret::generate();
    /// assert_eq!(text.len(), 43);
    /// assert_ne!(text, Secret::generate());
    /// ```
    ///
    /// # Panics
    /// If the operating system provides no random bytes, since nothing can be secret then.
    pub fn generate() -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).expect("the operating system provides random bytes");
        Zeroizing::new(text::encode(bytes.as_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Compares in constant time if the lengths are equal.
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
