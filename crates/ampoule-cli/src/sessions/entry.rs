//! Reads sessions of a store for the commands. A damaged session is an entry too, not an error.

use ampoule::inspect::{Inspected, State, inspect};
use ampoule::store::{Store, Stored};
use ampoule::{Error, SessionId};
use futures_util::{Stream, StreamExt, stream};

use super::concurrency::CONCURRENCY;

/// The session of an id.
pub(super) struct SessionEntry {
    pub(super) id: SessionId,
    /// The stored value; `None` if the store cannot read it.
    pub(super) stored: Option<Stored>,
    pub(super) state: State,
}

/// Reads the session of this id; `None` if it does not exist.
pub(super) async fn read_entry(store: &dyn Store, id: SessionId) -> Result<Option<SessionEntry>, Error> {
    let found = inspect(store, id).await?;
    Ok(found.map(|Inspected { stored, state, .. }| SessionEntry { id, stored, state }))
}

/// Reads the sessions of these ids concurrently, and returns them in order.
pub(super) fn read_entries<'a>(
    store: &'a dyn Store,
    ids: Vec<SessionId>,
) -> impl Stream<Item = Result<Option<SessionEntry>, Error>> + 'a {
    stream::iter(ids).map(move |id| read_entry(store, id)).buffered(CONCURRENCY)
}
