//! The bytes of a cached value in a store.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 0xAC, a cached value |
//! | 1 | format, 1 |
//! | 4 | CRC-32 of all that follows, little-endian as all numbers |
//! | 1 | 1 for a value, 0 for the mark that one was removed, after which nothing follows |
//! | 8, 8 | when it was created and from when on it is stale, in milliseconds since 1970 |
//! | 4 | how long creating it took, in milliseconds |
//! | 16 | the generation of its namespace at the time |
//! | 2, n | the namespace |
//! | 1, 48 n | the tags: the key of each one's generation, and that generation |
//! | rest | the value, MessagePack |

use std::time::Duration;

use ampoule_core::{Bytes, Error, ErrorKind, StoreKey, Time};

const MAGIC: u8 = 0xac;
const FORMAT: u8 = 1;

/// The most tags of one value.
pub(crate) const MAX_TAGS: usize = 64;

/// The random number that values of a namespace or a tag must carry to be valid. It is replaced to invalidate them.
pub(crate) type Generation = [u8; 16];

/// The part of a record before the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) created: Time,
    pub(crate) expires: Time,
    pub(crate) took: Duration,
    pub(crate) generation: Generation,
    pub(crate) namespace: String,
    pub(crate) tags: Vec<(StoreKey, Generation)>,
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Value(Header, Bytes),
    /// The value was removed; a caller that was creating it at the time must not store it.
    Removed,
}

impl Record {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = vec![MAGIC, FORMAT, 0, 0, 0, 0];
        match self {
            Record::Removed => bytes.push(0),
            Record::Value(header, value) => {
                bytes.push(1);
                header.encode(&mut bytes);
                bytes.extend_from_slice(value);
            }
        }
        let checksum = crc32fast::hash(&bytes[6..]);
        bytes[2..6].copy_from_slice(&checksum.to_le_bytes());
        bytes.into()
    }

    /// # Errors
    /// [`ErrorKind::Corrupt`] if the bytes are damaged or not a cache's record.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Record, Error> {
        Record::read(bytes)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a cached value is damaged, or was not written by a cache"))
    }

    fn read(bytes: &Bytes) -> Option<Record> {
        let mut reader = Reader(bytes);
        let [MAGIC, FORMAT] = reader.take::<2>()? else { return None };
        let checksum = u32::from_le_bytes(reader.take()?);
        if crc32fast::hash(reader.0) != checksum {
            return None;
        }
        match reader.take()? {
            [0] => reader.0.is_empty().then_some(Record::Removed),
            [1] => {
                let header = Header::read(&mut reader)?;
                Some(Record::Value(header, bytes.slice(bytes.len() - reader.0.len()..)))
            }
            _ => None,
        }
    }
}

impl Header {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.created.as_millis().to_le_bytes());
        bytes.extend_from_slice(&self.expires.as_millis().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.took.as_millis()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&self.generation);
        // Namespaces are shortened and tags counted before.
        bytes.extend_from_slice(&(self.namespace.len() as u16).to_le_bytes());
        bytes.extend_from_slice(self.namespace.as_bytes());
        bytes.push(self.tags.len() as u8);
        for (key, generation) in &self.tags {
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(generation);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Header> {
        let created = Time::from_millis(u64::from_le_bytes(reader.take()?));
        let expires = Time::from_millis(u64::from_le_bytes(reader.take()?));
        let took = Duration::from_millis(u32::from_le_bytes(reader.take()?).into());
        let generation = reader.take()?;
        let length = u16::from_le_bytes(reader.take()?);
        let namespace = reader.slice(usize::from(length))?;
        let namespace = std::str::from_utf8(namespace).ok()?.to_owned();
        let [count] = reader.take()?;
        let mut tags = Vec::with_capacity(usize::from(count).min(MAX_TAGS));
        for _ in 0..count {
            tags.push((StoreKey::new(reader.take()?), reader.take()?));
        }
        Some(Header { created, expires, took, generation, namespace, tags })
    }
}

/// The rest of a record that is being read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(tags: usize, value: &[u8]) -> Record {
        let header = Header {
            created: Time::from_millis(1_000),
            expires: Time::from_millis(61_000),
            took: Duration::from_millis(250),
            generation: [7; 16],
            namespace: "articles".into(),
            tags: (0..tags).map(|n| (StoreKey::digest(&[n as u8]), [n as u8; 16])).collect(),
        };
        Record::Value(header, Bytes::copy_from_slice(value))
    }

    proptest! {
        #[test]
        fn records_are_read_back_and_damage_is_detected(
            tags in 0..MAX_TAGS, value: Vec<u8>, place: prop::sample::Index, bit in 0..8_u8
        ) {
            let written = record(tags, &value).encode();
            prop_assert_eq!(Record::decode(&written).unwrap(), record(tags, &value));
            let mut damaged = written.to_vec();
            damaged[place.index(written.len())] ^= 1 << bit;
            prop_assert!(Record::decode(&damaged.into()).is_err());
            prop_assert!(Record::decode(&written.slice(..place.index(written.len()))).is_err());
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes.into());
        }
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let bytes = Record::Removed.encode();
        assert_eq!(bytes[..2], [0xac, 1]);
        assert_eq!(bytes[6..], [0]);
        assert_eq!(Record::decode(&bytes).unwrap(), Record::Removed);
        assert_eq!(record(2, b"v").encode().len(), 7 + 8 + 8 + 4 + 16 + 2 + 8 + 1 + 2 * 48 + 1);
    }
}
