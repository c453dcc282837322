//! The rules by which secrets are refused: secrets that attackers guess first, and mistakes of copying.
//!
//! The rules accept the output of generators in base64, base64url, hexadecimal or decimal digits: they refuse 32 such
//! random characters with a probability below 10^-9, and the 43 of [`Secret::generate`](crate::Secret::generate) with a
//! probability below 10^-11.

use std::fmt;

use zeroize::Zeroizing;

/// The minimum length in bytes: that of the hash which uses the secret (RFC 2104 section 3).
const MIN_BYTES: usize = 32;

/// The minimum number of different bytes. 32 random decimal digits have fewer than 5 different ones with a probability
/// of 10^-10.
const MIN_DISTINCT_BYTES: usize = 5;

/// The minimum number of words in a sentence. A UUID has five parts, but most of them contain digits.
const MIN_WORDS: usize = 4;

/// Secrets from the documentation of Pylons and Ampoule, and common placeholders, which attackers try first. They are
/// in lower case, and found in any case.
const KNOWN_SECRETS: [&str; 9] = [
    "somesecret",
    "i_wear_two_layers_of_socks",
    "not-a-secret-it-stands-in",
    "3sb7cnq1vj8kt4xwfh2mz6yrdl9pgaue",
    "changeme",
    "change-me",
    "password",
    "qwertyuiop",
    "asdfghjkl",
];

/// Why a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weakness {
    /// It has fewer than 32 bytes.
    Short {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is known from documentation, or contains such a text.
    Known,
    /// It has fewer than 5 different bytes, or repeats a shorter text.
    Uniform,
    /// It counts up or down, as `0123456789abcdef` and `zyxwvu` do.
    Sequence,
    /// It consists of words with any separators, or of letters in one case: `my-secret-key-for-production`,
    /// `mysecretkeyforproduction`. The output of generators has digits, or letters in both cases.
    Words,
    /// It contains white space, which generators do not write.
    Whitespace,
    /// It contains a control character or an invisible one, such as a line end or a zero-width space.
    Control,
    /// It contains a byte order mark (U+FEFF), which some editors write at the start of a file.
    ByteOrderMark,
    /// It is in quotes. In an ini file quotes are part of the value.
    Quoted,
}

/// Returns the first reason to refuse these bytes. The rules for text do not apply to bytes that are not UTF-8.
pub(crate) fn find(bytes: &[u8]) -> Option<Weakness> {
    if bytes.len() < MIN_BYTES {
        return Some(Weakness::Short { bytes: bytes.len() });
    }
    if is_known(bytes) {
        return Some(Weakness::Known);
    }
    let in_text = str::from_utf8(bytes).ok().and_then(find_in_text);
    let uniform = || is_uniform(bytes).then_some(Weakness::Uniform);
    let is_one_word = || str::from_utf8(bytes).is_ok_and(is_word).then_some(Weakness::Words);
    let sequence = || is_sequence(bytes).then_some(Weakness::Sequence);
    in_text.or_else(uniform).or_else(sequence).or_else(is_one_word)
}

fn is_known(bytes: &[u8]) -> bool {
    let mut text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    text.make_ascii_lowercase();
    KNOWN_SECRETS.iter().any(|known| text.contains(known))
}

fn find_in_text(text: &str) -> Option<Weakness> {
    let is_invisible = |letter: char| matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}');
    let rules = [
        (text.contains('\u{feff}'), Weakness::ByteOrderMark),
        (text.contains(|letter: char| letter.is_control() || is_invisible(letter)), Weakness::Control),
        (is_quoted(text.trim()), Weakness::Quoted),
        (is_words(text), Weakness::Words),
        (text.contains(char::is_whitespace), Weakness::Whitespace),
    ];
    rules.into_iter().find_map(|(applies, weakness)| applies.then_some(weakness))
}

fn is_quoted(text: &str) -> bool {
    let pairs = [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{201e}', '\u{201c}')];
    pairs.iter().any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

/// Returns whether a text has at least four words, with at least six sevenths of its letters and digits. Random text
/// alternates between upper case, lower case and digits too often for that.
fn is_words(text: &str) -> bool {
    let (mut words, mut in_words, mut all) = (0, 0, 0);
    for part in text.split(|letter: char| !letter.is_alphanumeric()) {
        let len = part.chars().count();
        all += len;
        if is_word(part) {
            words += usize::from(len > 1);
            in_words += len;
        }
    }
    words >= MIN_WORDS && in_words * 7 >= all * 6
}

/// Returns whether a part consists of letters in one case, of which the first may be a capital.
fn is_word(part: &str) -> bool {
    let mut rest = part.chars();
    rest.next();
    part.chars().all(char::is_alphabetic)
        && (!rest.as_str().contains(char::is_uppercase) || !part.contains(char::is_lowercase))
}

fn is_uniform(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    distinct < MIN_DISTINCT_BYTES || (1..=bytes.len() / 2).any(|period| repeats(bytes, period))
}

/// Returns whether the bytes repeat with this period. One in eight may differ, since people vary the end.
fn repeats(bytes: &[u8], period: usize) -> bool {
    let (start, rest) = (&bytes[..bytes.len() - period], &bytes[period..]);
    start.iter().zip(rest).filter(|(one, other)| one != other).nth(rest.len() / 8).is_none()
}

/// Returns whether half of the bytes continue the step between the two before them, or seven of eight differ from the
/// one before by at most one.
fn is_sequence(bytes: &[u8]) -> bool {
    let step = |pair: &[u8]| i16::from(pair[1]) - i16::from(pair[0]);
    let steady = bytes.windows(3).filter(|three| step(&three[..2]) == step(&three[1..])).count();
    let near = bytes.windows(2).filter(|pair| step(pair).abs() <= 1).count();
    let steps = bytes.len() - 1;
    steady * 2 >= steps || near * 8 >= steps * 7
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::Short { bytes } => {
                write!(f, "the secret has {bytes} bytes, where at least {MIN_BYTES} are needed")?
            }
            Weakness::Known => f.write_str("the secret is known from documentation, which anyone can read")?,
            Weakness::Uniform => {
                f.write_str("the secret is not random: it has too few different characters, or repeats itself")?
            }
            Weakness::Sequence => f.write_str("the secret is not random: its characters count up or down")?,
            Weakness::Words => f.write_str(
                "the secret is not random: it consists of words, or of letters in one case, which can be guessed",
            )?,
            Weakness::Whitespace => f.write_str("the secret contains white space; a random one has none")?,
            Weakness::Control => f.write_str("the secret contains a control character or an invisible one")?,
            Weakness::ByteOrderMark => {
                f.write_str("the secret contains a byte order mark (U+FEFF); save the file without one")?
            }
            Weakness::Quoted => f.write_str("the secret is in quotes, which would be part of it; remove them")?,
        }
        f.write_str("; `ampoule make-config` writes an ini file with a good one")
    }
}

impl std::error::Error for Weakness {}
