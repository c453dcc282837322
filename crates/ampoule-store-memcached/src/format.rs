//! A value as it lies in memcached: a header, then the bytes that were put.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    8  version, random, new with each put and kept by a touch
//!      9    8  deadline, milliseconds, big-endian
//!     17    1  0 without a tag, or 40
//!     18   32  the tag
//!     50    8  until when the tag's own item is sure to name this key, milliseconds, big-endian
//!   then    n  the value
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ampoule_core::{Bytes, Error, ErrorKind, Tag, Time, Version};

use crate::wire::Token;

const FORMAT: u8 = 1;
const TAG_AT: usize = 18;
const NAMED: u8 = 40;

/// A time to live beyond this is taken for a moment by memcached.
const RELATIVE: u64 = 30 * 24 * 3_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) named: Option<Named>,
}

/// What a key can be found by, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) tag: Tag,
    pub(crate) until: Time,
}

impl Header {
    pub(crate) fn tag(&self) -> Option<Tag> {
        self.named.map(|named| named.tag)
    }

    fn len(&self) -> usize {
        TAG_AT + self.named.map_or(0, |_| usize::from(NAMED))
    }

    /// The header and a value.
    pub(crate) fn with(&self, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() + value.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.version.0.to_be_bytes());
        bytes.extend_from_slice(&self.deadline.as_millis().to_be_bytes());
        bytes.push(self.named.map_or(0, |_| NAMED));
        if let Some(Named { tag, until }) = self.named {
            bytes.extend_from_slice(tag.as_bytes());
            bytes.extend_from_slice(&until.as_millis().to_be_bytes());
        }
        bytes.extend_from_slice(value);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, Error> {
        let read = || -> Option<Header> {
            let (&[FORMAT], rest) = bytes.split_first_chunk()? else { return None };
            let (version, rest) = rest.split_first_chunk()?;
            let (deadline, rest) = time(rest)?;
            let named = match rest.split_first()? {
                (0, _) => None,
                (&NAMED, rest) => {
                    let (tag, rest) = rest.split_first_chunk()?;
                    Some(Named { tag: Tag::new(*tag), until: time(rest)?.0 })
                }
                _ => return None,
            };
            Some(Header { version: Version(u64::from_be_bytes(*version)), deadline, named })
        };
        read().ok_or_else(damaged)
    }
}

/// A moment, and what comes after it.
pub(crate) fn time(bytes: &[u8]) -> Option<(Time, &[u8])> {
    let (millis, rest) = bytes.split_first_chunk()?;
    Some((Time::from_millis(u64::from_be_bytes(*millis)), rest))
}

/// A value as it was found, and memcached's token for it.
pub(crate) struct Item {
    pub(crate) header: Header,
    pub(crate) token: Token,
    bytes: Bytes,
}

impl Item {
    pub(crate) fn new(bytes: Vec<u8>, token: Token) -> Result<Item, Error> {
        Ok(Item { header: Header::decode(&bytes)?, token, bytes: bytes.into() })
    }

    pub(crate) fn value(&self) -> Bytes {
        self.bytes.slice(self.header.len()..)
    }
}

pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "an item in memcached is not what was put there")
}

/// How long memcached is to keep an item: a second longer than its deadline, since it counts in seconds. Nothing for
/// ever.
pub(crate) fn ttl(deadline: Time, now: Time) -> u64 {
    if deadline == Time::MAX {
        return 0;
    }
    let seconds = deadline.since(now).as_secs() + 2;
    if seconds <= RELATIVE {
        return seconds;
    }
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    // Its clock has 32 bits; what lies beyond is as good as never.
    if today + seconds < u64::from(u32::MAX) { today + seconds } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED_UNTIL: Named = Named { tag: Tag::new([b't'; 32]), until: Time::from_millis(3) };
    const HEADER: Header = Header { version: Version(7), deadline: Time::from_millis(258), named: None };

    #[test]
    fn a_value_has_its_golden_bytes_and_comes_back() {
        assert_eq!(HEADER.with(b"value"), b"\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02\0value");
        let tagged = Header { named: Some(NAMED_UNTIL), ..HEADER };
        let golden =
            b"\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02\x28tttttttttttttttttttttttttttttttt\0\0\0\0\0\0\0\x03value";
        assert_eq!(tagged.with(b"value"), golden);
        for header in [HEADER, tagged] {
            let item = Item::new(header.with(b"value"), Token { cas: 3, life: 1 }).unwrap();
            assert_eq!((item.header, &item.value()[..]), (header, &b"value"[..]));
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_corrupt() {
        let bytes = Header { named: Some(NAMED_UNTIL), ..HEADER }.with(b"");
        for length in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..length]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(Header::decode(&[b'x'; 80]).is_err());
    }

    #[test]
    fn a_long_time_to_live_is_a_moment() {
        let now = Time::from_millis(1_000_000);
        assert_eq!(ttl(now + Duration::from_secs(60), now), 62);
        assert_eq!(ttl(Time::MAX, now), 0);
        let year = ttl(now + Duration::from_secs(365 * 24 * 3_600), now);
        assert!(year > 1_700_000_000, "{year} is no moment");
        assert_eq!(ttl(now + Duration::from_secs(200 * 365 * 24 * 3_600), now), 0);
    }
}
