//! Sessions in their own cookies, sealed so that their clients can neither read nor change them.

use std::sync::Arc;

use ampoule_core::internal::Content;
use ampoule_core::{Bytes, Error, ErrorKind, Record, SessionId, Time, Version};
use ampoule_seal::{Credential, Sealer};

use super::lookup::{Found, Lookup, Outcome, VerifiedToken};
use super::snapshot::Snapshot;
use crate::event::EventKind;
use crate::http::cookies::Cookies;
use crate::http::pieces;

/// The most values of one name that are decrypted: more than a browser sends. Each costs a decryption.
const MAX_CANDIDATES: usize = 16;

/// The length of an id in bytes.
const ID_LEN: usize = size_of::<SessionId>();

pub(crate) struct CookieBackend {
    sealer: Sealer,
    name: String,
    max_size: usize,
}

impl CookieBackend {
    pub(crate) fn new(sealer: Sealer, name: &str, max_pieces: usize) -> CookieBackend {
        CookieBackend { sealer, name: name.to_owned(), max_size: pieces::capacity(name, max_pieces) }
    }

    /// Finds the one live record in the cookies. Of an older and a newer record of one session the newer counts; of two
    /// sessions neither counts.
    pub(super) fn load(&self, cookies: &Cookies, now: Time) -> Result<Lookup, Error> {
        let (mut expired, mut newest, mut opened) = (None, None::<Found>, 0);
        for text in pieces::joined(cookies, &self.name).take(MAX_CANDIDATES) {
            let Some(found) = self.open(&text, now)? else { continue };
            opened += 1;
            let snapshot = &found.snapshot;
            match &newest {
                _ if snapshot.deadline <= now => expired = Some(snapshot.id),
                Some(other) if other.snapshot.id != snapshot.id => return Ok(conflict(&other.snapshot, snapshot)),
                Some(other) if other.snapshot.record.accessed >= snapshot.record.accessed => {}
                _ => newest = Some(found),
            }
        }
        let lookup = Lookup::of(newest.map_or(Outcome::Unknown, Outcome::Found));
        let is_dead = matches!(lookup.outcome, Outcome::Unknown);
        let events = expired.filter(|_| is_dead).map(|id| (EventKind::Expired, id)).into_iter().collect();
        Ok(Lookup { events, has_several_tokens: opened > 1, ..lookup })
    }

    fn open(&self, text: &[u8], now: Time) -> Result<Option<Found>, Error> {
        let Some(opened) = self.sealer.open_text(text, self.name.as_bytes()) else { return Ok(None) };
        let mut plain = Bytes::from(opened.plaintext);
        let Some(id) = plain.first_chunk::<ID_LEN>().copied() else { return Ok(None) };
        let Content::Session(record) = Content::decode(plain.split_off(ID_LEN))? else { return Ok(None) };
        let credential = Credential::new(id, [0; 16]);
        let token = VerifiedToken { credential, digest: [0; 32], has_current_key: opened.current, via: 0 };
        let snapshot = snapshot(id, record);
        Ok(Some(Found { token, is_current: true, snapshot, loaded: now }))
    }

    /// Returns the session as the cookie holds it, if it fits.
    pub(super) fn keep(&self, credential: Credential, record: Arc<Record>) -> Result<Snapshot, Error> {
        let (size, most) = (ampoule_seal::internal::sealed_text_len(ID_LEN + record.encoded_len()), self.max_size);
        if size > most {
            let message = format!(
                "a session of {size} characters in its cookie, where {most} are allowed (Options::cookie.max_pieces, \
                 `cookie_max_pieces` in settings)"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(snapshot(credential.id(), record))
    }

    /// Seals a session for its cookie: the id, 16 bytes, then the record in its stored format.
    pub(super) fn seal(&self, credential: &Credential, record: &Record) -> String {
        let content = [&credential.id()[..], &record.encode()].concat();
        self.sealer.seal_text(&content, self.name.as_bytes())
    }
}

fn snapshot(id: [u8; ID_LEN], record: Arc<Record>) -> Snapshot {
    Snapshot { id: SessionId::new(id), version: Version(0), deadline: record.deadline(), record, writes: 0 }
}

/// Cookies of two sessions: it is unknown which one is the client's.
fn conflict(one: &Snapshot, other: &Snapshot) -> Lookup {
    let others = vec![one.clone(), other.clone()];
    let events = others.iter().map(|other| (EventKind::Conflicting, other.id)).collect();
    Lookup { others, events, has_several_tokens: true, ..Lookup::of(Outcome::Unknown) }
}
