//! Strict base64url without padding (RFC 4648 section 5): each value has exactly one text.

use base64::Engine;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
use base64::engine::Simd;
use base64::engine::general_purpose::{self, GeneralPurpose};

/// The engine for tokens: a vectorized one is not faster below 128 bytes.
pub(crate) const SCALAR_ENGINE: GeneralPurpose = general_purpose::URL_SAFE_NO_PAD;

/// The engine for cookies, which detects the processor's vector instructions.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
static VECTOR_ENGINE: std::sync::LazyLock<Simd> = std::sync::LazyLock::new(|| Simd::url_safe(general_purpose::NO_PAD));

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
const VECTOR_ENGINE: GeneralPurpose = SCALAR_ENGINE;

pub(crate) fn encode(bytes: &[u8]) -> String {
    VECTOR_ENGINE.encode(bytes)
}

/// Decodes a text; `None` if it has a foreign character, padding, or trailing bits that are not zero.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    VECTOR_ENGINE.decode(text).ok()
}

/// Decodes a text of exactly `N` bytes; `None` for any other text.
pub(crate) fn decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // The length is compared first, so that a long text is rejected without decoding.
    let fits = text.len() == (N * 4).div_ceil(3);
    (fits && SCALAR_ENGINE.decode_slice(text, &mut bytes).ok() == Some(N)).then_some(bytes)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes the 48 bytes of a token as 64 characters.
pub(crate) fn encode_token(bytes: &[u8; 48]) -> [u8; 64] {
    let mut text = [0; 64];
    for (&[a, b, c], characters) in bytes.as_chunks::<3>().0.iter().zip(text.as_chunks_mut::<4>().0) {
        let bits = u32::from_be_bytes([0, a, b, c]);
        *characters = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 0x3f) as usize]);
    }
    text
}

/// Decodes the 64 characters of a token; `None` for any other text. It does the same as [`decode_array`] for this one
/// length, in a fifth of the time.
pub(crate) fn decode_token(text: &[u8; 64]) -> Option<[u8; 48]> {
    let mut bytes = [0; 49];
    let mut seen = 0;
    for (index, &[a, b, c, d]) in text.as_chunks::<4>().0.iter().enumerate() {
        let bits = sextet(a) << 18 | sextet(b) << 12 | sextet(c) << 6 | sextet(d);
        seen |= bits;
        // Writes three bytes, and a fourth that the next iteration overwrites.
        bytes[index * 3..][..4].copy_from_slice(&(bits << 8).to_be_bytes());
    }
    // A foreign character has set bits above the 24 of four sextets.
    if seen >> 24 == 0 { bytes.first_chunk().copied() } else { None }
}

/// Returns the value of a character; all bits are set for one that is not in the alphabet.
fn sextet(character: u8) -> u32 {
    const SEXTETS: [u32; 256] = {
        let mut sextets = [u32::MAX; 256];
        let mut value = 0;
        while value < 64 {
            sextets[ALPHABET[value] as usize] = value as u32;
            value += 1;
        }
        sextets
    };
    SEXTETS[usize::from(character)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_text_decodes_to_the_same_bytes() {
        assert_eq!(decode(b"-_8"), Some(vec![0xfb, 0xff]));
        for text in ["+/8", "-_8=", "-_9", "-_8\n", " -_8", "-_", "-_88A", "-_8é"] {
            assert!(decode(text.as_bytes()).is_none_or(|bytes| bytes != [0xfb, 0xff]), "{text}");
            assert_eq!(decode_array::<2>(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_code_for_tokens_agrees_with_the_general_one(
            bytes in proptest::collection::vec(any::<u8>(), 48),
            at in 0..64_usize,
            other: u8,
        ) {
            let mut text: [u8; 64] = encode(&bytes).into_bytes().try_into().unwrap();
            prop_assert_eq!(encode_token(bytes.as_slice().try_into().unwrap()), text);
            prop_assert_eq!(decode_token(&text).map(Vec::from), Some(bytes));
            text[at] = other;
            prop_assert_eq!(decode_token(&text), decode_array(&text));
        }

        #[test]
        fn the_vectorized_engine_agrees_with_the_scalar_one(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let text = encode(&bytes);
            prop_assert_eq!(&text, &SCALAR_ENGINE.encode(&bytes));
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn both_engines_reject_a_foreign_byte_anywhere(
            (len, at) in (1..600usize).prop_flat_map(|len| (Just(len), 0..len)),
            foreign in any::<u8>().prop_filter("foreign", |byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte)),
        ) {
            let mut text = vec![b'A'; len];
            text[at] = foreign;
            prop_assert_eq!(decode(&text), None);
            prop_assert!(SCALAR_ENGINE.decode(&text).is_err());
        }
    }
}
