//! The format of a value in memcached: a header, then the bytes that were put.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    8  version, random, new with each put and kept by a touch
//!      9    8  deadline by the writer's clock, milliseconds, big-endian
//!     17    1  0 without a tag, or 40
//!     18   32  the tag
//!     50    8  until when the tag's item is sure to list this key, by that item's server, milliseconds, big-endian
//!   then    n  the value
//! ```

use std::time::Duration;

use ampoule_core::{Bytes, Error, ErrorKind, Tag, Time, Version};

use crate::wire::{Found, NO_EXPIRY, Token};

const FORMAT: u8 = 1;
const TAG_OFFSET: usize = 18;
const WITH_TAG: u8 = 40;

/// The longest time to live in seconds; memcached takes a larger number for a timestamp.
const MAX_RELATIVE_TTL: u64 = 30 * 24 * 3_600;

/// The last timestamp that memcached supports: it reads signed 32 bits, and takes a larger one for the past.
const MAX_TIMESTAMP: u64 = i32::MAX as u64;

/// How many seconds memcached's clock may lag. It counts whole seconds, and is updated about once a second: if the
/// updates come a little late repeatedly, it jumps by two seconds at some point.
const MAX_LAG: u64 = 2;

/// The largest difference between a deadline and the time to live that memcached reports, if the clocks of writer and
/// reader agree: times to live are rounded up and lengthened by the lag, timestamps twice.
const TOLERANCE: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) listing: Option<TagListing>,
}

/// The tag of a value, and until when its item lists the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TagListing {
    pub(crate) tag: Tag,
    pub(crate) until: Time,
}

impl Header {
    pub(crate) fn tag(&self) -> Option<Tag> {
        self.listing.map(|listing| listing.tag)
    }

    fn len(&self) -> usize {
        TAG_OFFSET + self.listing.map_or(0, |_| usize::from(WITH_TAG))
    }

    /// Returns the bytes of a header and a value.
    pub(crate) fn with(&self, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() + value.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.version.0.to_be_bytes());
        bytes.extend_from_slice(&self.deadline.as_millis().to_be_bytes());
        bytes.push(self.listing.map_or(0, |_| WITH_TAG));
        if let Some(TagListing { tag, until }) = self.listing {
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
            let listing = match rest.split_first()? {
                (0, _) => None,
                (&WITH_TAG, rest) => {
                    let (tag, rest) = rest.split_first_chunk()?;
                    Some(TagListing { tag: Tag::new(*tag), until: time(rest)?.0 })
                }
                _ => return None,
            };
            Some(Header { version: Version(u64::from_be_bytes(*version)), deadline, listing })
        };
        read().ok_or_else(corrupt)
    }
}

/// Reads a timestamp, and returns it with the bytes after it.
pub(crate) fn time(bytes: &[u8]) -> Option<(Time, &[u8])> {
    let (millis, rest) = bytes.split_first_chunk()?;
    Some((Time::from_millis(u64::from_be_bytes(*millis)), rest))
}

/// A value as it was read.
pub(crate) struct Item {
    pub(crate) header: Header,
    /// memcached's token for the value.
    pub(crate) token: Token,
    /// The remaining time to live in seconds.
    pub(crate) left: u64,
    bytes: Bytes,
}

impl Item {
    pub(crate) fn new(found: Found) -> Result<Item, Error> {
        let Found { bytes, token, left } = found;
        Ok(Item { header: Header::decode(&bytes)?, token, left, bytes: bytes.into() })
    }

    /// Returns when the value ends by the reader's clock, which shows `now`: the deadline that the writer computed, to
    /// the millisecond. If the remaining time to live contradicts it, the writer's clock differs, and the time to live
    /// counts.
    pub(crate) fn deadline(&self, now: Time) -> Time {
        let written = self.header.deadline;
        if self.left == NO_EXPIRY {
            return written;
        }
        let told = now + Duration::from_secs(self.left.saturating_sub(MAX_LAG));
        let off = if written > told { written.since(told) } else { told.since(written) };
        if off <= TOLERANCE { written } else { told }
    }

    pub(crate) fn value(&self) -> Bytes {
        self.bytes.slice(self.header.len()..)
    }
}

pub(crate) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "an item in memcached is not what was put there")
}

/// Returns the time to live in seconds for this lifetime: never too short, whatever the lag of memcached's clock. No
/// client's clock affects it.
pub(crate) fn ttl(lifetime: Duration) -> u64 {
    if lifetime.as_millis() == 0 {
        return 0;
    }
    let rounded_up = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    rounded_up.saturating_add(MAX_LAG)
}

/// The form in which memcached receives a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exptime {
    Never,
    /// This many seconds after memcached's current time.
    In(u64),
    /// A timestamp this many seconds after memcached's current time, which must be known.
    At(u64),
}

impl Exptime {
    pub(crate) fn of(ttl: u64) -> Exptime {
        match ttl {
            0..=MAX_RELATIVE_TTL => Exptime::In(ttl),
            _ if ttl < MAX_TIMESTAMP => Exptime::At(ttl),
            _ => Exptime::Never,
        }
    }
}

/// Returns the timestamp after this many seconds, or 0 for no expiry, which also replaces a timestamp beyond the last.
pub(crate) fn timestamp(ttl: u64, now: Time) -> u64 {
    let timestamp = now.as_millis() / 1_000 + ttl + MAX_LAG;
    if timestamp <= MAX_TIMESTAMP { timestamp } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: TagListing = TagListing { tag: Tag::new([b't'; 32]), until: Time::from_millis(3) };
    const HEADER: Header = Header { version: Version(7), deadline: Time::from_millis(258), listing: None };

    #[test]
    fn a_value_has_its_golden_bytes_and_is_decoded() {
        assert_eq!(HEADER.with(b"value"), b"\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02\0value");
        let tagged = Header { listing: Some(LISTING), ..HEADER };
        let golden =
            b"\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\x01\x02\x28tttttttttttttttttttttttttttttttt\0\0\0\0\0\0\0\x03value";
        assert_eq!(tagged.with(b"value"), golden);
        for header in [HEADER, tagged] {
            let token = Token { cas: 3, boot_id: 1 };
            let item = Item::new(Found { bytes: header.with(b"value"), token, left: 7 }).unwrap();
            assert_eq!((item.header, &item.value()[..]), (header, &b"value"[..]));
        }
    }

    #[test]
    fn the_time_to_live_overrides_a_deadline_by_another_clock() {
        let now = Time::from_millis(1_795_700_000_500);
        let deadline = |deadline, left| {
            let header = Header { deadline, ..HEADER };
            let found = Found { bytes: header.with(b""), token: Token { cas: 3, boot_id: 1 }, left };
            Item::new(found).unwrap().deadline(now)
        };
        let hour = Duration::from_secs(3_600);
        for exact in [now + hour, now + hour - Duration::from_millis(5_999)] {
            assert_eq!(deadline(exact, 3_602), exact);
        }
        for wrong in [Time::ZERO, now, now + 2 * hour, Time::MAX] {
            assert_eq!(deadline(wrong, 3_602), now + hour);
        }
        assert_eq!(deadline(Time::MAX, NO_EXPIRY), Time::MAX);
    }

    #[test]
    fn truncated_or_foreign_bytes_are_corrupt() {
        let bytes = Header { listing: Some(LISTING), ..HEADER }.with(b"");
        for length in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..length]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(Header::decode(&[b'x'; 80]).is_err());
    }

    #[test]
    fn a_time_to_live_is_never_too_short() {
        let ttls = [0, 1, 999, 1_000, 1_001, 60_000].map(|millis| ttl(Duration::from_millis(millis)));
        assert_eq!(ttls, [0, 3, 3, 3, 4, 62]);
        assert_eq!(ttl(Duration::MAX), NO_EXPIRY);
    }

    #[test]
    fn a_long_time_to_live_is_sent_as_a_timestamp() {
        const DAY: u64 = 24 * 3_600;
        let now = Time::from_millis(1_795_700_000_500);
        assert_eq!(Exptime::of(0), Exptime::In(0));
        assert_eq!(Exptime::of(30 * DAY), Exptime::In(30 * DAY));
        assert_eq!(Exptime::of(30 * DAY + 1), Exptime::At(30 * DAY + 1));
        assert_eq!(Exptime::of(NO_EXPIRY), Exptime::Never);
        assert_eq!(timestamp(100, now), 1_795_700_102);
        assert_eq!(timestamp(MAX_TIMESTAMP - 1_795_700_002, now), MAX_TIMESTAMP);
        assert_eq!(timestamp(MAX_TIMESTAMP - 1_795_700_001, now), 0, "memcached would take it for the past");
    }
}
