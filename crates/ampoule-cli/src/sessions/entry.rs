//! One session of a store, as these tools see it: a damaged one is something to show, not the end of the work.

use ampoule::inspect::{Inspected, State, inspect};
use ampoule::store::{Store, Stored};
use ampoule::{Error, SessionId};
use futures_util::{Stream, StreamExt, stream};

use super::in_flight::IN_FLIGHT;

/// What was found under an id.
pub(super) struct Look {
    pub(super) id: SessionId,
    /// What the store returned; nothing if it could not even read it.
    pub(super) stored: Option<Stored>,
    pub(super) state: State,
}

/// The session of this id, if there is one.
pub(super) async fn look(store: &dyn Store, id: SessionId) -> Result<Option<Look>, Error> {
    let found = inspect(store, id).await?;
    Ok(found.map(|Inspected { stored, state, .. }| Look { id, stored, state }))
}

/// The sessions of these ids, in their order, several read at once.
pub(super) fn look_all<'a>(
    store: &'a dyn Store,
    ids: Vec<SessionId>,
) -> impl Stream<Item = Result<Option<Look>, Error>> + 'a {
    stream::iter(ids).map(move |id| look(store, id)).buffered(IN_FLIGHT)
}
