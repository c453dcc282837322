//! Where a session is kept: in a store, under its id, or in its own cookie.

use std::sync::Arc;

use ampoule_core::{Bytes, ChangeLog, Content, Error, ErrorKind, Record, Reply, StoreKey, Time, Version};
use ampoule_seal::{Sealer, Signer, Token, Verified};

use crate::cookie::pieces;
use crate::cookie::scan::Cookies;
use crate::id::{Id, SessionId};
use crate::layer::Shared;
use crate::protocol::{Found, Protocol, store_key};
use crate::transport::{Brought, Transport};

/// More cookies of one name than any browser sends are not tried: each costs a signature.
const MAX_CANDIDATES: usize = 64;

/// The two places, and what each needs to know a session by.
pub(crate) enum Home {
    /// The cookie holds a signed id; the record lies in a store.
    Store { protocol: Protocol, signer: Signer },
    /// The cookie holds the record, sealed; the client keeps it.
    Cookie { sealer: Sealer, max_size: usize },
}

/// What a session's cookie says.
pub(crate) enum CookieValue {
    Signed(Token),
    Sealed(String),
}

impl std::ops::Deref for CookieValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            CookieValue::Signed(token) => token.as_bytes(),
            CookieValue::Sealed(text) => text.as_bytes(),
        }
    }
}

/// What a client's cookies led to.
pub(crate) enum Client {
    /// Nowhere: there is none of ours among them, or none that proves.
    Stranger,
    /// To a session that has ended.
    Late(StoreKey),
    /// To a live session.
    Known(Loaded),
}

/// Where what was brought leads.
pub(crate) enum Led<'a> {
    /// No further, or to what was at hand.
    Here(Result<Client, Error>),
    /// Into the store, which has yet to answer.
    Into(Proved, Reply<'a, Option<Found>>),
}

/// An id of ours that was brought.
#[derive(Clone, Copy)]
pub(crate) struct Proved {
    id: Id,
    key: StoreKey,
    /// Whether the first secret signed it.
    current: bool,
    /// Which of the layer's transports brought it.
    via: usize,
}

impl Proved {
    /// The live session of this id, if any. An id without a live record leads nowhere: it is never adopted (promise P3).
    pub(crate) fn leads_to(self, answer: Result<Option<Found>, Error>) -> Result<Client, Error> {
        let Proved { id, key, current, via } = self;
        Ok(answer?.map_or(Client::Late(key), |found| Client::Known(Loaded { id, current, via, found })))
    }
}

/// A live session, and what proved it.
pub(crate) struct Loaded {
    pub(crate) id: Id,
    /// Whether the first secret made the cookie; one of an older secret is sent again.
    pub(crate) current: bool,
    /// Which of the layer's transports brought it.
    pub(crate) via: usize,
    pub(crate) found: Found,
}

impl Home {
    /// Where the session that was brought or given by hand is, as far as that can be told without waiting.
    pub(crate) fn lead(&self, brought: &Brought, given: Option<&str>, shared: &Shared) -> Led<'_> {
        match self {
            Home::Store { protocol, signer } => {
                let proved = match given {
                    Some(token) => one_id([token.as_bytes()], signer, 0),
                    None => proved_id(brought, shared, signer),
                };
                let Some(proved) = proved else { return Led::Here(Ok(Client::Stranger)) };
                match protocol.find(proved.key).at_hand() {
                    Ok(answer) => Led::Here(proved.leads_to(answer)),
                    Err(later) => Led::Into(proved, later),
                }
            }
            Home::Cookie { sealer, .. } => {
                Led::Here(open(&brought.cookies, &shared.name, sealer, shared.options.clock.now()))
            }
        }
    }

    pub(crate) fn create(&self, record: Arc<Record>) -> Reply<'_, (Id, Found)> {
        match self {
            Home::Store { protocol, .. } => protocol.create(record),
            Home::Cookie { .. } => {
                let id = ampoule_seal::random_id();
                Reply::ready(self.in_cookie(&id, record).map(|found| (id, found)))
            }
        }
    }

    pub(crate) fn commit<'a>(
        &'a self,
        id: &Id,
        base: &'a Found,
        next: Arc<Record>,
        changes: &'a ChangeLog,
        now: Time,
    ) -> Reply<'a, Found> {
        match self {
            Home::Store { protocol, .. } => protocol.commit(base, next, changes, now),
            Home::Cookie { .. } => Reply::ready(self.in_cookie(id, next)),
        }
    }

    /// Ends the session; a cookie session ends with its cookie, which only the client can remove.
    pub(crate) async fn destroy(&self, found: Found) -> Result<(), Error> {
        match self {
            Home::Store { protocol, .. } => protocol.destroy(found).await,
            Home::Cookie { .. } => Ok(()),
        }
    }

    /// Moves the deadline in the store. A cookie session is written anew instead.
    pub(crate) async fn touch(&self, found: &Found, deadline: Time) -> Result<bool, Error> {
        match self {
            Home::Store { protocol, .. } => protocol.touch(found.key, deadline).await,
            Home::Cookie { .. } => Ok(false),
        }
    }

    /// What the cookie of this session says.
    pub(crate) fn cookie_value(&self, id: &Id, found: &Found, name: &str) -> CookieValue {
        match self {
            Home::Store { signer, .. } => CookieValue::Signed(signer.sign(id)),
            Home::Cookie { sealer, .. } => {
                CookieValue::Sealed(sealer.seal_text(&sealed_content(id, &found.record), name.as_bytes()))
            }
        }
    }

    pub(crate) fn session_id(&self, id: Id) -> SessionId {
        match self {
            Home::Store { signer, .. } => SessionId::new(id, Some(signer.sign(&id))),
            Home::Cookie { .. } => SessionId::new(id, None),
        }
    }

    /// How the store is spoken to, if there is one.
    pub(crate) fn protocol(&self) -> Option<&Protocol> {
        match self {
            Home::Store { protocol, .. } => Some(protocol),
            Home::Cookie { .. } => None,
        }
    }

    pub(crate) fn is_cookie(&self) -> bool {
        matches!(self, Home::Cookie { .. })
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Home::Store { protocol, .. } => protocol.store.describe(),
            Home::Cookie { .. } => "sealed in the cookie itself (logout cannot revoke a copied cookie)".to_owned(),
        }
    }

    fn in_cookie(&self, id: &Id, record: Arc<Record>) -> Result<Found, Error> {
        let Home::Cookie { max_size, .. } = self else { unreachable!("a store's session is put, not sealed") };
        let size = ampoule_seal::sealed_text_len(ID + record.encoded_len());
        if size > *max_size {
            let message = format!("a session of {size} characters in its cookie, where {max_size} are allowed");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let deadline = record.deadline();
        Ok(Found { key: store_key(id), version: Version(0), deadline, record, moved: false, seen: 0 })
    }
}

/// The id that the first way proves which proves one.
fn proved_id(brought: &Brought, shared: &Shared, signer: &Signer) -> Option<Proved> {
    let prove = |(via, transport): (usize, &Transport)| match transport {
        Transport::Cookie => one_id(brought.cookies.named(&shared.name), signer, via),
        _ => one_id(brought.tokens.iter().filter(|(way, _)| *way == via).map(|(_, token)| &token[..]), signer, via),
    };
    shared.options.transports.iter().enumerate().find_map(prove)
}

/// The one id that these values prove. Two different ones that verify are a conflict, such as a cookie that a
/// subdomain planted beside ours, and prove nothing.
fn one_id<'a>(values: impl IntoIterator<Item = &'a [u8]>, signer: &Signer, via: usize) -> Option<Proved> {
    let mut proved: Option<Proved> = None;
    let conflict = values.into_iter().take(MAX_CANDIDATES).try_for_each(|value| {
        let Some(Verified { id, current, digest }) = signer.verify(value) else { return Ok(()) };
        match proved {
            Some(other) if other.id != id => return Err(()),
            Some(Proved { current: true, .. }) => {}
            _ => proved = Some(Proved { id, key: StoreKey::new(digest), current, via }),
        }
        Ok(())
    });
    proved.filter(|_| conflict.is_ok())
}

/// The one live record that the cookies hold. Of a session's older and newer record the newer counts; records of two
/// sessions are a conflict.
fn open(cookies: &Cookies, name: &str, sealer: &Sealer, now: Time) -> Result<Client, Error> {
    let mut late = None;
    let mut newest: Option<Loaded> = None;
    for text in pieces::joined(cookies, name).take(MAX_CANDIDATES) {
        let Some(opened) = sealer.open_text(&text, name.as_bytes()) else { continue };
        let Some(loaded) = opened_record(opened.plain.into(), opened.current)? else { continue };
        if loaded.found.deadline <= now {
            late = Some(loaded.found.key);
            continue;
        }
        match &newest {
            Some(other) if other.id != loaded.id => return Ok(Client::Stranger),
            Some(other) if other.found.record.accessed >= loaded.found.record.accessed => {}
            _ => newest = Some(loaded),
        }
    }
    Ok(match (newest, late) {
        (Some(loaded), _) => Client::Known(loaded),
        (None, Some(key)) => Client::Late(key),
        (None, None) => Client::Stranger,
    })
}

/// The bytes of an id.
const ID: usize = size_of::<Id>();

/// What is sealed into a cookie: the id, 16 bytes, then the record in its stored format.
fn sealed_content(id: &Id, record: &Record) -> Vec<u8> {
    [&id[..], &record.encode()].concat()
}

fn opened_record(mut plain: Bytes, current: bool) -> Result<Option<Loaded>, Error> {
    let Some(id) = plain.first_chunk().copied() else { return Ok(None) };
    let Content::Session(record) = Content::decode(plain.split_off(ID))? else { return Ok(None) };
    let deadline = record.deadline();
    let found =
        Found { key: store_key(&id), version: Version(0), deadline, record: record.into(), moved: false, seen: 0 };
    Ok(Some(Loaded { id, current, via: 0, found }))
}
