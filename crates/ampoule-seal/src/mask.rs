//! Tokens that differ on each page, so that the size of a compressed page reveals nothing about them (the BREACH
//! attack).

use base64::Engine;
use subtle::ConstantTimeEq;

use crate::random::random_bytes;
use crate::text;

/// Masks a token by a new random pad. Returns the pad followed by the exclusive or of pad and token, as 86 characters
/// of base64url.
///
/// ```
/// let token = ampoule_seal::internal::random_bytes();
/// let (first, second) = (ampoule_seal::internal::mask(&token), ampoule_seal::internal::mask(&token));
/// assert_ne!(first, second);
/// assert!(ampoule_seal::internal::verify_masked(&token, first.as_bytes()));
/// assert!(ampoule_seal::internal::verify_masked(&token, second.as_bytes()));
/// ```
///
/// # Panics
/// If the operating system provides no random bytes.
pub fn mask(token: &[u8; 32]) -> String {
    mask_with(random_bytes(), token)
}

fn mask_with(pad: [u8; 32], token: &[u8; 32]) -> String {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&pad);
    bytes[32..].copy_from_slice(&xor(&pad, token));
    text::SCALAR_ENGINE.encode(bytes)
}

/// Returns whether this text is the masked token, with any pad. The comparison takes constant time and does not
/// allocate.
pub fn verify_masked(token: &[u8; 32], text: &[u8]) -> bool {
    let Some(bytes) = text::decode_array::<64>(text) else { return false };
    let (pad, masked) = bytes.split_at(32);
    let (Ok(pad), Ok(masked)) = (pad.try_into(), masked.try_into()) else { return false };
    xor(pad, masked).ct_eq(token).into()
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|index| a[index] ^ b[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_token_has_its_golden_text() {
        let text = mask_with([0xf0; 32], &[0x0f; 32]);
        assert_eq!(text, format!("{}{}", "8PDw".repeat(10) + "8PD_", "____".repeat(10) + "_w"));
        assert!(verify_masked(&[0x0f; 32], text.as_bytes()));
    }
}
