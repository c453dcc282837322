//! Goes through the keys of a store, a page at a time.

use std::collections::HashSet;

use ampoule::Error;
use ampoule::store::{Store, StoreKey};

/// How many keys a page has, about.
const PAGE: usize = 256;

/// A way through all keys, each of them once: a store may name one twice.
pub(super) struct Walk<'a> {
    store: &'a dyn Store,
    /// Where the present page starts, from which the way can be gone again.
    here: Option<String>,
    next: Next,
    /// The first eight bytes of each key: keys are digests, so they differ in them.
    seen: HashSet<[u8; 8]>,
}

enum Next {
    Page(Option<String>),
    Given(Vec<StoreKey>),
    End,
}

impl<'a> Walk<'a> {
    /// Through all, from this place or from the beginning.
    pub(super) fn from(store: &'a dyn Store, place: Option<String>) -> Walk<'a> {
        Walk { store, here: place.clone(), next: Next::Page(place), seen: HashSet::new() }
    }

    /// Through these keys, as one page.
    pub(super) fn of(store: &'a dyn Store, keys: Vec<StoreKey>) -> Walk<'a> {
        Walk { store, here: None, next: Next::Given(keys), seen: HashSet::new() }
    }

    /// Where the page starts that was given last, or that could not be read; `None` for the beginning.
    pub(super) fn here(&self) -> Option<&str> {
        self.here.as_deref()
    }

    /// The next page, if there is one.
    pub(super) async fn page(&mut self) -> Result<Option<Vec<StoreKey>>, Error> {
        let mut keys = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(None),
            Next::Given(keys) => keys,
            Next::Page(place) => {
                self.here = place;
                let page = self.store.scan(self.here.as_deref(), PAGE).await?;
                self.next = page.next.map_or(Next::End, |next| Next::Page(Some(next)));
                page.keys
            }
        };
        keys.retain(|key| key.as_bytes().first_chunk().is_none_or(|first| self.seen.insert(*first)));
        Ok(Some(keys))
    }
}
