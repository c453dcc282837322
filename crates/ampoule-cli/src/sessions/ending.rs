//! Ends a session as the library does, so that none that is under way comes back.

use std::time::Duration;

use ampoule::store::{Bytes, Entry, Outcome, Put, Store, StoreKey, Time};
use ampoule::{Error, ErrorKind};
use ampoule_core::Content;

/// How often a conflict is met with another try.
const ATTEMPTS: u32 = 64;

/// How many moves are followed. The library follows few, so more of them lead no request anywhere.
const MOVES: u32 = 64;

/// Ends the session under this key, wherever it was moved to. Says whether there was one.
///
/// It is put with a deadline that has passed, under the version that was read: a plain delete could hit the pointer of
/// a login that came between, and leave the session alive at its new place. A login that has written the new record and
/// not yet the pointer finds its old one gone, and takes the new one back.
pub(super) async fn end(store: &dyn Store, mut key: StoreKey) -> Result<bool, Error> {
    let (mut attempt, mut moves) = (0, 0);
    while attempt < ATTEMPTS && moves <= MOVES {
        let stored = match store.get(key).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(false),
            // No version of it can be read, and nothing else can end it.
            Err(error) if error.kind() == ErrorKind::Corrupt => return store.delete(key).await,
            Err(error) => return Err(error),
        };
        if let Ok(Content::Moved(to)) = Content::decode(stored.value) {
            (key, moves) = (to, moves + 1);
            continue;
        }
        let ended = Entry { value: Bytes::new(), deadline: Time::ZERO, tag: None };
        if let Outcome::Stored(_) = store.put(key, ended, Put::Replace(stored.version)).await? {
            return Ok(true);
        }
        attempt += 1;
        pause(attempt).await;
    }
    if moves > MOVES {
        return Ok(false);
    }
    let message = format!("others wrote to the session {key} faster, {ATTEMPTS} times; it lives, try again");
    Err(Error::new(ErrorKind::Conflict, message))
}

/// Up to a millisecond more for each try, at random. The first conflicts cost no wait.
async fn pause(attempt: u32) {
    if attempt > 2 {
        let random = u64::from(getrandom::u32().unwrap_or(u32::MAX));
        tokio::time::sleep(Duration::from_micros(random % (1_000 * u64::from(attempt.min(20))))).await;
    }
}
