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
                let mut out = vec![FORMAT, MOVED];
                out.put_slice(to.as_bytes());
                finish(out)
            }
        }
    }

    /// Reads the bytes of a record. Values are slices of `bytes`, not copies.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if they are damaged, cut off, or of a format this version does not know.
    pub fn decode(bytes: &Bytes) -> Result<Content, Error> {
        let mut reader = Reader::checked(bytes)?;
        let content = match reader.u8()? {
            MOVED => Content::Moved(StoreKey::new(reader.array()?)),
            kind @ (SESSION | SESSION_OWN_LIFETIME) => Content::Session(reader.record(kind)?),
            other => return Err(corrupt(&format!("kind {other}, where 0 to 2 are known"))),
        };
        if reader.rest.is_empty() { Ok(content) } else { Err(corrupt("bytes after its end")) }
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
        put_short(&mut out, self.principal.as_deref().unwrap_or_default());
        for (key, value) in &self.entries {
            put_short(&mut out, key);
            put_leb128(&mut out, value.len());
            out.put_slice(value);
        }
        finish(out)
    }

    /// How many bytes [`Record::encode`] makes, at most four more for each entry.
    pub fn encoded_len(&self) -> usize {
        let principal = self.principal.as_ref().map_or(0, Bytes::len);
        43 + principal + CHECKSUM + self.entries.iter().map(|(key, value)| 6 + key.len() + value.len()).sum::<usize>()
    }
}

/// An idle time of no milliseconds would read as none.
fn millis(idle: Duration) -> u64 {
    u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Lengths are checked where keys and principals enter a record.
fn put_short(out: &mut Vec<u8>, text: &[u8]) {
    debug_assert!(text.len() <= super::MAX_KEY);
    out.put_u8(text.len() as u8);
    out.put_slice(text);
}

fn put_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn finish(mut out: Vec<u8>) -> Bytes {
    let checksum = crc32fast::hash(&out);
    out.put_u32_le(checksum);
    out.into()
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a session's record is damaged: {what}"))
}

/// What is still to be read.
struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads format and checksum, and leaves what lies between.
    fn checked(bytes: &Bytes) -> Result<Reader, Error> {
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
        if body.is_empty() { Err(cut_off()) } else { Ok(Reader { rest: bytes.slice(1..body.len()) }) }
    }

    fn bytes(&mut self, len: usize) -> Result<Bytes, Error> {
        if len > self.rest.len() { Err(cut_off()) } else { Ok(self.rest.split_to(len)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.rest.first_chunk().copied().ok_or_else(cut_off)?;
        let _ = self.rest.split_to(N);
        Ok(bytes)
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

    fn short_text(&mut self) -> Result<Bytes, Error> {
        let len = self.u8()?;
        let bytes = self.bytes(len.into())?;
        str::from_utf8(&bytes).map_err(|_| corrupt("a key or principal is not UTF-8"))?;
        Ok(bytes)
    }

    /// At most five bytes, so at most 32 bits and some: a longer value does not fit a record.
    fn leb128(&mut self) -> Result<usize, Error> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(corrupt("a value's length has more than five bytes"))
    }

    fn record(&mut self, kind: u8) -> Result<Record, Error> {
        let (created, accessed) = (self.time()?, self.time()?);
        let (idle, absolute, cookie_sent) = (self.u64()?, self.u64()?, self.time()?);
        let lifetime = Lifetime {
            idle: (idle > 0).then(|| Duration::from_millis(idle)),
            absolute: (absolute > 0).then(|| Time::from_millis(absolute)),
            own: kind == SESSION_OWN_LIFETIME,
        };
        let principal = Some(self.short_text()?).filter(|text| !text.is_empty());
        let entries = self.entries()?;
        Ok(Record { created, accessed, lifetime, cookie_sent, principal, entries })
    }

    fn entries(&mut self) -> Result<Vec<(Bytes, Bytes)>, Error> {
        // Most sessions have a handful.
        let mut entries: Vec<(Bytes, Bytes)> = Vec::with_capacity(8);
        while !self.rest.is_empty() {
            let key = self.short_text()?;
            let len = self.leb128()?;
            let value = self.bytes(len)?;
            if key.is_empty() {
                return Err(corrupt("an empty key"));
            }
            entries.push((key, value));
        }
        reject_duplicates(&entries)?;
        Ok(entries)
    }
}

fn cut_off() -> Error {
    corrupt("it is cut off")
}

/// Quadratic for the few keys of a common session, which costs nothing; sorted for many.
fn reject_duplicates(entries: &[(Bytes, Bytes)]) -> Result<(), Error> {
    let twice = if entries.len() <= 16 {
        entries.iter().enumerate().any(|(index, (key, _))| entries[..index].iter().any(|(other, _)| other == key))
    } else {
        let mut keys: Vec<&Bytes> = entries.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    };
    if twice { Err(corrupt("a key twice")) } else { Ok(()) }
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
        record.insert("n", Bytes::from_static(&[0x2a])).unwrap();
        record.insert("name", Bytes::from_static(b"\xa3Ada")).unwrap();
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
        assert_eq!(Content::decode(&with_checksum(GOLDEN)).unwrap(), Content::Session(golden()));
        assert_eq!(golden().encode()[GOLDEN.len()..], [0xd5, 0x6b, 0xaa, 0x7a]);
    }

    #[test]
    fn a_pointer_has_its_golden_bytes() {
        let moved = Content::Moved(StoreKey::new([3; 32]));
        let mut golden = vec![1, 2];
        golden.extend([3; 32]);
        assert_eq!(moved.encode(), with_checksum(&golden));
        assert_eq!(Content::decode(&moved.encode()).unwrap(), moved);
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_seen() {
        let bytes = golden().encode();
        for len in 0..bytes.len() {
            assert_eq!(Content::decode(&bytes.slice(..len)).unwrap_err().kind(), ErrorKind::Corrupt, "{len} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Content::decode(&flipped.into()).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |bytes: &[u8]| Content::decode(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
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
                record.insert(&key, value.into()).unwrap();
            }
            let bytes = record.encode();
            prop_assert!(bytes.len() <= record.encoded_len());
            prop_assert_eq!(Content::decode(&bytes).unwrap(), Content::Session(record));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Content::decode(&with_checksum(&[&[1, 0], &bytes[..]].concat()));
            let _ = Content::decode(&bytes.into());
        }
    }
}
