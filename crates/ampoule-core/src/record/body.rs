//! The entries of a record, as they are stored: one after the other, in bytes that are shared until they are changed.
//!
//! Nothing is taken apart before it is asked for. A session of a handful of keys is searched in less time than a table of
//! them would take to build.

use std::ops::Range;

use bytes::{BufMut, Bytes};

/// Entries whose form was checked: by [`Body::checked`], or by whoever inserted them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Body(Bytes);

/// What is wrong with bytes that are no entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    CutOff,
    LongLength,
    EmptyKey,
    NotText,
    Twice,
}

/// Where an entry and its parts lie.
struct Place {
    entry: Range<usize>,
    key: Range<usize>,
    value: Range<usize>,
}

impl Body {
    /// Reads entries to the end of the bytes.
    pub(super) fn checked(bytes: Bytes) -> Result<Body, Wrong> {
        let mut at = 0;
        let mut count = 0;
        while at < bytes.len() {
            let place = read(&bytes, at)?;
            let key = &bytes[place.key];
            if key.is_empty() {
                return Err(Wrong::EmptyKey);
            }
            str::from_utf8(key).map_err(|_| Wrong::NotText)?;
            at = place.entry.end;
            count += 1;
        }
        let body = Body(bytes);
        if body.has_a_key_twice(count) { Err(Wrong::Twice) } else { Ok(body) }
    }

    /// Quadratic for the few keys of a common session, which costs nothing; sorted for many.
    fn has_a_key_twice(&self, count: usize) -> bool {
        let keys = || self.places().map(|place| &self.0[place.key]);
        if count <= 16 {
            return keys().enumerate().any(|(index, key)| keys().take(index).any(|earlier| earlier == key));
        }
        let mut keys: Vec<&[u8]> = keys().collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value under a key, as a part of these bytes.
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.find(key).map(|place| self.0.slice(place.value))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // Keys were checked when they came in.
        self.places().map(|place| (str::from_utf8(&self.0[place.key]).unwrap_or_default(), &self.0[place.value]))
    }

    /// Puts a value in the place of the one that the key has, or at the end. The key has 1 to 255 bytes.
    pub(super) fn insert(&mut self, key: &str, value: &[u8]) {
        let after = match self.find(key) {
            Some(place) => place.entry,
            None => self.0.len()..self.0.len(),
        };
        let mut changed = Vec::with_capacity(self.0.len() - after.len() + entry_len(key, value));
        changed.put_slice(&self.0[..after.start]);
        changed.put_u8(key.len() as u8);
        changed.put_slice(key.as_bytes());
        put_leb128(&mut changed, value.len());
        changed.put_slice(value);
        changed.put_slice(&self.0[after.end..]);
        self.0 = changed.into();
    }

    /// Takes out the value under a key.
    pub(super) fn remove(&mut self, key: &str) -> Option<Bytes> {
        let place = self.find(key)?;
        let value = self.0.slice(place.value);
        self.0 = [&self.0[..place.entry.start], &self.0[place.entry.end..]].concat().into();
        Some(value)
    }

    fn find(&self, key: &str) -> Option<Place> {
        self.places().find(|place| &self.0[place.key.clone()] == key.as_bytes())
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let place = (at < self.0.len()).then(|| read(&self.0, at).ok())??;
            at = place.entry.end;
            Some(place)
        })
    }
}

/// Values are the users'.
impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.entries().map(|(key, value)| (key, format!("{} bytes", value.len())))).finish()
    }
}

/// The entry that starts here.
fn read(bytes: &[u8], start: usize) -> Result<Place, Wrong> {
    let key_len = usize::from(*bytes.get(start).ok_or(Wrong::CutOff)?);
    let key = start + 1..start + 1 + key_len;
    let (value_len, value_start) = leb128(bytes, key.end)?;
    let value = value_start..value_start.checked_add(value_len).ok_or(Wrong::CutOff)?;
    if value.end > bytes.len() { Err(Wrong::CutOff) } else { Ok(Place { entry: start..value.end, key, value }) }
}

/// At most five bytes, so at most 32 bits and some: a longer value does not fit a record. Returns where they end, too.
fn leb128(bytes: &[u8], start: usize) -> Result<(usize, usize), Wrong> {
    let mut value = 0;
    for index in 0..5 {
        let byte = *bytes.get(start + index).ok_or(Wrong::CutOff)?;
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, start + index + 1));
        }
    }
    Err(Wrong::LongLength)
}

fn put_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn entry_len(key: &str, value: &[u8]) -> usize {
    let bits = usize::BITS as usize - (value.len() | 1).leading_zeros() as usize;
    1 + key.len() + bits.div_ceil(7) + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a plain list, which keeps the order of first insertions.
        #[test]
        fn it_does_what_a_list_does(
            steps in proptest::collection::vec(("[a-e]{1,3}", proptest::option::of(0..300_usize)), 0..60)
        ) {
            let mut body = Body::default();
            let mut list: Vec<(String, Vec<u8>)> = Vec::new();
            for (key, size) in steps {
                let index = list.iter().position(|(known, _)| *known == key);
                match (size, index) {
                    (Some(size), _) => {
                        let value = vec![7; size];
                        let before = body.as_bytes().len() - index.map_or(0, |index| entry_len(&key, &list[index].1));
                        body.insert(&key, &value);
                        prop_assert_eq!(body.as_bytes().len(), before + entry_len(&key, &value));
                        match index {
                            Some(index) => list[index].1 = value,
                            None => list.push((key, value)),
                        }
                    }
                    (None, Some(index)) => prop_assert_eq!(body.remove(&key).unwrap(), list.remove(index).1),
                    (None, None) => prop_assert_eq!(body.remove(&key), None),
                }
                prop_assert_eq!(body.entries().map(|(key, value)| (key.to_owned(), value.to_vec())).collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(Body::checked(Bytes::copy_from_slice(body.as_bytes())), Ok(body.clone()));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        for (bytes, wrong) in [
            (&b"\x01a"[..], Wrong::CutOff),
            (b"\x01a\x02x", Wrong::CutOff),
            (b"\x09a\x00", Wrong::CutOff),
            (b"\x01a\xff\xff\xff\xff\xff\x01", Wrong::LongLength),
            (b"\x00\x00", Wrong::EmptyKey),
            (b"\x01\xff\x00", Wrong::NotText),
            (b"\x01a\x00\x01b\x00\x01a\x00", Wrong::Twice),
        ] {
            assert_eq!(Body::checked(Bytes::from_static(bytes)), Err(wrong), "{bytes:?}");
        }
        let many: Vec<u8> = (0..40).flat_map(|n| [1, b'A' + n % 39, 0]).collect();
        assert_eq!(Body::checked(many.into()), Err(Wrong::Twice));
    }
}
