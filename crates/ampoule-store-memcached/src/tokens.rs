//! The tokens that memcached gave for values that were read or written lately.
//!
//! The version of a value is ours and stands in it; memcached compares tokens of its own, which change with a touch too.
//! Whoever saves what he has read finds the token here, and needs one command. Where it is missing or stale he reads it
//! again. A fixed number of places, each for the keys of one digest: a place that another key took costs a command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ampoule_core::{StoreKey, Time, Version};

use crate::format::Header;

const PLACES: usize = 4_096;

pub(crate) struct Tokens(Box<[Mutex<Option<Token>>]>);

#[derive(Clone, Copy)]
struct Token {
    key: StoreKey,
    header: Header,
    cas: u64,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens((0..PLACES).map(|_| Mutex::default()).collect())
    }
}

impl Tokens {
    /// The token of that version, if it is known and its deadline has not passed.
    pub(crate) fn of(&self, key: StoreKey, version: Version, now: Time) -> Option<u64> {
        let matches =
            |token: &Token| token.key == key && token.header.version == version && token.header.deadline > now;
        self.place(key).filter(matches).map(|token| token.cas)
    }

    pub(crate) fn keep(&self, key: StoreKey, header: Header, cas: u64) {
        *self.place(key) = Some(Token { key, header, cas });
    }

    /// A server that was started again counts its tokens from the beginning: none from before may be used.
    pub(crate) fn forget_all(&self) {
        for place in &self.0 {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn place(&self, key: StoreKey) -> MutexGuard<'_, Option<Token>> {
        let [.., high, low] = *key.as_bytes();
        let index = usize::from(u16::from_be_bytes([high, low])) % PLACES;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
