//! The credential of a session: its id, and the secret that proves it.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::block;
use crate::random::random_bytes;

/// The id and the secret of a session. The id is public and never changes; the secret rotates. Both have 128 random
/// bits, twice the entropy that OWASP's session management cheat sheet requires.
///
/// ```
/// use ampoule_seal::Credential;
///
/// let credential = Credential::random();
/// let rotated = credential.rotated();
/// assert_eq!(credential.id(), rotated.id());
/// assert_ne!(credential.digest(), rotated.digest());
/// assert_eq!(format!("{credential:?}"), "Credential(..)");
/// ```
#[derive(Clone, Copy)]
pub struct Credential {
    id: [u8; 16],
    secret: [u8; 16],
}

impl Credential {
    /// Creates a credential from an id and a secret, both of which must be random.
    pub fn new(id: [u8; 16], secret: [u8; 16]) -> Credential {
        Credential { id, secret }
    }

    /// Creates a random credential.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn random() -> Credential {
        Credential::new(random_bytes(), random_bytes())
    }

    /// Returns a credential with the same id and a new secret.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    #[must_use]
    pub fn rotated(&self) -> Credential {
        Credential::new(self.id, random_bytes())
    }

    /// Returns the id, which may be displayed, logged and stored.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Returns the digest of the secret, which a store may keep: the SHA-256 of a fixed prefix and the secret. The
    /// secret has 128 random bits, so it cannot be found from the digest by trying.
    pub fn digest(&self) -> [u8; 32] {
        let mut message = *b"ampoule session secret v1:................";
        message[26..].copy_from_slice(&self.secret);
        block::finish::<0, _>(block::INITIAL_STATE, &message)
    }

    /// Returns the bytes that a signature covers.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..].copy_from_slice(&self.secret);
        bytes
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Returns whether two digests are equal, in constant time.
pub fn same_digest(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let words =
        |digest: &[u8; 32]| [0, 8, 16, 24].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| digest[at + i])));
    let differing = words(one).into_iter().zip(words(other)).fold(0, |seen, (a, b)| seen | (a ^ b));
    differing.ct_eq(&0).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn a_digest_is_sha_256_of_the_secret_alone() {
        let half = |first: u8| std::array::from_fn(|index| first + index as u8);
        let credential = Credential::new(half(0), half(16));
        let secret: Vec<u8> = (16..32).collect();
        let expected = Sha256::new().chain_update(b"ampoule session secret v1:").chain_update(secret).finalize();
        assert_eq!(credential.digest(), <[u8; 32]>::from(expected));
        assert_eq!(credential.id(), half(0));
    }

    #[test]
    fn digests_that_differ_in_one_bit_are_not_equal() {
        let one = Credential::random().digest();
        assert!(same_digest(&one, &one.clone()));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same_digest(&one, &other), "bit {bit}");
        }
    }
}
