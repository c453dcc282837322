//! The entries of a record as they are stored, one after the other, in bytes that are shared until they are changed.
//!
//! Nothing is decoded before it is needed. A search through a handful of keys takes less time than building a table of
//! them would.

use std::ops::Range;

use bytes::{BufMut, Bytes};

/// Entries whose format was checked: by [`Entries::checked`], or by the caller that inserted them.
///
/// They are a range of bytes that are held as a whole: of the record that came from a store, or of the entries alone.
#[derive(Clone, Default)]
pub(super) struct Entries {
    bytes: Bytes,
    span: Range<usize>,
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Entries {}

/// Why bytes are not valid entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormatError {
    Truncated,
    LengthTooLong,
    EmptyKey,
    NotUtf8,
    DuplicateKey,
}

/// The ranges of an entry and its parts.
struct Span {
    entry: Range<usize>,
    key: Range<usize>,
    value: Range<usize>,
}

impl Entries {
    /// Checks that this range of the bytes consists of entries.
    pub(super) fn checked(bytes: Bytes, span: Range<usize>) -> Result<Entries, FormatError> {
        let entries = Entries { bytes, span };
        let all = entries.as_bytes();
        let mut at = 0;
        let mut seen = DuplicateFilter::default();
        while at < all.len() {
            let span = read_span(all, at)?;
            let key = &all[span.key];
            if key.is_empty() {
                return Err(FormatError::EmptyKey);
            }
            if !key.is_ascii() {
                str::from_utf8(key).map_err(|_| FormatError::NotUtf8)?;
            }
            seen.add(key);
            at = span.entry.end;
        }
        if seen.may_have_duplicates && entries.has_duplicate_key() {
            Err(FormatError::DuplicateKey)
        } else {
            Ok(entries)
        }
    }

    fn has_duplicate_key(&self) -> bool {
        let all = self.as_bytes();
        let mut keys: Vec<&[u8]> = self.spans().map(|span| &all[span.key]).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.span.clone()]
    }

    /// Returns the value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.find(key.as_bytes()).map(|span| &self.as_bytes()[span.value])
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.as_bytes();
        // `checked`, or the caller that inserted them, has validated the keys.
        self.spans().map(|span| (str::from_utf8(&all[span.key]).unwrap_or_default(), &all[span.value]))
    }

    /// Returns these entries with a value in place of the one that the key has, or at the end. The key has 1 to 255
    /// bytes.
    pub(super) fn with(&self, key: &[u8], value: &[u8]) -> Entries {
        let all = self.as_bytes();
        let after = match self.find(key) {
            Some(span) => span.entry,
            None => all.len()..all.len(),
        };
        let mut changed = Vec::with_capacity(all.len() - after.len() + entry_len(key, value));
        changed.put_slice(&all[..after.start]);
        changed.put_u8(key.len() as u8);
        changed.put_slice(key);
        put_leb128(&mut changed, value.len());
        changed.put_slice(value);
        changed.put_slice(&all[after.end..]);
        Entries::from_vec(changed)
    }

    /// Returns these entries without that of a key, if there is one.
    pub(super) fn without(&self, key: &str) -> Option<Entries> {
        let span = self.find(key.as_bytes())?;
        let all = self.as_bytes();
        Some(Entries::from_vec([&all[..span.entry.start], &all[span.entry.end..]].concat()))
    }

    fn from_vec(entries: Vec<u8>) -> Entries {
        Entries { span: 0..entries.len(), bytes: entries.into() }
    }

    fn find(&self, key: &[u8]) -> Option<Span> {
        let all = self.as_bytes();
        self.spans().find(|span| &all[span.key.clone()] == key)
    }

    fn spans(&self) -> impl Iterator<Item = Span> {
        let all = self.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            let span = (at < all.len()).then(|| read_span(all, at).ok())??;
            at = span.entry.end;
            Some(span)
        })
    }
}

/// A small filter that tells whether two keys may be the same: with the few keys of a typical session it finds none, so
/// that they need not be compared.
#[derive(Default)]
struct DuplicateFilter {
    bits: u64,
    may_have_duplicates: bool,
}

impl DuplicateFilter {
    fn add(&mut self, key: &[u8]) {
        let (first, last) = (key.first().copied().unwrap_or(0), key.last().copied().unwrap_or(0));
        let sum = key.len().wrapping_add(7 * usize::from(first)).wrapping_add(31 * usize::from(last));
        let bit = 1 << (sum % 64);
        self.may_have_duplicates |= self.bits & bit != 0;
        self.bits |= bit;
    }
}

/// Prints no values: they are the user's data.
impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries().map(|(key, value)| (key, format!("{} bytes", value.len())))).finish()
    }
}

/// Reads the entry that starts here.
fn read_span(bytes: &[u8], start: usize) -> Result<Span, FormatError> {
    let key_len = usize::from(*bytes.get(start).ok_or(FormatError::Truncated)?);
    let key = start + 1..start + 1 + key_len;
    let (value_len, value_start) = read_leb128(bytes, key.end)?;
    let value = value_start..value_start.checked_add(value_len).ok_or(FormatError::Truncated)?;
    if value.end > bytes.len() { Err(FormatError::Truncated) } else { Ok(Span { entry: start..value.end, key, value }) }
}

/// Reads a number of at most five bytes, and returns it with the offset after it. A longer one does not fit a record.
fn read_leb128(bytes: &[u8], start: usize) -> Result<(usize, usize), FormatError> {
    let mut value = 0;
    for index in 0..5 {
        let byte = *bytes.get(start + index).ok_or(FormatError::Truncated)?;
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, start + index + 1));
        }
    }
    Err(FormatError::LengthTooLong)
}

fn put_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn entry_len(key: &[u8], value: &[u8]) -> usize {
    let bits = usize::BITS as usize - (value.len() | 1).leading_zeros() as usize;
    1 + key.len() + bits.div_ceil(7) + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn checked(entries: &[u8]) -> Result<Entries, FormatError> {
        let whole = [b"before", entries, b"after"].concat();
        Entries::checked(whole.into(), 6..6 + entries.len())
    }

    proptest! {
        /// The reference is a plain list, which keeps the order of first insertions.
        #[test]
        fn it_behaves_like_a_list(
            steps in proptest::collection::vec(("[a-e]{1,3}", proptest::option::of(0..300_usize)), 0..60)
        ) {
            let mut entries = Entries::default();
            let mut list: Vec<(String, Vec<u8>)> = Vec::new();
            for (key, size) in steps {
                let index = list.iter().position(|(known, _)| *known == key);
                match (size, index) {
                    (Some(size), _) => {
                        let value = vec![7; size];
                        let before = entries.as_bytes().len() - index.map_or(0, |index| entry_len(key.as_bytes(), &list[index].1));
                        entries = entries.with(key.as_bytes(), &value);
                        prop_assert_eq!(entries.as_bytes().len(), before + entry_len(key.as_bytes(), &value));
                        match index {
                            Some(index) => list[index].1 = value,
                            None => list.push((key, value)),
                        }
                    }
                    (None, Some(index)) => {
                        prop_assert_eq!(entries.get(&key), Some(&list.remove(index).1[..]));
                        entries = entries.without(&key).expect("it is there");
                    }
                    (None, None) => prop_assert_eq!(entries.without(&key), None),
                }
                prop_assert_eq!(entries.entries().map(|(key, value)| (key.to_owned(), value.to_vec())).collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(checked(entries.as_bytes()), Ok(entries.clone()));
            }
        }
    }

    #[test]
    fn each_format_error_is_reported_as_such() {
        for (bytes, wrong) in [
            (&b"\x01a"[..], FormatError::Truncated),
            (b"\x01a\x02x", FormatError::Truncated),
            (b"\x09a\x00", FormatError::Truncated),
            (b"\x01a\xff\xff\xff\xff\xff\x01", FormatError::LengthTooLong),
            (b"\x00\x00", FormatError::EmptyKey),
            (b"\x01\xff\x00", FormatError::NotUtf8),
            (b"\x01a\x00\x01b\x00\x01a\x00", FormatError::DuplicateKey),
        ] {
            assert_eq!(checked(bytes), Err(wrong), "{bytes:?}");
        }
        let many: Vec<u8> = (0..40).flat_map(|n| [1, b'A' + n % 39, 0]).collect();
        assert_eq!(checked(&many), Err(FormatError::DuplicateKey));
    }
}
