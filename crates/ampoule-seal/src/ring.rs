//! The key ring: secrets in order of preference.

use std::fmt;

use crate::sealer::Sealer;
use crate::secret::Secret;
use crate::signer::Signer;
use crate::subkey::{Subkey, subkey};

/// One or more secrets. The first signs and seals; all of them verify and open. To rotate, put a new secret before the
/// old one, and remove the old one when everything that it signed or sealed has expired.
///
/// ```
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let (old, new) = (Secret::new(Secret::generate().as_str())?, Secret::new(Secret::generate().as_str())?);
/// let before = KeyRing::new(vec![old.clone()])?.signer("session token");
/// let after = KeyRing::new(vec![new, old])?.signer("session token");
///
/// let token = before.sign(&ampoule_seal::Credential::random());
/// let verified = after.verify(token.as_bytes()).expect("the old secret still verifies");
/// assert!(!verified.current, "the token should be signed again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Vec<Secret>);

/// The error for a [`KeyRing`] without secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyRing;

impl KeyRing {
    /// Creates a ring of these secrets, the current one first.
    ///
    /// # Errors
    /// [`EmptyRing`] without a secret.
    pub fn new(secrets: Vec<Secret>) -> Result<KeyRing, EmptyRing> {
        if secrets.is_empty() { Err(EmptyRing) } else { Ok(KeyRing(secrets)) }
    }

    /// Returns a signer for this purpose. Signers for other purposes do not accept its tokens.
    ///
    /// ```
    /// use ampoule_seal::{Credential, KeyRing, Secret};
    ///
    /// # let secret = Secret::new(Secret::generate().as_str())?;
    /// let ring = KeyRing::new(vec![secret])?;
    /// let token = ring.signer("session token").sign(&Credential::random());
    /// assert!(ring.signer("session token").verify(token.as_bytes()).is_some());
    /// assert!(ring.signer("remember me").verify(token.as_bytes()).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn signer(&self, purpose: &str) -> Signer {
        Signer::new(&self.subkeys("sign", purpose))
    }

    /// Returns a sealer for this purpose. Sealers for other purposes do not open its envelopes.
    ///
    /// ```
    /// use ampoule_seal::{KeyRing, Secret};
    ///
    /// # let secret = Secret::new(Secret::generate().as_str())?;
    /// let ring = KeyRing::new(vec![secret])?;
    /// let envelope = ring.sealer("session cookie").seal(b"cart: 7", b"");
    /// assert!(ring.sealer("session cookie").open(&envelope, b"").is_some());
    /// assert!(ring.sealer("flash cookie").open(&envelope, b"").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sealer(&self, purpose: &str) -> Sealer {
        Sealer::new(&self.subkeys("seal", purpose))
    }

    fn subkeys(&self, kind: &str, purpose: &str) -> Vec<Subkey> {
        self.0.iter().map(|secret| subkey(secret, kind, purpose)).collect()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} secrets)", self.0.len())
    }
}

impl fmt::Display for EmptyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no secret; `ampoule make-config` writes an ini file with a good one")
    }
}

impl std::error::Error for EmptyRing {}
