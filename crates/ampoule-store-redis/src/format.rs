//! A value as it is stored in Redis: a header that Lua can read, then the bytes that were put.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    8  version, new with each write
//!      9   15  deadline by the writer's clock, decimal, in milliseconds: Lua compares it as a number, in any locale
//!     24    1  how long the tag is: 0 or 32
//!     25    t  the tag
//!   25+t    n  the value
//! ```

use std::time::Duration;

use ampoule_core::{Bytes, Entry, Error, ErrorKind, Tag, Time, Version};
use bytes::Buf;

const FORMAT: u8 = 1;
const TAG_AT: usize = 25;

/// As far as a header with a tag reaches.
pub(crate) const HEADER: usize = TAG_AT + 32;

pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) tag: Option<Tag>,
}

pub(crate) fn encode(version: Version, deadline: Time, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + entry.value.len());
    bytes.extend_from_slice(&beginning(version));
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

/// What a value of this version begins with, and no other.
pub(crate) fn beginning(version: Version) -> [u8; 9] {
    let mut bytes = [FORMAT; 9];
    bytes[1..].copy_from_slice(&version.0.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: Vec<u8>) -> Result<(Header, Bytes), Error> {
    let header = decode_header(&bytes)?;
    let mut value = Bytes::from(bytes);
    value.advance(if header.tag.is_some() { HEADER } else { TAG_AT });
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
    read().ok_or_else(damaged)
}

pub(crate) fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "a key in Redis holds what was never put there")
}

/// Always 15 of them: the year 9999 has no more.
pub(crate) fn digits(time: Time) -> [u8; 15] {
    let (mut digits, mut rest) = ([b'0'; 15], time.as_millis());
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// How long Redis is to keep a value, in milliseconds; `None` for ever. No clock of a client has a part in it.
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
    fn a_value_has_its_golden_bytes_and_comes_back() {
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
    fn what_is_cut_or_foreign_is_corrupt() {
        let bytes = encode(Version(7), Time::MAX, &entry(Some(Tag::new([9; 32]))));
        for length in 0..HEADER {
            assert_eq!(decode(bytes[..length].to_vec()).err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
        }
        assert!(decode(b"2".repeat(80)).is_err());
    }

    #[test]
    fn only_what_outlasts_all_time_is_kept_for_ever() {
        let thousand_years = Duration::from_secs(1_000 * 365 * 24 * 3_600);
        assert_eq!(ttl(Duration::from_micros(1_999)), Some(1));
        assert_eq!(ttl(thousand_years), Some(thousand_years.as_millis() as u64));
        for ever in [Duration::MAX, Duration::from_millis(Time::MAX.as_millis())] {
            assert_eq!(ttl(ever), None);
        }
    }
}
