//! The format of a file.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    1  1 if there is a tag, 0 if not
//!      2    8  version, little-endian
//!     10   32  tag; zeros if there is none
//!     42   12  a deadline
//!     54   12  another deadline; the later of the two counts
//!     66    n  value
//!   66+n    4  CRC-32 (IEEE 802.3) of bytes 0 to 41 and of the value, little-endian
//!
//! a deadline
//!      0    8  milliseconds since 1970-01-01T00:00:00Z, little-endian
//!      8    4  CRC-32 of bytes 0 to 41 of the file and of the 8 bytes before, little-endian
//! ```
//!
//! A deadline is moved by overwriting the earlier of the two in place; nothing else in a file is ever overwritten. A
//! deadline only moves later while its file exists, so a write that is torn, by a loss of power or during a read, loses
//! nothing: the other deadline is valid, and the move has not happened. If the other deadline has passed, one that
//! cannot be read is damage, since the session may live by it.

use ampoule_core::{Bytes, Error, ErrorKind, Tag, Time, Version};

const FORMAT: u8 = 1;
/// The part of a file before the deadlines, which never changes.
const FIXED: usize = 42;
const DEADLINE: usize = 12;
pub(crate) const HEADER: usize = FIXED + 2 * DEADLINE;
const CHECKSUM: usize = 4;

/// The part of a file before the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) tag: Option<Tag>,
    /// `None` for a deadline whose checksum does not match; never both.
    deadlines: [Option<Time>; 2],
}

impl Header {
    pub(crate) fn new(version: Version, tag: Option<Tag>, deadline: Time) -> Header {
        Header { version, tag, deadlines: [Some(deadline); 2] }
    }

    /// Returns the deadline; `None` if it has passed.
    pub(crate) fn deadline_after(&self, now: Time) -> Result<Option<Time>, Error> {
        let deadline = self.deadlines.into_iter().flatten().max().filter(|deadline| *deadline > now);
        match deadline {
            None if self.deadlines.contains(&None) => Err(corrupt("its deadline cannot be read")),
            deadline => Ok(deadline),
        }
    }

    /// Returns the bytes to write to move the deadline to a later moment, and their offset in the file.
    pub(crate) fn moved_to(&self, deadline: Time) -> (u64, [u8; DEADLINE]) {
        // A deadline that cannot be read sorts before any other.
        let earlier = usize::from(self.deadlines[1] < self.deadlines[0]);
        ((FIXED + earlier * DEADLINE) as u64, encode_deadline(&self.fixed(), deadline))
    }

    fn fixed(&self) -> [u8; FIXED] {
        let mut bytes = [0; FIXED];
        bytes[0] = FORMAT;
        bytes[1] = u8::from(self.tag.is_some());
        bytes[2..10].copy_from_slice(&self.version.0.to_le_bytes());
        if let Some(tag) = self.tag {
            bytes[10..].copy_from_slice(tag.as_bytes());
        }
        bytes
    }
}

fn encode_deadline(fixed: &[u8], deadline: Time) -> [u8; DEADLINE] {
    let millis = deadline.as_millis().to_le_bytes();
    let mut bytes = [0; DEADLINE];
    bytes[..8].copy_from_slice(&millis);
    bytes[8..].copy_from_slice(&checksum(fixed, &millis));
    bytes
}

fn checksum(fixed: &[u8], rest: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(fixed);
    hasher.update(rest);
    hasher.finalize().to_le_bytes()
}

/// Encodes a whole file.
pub(crate) fn encode(version: Version, tag: Option<Tag>, deadline: Time, value: &[u8]) -> Vec<u8> {
    let fixed = Header::new(version, tag, deadline).fixed();
    let deadline = encode_deadline(&fixed, deadline);
    let mut bytes = Vec::with_capacity(HEADER + value.len() + CHECKSUM);
    for part in [&fixed[..], &deadline, &deadline, value, &checksum(&fixed, value)] {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Decodes the start of a file.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, Error> {
    match bytes.first() {
        Some(&FORMAT) => {}
        Some(other) => return Err(corrupt(&format!("format {other}, where {FORMAT} is known"))),
        None => return Err(corrupt("it is empty")),
    }
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or_else(|| corrupt("it is truncated"))?;
    let (first, rest) = rest.split_first_chunk::<DEADLINE>().ok_or_else(|| corrupt("it is truncated"))?;
    let (second, _) = rest.split_first_chunk::<DEADLINE>().ok_or_else(|| corrupt("it is truncated"))?;
    let deadlines = [first, second].map(|bytes| decode_deadline(fixed, bytes));
    if deadlines == [None; 2] {
        return Err(corrupt("the checksum of its header does not match"));
    }
    let [_, tagged, rest @ ..] = fixed;
    let (version, tag) = rest.split_first_chunk::<8>().ok_or_else(|| corrupt("it is truncated"))?;
    let tag = tag.first_chunk::<32>().filter(|_| *tagged == 1).map(|tag| Tag::new(*tag));
    Ok(Header { version: Version(u64::from_le_bytes(*version)), tag, deadlines })
}

fn decode_deadline(fixed: &[u8], bytes: &[u8; DEADLINE]) -> Option<Time> {
    let (millis, sum) = bytes.split_first_chunk::<8>()?;
    (checksum(fixed, millis) == sum).then(|| Time::from_millis(u64::from_le_bytes(*millis)))
}

/// Decodes the value of a whole file.
pub(crate) fn decode_value(bytes: Vec<u8>) -> Result<Bytes, Error> {
    let end =
        bytes.len().checked_sub(CHECKSUM).filter(|end| *end >= HEADER).ok_or_else(|| corrupt("it is truncated"))?;
    if checksum(&bytes[..FIXED], &bytes[HEADER..end]) != bytes[end..] {
        return Err(corrupt("its checksum does not match"));
    }
    Ok(Bytes::from(bytes).slice(HEADER..end))
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a file of the store is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Time = Time::from_millis(43_200_000);
    const ONE: Time = Time::from_millis(46_800_000);
    const TWO: Time = Time::from_millis(50_400_000);

    fn decode(bytes: &[u8]) -> Result<(Header, Bytes), Error> {
        Ok((decode_header(bytes)?, decode_value(bytes.to_vec())?))
    }

    fn write(bytes: &mut [u8], (at, deadline): (u64, [u8; DEADLINE])) {
        bytes[at as usize..][..DEADLINE].copy_from_slice(&deadline);
    }

    #[test]
    fn a_file_has_its_golden_bytes() {
        let header = Header::new(Version(0x0102), Some(Tag::new([9; 32])), NOON);
        let bytes = encode(header.version, header.tag, NOON, b"value");
        assert_eq!(bytes[..10], [1, 1, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[10..42], [9; 32]);
        assert_eq!(bytes[42..50], 43_200_000_u64.to_le_bytes());
        assert_eq!(bytes[50..54], crc32fast::hash(&bytes[..50]).to_le_bytes());
        assert_eq!(bytes[54..66], bytes[42..54]);
        assert_eq!(bytes[66..71], *b"value");
        assert_eq!(bytes[71..], crc32fast::hash(&[&bytes[..42], b"value"].concat()).to_le_bytes());
        assert_eq!(decode(&bytes).unwrap(), (header, Bytes::from_static(b"value")));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_detected_or_harmless() {
        let bytes = encode(Version(7), None, NOON, b"some value");
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]).unwrap_err().kind(), ErrorKind::Corrupt, "{len} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if (FIXED..HEADER).contains(&(bit / 8)) {
                let (header, value) = decode(&flipped).unwrap();
                assert_eq!(&value[..], b"some value", "bit {bit}");
                assert_eq!(
                    header.deadline_after(Time::ZERO).unwrap(),
                    Some(NOON),
                    "bit {bit}: the other deadline stands"
                );
                assert_eq!(header.deadline_after(NOON).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}: or not");
            } else {
                assert_eq!(decode(&flipped).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_deadline_moves_in_place_and_the_later_counts() {
        let mut bytes = encode(Version(7), Some(Tag::new([9; 32])), NOON, b"value");
        for later in [ONE, TWO] {
            let before = decode_header(&bytes).unwrap();
            write(&mut bytes, before.moved_to(later));
            let (header, value) = decode(&bytes).unwrap();
            assert_eq!(header.deadline_after(Time::ZERO).unwrap(), Some(later));
            assert_eq!((header.version, header.tag, &value[..]), (before.version, before.tag, &b"value"[..]));
        }
        let header = decode_header(&bytes).unwrap();
        assert_eq!(header.deadline_after(TWO).unwrap(), None, "both can be read, and both have passed");
    }

    /// The first bytes of a new deadline are written, and the rest is that of the old one.
    #[test]
    fn a_torn_move_has_not_happened() {
        let mut whole = encode(Version(7), None, NOON, b"value");
        let moved = decode_header(&whole).unwrap().moved_to(ONE);
        write(&mut whole, moved);
        let (at, deadline) = decode_header(&whole).unwrap().moved_to(TWO);
        for written in 0..DEADLINE {
            let mut torn = whole.clone();
            torn[at as usize..][..written].copy_from_slice(&deadline[..written]);
            let (header, value) = decode(&torn).unwrap();
            assert_eq!(header.deadline_after(NOON).unwrap(), Some(ONE), "{written} bytes");
            assert_eq!(&value[..], b"value");
            write(&mut torn, header.moved_to(TWO));
            let header = decode_header(&torn).unwrap();
            assert_eq!(header.deadline_after(NOON).unwrap(), Some(TWO), "{written} bytes, and then all");
            assert_eq!(header.deadline_after(TWO).unwrap(), None, "the torn one is the one that was written anew");
        }
    }
}
