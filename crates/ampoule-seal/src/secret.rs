//! A secret, and how good it is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::random_bytes;

/// The fewest bytes of a secret: those of the hash that uses it (RFC 2104 section 3).
const MIN_BYTES: usize = 32;

/// The fewest different bytes: 32 random ones practically always have more than twice as many.
const MIN_VARIETY: usize = 10;

/// Secrets that stand in documentation, of Pylons and of ours, and what people write in place of one. Whoever attacks
/// a site tries these first.
const KNOWN: [&str; 5] =
    ["somesecret", "i_wear_two_layers_of_socks", "not-a-secret-it-stands-in", "changeme", "change-me"];

/// What signs and seals. Wiped from memory when it is dropped, and never printed.
///
/// Text counts as its UTF-8 bytes, as in Beaker: there is no decoding to get wrong.
///
/// ```
/// use ampoule_seal::{Secret, Weakness};
///
/// assert_eq!(Secret::new("somesecret").unwrap_err(), Weakness::Short { bytes: 10 });
/// let fresh = Secret::generate();
/// assert_eq!(fresh.len(), 43);
/// assert_eq!(format!("{:?}", Secret::new(fresh.as_str())), "Ok(Secret(..))");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weakness {
    /// It has fewer than 32 bytes.
    Short {
        /// How many it has.
        bytes: usize,
    },
    /// It has few different bytes, such as `aaaa…`.
    Uniform,
    /// It stands in documentation.
    Known,
}

impl Secret {
    /// A secret that is good enough to guard logins: 32 bytes or more.
    ///
    /// # Errors
    /// Its [`Weakness`], which says what to do.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Secret, Weakness> {
        match weakness(bytes.as_ref()) {
            None => Ok(Secret(Zeroizing::new(bytes.as_ref().to_vec()))),
            Some(weakness) => Err(weakness),
        }
    }

    /// A secret that may be weak, for a developer's own machine; `None` if it is empty. Whoever guesses it makes
    /// cookies that we believe.
    pub fn insecure_weak(bytes: impl AsRef<[u8]>) -> Option<Secret> {
        let bytes = bytes.as_ref();
        (!bytes.is_empty()).then(|| Secret(Zeroizing::new(bytes.to_vec())))
    }

    /// Text for a fresh secret: 256 random bits as 43 characters of base64url.
    pub fn generate() -> Zeroizing<String> {
        let bytes = Zeroizing::new(random_bytes::<32>());
        Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn weakness(bytes: &[u8]) -> Option<Weakness> {
    if KNOWN.iter().any(|known| bytes.len() >= MIN_BYTES && contains(bytes, known.as_bytes())) {
        return Some(Weakness::Known);
    }
    if bytes.len() < MIN_BYTES {
        return Some(Weakness::Short { bytes: bytes.len() });
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    (seen.iter().filter(|seen| **seen).count() < MIN_VARIETY).then_some(Weakness::Uniform)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::Short { bytes } => write!(f, "the secret has {bytes} bytes, where at least {MIN_BYTES} are needed")?,
            Weakness::Uniform => f.write_str("the secret has too few different characters to be random")?,
            Weakness::Known => f.write_str("the secret stands in documentation, where everybody can read it")?,
        }
        f.write_str("; `ampoule make-config` writes an ini file with a good one")
    }
}

impl std::error::Error for Weakness {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_refused_with_the_reason() {
        assert_eq!(Secret::new("i_wear_two_layers_of_socks").unwrap_err(), Weakness::Short { bytes: 26 });
        assert_eq!(Secret::new("a".repeat(64)).unwrap_err(), Weakness::Uniform);
        assert_eq!(Secret::new("I_wear_two_layers_of_socks and one more").unwrap_err(), Weakness::Known);
        let text = Weakness::Short { bytes: 26 }.to_string();
        assert!(text.starts_with("the secret has 26 bytes, where at least 32 are needed") && !text.contains("socks"));
    }

    #[test]
    fn fresh_secrets_are_good_and_differ() {
        let secrets: Vec<_> = (0..100).map(|_| Secret::generate()).collect();
        assert!(secrets.iter().all(|secret| Secret::new(secret.as_str()).is_ok()));
        assert_ne!(*secrets[0], *secrets[1]);
        assert!(Secret::insecure_weak("").is_none());
    }
}
