//! Walks through the sessions of a store, page by page. Other records, such as a cache's, are skipped.

use std::collections::HashSet;

use ampoule::store::{Store, StoreKey};
use ampoule::{Error, SessionId};

/// The approximate number of sessions per page.
const PAGE_SIZE: usize = 256;

/// A walk through all sessions, each once, although a store's scan may return one twice.
pub(super) struct Walk<'a> {
    store: &'a dyn Store,
    /// The cursor of the current page, from which a walk can be repeated.
    cursor: Option<String>,
    next: Next,
    /// The first eight bytes of each id, which are random.
    seen: HashSet<[u8; 8]>,
}

enum Next {
    Page(Option<String>),
    Ids(Vec<SessionId>),
    End,
}

impl<'a> Walk<'a> {
    /// A walk through all sessions, from this cursor or from the beginning.
    pub(super) fn from(store: &'a dyn Store, cursor: Option<String>) -> Walk<'a> {
        Walk { store, cursor: cursor.clone(), next: Next::Page(cursor), seen: HashSet::new() }
    }

    /// A walk through these sessions, as one page.
    pub(super) fn of(store: &'a dyn Store, ids: Vec<SessionId>) -> Walk<'a> {
        Walk { store, cursor: None, next: Next::Ids(ids), seen: HashSet::new() }
    }

    /// The cursor of the last page, whether it was read or failed; `None` for the first.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns the next page, or `None` at the end.
    pub(super) async fn page(&mut self) -> Result<Option<Vec<SessionId>>, Error> {
        let mut ids: Vec<SessionId> = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(None),
            Next::Ids(ids) => ids,
            Next::Page(cursor) => {
                self.cursor = cursor;
                let page = self.store.scan(self.cursor.as_deref(), PAGE_SIZE).await?;
                self.next = page.next.map_or(Next::End, |next| Next::Page(Some(next)));
                page.keys.iter().filter_map(StoreKey::session_id).collect()
            }
        };
        ids.retain(|id| id.as_bytes().first_chunk().is_none_or(|first| self.seen.insert(*first)));
        Ok(Some(ids))
    }
}
