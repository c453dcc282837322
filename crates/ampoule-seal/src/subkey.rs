//! Subkeys: keys that are derived from a secret, one for each purpose.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// A key of 256 bits for one purpose.
pub(crate) type Subkey = Zeroizing<[u8; 32]>;

/// Derives a subkey by HKDF-SHA-256 (RFC 5869): the secret is the key material, kind and purpose are the info.
pub(crate) fn subkey(secret: &Secret, kind: &str, purpose: &str) -> Subkey {
    let mut key = Zeroizing::new([0; 32]);
    let info = [b"ampoule v1 ", kind.as_bytes(), b": ", purpose.as_bytes()];
    Hkdf::<Sha256>::new(None, secret.bytes())
        .expand_multi_info(&info, &mut *key)
        .expect("32 bytes are less than 255 blocks of SHA-256");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subkeys_have_their_golden_bytes_and_differ_by_kind_and_purpose() {
        let secret = Secret::insecure_weak("golden secret of thirty-two bytes").unwrap();
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
