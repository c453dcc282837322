//! Content that only the server can read, and that cannot be changed unnoticed.
//!
//! An envelope, byte by byte:
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1   12  nonce, random
//!     13    n  AES-256-GCM-SIV of the content
//!   13+n   16  its tag, which also covers the associated data
//! ```
//!
//! As text it is base64url without padding. A format is never changed, only followed by another number.

use std::fmt;

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce, Tag};

use crate::random::random_bytes;
use crate::subkey::Subkey;
use crate::text;

const FORMAT: u8 = 1;
const HEADER: usize = 13;
const TAG: usize = 16;

/// Seals content and opens it. Made by [`KeyRing::sealer`](crate::KeyRing::sealer).
///
/// ```
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let sealer = KeyRing::new(vec![secret])?.sealer("session cookie");
/// let envelope = sealer.seal(b"cart: 7", b"the cookie's name");
/// assert_eq!(sealer.open(&envelope, b"the cookie's name").map(|opened| opened.plain).as_deref(), Some(&b"cart: 7"[..]));
/// assert!(sealer.open(&envelope, b"another name").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sealer(Vec<Aes256GcmSiv>);

/// What an envelope held.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub plain: Vec<u8>,
    /// Whether the first secret sealed it. If not, it should be sealed again.
    pub current: bool,
}

impl Sealer {
    pub(crate) fn new(keys: &[Subkey]) -> Sealer {
        Sealer(keys.iter().map(|key| Aes256GcmSiv::new((&**key).into())).collect())
    }

    /// Seals content together with associated data, which is not in the envelope but must be the same to open it.
    ///
    /// # Panics
    /// If the content is larger than 64 GiB (RFC 8452 section 6), or the operating system gives no random bytes.
    pub fn seal(&self, plain: &[u8], associated: &[u8]) -> Vec<u8> {
        self.seal_with(random_bytes(), plain, associated)
    }

    /// As [`seal`](Sealer::seal), as text of [`sealed_text_len`] characters.
    ///
    /// # Panics
    /// As [`seal`](Sealer::seal).
    pub fn seal_text(&self, plain: &[u8], associated: &[u8]) -> String {
        text::encode(&self.seal(plain, associated))
    }

    /// The content of an envelope that one of the secrets sealed; `None` for anything else, whatever is wrong with it.
    pub fn open(&self, envelope: &[u8], associated: &[u8]) -> Option<Opened> {
        self.open_in_place(envelope.to_vec(), associated)
    }

    /// As [`open`](Sealer::open), from text. The decoding is strict, so that an envelope has one text.
    pub fn open_text(&self, text: &[u8], associated: &[u8]) -> Option<Opened> {
        self.open_in_place(text::decode(text)?, associated)
    }

    /// The content takes the place of its envelope: there is one buffer.
    fn open_in_place(&self, mut envelope: Vec<u8>, associated: &[u8]) -> Option<Opened> {
        let (header, rest) = envelope.split_first_chunk_mut::<HEADER>()?;
        let (content, tag) = rest.split_last_chunk_mut::<TAG>()?;
        let [FORMAT, nonce @ ..] = *header else { return None };
        let (nonce, tag) = (Nonce::from(nonce), Tag::from(*tag));
        // A cipher that does not open the content puts it back as it was, for the next to try.
        let opens = |cipher: &Aes256GcmSiv| {
            cipher.decrypt_inout_detached(&nonce, associated, (&mut *content).into(), &tag).is_ok()
        };
        let opened_by = self.0.iter().position(opens)?;
        envelope.truncate(envelope.len() - TAG);
        envelope.drain(..HEADER);
        Some(Opened { plain: envelope, current: opened_by == 0 })
    }

    fn seal_with(&self, nonce: [u8; 12], plain: &[u8], associated: &[u8]) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(HEADER + plain.len() + TAG);
        envelope.push(FORMAT);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(plain);
        let content = (&mut envelope[HEADER..]).into();
        let tag = self.0[0]
            .encrypt_inout_detached(&Nonce::from(nonce), associated, content)
            .expect("content is shorter than the 64 GiB that the cipher takes");
        envelope.extend_from_slice(&tag);
        envelope
    }
}

/// How many characters so many bytes of content are when they are sealed as text.
///
/// ```
/// assert_eq!(ampoule_seal::internal::sealed_text_len(1_024), 1_404);
/// ```
pub const fn sealed_text_len(plain: usize) -> usize {
    ((HEADER + plain + TAG) * 4).div_ceil(3)
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes, current: {})", self.plain.len(), self.current)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 8452 appendix C.2, with and without associated data, and C.3, where the counter wraps.
    #[test]
    fn the_cipher_is_that_of_rfc_8452() {
        let (mut one, mut three) = ([0; 32], [0; 12]);
        (one[0], three[0]) = (1, 3);
        let wraps = "000000000000000000000000000000004db923dc793ee6497c76dcc03a98e108";
        let wrapped =
            "f3f80f2cf0cb2dd9c5984fcda908456cc537703b5ba70324a6793a7bf218d3eaffffffff000000000000000000000000";
        let vectors = [
            (one, three, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
            (one, three, "0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
            (one, three, "0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854"),
            ([0; 32], [0; 12], wraps, "", wrapped),
        ];
        for (key, nonce, plain, associated, sealed) in vectors {
            let envelope = Sealer::new(&[Subkey::new(key)]).seal_with(nonce, &hex(plain), &hex(associated));
            assert_eq!(envelope[HEADER..], hex(sealed));
        }
    }

    #[test]
    fn an_envelope_has_its_golden_bytes() {
        let envelope = Sealer::new(&[Subkey::new([9; 32])]).seal_with([5; 12], b"content", b"name");
        assert_eq!(text::encode(&envelope), "AQUFBQUFBQUFBQUFBbYoMZNQ3kYDSVQm9_duZwdoHvVUzxB7");
        assert_eq!(sealed_text_len(7), text::encode(&envelope).len());
    }

    #[test]
    fn an_envelope_of_another_format_is_not_opened() {
        let sealer = Sealer::new(&[Subkey::new([9; 32])]);
        let mut envelope = sealer.seal_with([5; 12], b"content", b"name");
        assert!(sealer.open(&envelope, b"name").is_some());
        envelope[0] = FORMAT + 1;
        assert!(sealer.open(&envelope, b"name").is_none());
    }

    #[test]
    fn keys_are_wiped_when_a_sealer_is_dropped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        // The cipher is no more than the expanded keys of this type.
        is_wiped::<aes::Aes256>();
    }
}
