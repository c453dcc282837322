//! Sessions for tools: an operator's commands, which have a store and no request.
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

/// How often a conflict is retried.
const MAX_ATTEMPTS: u32 = 64;

/// How long an ended session is remembered: the default of [`Options::rotation_grace`](crate::Options::rotation_grace).
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// The record that a store holds under a session's id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// What the store returned; `None` if it could not read the record.
    pub stored: Option<Stored>,
    /// The session, or the reason why it cannot be shown.
    pub state: State,
}

/// Whether a session could be decoded.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are sessions")]
pub enum State {
    /// The session.
    Session(ampoule_core::Record),
    /// The reason why it could not be decoded.
    Damaged(String),
}

/// Reads the session with this id. `None` if it does not exist or has ended.
///
/// # Errors
/// Errors of the store; a damaged session is not an error.
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

/// Ends the session with this id, and returns whether there was one. No concurrent request brings it back (promise P2).
/// A damaged session is removed.
///
/// # Errors
/// Errors of the store. [`ErrorKind::Conflict`] after 64 attempts against other writers: the session is then still
/// live.
pub async fn end<S: Store + ?Sized>(store: &S, id: SessionId) -> Result<bool, Error> {
    for attempt in 0..MAX_ATTEMPTS {
        let Some(found) = inspect(store, id).await? else { return Ok(false) };
        match (found.stored, found.state) {
            (Some(Stored { version, .. }), State::Session(record)) => {
                let device = record.identity.device_of(id);
                if put_tombstone(store, id, version, Tombstone { device, forked_for: None }, DEFAULT_GRACE).await? {
                    return Ok(true);
                }
            }
            // A damaged record has no version to compare, or no session to end.
            _ => return store.delete(id.into()).await,
        }
        pause(attempt).await;
    }
    Err(gave_up(MAX_ATTEMPTS))
}

/// Replaces this version by a tombstone, and returns whether the version still existed.
pub(crate) async fn put_tombstone<S: Store + ?Sized>(
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

/// Waits before a retry. Writers of other processes have no common lock, so their retries are spread: up to a
/// millisecond more for each attempt, at random. The first retries do not wait.
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
