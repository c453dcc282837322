//! Content that only we can read and nobody can change.
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
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::random_bytes;
use crate::ring::Subkey;

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
    pub fn seal(&self, plain: &[u8], associated: &[u8]) -> Vec<u8> {
        self.seal_with(random_bytes(), plain, associated)
    }

    /// As [`seal`](Sealer::seal), as text.
    pub fn seal_text(&self, plain: &[u8], associated: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(plain, associated))
    }

    /// The content of an envelope that one of the secrets sealed; `None` for anything else, whatever is wrong with it.
    pub fn open(&self, envelope: &[u8], associated: &[u8]) -> Option<Opened> {
        let (header, rest) = envelope.split_first_chunk::<HEADER>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>()?;
        let (&format, nonce) = header.split_first()?;
        if format != FORMAT {
            return None;
        }
        let (nonce, tag) = (Nonce::try_from(nonce).ok()?, Tag::from(*tag));
        self.0.iter().enumerate().find_map(|(index, cipher)| {
            let mut plain = sealed.to_vec();
            cipher.decrypt_inout_detached(&nonce, associated, plain.as_mut_slice().into(), &tag).ok()?;
            Some(Opened { plain, current: index == 0 })
        })
    }

    /// As [`open`](Sealer::open), from text.
    pub fn open_text(&self, text: &[u8], associated: &[u8]) -> Option<Opened> {
        self.open(&URL_SAFE_NO_PAD.decode(text).ok()?, associated)
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

    /// RFC 8452 appendix C.2: AEAD_AES_256_GCM_SIV, 8 bytes of plain text, no associated data.
    #[test]
    fn the_cipher_is_that_of_rfc_8452() {
        let mut key = Subkey::default();
        key[0] = 1;
        let envelope = Sealer::new(&[key]).seal_with(hex("030000000000000000000000").try_into().unwrap(), &hex("0100000000000000"), b"");
        assert_eq!(envelope[HEADER..], hex("c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"));
    }

    #[test]
    fn an_envelope_has_its_golden_bytes() {
        let envelope = Sealer::new(&[Subkey::new([9; 32])]).seal_with([5; 12], b"content", b"name");
        assert_eq!(URL_SAFE_NO_PAD.encode(&envelope), "AQUFBQUFBQUFBQUFBbYoMZNQ3kYDSVQm9_duZwdoHvVUzxB7");
        assert_eq!(sealed_text_len(7), URL_SAFE_NO_PAD.encode(&envelope).len());
    }
}
