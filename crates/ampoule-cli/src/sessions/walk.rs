//! Goes through the sessions of a store, a page at a time. What else is in it, such as a cache, is passed over.

use std::collections::HashSet;

use ampoule::store::{Store, StoreKey};
use ampoule::{Error, SessionId};

/// How many sessions a page has, about.
const PAGE: usize = 256;

/// A way through all sessions, each of them once: a store may name one twice.
pub(super) struct Walk<'a> {
    store: &'a dyn Store,
    /// Where the present page starts, from which the way can be gone again.
    here: Option<String>,
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
    /// Through all, from this place or from the beginning.
    pub(super) fn from(store: &'a dyn Store, place: Option<String>) -> Walk<'a> {
        Walk { store, here: place.clone(), next: Next::Page(place), seen: HashSet::new() }
    }

    /// Through these sessions, as one page.
    pub(super) fn of(store: &'a dyn Store, ids: Vec<SessionId>) -> Walk<'a> {
        Walk { store, here: None, next: Next::Ids(ids), seen: HashSet::new() }
    }

    /// Where the page starts that was given last, or that could not be read; `None` for the beginning.
    pub(super) fn here(&self) -> Option<&str> {
        self.here.as_deref()
    }

    /// The next page, if there is one.
    pub(super) async fn page(&mut self) -> Result<Option<Vec<SessionId>>, Error> {
        let mut ids: Vec<SessionId> = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(None),
            Next::Ids(ids) => ids,
            Next::Page(place) => {
                self.here = place;
                let page = self.store.scan(self.here.as_deref(), PAGE).await?;
                self.next = page.next.map_or(Next::End, |next| Next::Page(Some(next)));
                page.keys.iter().filter_map(StoreKey::session_id).collect()
            }
        };
        ids.retain(|id| id.as_bytes().first_chunk().is_none_or(|first| self.seen.insert(*first)));
        Ok(Some(ids))
    }
}
