//! One record of a store, as these tools see it: a damaged one is something to show, not the end of the work.

use ampoule::store::{Store, StoreKey, Stored};
use ampoule::{Error, ErrorKind};
use ampoule_core::{Content, Record};
use futures_util::{Stream, StreamExt, stream};

use super::IN_FLIGHT;

/// How many moves are followed, as in the library.
const MOVES: usize = 4;

/// What was found under a key.
pub(super) struct Look {
    pub(super) key: StoreKey,
    /// What the store gave; nothing if it could not even read it.
    pub(super) stored: Option<Stored>,
    pub(super) state: State,
}

pub(super) enum State {
    Session(Record),
    /// The session was given a new id, and lies there.
    Moved(StoreKey),
    /// Why it cannot be read.
    Damaged(String),
}

/// What lies under this key, if anything.
pub(super) async fn look(store: &dyn Store, key: StoreKey) -> Result<Option<Look>, Error> {
    let stored = match store.get(key).await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            return Ok(Some(Look { key, stored: None, state: State::Damaged(error.to_string()) }));
        }
        Err(error) => return Err(error),
    };
    let state = match Content::decode(stored.value.clone()) {
        Ok(Content::Session(record)) => State::Session(record),
        Ok(Content::Moved(to)) => State::Moved(to),
        Err(error) => State::Damaged(error.to_string()),
    };
    Ok(Some(Look { key, stored: Some(stored), state }))
}

/// What lies where this key leads, if anything.
pub(super) async fn follow(store: &dyn Store, key: StoreKey) -> Result<Option<Look>, Error> {
    let mut found = look(store, key).await?;
    for _ in 0..MOVES {
        let Some(Look { state: State::Moved(to), .. }) = found else { break };
        found = look(store, to).await?;
    }
    Ok(found.filter(|found| !matches!(found.state, State::Moved(_))))
}

/// What lies under each of these keys, in their order, several read at once.
pub(super) fn look_all<'a>(
    store: &'a dyn Store,
    keys: Vec<StoreKey>,
) -> impl Stream<Item = Result<Option<Look>, Error>> + 'a {
    stream::iter(keys).map(move |key| look(store, key)).buffered(IN_FLIGHT)
}
