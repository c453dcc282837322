//! Tokens that look different each time, so that a compressed page tells nothing of them (the BREACH attack).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::random_bytes;

/// Text of a masked token: 86 characters of base64url.
pub type Masked = String;

/// A token behind a fresh random pad: the pad, then the token combined with it by exclusive or.
///
/// ```
/// let token = ampoule_seal::random_bytes();
/// let (first, second) = (ampoule_seal::mask(&token), ampoule_seal::mask(&token));
/// assert_ne!(first, second);
/// assert!(ampoule_seal::verify_masked(&token, first.as_bytes()) && ampoule_seal::verify_masked(&token, second.as_bytes()));
/// ```
pub fn mask(token: &[u8; 32]) -> Masked {
    let pad: [u8; 32] = random_bytes();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&pad);
    for (place, (byte, pad)) in bytes[32..].iter_mut().zip(token.iter().zip(pad)) {
        *place = byte ^ pad;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether this text is the token behind some pad. Compared in constant time.
pub fn verify_masked(token: &[u8; 32], text: &[u8]) -> bool {
    let mut bytes = [0; 64];
    if text.len() != 86 || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok() != Some(64) {
        return false;
    }
    let (pad, masked) = bytes.split_at(32);
    let unmasked: Vec<u8> = masked.iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect();
    unmasked.ct_eq(token).into()
}
