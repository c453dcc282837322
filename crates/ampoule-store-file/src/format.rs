//! The bytes of a file.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    1  1 if there is a tag, 0 if not
//!      2    8  version, little-endian
//!     10   32  tag; zeros if there is none
//!     42    n  value
//!   42+n    4  CRC-32 (IEEE 802.3) of all bytes before it, little-endian
//! ```

use ampoule_core::{Bytes, Error, ErrorKind, Tag, Version};

const FORMAT: u8 = 1;
pub(crate) const HEADER: usize = 42;
const CHECKSUM: usize = 4;

/// What stands before the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) tag: Option<Tag>,
}

pub(crate) fn encode(header: Header, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + value.len() + CHECKSUM);
    bytes.extend([FORMAT, u8::from(header.tag.is_some())]);
    bytes.extend(header.version.0.to_le_bytes());
    bytes.extend(header.tag.map_or([0; 32], |tag| *tag.as_bytes()));
    bytes.extend(value);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Reads a whole file.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<(Header, Bytes), Error> {
    let header = decode_header(&bytes)?;
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| corrupt("it is cut off"))?;
    if body.len() < HEADER {
        return Err(corrupt("it is cut off"));
    }
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(corrupt("its checksum does not match"));
    }
    let end = body.len();
    Ok((header, Bytes::from(bytes).slice(HEADER..end)))
}

/// Reads the start of a file, for those who need no value.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, Error> {
    match bytes.first() {
        Some(&FORMAT) => {}
        Some(other) => return Err(corrupt(&format!("format {other}, where {FORMAT} is known"))),
        None => return Err(corrupt("it is empty")),
    }
    let header: &[u8; HEADER] = bytes.first_chunk().ok_or_else(|| corrupt("it is cut off"))?;
    let [_, tagged, rest @ ..] = header;
    let (version, tag) = rest.split_first_chunk::<8>().ok_or_else(|| corrupt("it is cut off"))?;
    let tag = tag.first_chunk::<32>().filter(|_| *tagged == 1).map(|tag| Tag::new(*tag));
    Ok(Header { version: Version(u64::from_le_bytes(*version)), tag })
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a session's file is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_golden_bytes() {
        let header = Header { version: Version(0x0102), tag: Some(Tag::new([9; 32])) };
        let bytes = encode(header, b"value");
        assert_eq!(bytes[..10], [1, 1, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[10..42], [9; 32]);
        assert_eq!(bytes[42..47], *b"value");
        assert_eq!(bytes[47..], crc32fast::hash(&bytes[..47]).to_le_bytes());
        assert_eq!(decode(bytes).unwrap(), (header, Bytes::from_static(b"value")));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_seen() {
        let bytes = encode(Header { version: Version(7), tag: None }, b"some value");
        for len in 0..bytes.len() {
            assert_eq!(decode(bytes[..len].to_vec()).unwrap_err().kind(), ErrorKind::Corrupt, "{len} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(flipped).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }
}
