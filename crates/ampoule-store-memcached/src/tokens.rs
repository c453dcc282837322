//! The tokens that memcached gave for values that were read or written lately.
//!
//! The version of a value is ours and stands in it; memcached compares tokens of its own, which change with a touch too.
//! A save of what was read finds the token here, and takes one command. Where it is missing or stale it is read again.
//! There is a fixed number of slots, each for keys that begin alike: a slot that another key took costs a command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ampoule_core::StoreKey;

use crate::format::Header;
use crate::wire::Token;

const SLOTS: usize = 4_096;

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
        Tokens((0..SLOTS).map(|_| Mutex::default()).collect())
    }
}

impl Tokens {
    /// What was last seen of a key.
    pub(crate) fn of(&self, key: StoreKey) -> Option<Known> {
        self.slot(key).filter(|known| known.key == key)
    }

    pub(crate) fn keep(&self, key: StoreKey, header: Header, token: Token) {
        *self.slot(key) = Some(Known { key, header, token });
    }

    /// By the first bytes, which are random in every key; the last ones may be the same in all.
    fn slot(&self, key: StoreKey) -> MutexGuard<'_, Option<Known>> {
        let [high, low, ..] = *key.as_bytes();
        let index = usize::from(u16::from_be_bytes([high, low])) % SLOTS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::{SessionId, Time, Version};

    use super::*;

    /// A session's key is 16 random bytes and 16 that are the same in all of them; a cache's is a digest.
    #[test]
    fn keys_of_every_kind_have_slots_of_their_own() {
        let header = Header { version: Version(1), deadline: Time::MAX, named: None };
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
