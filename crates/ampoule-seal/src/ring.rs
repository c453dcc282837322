//! The key ring: secrets in their order, and the subkeys made of them.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Sealer, Secret, Signer};

/// A subkey: 256 bits for one purpose.
pub(crate) type Subkey = Zeroizing<[u8; 32]>;

/// One or more secrets. The first signs and seals, all verify and open: to rotate, put a new one before the old, and
/// remove the old when what it made has expired.
///
/// ```
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let (old, new) = (Secret::new(Secret::generate().as_str())?, Secret::new(Secret::generate().as_str())?);
/// let before = KeyRing::new(vec![old.clone()])?.signer("session id");
/// let after = KeyRing::new(vec![new, old])?.signer("session id");
///
/// let verified = after.verify(before.sign(&[7; 16]).as_str().as_bytes()).expect("the old secret still verifies");
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

    /// What signs ids for this purpose, and for no other.
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

/// HKDF-SHA-256 (RFC 5869) with the secret as key material, and kind and purpose as info.
fn subkey(secret: &Secret, kind: &str, purpose: &str) -> Subkey {
    let mut key = Zeroizing::new([0; 32]);
    let info = [b"ampoule v1 ", kind.as_bytes(), b": ", purpose.as_bytes()];
    Hkdf::<Sha256>::new(None, secret.bytes())
        .expand_multi_info(&info, &mut *key)
        .expect("32 bytes are less than 255 blocks of SHA-256");
    key
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subkeys_have_their_golden_bytes_and_differ_by_kind_and_purpose() {
        let secret = Secret::new("golden secret of thirty-two bytes").unwrap();
        let hex =
            |kind, purpose| subkey(&secret, kind, purpose).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex("sign", "session id of session"),
            "528d85a79cea138d38abac36932899c17f16e12ae8bea0b369343f400802ef97"
        );
        assert_eq!(
            hex("seal", "session cookie session"),
            "91255bdc28aa817714a0a46ed85bd417823e025e77986742f9c652341d91d2cd"
        );
        assert_ne!(hex("sign", "a"), hex("seal", "a"));
        assert_ne!(hex("sign", "a"), hex("sign", "b"));
    }
}
