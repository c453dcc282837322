//! The bytes of a record.
//!
//! All integers are little-endian; times are milliseconds since 1970 in UTC. Every record ends with a CRC-32 (the
//! one of IEEE 802.3) of all bytes before it: a torn or damaged record is seen, never half read (promise P7).
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    1  kind: 0 a session, 1 a session with a lifetime of its own, 2 moved
//!
//!              a session (kinds 0 and 1)               moved (kind 2)
//!      2    8  created                                 2  32  key of the new record
//!     10    8  accessed                               34   4  CRC-32
//!     18    8  idle time in ms, 0 for none
//!     26    8  absolute end, 0 for none
//!     34    8  when the cookie was last sent
//!     42    1  n: length of the principal, 0 for none
//!     43    n  principal, UTF-8
//!              then, to the end, entries of
//!           1  k: length of the key, 1 to 255
//!           k  key, UTF-8, no key twice
//!       1..=5  v: length of the value, as LEB128
//!           v  value, MessagePack
//!           4  CRC-32
//! ```
//!
//! A format is never changed, only followed by another number; a reader that does not know a number says so.

use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::body::{Body, Wrong};
use super::{Content, Record};
use crate::{Error, ErrorKind, Lifetime, StoreKey, Time};

const FORMAT: u8 = 1;
const SESSION: u8 = 0;
const SESSION_OWN_LIFETIME: u8 = 1;
const MOVED: u8 = 2;
const CHECKSUM: usize = 4;

impl Content {
    /// The bytes that go into a store.
    pub fn encode(&self) -> Bytes {
        match self {
            Content::Session(record) => record.encode(),
            Content::Moved(to) => {
                let mut out = Vec::with_capacity(2 + 32 + CHECKSUM);
                out.put_slice(&[FORMAT, MOVED]);
                out.put_slice(to.as_bytes());
                finish(out)
            }
        }
    }

    /// Reads the bytes of a record. Entries stay in `bytes`, and are not copied.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if they are damaged, cut off, or of a format this version does not know.
    pub fn decode(bytes: Bytes) -> Result<Content, Error> {
        let mut reader = Reader::checked(&bytes)?;
        match reader.u8()? {
            MOVED => {
                let to = StoreKey::new(reader.array()?);
                if reader.rest.is_empty() { Ok(Content::Moved(to)) } else { Err(corrupt("bytes after its end")) }
            }
            kind @ (SESSION | SESSION_OWN_LIFETIME) => {
                let mut record = reader.header(kind)?;
                let end = bytes.len() - CHECKSUM;
                let entries = end - reader.rest.len()..end;
                record.body = Body::checked(bytes, entries).map_err(wrong_entries)?;
                Ok(Content::Session(record))
            }
            other => Err(corrupt(&format!("kind {other}, where 0 to 2 are known"))),
        }
    }
}

impl Record {
    /// The bytes that go into a store.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.put_u8(FORMAT);
        out.put_u8(if self.lifetime.own { SESSION_OWN_LIFETIME } else { SESSION });
        out.put_u64_le(self.created.as_millis());
        out.put_u64_le(self.accessed.as_millis());
        out.put_u64_le(self.lifetime.idle.map_or(0, millis));
        out.put_u64_le(self.lifetime.absolute.map_or(0, Time::as_millis));
        out.put_u64_le(self.cookie_sent.as_millis());
        // Its length was checked when it came in.
        let principal = self.principal.as_deref().unwrap_or_default();
        out.put_u8(principal.len() as u8);
        out.put_slice(principal.as_bytes());
        out.put_slice(self.body.as_bytes());
        finish(out)
    }

    /// How many bytes [`Record::encode`] makes.
    pub fn encoded_len(&self) -> usize {
        43 + self.principal.as_deref().map_or(0, str::len) + self.body.as_bytes().len() + CHECKSUM
    }
}

/// An idle time of no milliseconds would read as none.
fn millis(idle: Duration) -> u64 {
    u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn finish(mut out: Vec<u8>) -> Bytes {
    let checksum = crc32fast::hash(&out);
    out.put_u32_le(checksum);
    out.into()
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a session's record is damaged: {what}"))
}

fn cut_off() -> Error {
    corrupt("it is cut off")
}

fn not_text() -> Error {
    corrupt("a key or principal is not UTF-8")
}

fn wrong_entries(wrong: Wrong) -> Error {
    match wrong {
        Wrong::CutOff => cut_off(),
        Wrong::LongLength => corrupt("a value's length has more than five bytes"),
        Wrong::EmptyKey => corrupt("an empty key"),
        Wrong::NotText => not_text(),
        Wrong::Twice => corrupt("a key twice"),
    }
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads format and checksum, and leaves what lies between.
    fn checked(bytes: &'a [u8]) -> Result<Reader<'a>, Error> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(other) => return Err(corrupt(&format!("format {other}, where {FORMAT} is known"))),
            None => return Err(corrupt("it is empty")),
        }
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else { return Err(cut_off()) };
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(corrupt("its checksum does not match"));
        }
        // A lone format byte has no body: its four bytes are all checksum.
        body.get(1..).map(|rest| Reader { rest }).ok_or_else(cut_off)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Time, Error> {
        self.u64().map(Time::from_millis)
    }

    /// All of a session's record but its entries.
    fn header(&mut self, kind: u8) -> Result<Record, Error> {
        let (created, accessed) = (self.time()?, self.time()?);
        let (idle, absolute, cookie_sent) = (self.u64()?, self.u64()?, self.time()?);
        let lifetime = Lifetime {
            idle: (idle > 0).then(|| Duration::from_millis(idle)),
            absolute: (absolute > 0).then(|| Time::from_millis(absolute)),
            own: kind == SESSION_OWN_LIFETIME,
        };
        let length = usize::from(self.u8()?);
        let (principal, entries) = self.rest.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = entries;
        let principal = str::from_utf8(principal).map_err(|_| not_text())?;
        let principal = (length > 0).then(|| principal.into());
        Ok(Record { created, accessed, lifetime, cookie_sent, principal, body: Body::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golden() -> Record {
        let lifetime =
            Lifetime { idle: Some(Duration::from_secs(60)), absolute: Some(Time::from_millis(9)), own: true };
        let mut record = Record::new(Time::from_millis(7), lifetime);
        record.accessed = Time::from_millis(8);
        record.set_principal(Some("user:42")).unwrap();
        record.insert("n", &[0x2a]).unwrap();
        record.insert("name", b"\xa3Ada").unwrap();
        record
    }

    /// The format is a promise: these bytes were written once and must be read for ever.
    const GOLDEN: &[u8] = b"\x01\x01\
        \x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x60\xea\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\
        \x07user:42\x01n\x01\x2a\x04name\x04\xa3Ada";

    fn with_checksum(bytes: &[u8]) -> Bytes {
        finish(bytes.to_vec())
    }

    #[test]
    fn a_session_has_its_golden_bytes() {
        assert_eq!(golden().encode(), with_checksum(GOLDEN));
        assert_eq!(Content::decode(with_checksum(GOLDEN)).unwrap(), Content::Session(golden()));
        assert_eq!(golden().encode()[GOLDEN.len()..], [0xd5, 0x6b, 0xaa, 0x7a]);
    }

    #[test]
    fn a_pointer_has_its_golden_bytes() {
        let moved = Content::Moved(StoreKey::new([3; 32]));
        let mut golden = vec![1, 2];
        golden.extend([3; 32]);
        assert_eq!(moved.encode(), with_checksum(&golden));
        assert_eq!(Content::decode(moved.encode()).unwrap(), moved);
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_seen() {
        let bytes = golden().encode();
        for len in 0..bytes.len() {
            assert_eq!(Content::decode(bytes.slice(..len)).unwrap_err().kind(), ErrorKind::Corrupt, "{len} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Content::decode(flipped.into()).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |bytes: &[u8]| Content::decode(Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert_eq!(message(&[2, 0]), "a session's record is damaged: format 2, where 1 is known");
        assert_eq!(message(&[]), "a session's record is damaged: it is empty");
        assert_eq!(message(&with_checksum(&[1, 9])), "a session's record is damaged: kind 9, where 0 to 2 are known");
        let twice = [GOLDEN, b"\x01n\x01\x01"].concat();
        assert_eq!(message(&with_checksum(&twice)), "a session's record is damaged: a key twice");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            times in proptest::array::uniform4(0_u64..=Time::MAX.as_millis()),
            idle in proptest::option::of(1_u64..u64::MAX / 2),
            principal in proptest::option::of("\\PC{1,60}"),
            entries in proptest::collection::btree_map("\\PC{1,60}", proptest::collection::vec(any::<u8>(), 0..300), 0..40),
            own: bool,
        ) {
            let lifetime = Lifetime {
                idle: idle.map(Duration::from_millis),
                absolute: Some(Time::from_millis(times[0])).filter(|time| *time > Time::ZERO),
                own,
            };
            let mut record = Record::new(Time::from_millis(times[1]), lifetime);
            record.accessed = Time::from_millis(times[2]);
            record.cookie_sent = Time::from_millis(times[3]);
            record.set_principal(principal.as_deref()).unwrap();
            for (key, value) in entries {
                record.insert(&key, &value).unwrap();
            }
            let bytes = record.encode();
            prop_assert_eq!(bytes.len(), record.encoded_len());
            prop_assert_eq!(Content::decode(bytes).unwrap(), Content::Session(record));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Content::decode(with_checksum(&[&[1, 0], &bytes[..]].concat()));
            let _ = Content::decode(bytes.into());
        }
    }
}
