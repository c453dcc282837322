//! The format of a value in Redis: a header that Lua can read, then the bytes that were put.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    8  version, new with each write
//!      9   15  deadline by the server's clock, decimal, in milliseconds: Lua compares it as a number, in any locale
//!     24    1  length of the tag: 0 or 32
//!     25    t  the tag
//!   25+t    n  the value
//! ```

use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, ErrorKind, Tag, Time, Version};
use bytes::Buf;

const FORMAT: u8 = 1;
const TAG_OFFSET: usize = 25;

pub(crate) const CORRUPT_KEY: &str = "a key in Redis contains data that this store did not write";

/// The length of a header with a tag.
pub(crate) const MAX_HEADER_LEN: usize = TAG_OFFSET + 32;

pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) tag: Option<Tag>,
}

pub(crate) fn encode(version: Version, deadline: Time, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_HEADER_LEN + entry.value.len());
    bytes.extend_from_slice(&version_prefix(version));
    bytes.extend_from_slice(&digits(deadline));
    match &entry.tag {
        Some(tag) => {
            bytes.push(32);
            bytes.extend_from_slice(tag.as_bytes());
        }
        None => bytes.push(0),
    }
    bytes.extend_from_slice(&entry.value);
    bytes
}

/// Returns the first bytes of a value with this version, which no other value has.
pub(crate) fn version_prefix(version: Version) -> [u8; 9] {
    let mut bytes = [FORMAT; 9];
    bytes[1..].copy_from_slice(&version.0.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: Vec<u8>) -> Result<(Header, Bytes), Error> {
    let header = decode_header(&bytes)?;
    let mut value = Bytes::from(bytes);
    value.advance(if header.tag.is_some() { MAX_HEADER_LEN } else { TAG_OFFSET });
    Ok((header, value))
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, Error> {
    let read = || -> Option<Header> {
        let (&[FORMAT], rest) = bytes.split_first_chunk()? else { return None };
        let (version, rest) = rest.split_first_chunk()?;
        let (deadline, rest) = rest.split_first_chunk::<15>()?;
        let deadline = str::from_utf8(deadline).ok()?.parse().ok()?;
        let tag = match rest.split_first()? {
            (0, _) => None,
            (32, rest) => Some(Tag::new(*rest.first_chunk()?)),
            _ => return None,
        };
        Some(Header { version: Version(u64::from_be_bytes(*version)), deadline: Time::from_millis(deadline), tag })
    };
    read().ok_or_else(corrupt)
}

/// Returns the error for a key that contains something other than a value or set of this store.
pub(crate) fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, CORRUPT_KEY)
}

/// Returns a time as 15 digits, which suffice until the year 9999.
pub(crate) fn digits(time: Time) -> [u8; 15] {
    let (mut digits, mut rest) = ([b'0'; 15], time.as_millis());
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Returns the time to live of a value, in milliseconds; `None` for ever. It does not depend on a client's clock.
pub(crate) fn ttl(lifetime: Duration) -> Option<u64> {
    u64::try_from(lifetime.as_millis()).ok().filter(|millis| *millis < Time::MAX.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Time = Time::from_millis(1_900_000_000_123);

    fn entry(tag: Option<Tag>) -> Entry {
        Entry { value: Bytes::from("value"), lifetime: Duration::MAX, tag }
    }

    #[test]
    fn a_value_has_its_golden_bytes_and_is_decoded() {
        let bytes = encode(Version(7), DEADLINE, &entry(None));
        assert_eq!(bytes, b"\x01\0\0\0\0\0\0\0\x07001900000000123\0value");
        for entry in [entry(None), entry(Some(Tag::new([9; 32])))] {
            let (header, value) = decode(encode(Version(7), DEADLINE, &entry)).unwrap();
            assert_eq!(
                (header.version, header.deadline, header.tag, value),
                (Version(7), DEADLINE, entry.tag, entry.value)
            );
        }
    }

    #[test]
    fn truncated_or_foreign_bytes_are_corrupt() {
        let bytes = encode(Version(7), Time::MAX, &entry(Some(Tag::new([9; 32]))));
        for length in 0..MAX_HEADER_LEN {
            assert_eq!(decode(bytes[..length].to_vec()).err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
        }
        assert!(decode(b"2".repeat(80)).is_err());
    }

    #[test]
    fn only_a_lifetime_to_the_end_of_time_has_no_time_to_live() {
        let thousand_years = Duration::from_secs(1_000 * 365 * 24 * 3_600);
        assert_eq!(ttl(Duration::from_micros(1_999)), Some(1));
        assert_eq!(ttl(thousand_years), Some(thousand_years.as_millis() as u64));
        for ever in [Duration::MAX, Duration::from_millis(Time::MAX.as_millis())] {
            assert_eq!(ttl(ever), None);
        }
    }
}
