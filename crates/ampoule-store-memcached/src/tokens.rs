//! A cache of the tokens that memcached returned for values that were recently read or written.
//!
//! The version of a value is ours and part of the value; memcached compares tokens of its own, which a touch changes
//! too. A save of a value that was read finds the token here, and takes one command. If it is missing or stale, the
//! value is read again. The number of slots is fixed, and keys with the same beginning share one: a token that another
//! key has displaced costs a command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ampoule_core::StoreKey;

use crate::format::Header;
use crate::wire::Token;

const SLOTS: usize = 4_096;

pub(crate) struct Tokens(Box<[Mutex<Option<CachedToken>>]>);

/// The header and the token of a value, without its bytes.
#[derive(Clone, Copy)]
pub(crate) struct CachedToken {
    key: StoreKey,
    pub(crate) header: Header,
    pub(crate) token: Token,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens((0..SLOTS).map(|_| Mutex::default()).collect())
    }
}

impl Tokens {
    /// Returns the last known token of a key.
    pub(crate) fn of(&self, key: StoreKey) -> Option<CachedToken> {
        self.slot(key).filter(|cached| cached.key == key)
    }

    pub(crate) fn keep(&self, key: StoreKey, header: Header, token: Token) {
        *self.slot(key) = Some(CachedToken { key, header, token });
    }

    /// The slot depends on the first bytes, which are random in every key; the last bytes may be the same in all keys.
    fn slot(&self, key: StoreKey) -> MutexGuard<'_, Option<CachedToken>> {
        let [high, low, ..] = *key.as_bytes();
        let index = usize::from(u16::from_be_bytes([high, low])) % SLOTS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::{SessionId, Time, Version};

    use super::*;

    /// The key of a session has 16 random bytes and 16 that are the same for all sessions; a cache's key is a digest.
    #[test]
    fn keys_of_every_kind_are_spread_over_all_slots() {
        let header = Header { version: Version(1), deadline: Time::MAX, listing: None };
        let digest = |number: u32| StoreKey::digest(&number.to_be_bytes());
        let session = |number| StoreKey::from(SessionId::new(*digest(number).as_bytes().first_chunk().unwrap()));
        let kinds: [&dyn Fn(u32) -> StoreKey; 2] = [&session, &digest];
        for key in kinds {
            let (tokens, keys) = (Tokens::default(), (0..1_000).map(key).collect::<Vec<_>>());
            for key in &keys {
                tokens.keep(*key, header, Token { cas: 1, boot_id: 1 });
            }
            let kept = keys.iter().filter(|key| tokens.of(**key).is_some()).count();
            assert!(kept > 850, "{kept} of 1000 keys in {SLOTS} slots");
        }
    }
}
