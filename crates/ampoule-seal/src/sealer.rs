//! Sealed content, which only the server can read, and whose manipulation it detects.
//!
//! The format of an envelope:
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1   12  nonce, random
//!     13    n  AES-256-GCM-SIV of the content
//!   13+n   16  its tag, which also covers the associated data
//! ```
//!
//! As text it is base64url without padding. A format never changes; a new one gets another number.

use std::fmt;

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce, Tag};

use crate::random::random_bytes;
use crate::subkey::Subkey;
use crate::text;

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 13;
const TAG_LEN: usize = 16;

/// Seals content and opens it. [`KeyRing::sealer`](crate::KeyRing::sealer) returns one.
///
/// ```
/// use ampoule_seal::{KeyRing, Secret};
///
/// # let secret = Secret::new(Secret::generate().as_str())?;
/// let sealer = KeyRing::new(vec![secret])?.sealer("session cookie");
/// let envelope = sealer.seal(b"cart: 7", b"the cookie's name");
/// assert_eq!(sealer.open(&envelope, b"the cookie's name").map(|opened| opened.plaintext).as_deref(), Some(&b"cart: 7"[..]));
/// assert!(sealer.open(&envelope, b"another name").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sealer(Vec<Aes256GcmSiv>);

/// The content of an envelope that was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The plaintext.
    pub plaintext: Vec<u8>,
    /// Whether the ring's first secret sealed it. If not, it should be sealed again.
    pub current: bool,
}

impl Sealer {
    pub(crate) fn new(keys: &[Subkey]) -> Sealer {
        Sealer(keys.iter().map(|key| Aes256GcmSiv::new((&**key).into())).collect())
    }

    /// Seals content, and returns its envelope. The associated data is not in the envelope, but the same data is
    /// required to open it.
    ///
    /// # Panics
    /// If the content is larger than 64 GiB (RFC 8452 section 6), or the operating system provides no random bytes.
    pub fn seal(&self, plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
        self.seal_with(random_bytes(), plaintext, associated)
    }

    /// Seals content like [`seal`](Sealer::seal), and returns the envelope as base64url: four characters for three
    /// bytes, and 39 more.
    ///
    /// ```
    /// use ampoule_seal::{KeyRing, Secret};
    ///
    /// # let secret = Secret::new(Secret::generate().as_str())?;
    /// let sealer = KeyRing::new(vec![secret])?.sealer("session cookie");
    /// let text = sealer.seal_text(b"cart: 7", b"session");
    /// assert_eq!(text.len(), 48);
    /// let opened = sealer.open_text(text.as_bytes(), b"session").expect("it is unchanged");
    /// assert_eq!((&opened.plaintext[..], opened.current), (&b"cart: 7"[..], true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// Under the same conditions as [`seal`](Sealer::seal).
    pub fn seal_text(&self, plaintext: &[u8], associated: &[u8]) -> String {
        text::encode(&self.seal(plaintext, associated))
    }

    /// Opens an envelope that one of the secrets sealed with the same associated data. Returns `None` for all other
    /// bytes.
    pub fn open(&self, envelope: &[u8], associated: &[u8]) -> Option<Opened> {
        self.open_in_place(envelope.to_vec(), associated)
    }

    /// Opens an envelope like [`open`](Sealer::open), from its text. The decoding is strict: each envelope has exactly
    /// one text.
    pub fn open_text(&self, text: &[u8], associated: &[u8]) -> Option<Opened> {
        self.open_in_place(text::decode(text)?, associated)
    }

    /// Decrypts the content inside the buffer of its envelope.
    fn open_in_place(&self, mut envelope: Vec<u8>, associated: &[u8]) -> Option<Opened> {
        let (header, rest) = envelope.split_first_chunk_mut::<HEADER_LEN>()?;
        let (content, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        let [FORMAT, nonce @ ..] = *header else { return None };
        let (nonce, tag) = (Nonce::from(nonce), Tag::from(*tag));
        // A cipher that cannot open the content restores it, so the next cipher can try.
        let opens = |cipher: &Aes256GcmSiv| {
            cipher.decrypt_inout_detached(&nonce, associated, (&mut *content).into(), &tag).is_ok()
        };
        let opened_by = self.0.iter().position(opens)?;
        envelope.truncate(envelope.len() - TAG_LEN);
        envelope.drain(..HEADER_LEN);
        Some(Opened { plaintext: envelope, current: opened_by == 0 })
    }

    fn seal_with(&self, nonce: [u8; 12], plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
        let mut envelope = Vec::with_capacity(HEADER_LEN + plaintext.len() + TAG_LEN);
        envelope.push(FORMAT);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(plaintext);
        let content = (&mut envelope[HEADER_LEN..]).into();
        let tag = self.0[0]
            .encrypt_inout_detached(&Nonce::from(nonce), associated, content)
            .expect("the content is at most 64 GiB");
        envelope.extend_from_slice(&tag);
        envelope
    }
}

/// Returns the length of [`Sealer::seal_text`] for this many bytes of content.
///
/// ```
/// assert_eq!(ampoule_seal::internal::sealed_text_len(1_024), 1_404);
/// ```
pub const fn sealed_text_len(plaintext: usize) -> usize {
    ((HEADER_LEN + plaintext + TAG_LEN) * 4).div_ceil(3)
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes, current: {})", self.plaintext.len(), self.current)
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
    fn the_cipher_passes_the_test_vectors_of_rfc_8452() {
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
        for (key, nonce, plaintext, associated, sealed) in vectors {
            let envelope = Sealer::new(&[Subkey::new(key)]).seal_with(nonce, &hex(plaintext), &hex(associated));
            assert_eq!(envelope[HEADER_LEN..], hex(sealed));
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
        // The cipher consists only of expanded keys, which have this type.
        is_wiped::<aes::Aes256>();
    }
}
