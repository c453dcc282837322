//! Sessions as tools see them: an operator's commands, which have a store and no request.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use ampoule::inspect::{State, end, inspect};
//! use ampoule::{MemoryStore, SessionId};
//!
//! # let store = MemoryStore::default();
//! # let id = SessionId::new([7; 16]);
//! match inspect(&store, id).await?.map(|found| found.state) {
//!     None => println!("there is no such session"),
//!     Some(State::Session(record)) => println!("a session of {:?} in the layer {}", record.principal(), record.layer()),
//!     Some(State::Damaged(why)) => println!("it cannot be read: {why}"),
//! }
//! let was_there = end(&store, id).await?;
//! # assert!(!was_there);
//! # Ok::<(), ampoule::Error>(()) }).unwrap();
//! ```

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::{Content, Tombstone};
use ampoule_core::{Entry, Error, ErrorKind, PutMode, PutResult, SessionId, Store, Stored, Version};

/// How often a conflict is met with another try.
const ATTEMPTS: u32 = 64;

/// How long an ended session is still known: [`Options::rotation_grace`](crate::Options::rotation_grace) by default.
const GRACE: Duration = Duration::from_secs(5);

/// What a store holds under a session's id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// What the store returned; `None` if it could not read it.
    pub stored: Option<Stored>,
    /// The session, or why there is none to be seen.
    pub state: State,
}

/// Whether a session could be read.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are sessions")]
pub enum State {
    /// It could.
    Session(ampoule_core::Record),
    /// It could not, for this reason.
    Damaged(String),
}

/// The session of this id. `None` if there is none, or it has ended and only requests under way still learn of it.
///
/// # Errors
/// Those of the store; damage is no error here.
pub async fn inspect<S: Store + ?Sized>(store: &S, id: SessionId) -> Result<Option<Inspected>, Error> {
    let stored = match store.get(id.into()).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            return Ok(Some(Inspected { stored: None, state: State::Damaged(error.report()) }));
        }
        Err(error) => return Err(error),
    };
    let state = match Content::decode(stored.value.clone()) {
        Ok(Content::Session(record)) => State::Session(Arc::unwrap_or_clone(record)),
        Ok(Content::Ended(_)) => return Ok(None),
        Err(error) => State::Damaged(error.report()),
    };
    Ok(Some(Inspected { stored: Some(stored), state }))
}

/// Ends the session of this id, and says whether there was one. No request that is under way brings it back (promise P2).
/// A damaged one is removed.
///
/// # Errors
/// Those of the store. [`ErrorKind::Conflict`] after 64 tries against other writers: the session then still lives.
pub async fn end<S: Store + ?Sized>(store: &S, id: SessionId) -> Result<bool, Error> {
    for attempt in 0..ATTEMPTS {
        let Some(found) = inspect(store, id).await? else { return Ok(false) };
        match (found.stored, found.state) {
            (Some(Stored { version, .. }), State::Session(record)) => {
                let device = record.identity.device_of(id);
                if bury(store, id, version, Tombstone { device, forked_for: None }, GRACE).await? {
                    return Ok(true);
                }
            }
            // It has no version to go by, or nothing that could be made of it.
            _ => return store.delete(id.into()).await,
        }
        pause(attempt).await;
    }
    Err(gave_up(ATTEMPTS))
}

/// Puts a tombstone in the place of this version, and says whether it was still that version.
pub(crate) async fn bury<S: Store + ?Sized>(
    store: &S,
    id: SessionId,
    version: Version,
    tombstone: Tombstone,
    grace: Duration,
) -> Result<bool, Error> {
    let entry = Entry { value: Content::Ended(tombstone).encode(), lifetime: grace, tag: None };
    let result = store.put(id.into(), entry, PutMode::Replace(version)).await?;
    Ok(matches!(result, PutResult::Stored(_)))
}

/// Writers of other processes have no common lock, so they spread: up to a millisecond more for each try, at random.
/// The first conflicts cost no wait.
pub(crate) async fn pause(attempt: u32) {
    if attempt > 2 {
        let random = u32::from_le_bytes(ampoule_seal::internal::random_bytes());
        tokio::time::sleep(Duration::from_micros(u64::from(random) % (1_000 * u64::from(attempt.min(20))))).await;
    }
}

pub(crate) fn gave_up(attempts: u32) -> Error {
    let message = format!("other writers committed first {attempts} times; nothing was saved, try again");
    Error::new(ErrorKind::Conflict, message)
}
