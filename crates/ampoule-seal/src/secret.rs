//! A secret, and how good it is.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::text;

/// The fewest bytes of a secret: those of the hash that uses it (RFC 2104 section 3).
const MIN_BYTES: usize = 32;

/// The fewest different bytes. 32 random ones have about 30, and 32 random decimal digits practically always have 8.
const MIN_VARIETY: usize = 8;

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
#[derive(Clone)]
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
    /// It has fewer than 8 different bytes, or is a shorter text repeated.
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

    /// Text for a fresh secret: 256 bits of the operating system's generator as 43 characters of base64url.
    ///
    /// # Panics
    /// If the operating system gives no random bytes. Nothing can be secret then.
    pub fn generate() -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).expect("the operating system gives random bytes");
        Zeroizing::new(text::encode(bytes.as_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn weakness(bytes: &[u8]) -> Option<Weakness> {
    if bytes.len() < MIN_BYTES {
        return Some(Weakness::Short { bytes: bytes.len() });
    }
    if KNOWN.iter().any(|known| contains(bytes, known.as_bytes())) {
        return Some(Weakness::Known);
    }
    is_uniform(bytes).then_some(Weakness::Uniform)
}

fn is_uniform(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let variety = seen.iter().filter(|seen| **seen).count();
    let repeats = |period: usize| bytes[period..] == bytes[..bytes.len() - period];
    variety < MIN_VARIETY || (1..=bytes.len() / 2).any(repeats)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

impl PartialEq for Secret {
    /// In constant time, but for the length.
    fn eq(&self, other: &Secret) -> bool {
        self.bytes().ct_eq(other.bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::Short { bytes } => {
                write!(f, "the secret has {bytes} bytes, where at least {MIN_BYTES} are needed")?
            }
            Weakness::Uniform => {
                f.write_str("the secret is not random: it has too few different characters, or repeats itself")?
            }
            Weakness::Known => f.write_str("the secret stands in documentation, where everybody can read it")?,
        }
        f.write_str("; `ampoule make-config` writes an ini file with a good one")
    }
}

impl std::error::Error for Weakness {}
