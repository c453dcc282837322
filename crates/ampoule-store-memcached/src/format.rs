//! A value as it is stored in memcached: a header, then the bytes that were put.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    8  version, random, new with each put and kept by a touch
//!      9    8  deadline by the writer's clock, milliseconds, big-endian
//!     17    1  0 without a tag, or 40
//!     18   32  the tag
//!     50    8  until when the tag's own item is sure to name this key, by that item's server, milliseconds, big-endian
//!   then    n  the value
//! ```

use std::time::Duration;

use ampoule_core::{Bytes, Error, ErrorKind, Tag, Time, Version};

use crate::wire::{FOR_EVER, Found, Token};

const FORMAT: u8 = 1;
const TAG_AT: usize = 18;
const NAMED: u8 = 40;

/// A time to live beyond this is taken for a moment by memcached.
const RELATIVE: u64 = 30 * 24 * 3_600;

/// The last moment that memcached understands: it reads 32 bits with a sign, and takes what is larger for the past.
const LAST: u64 = i32::MAX as u64;

/// By how many seconds memcached's clock may lag. It has whole seconds, and is set once in about a second: when that
/// takes a little longer than a second, again and again, it one day jumps by two.
const LAG: u64 = 2;

/// How far a deadline may lie from what memcached says is left, where the clocks of writer and reader agree: times to live
/// are rounded up and lengthened by the lag, moments twice.
const TOLERANCE: Duration = Duration::from_secs(8);

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

/// A value as it was found.
pub(crate) struct Item {
    pub(crate) header: Header,
    /// memcached's token for it.
    pub(crate) token: Token,
    /// For how many seconds memcached still keeps it.
    pub(crate) left: u64,
    bytes: Bytes,
}

impl Item {
    pub(crate) fn new(found: Found) -> Result<Item, Error> {
        let Found { bytes, token, left } = found;
        Ok(Item { header: Header::decode(&bytes)?, token, left, bytes: bytes.into() })
    }

    /// When the value ends by the reader's clock, which shows `now`: the deadline that the writer reckoned, to the
    /// millisecond, unless memcached says otherwise. Then the writer's clock was another.
    pub(crate) fn deadline(&self, now: Time) -> Time {
        let written = self.header.deadline;
        if self.left == FOR_EVER {
            return written;
        }
        let told = now + Duration::from_secs(self.left.saturating_sub(LAG));
        let off = if written > told { written.since(told) } else { told.since(written) };
        if off <= TOLERANCE { written } else { told }
    }

    pub(crate) fn value(&self) -> Bytes {
        self.bytes.slice(self.header.len()..)
    }
}

pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "an item in memcached is not what was put there")
}

/// For how many seconds memcached is to keep what lives so long: never too few, whatever its clock's lag. No clock of a
/// client has a part in it.
pub(crate) fn ttl(lifetime: Duration) -> u64 {
    if lifetime.as_millis() == 0 {
        return 0;
    }
    let rounded_up = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    rounded_up.saturating_add(LAG)
}

/// How memcached is told that an item lives for so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exptime {
    Never,
    /// So many seconds after its present.
    In(u64),
    /// A moment that many seconds after its present, which must be known.
    At(u64),
}

impl Exptime {
    pub(crate) fn of(ttl: u64) -> Exptime {
        match ttl {
            0..=RELATIVE => Exptime::In(ttl),
            _ if ttl < LAST => Exptime::At(ttl),
            _ => Exptime::Never,
        }
    }
}

/// The moment after so many seconds, or 0 for ever: what lies beyond the last is as good as that.
pub(crate) fn moment(ttl: u64, now: Time) -> u64 {
    let moment = now.as_millis() / 1_000 + ttl + LAG;
    if moment <= LAST { moment } else { 0 }
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
            let token = Token { cas: 3, boot_id: 1 };
            let item = Item::new(Found { bytes: header.with(b"value"), token, left: 7 }).unwrap();
            assert_eq!((item.header, &item.value()[..]), (header, &b"value"[..]));
        }
    }

    #[test]
    fn a_deadline_of_another_clock_gives_way_to_the_time_that_is_left() {
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
        assert_eq!(deadline(Time::MAX, FOR_EVER), Time::MAX);
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
    fn a_time_to_live_is_never_too_short() {
        let ttls = [0, 1, 999, 1_000, 1_001, 60_000].map(|millis| ttl(Duration::from_millis(millis)));
        assert_eq!(ttls, [0, 3, 3, 3, 4, 62]);
        assert_eq!(ttl(Duration::MAX), FOR_EVER);
    }

    #[test]
    fn a_long_time_to_live_is_a_moment() {
        const DAY: u64 = 24 * 3_600;
        let now = Time::from_millis(1_795_700_000_500);
        assert_eq!(Exptime::of(0), Exptime::In(0));
        assert_eq!(Exptime::of(30 * DAY), Exptime::In(30 * DAY));
        assert_eq!(Exptime::of(30 * DAY + 1), Exptime::At(30 * DAY + 1));
        assert_eq!(Exptime::of(FOR_EVER), Exptime::Never);
        assert_eq!(moment(100, now), 1_795_700_102);
        assert_eq!(moment(LAST - 1_795_700_002, now), LAST);
        assert_eq!(moment(LAST - 1_795_700_001, now), 0, "memcached would take it for the past");
    }
}
