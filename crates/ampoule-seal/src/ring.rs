//! The key ring: secrets in their order.

use std::fmt;

use crate::sealer::Sealer;
use crate::secret::Secret;
use crate::signer::Signer;
use crate::subkey::{Subkey, subkey};

/// One or more secrets. The first signs and seals, all verify and open: to rotate, put a new one before the old, and
/// remove the old when what it made has expired.
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
/// assert!(!verified.current, "to be signed again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Vec<Secret>);

/// There is no secret on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyRing;

impl KeyRing {
    /// The ring of these secrets.
    ///
    /// # Errors
    /// [`EmptyRing`] if there are none.
    pub fn new(secrets: Vec<Secret>) -> Result<KeyRing, EmptyRing> {
        if secrets.is_empty() { Err(EmptyRing) } else { Ok(KeyRing(secrets)) }
    }

    /// What signs credentials for this purpose, and for no other.
    pub fn signer(&self, purpose: &str) -> Signer {
        Signer::new(&self.subkeys("sign", purpose))
    }

    /// What seals content for this purpose, and for no other.
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
