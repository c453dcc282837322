//! The tokens that memcached gave for values that were read or written lately.
//!
//! The version of a value is ours and stands in it; memcached compares tokens of its own, which change with a touch too.
//! Whoever saves what he has read finds the token here, and needs one command. Where it is missing or stale he reads it
//! again. A fixed number of places, each for the keys of one digest: a place that another key took costs a command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ampoule_core::{StoreKey, Time};

use crate::format::Header;
use crate::wire::Token;

const PLACES: usize = 4_096;

pub(crate) struct Tokens(Box<[Mutex<Option<Known>>]>);

/// What is known of a value without its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    key: StoreKey,
    pub(crate) header: Header,
    pub(crate) token: Token,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens((0..PLACES).map(|_| Mutex::default()).collect())
    }
}

impl Tokens {
    /// What was last seen of a key, if its deadline has not passed.
    pub(crate) fn of(&self, key: StoreKey, now: Time) -> Option<Known> {
        self.place(key).filter(|known| known.key == key && known.header.deadline > now)
    }

    pub(crate) fn keep(&self, key: StoreKey, header: Header, token: Token) {
        *self.place(key) = Some(Known { key, header, token });
    }

    fn place(&self, key: StoreKey) -> MutexGuard<'_, Option<Known>> {
        let [.., high, low] = *key.as_bytes();
        let index = usize::from(u16::from_be_bytes([high, low])) % PLACES;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
