//! The format of a record.
//!
//! All integers are little-endian; times are milliseconds since 1970 in UTC. Every record ends with a CRC-32 (IEEE
//! 802.3) of all bytes before it, so that a torn or damaged record is detected and never read in part.
//!
//! ```text
//! offset size
//!      0    1  format: 1
//!      1    1  kind: 0 a session, 1 an ended session
//!
//! a session (kind 0)
//!      2    2  which of the parts marked (*) are present, a bit each, in their order from bit 0
//!      4    8  created
//!     12    8  last written
//!     20    8  idle time in ms, 0 for none
//!     28    8  absolute end, 0 for none
//!     36    8  when the cookie was last sent
//!              (*) no bytes: the session has its own idle timeout
//!          32  (*) SHA-256 of the current secret
//!          48  (*) SHA-256 of the previous secret (32), when it was rotated (8), until when it is valid (8; 0: not set)
//!          16  (*) id of the device
//!              (*) no bytes: no request has come with the token of this login
//!          16  (*) id of the session that the login forked from
//!           8  (*) until when requests already running save nothing, after a login forked from this session
//!           8  (*) when its user last logged in
//!          32  (*) token of its forms
//!          32  (*) keyed digest of a value whose change ends the session
//!           1  m: length of the layer's name
//!           m  name of the layer, UTF-8
//!           1  n: length of the principal, 0 for none
//!           n  principal, UTF-8
//!              then, to the end, entries of
//!           1  k: length of the key, 1 to 255
//!           k  key, UTF-8; keys are unique
//!       1..=5  v: length of the value, as LEB128
//!           v  value, MessagePack
//!           4  CRC-32
//!
//! an ended session (kind 1)
//!      2   16  id of the device
//!     18    1  n: length of the principal whose login replaced the session, 0 if it ended otherwise
//!     19    n  principal, UTF-8
//!           4  CRC-32
//! ```
//!
//! A format is never changed, only succeeded by one with another number; a reader reports a number that it does not
//! know.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::entries::{Entries, FormatError};
use super::{Content, Identity, PreviousSecret, Record, Text, Tombstone};
use crate::clock::Time;
use crate::error::{Error, ErrorKind};
use crate::key::SessionId;
use crate::lifetime::Lifetime;

const FORMAT: u8 = 1;
const SESSION: u8 = 0;
const ENDED: u8 = 1;
const CHECKSUM: usize = 4;

/// The bits of the optional parts of a session's record.
mod part {
    pub(super) const OWN_LIFETIME: u16 = 1;
    pub(super) const CURRENT: u16 = 1 << 1;
    pub(super) const PREVIOUS: u16 = 1 << 2;
    pub(super) const DEVICE: u16 = 1 << 3;
    pub(super) const UNCONFIRMED: u16 = 1 << 4;
    pub(super) const ORIGIN: u16 = 1 << 5;
    pub(super) const FROZEN: u16 = 1 << 6;
    pub(super) const AUTHENTICATED: u16 = 1 << 7;
    pub(super) const FORM_TOKEN: u16 = 1 << 8;
    pub(super) const AUTH_HASH: u16 = 1 << 9;
    pub(super) const ALL: u16 = (1 << 10) - 1;

    /// The size of each part in bytes, in the order of their bits.
    pub(super) const SIZES: [usize; 10] = [0, 32, 48, 16, 0, 16, 8, 8, 32, 32];
}

impl Content {
    /// Returns the bytes to store.
    pub fn encode(&self) -> Bytes {
        match self {
            Content::Session(record) => record.encode(),
            Content::Ended(Tombstone { device, forked_for }) => {
                let mut out = vec![FORMAT, ENDED];
                out.put_slice(device.as_bytes());
                put_text(&mut out, forked_for.as_deref().unwrap_or_default().as_bytes());
                finish(out)
            }
        }
    }

    /// Decodes the bytes of a record. The entries stay in `bytes` and are not copied.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if they are damaged, truncated, or in a format that this version does not know.
    pub fn decode(bytes: Bytes) -> Result<Content, Error> {
        let mut reader = Reader::checked(bytes)?;
        match reader.u8()? {
            SESSION => reader.session().map(Content::Session),
            ENDED => reader.tombstone().map(Content::Ended),
            other => Err(corrupt(&format!("unknown kind {other}, expected 0 or 1"))),
        }
    }
}

impl Record {
    /// Returns the bytes to store.
    #[doc(hidden)]
    pub fn encode(&self) -> Bytes {
        let parts = self.parts();
        let mut out = Vec::with_capacity(self.len_with(parts));
        out.put_slice(&[FORMAT, SESSION]);
        out.put_u16_le(parts);
        for time in [self.created, self.accessed] {
            put_time(&mut out, time);
        }
        out.put_u64_le(self.lifetime.idle.map_or(0, millis));
        put_time(&mut out, self.lifetime.absolute.unwrap_or(Time::ZERO));
        put_time(&mut out, self.cookie_sent);
        if parts & part::CURRENT != 0 {
            out.put_slice(&self.identity.current);
        }
        // Most sessions have no other part.
        if parts & !(part::CURRENT | part::OWN_LIFETIME) != 0 {
            self.put_parts(&mut out);
        }
        put_text(&mut out, self.layer.as_bytes());
        put_text(&mut out, self.principal_bytes());
        out.put_slice(self.entries.as_bytes());
        finish(out)
    }

    fn put_parts(&self, out: &mut Vec<u8>) {
        let Identity { previous, device, origin, frozen_until, .. } = &self.identity;
        if let Some(PreviousSecret { digest, rotated, good_until }) = previous {
            out.put_slice(digest);
            put_time(out, *rotated);
            put_time(out, good_until.unwrap_or(Time::ZERO));
        }
        for id in [device, origin].into_iter().flatten() {
            out.put_slice(id.as_bytes());
        }
        for time in [frozen_until, &self.authenticated_at].into_iter().flatten() {
            put_time(out, *time);
        }
        for digest in [&self.form_token, &self.auth_hash].into_iter().flatten() {
            out.put_slice(digest);
        }
    }

    /// Returns the bits of the parts that this record has.
    fn parts(&self) -> u16 {
        let Identity { current, previous, device, is_unconfirmed, origin, frozen_until } = &self.identity;
        let bit = |there: bool, bit: u16| if there { bit } else { 0 };
        bit(self.lifetime.own, part::OWN_LIFETIME)
            | bit(current != &[0; 32], part::CURRENT)
            | bit(previous.is_some(), part::PREVIOUS)
            | bit(device.is_some(), part::DEVICE)
            | bit(*is_unconfirmed, part::UNCONFIRMED)
            | bit(origin.is_some(), part::ORIGIN)
            | bit(frozen_until.is_some(), part::FROZEN)
            | bit(self.authenticated_at.is_some(), part::AUTHENTICATED)
            | bit(self.form_token.is_some(), part::FORM_TOKEN)
            | bit(self.auth_hash.is_some(), part::AUTH_HASH)
    }

    /// Returns the length of [`Record::encode`]'s bytes.
    #[doc(hidden)]
    pub fn encoded_len(&self) -> usize {
        self.len_with(self.parts())
    }

    fn len_with(&self, parts: u16) -> usize {
        let (mut size, mut left) = (44, parts);
        while left != 0 {
            size += part::SIZES[left.trailing_zeros() as usize];
            left &= left - 1;
        }
        let texts = 2 + self.layer.as_bytes().len() + self.principal_bytes().len();
        size + texts + self.entries.as_bytes().len() + CHECKSUM
    }

    fn principal_bytes(&self) -> &[u8] {
        self.principal.as_ref().map_or(&[], Text::as_bytes)
    }
}

fn put_time(out: &mut Vec<u8>, time: Time) {
    out.put_u64_le(time.as_millis());
}

/// Appends the text's length, which was checked before, and the text.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.put_u8(text.len() as u8);
    out.put_slice(text);
}

/// Returns at least 1: an idle timeout of 0 ms would decode as none.
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

fn truncated() -> Error {
    corrupt("it is truncated")
}

fn not_utf8() -> Error {
    corrupt("a key or principal is not UTF-8")
}

fn entries_error(wrong: FormatError) -> Error {
    match wrong {
        FormatError::Truncated => truncated(),
        FormatError::LengthTooLong => corrupt("a value's length has more than five bytes"),
        FormatError::EmptyKey => corrupt("a key is empty"),
        FormatError::NotUtf8 => not_utf8(),
        FormatError::DuplicateKey => corrupt("a key occurs twice"),
    }
}

/// The bytes between those already read and the checksum.
struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    /// Checks format and checksum, and returns a reader of the bytes between.
    fn checked(bytes: Bytes) -> Result<Reader, Error> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(other) => return Err(corrupt(&format!("unknown format {other}, expected {FORMAT}"))),
            None => return Err(corrupt("it is empty")),
        }
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else { return Err(truncated()) };
        // Without a body, the format byte would be a part of the checksum.
        if body.is_empty() {
            return Err(truncated());
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(corrupt("its checksum does not match"));
        }
        Ok(Reader { bytes, at: 1 })
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.bytes.len() - CHECKSUM]
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let first = *self.rest().first_chunk().ok_or_else(truncated)?;
        self.at += N;
        Ok(first)
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

    fn id(&mut self) -> Result<SessionId, Error> {
        self.array().map(SessionId::new)
    }

    /// Reads a length and a text of that many bytes.
    fn text(&mut self) -> Result<Text, Error> {
        let length = usize::from(self.u8()?);
        if length == 0 {
            return Ok(Text::default());
        }
        let text = self.rest().get(..length).ok_or_else(truncated)?;
        let text = Text::checked(text).ok_or_else(not_utf8)?;
        self.at += length;
        Ok(text)
    }

    fn session(mut self) -> Result<Arc<Record>, Error> {
        let parts = self.array().map(u16::from_le_bytes)?;
        if parts & !part::ALL != 0 {
            return Err(corrupt("it has parts that this version does not support"));
        }
        let numbers = self.array::<40>()?;
        let &[created, accessed, idle, absolute, cookie_sent] = numbers.as_chunks().0 else { return Err(truncated()) };
        let [created, accessed, cookie_sent] =
            [created, accessed, cookie_sent].map(|bytes| Time::from_millis(u64::from_le_bytes(bytes)));
        let [idle, absolute] = [idle, absolute].map(u64::from_le_bytes);
        let lifetime = Lifetime {
            idle: (idle > 0).then(|| Duration::from_millis(idle)),
            absolute: (absolute > 0).then(|| Time::from_millis(absolute)),
            own: parts & part::OWN_LIFETIME != 0,
        };
        let identity = self.identity(parts)?;
        let authenticated_at = if parts & part::AUTHENTICATED != 0 { Some(self.time()?) } else { None };
        let form_token = if parts & part::FORM_TOKEN != 0 { Some(self.array()?) } else { None };
        let auth_hash = if parts & part::AUTH_HASH != 0 { Some(self.array()?) } else { None };
        let (layer, principal) = (self.text()?, self.text()?);
        let principal = (!principal.as_bytes().is_empty()).then_some(principal);
        let span = self.at..self.bytes.len() - CHECKSUM;
        let entries = Entries::checked(self.bytes, span).map_err(entries_error)?;
        Ok(Arc::new(Record {
            created,
            accessed,
            lifetime,
            cookie_sent,
            identity,
            authenticated_at,
            form_token,
            auth_hash,
            layer,
            principal,
            entries,
        }))
    }

    fn identity(&mut self, parts: u16) -> Result<Identity, Error> {
        let has = |part: u16| parts & part != 0;
        let mut identity = Identity { is_unconfirmed: has(part::UNCONFIRMED), ..Identity::default() };
        if has(part::CURRENT) {
            identity.current = self.array()?;
        }
        if has(part::PREVIOUS) {
            let (digest, rotated, good_until) = (self.array()?, self.time()?, self.time()?);
            let good_until = (good_until > Time::ZERO).then_some(good_until);
            identity.previous = Some(PreviousSecret { digest, rotated, good_until });
        }
        identity.device = if has(part::DEVICE) { Some(self.id()?) } else { None };
        identity.origin = if has(part::ORIGIN) { Some(self.id()?) } else { None };
        identity.frozen_until = if has(part::FROZEN) { Some(self.time()?) } else { None };
        Ok(identity)
    }

    fn tombstone(mut self) -> Result<Tombstone, Error> {
        let (device, principal) = (self.id()?, self.text()?);
        if !self.rest().is_empty() {
            return Err(corrupt("bytes follow its end"));
        }
        let forked_for = Some(principal.as_str().to_owned()).filter(|principal| !principal.is_empty());
        Ok(Tombstone { device, forked_for })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golden() -> Record {
        let lifetime =
            Lifetime { idle: Some(Duration::from_secs(60)), absolute: Some(Time::from_millis(9)), own: true };
        let mut record = Record::new(Time::from_millis(7), lifetime, Text::new("sid"));
        record.accessed = Time::from_millis(8);
        record.identity.current = [0xcc; 32];
        record.set_principal(Some("user:42")).unwrap();
        record.insert("n", &[0x2a]).unwrap();
        record.insert("name", b"\xa3Ada").unwrap();
        record
    }

    /// The format is stable: these bytes must decode in every later version.
    const GOLDEN: &[u8] = b"\x01\0\x03\0\
        \x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x60\xea\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\
        \xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\
        \xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\
        \x03sid\x07user:42\x01n\x01\x2a\x04name\x04\xa3Ada";

    /// A record with every part, and the bytes of its parts.
    fn full() -> (Record, Vec<u8>) {
        let mut record = golden();
        let [rotated, good_until, frozen, authenticated] = [1, 2, 3, 4].map(Time::from_millis);
        let previous = PreviousSecret { digest: [0xdd; 32], rotated, good_until: Some(good_until) };
        record.identity.previous = Some(previous);
        record.identity.device = Some(SessionId::new([0xd0; 16]));
        record.identity.is_unconfirmed = true;
        record.identity.origin = Some(SessionId::new([0xa0; 16]));
        record.identity.frozen_until = Some(frozen);
        record.authenticated_at = Some(authenticated);
        record.form_token = Some([0xf0; 32]);
        record.auth_hash = Some([0xa5; 32]);
        let time = |time: Time| time.as_millis().to_le_bytes().to_vec();
        let parts = [
            [0xdd; 32].to_vec(),
            time(rotated),
            time(good_until),
            [0xd0; 16].to_vec(),
            [0xa0; 16].to_vec(),
            time(frozen),
            time(authenticated),
            [0xf0; 32].to_vec(),
            [0xa5; 32].to_vec(),
        ];
        (record, parts.concat())
    }

    fn with_checksum(bytes: &[u8]) -> Bytes {
        finish(bytes.to_vec())
    }

    #[test]
    fn a_session_has_its_golden_bytes() {
        assert_eq!(golden().encode(), with_checksum(GOLDEN));
        assert_eq!(Content::decode(with_checksum(GOLDEN)).unwrap(), Content::Session(golden().into()));
        let (record, parts) = full();
        let (head, tail) = GOLDEN.split_at(44 + 32);
        let golden = [&[1, 0, 0xff, 3], &head[4..], &parts[..], tail].concat();
        assert_eq!(record.encode(), with_checksum(&golden));
        assert_eq!(Content::decode(with_checksum(&golden)).unwrap(), Content::Session(record.into()));
    }

    #[test]
    fn an_ended_session_has_its_golden_bytes() {
        for (forked_for, text) in [(None, &b"\0"[..]), (Some("ada".to_owned()), b"\x03ada")] {
            let ended = Content::Ended(Tombstone { device: SessionId::new([3; 16]), forked_for });
            let golden = [&[1, 1], &[3; 16][..], text].concat();
            assert_eq!(ended.encode(), with_checksum(&golden));
            assert_eq!(Content::decode(ended.encode()).unwrap(), ended);
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_detected() {
        for bytes in [golden().encode(), full().0.encode()] {
            for len in 0..bytes.len() {
                assert_eq!(Content::decode(bytes.slice(..len)).unwrap_err().kind(), ErrorKind::Corrupt, "{len} bytes");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Content::decode(flipped.into()).unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
            }
        }
    }

    #[test]
    fn each_error_says_what_is_wrong() {
        let message = |bytes: &[u8]| Content::decode(Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert_eq!(message(&[2, 0]), "a session's record is damaged: unknown format 2, expected 1");
        assert_eq!(message(&[]), "a session's record is damaged: it is empty");
        assert_eq!(message(&with_checksum(&[1, 9])), "a session's record is damaged: unknown kind 9, expected 0 or 1");
        let twice = [GOLDEN, b"\x01n\x01\x01"].concat();
        assert_eq!(message(&with_checksum(&twice)), "a session's record is damaged: a key occurs twice");
        let later = [&[1, 0, 0, 4], &GOLDEN[4..]].concat();
        let expected = "a session's record is damaged: it has parts that this version does not support";
        assert_eq!(message(&with_checksum(&later)), expected);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            times in proptest::array::uniform4(0_u64..=Time::MAX.as_millis()),
            idle in proptest::option::of(1_u64..u64::MAX / 2),
            principal in proptest::option::of("\\PC{1,60}"),
            layer in "\\PC{0,30}",
            entries in proptest::collection::btree_map("\\PC{1,60}", proptest::collection::vec(any::<u8>(), 0..300), 0..40),
            own: bool,
            parts in proptest::array::uniform9(any::<bool>()),
        ) {
            let lifetime = Lifetime {
                idle: idle.map(Duration::from_millis),
                absolute: Some(Time::from_millis(times[0])).filter(|time| *time > Time::ZERO),
                own,
            };
            let mut record = Record::new(Time::from_millis(times[1]), lifetime, Text::new(&layer));
            let (full, _) = full();
            let some = Identity::default();
            let pick = |index: usize| if parts[index] { &full.identity } else { &some };
            record.identity = Identity {
                current: pick(0).current,
                previous: pick(1).previous,
                device: pick(2).device,
                is_unconfirmed: pick(3).is_unconfirmed,
                origin: pick(4).origin,
                frozen_until: pick(5).frozen_until,
            };
            record.authenticated_at = full.authenticated_at.filter(|_| parts[6]);
            record.form_token = full.form_token.filter(|_| parts[7]);
            record.auth_hash = full.auth_hash.filter(|_| parts[8]);
            record.accessed = Time::from_millis(times[2]);
            record.cookie_sent = Time::from_millis(times[3]);
            record.set_principal(principal.as_deref()).unwrap();
            for (key, value) in entries {
                record.insert(&key, &value).unwrap();
            }
            let bytes = record.encode();
            prop_assert_eq!(bytes.len(), record.encoded_len());
            prop_assert_eq!(Content::decode(bytes).unwrap(), Content::Session(record.into()));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), parts in 0_u8..4) {
            let _ = Content::decode(with_checksum(&[&[1, 0, 0xff, parts], &bytes[..]].concat()));
            let _ = Content::decode(with_checksum(&[&[1, 1], &bytes[..]].concat()));
            let _ = Content::decode(bytes.into());
        }
    }
}
