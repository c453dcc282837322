//! `take`: removes a value and gives it to one request only.

use std::sync::{Arc, Mutex, PoisonError};

use ampoule_core::internal::{Change, ChangeLog, codec};
use ampoule_core::{Error, KeyOf, Record};
use serde::de::DeserializeOwned;

use super::save::Unsaved;
use crate::session::Session;
use crate::session::state::{Live, response_begun};

impl Session {
    /// Removes the value under `key`, and returns it to exactly one of all requests that take it: for a voucher, or the
    /// state of an OAuth login. The removal is saved at once; other changes of this request are not.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("oauth_state", "af0ifjsldkj")?;
    /// session.save().await?;
    /// let expected: Option<String> = session.take("oauth_state").await?;
    /// assert_eq!(expected.as_deref(), Some("af0ifjsldkj"));
    /// assert_eq!(session.take::<String>("oauth_state").await?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// Two limits: a session that is kept in its own cookie cannot promise this, since the client may send an old
    /// cookie; and a login copies the values of the visitor's session, so two logins from one session can each take a
    /// value once.
    ///
    /// # Errors
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) if the stored value is not a `T`; it stays where it is. Otherwise
    /// as [`save`](Session::save).
    pub async fn take<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        let key = key.as_key();
        let Some(value) = self.get::<T>(key).await? else { return Ok(None) };
        let _io = self.io().await;
        let (live, own) = {
            let mut state = self.state();
            let live = state.live().cloned();
            let own = live.as_ref().and_then(|_| state.split_off(key));
            (live, own)
        };
        let (Some(live), Some(own)) = (live, own) else {
            // No other request sees it: this request inserted it.
            self.change(Change::Remove(key.to_owned()))?;
            return Ok(Some(value));
        };
        let own = Unsaved { session: self, changes: own };
        let taken = self.take_stored(key, |old| codec::decode::<T>(old).map(drop), live, own).await?;
        taken.as_deref().map(codec::decode).transpose()
    }

    /// Commits this request's changes of the key, and its removal.
    async fn take_stored(
        &self,
        key: &str,
        check: fn(&[u8]) -> Result<(), Error>,
        live: Live,
        mut own: Unsaved<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let taken = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&taken);
        let take = move |old: Option<&[u8]>| {
            // Another request may have replaced it by a value of another type.
            old.map(check).transpose()?;
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = old.map(<[u8]>::to_vec);
            Ok(None)
        };
        let mut changes = own.changes.clone();
        changes.push(Change::Update(key.to_owned(), Arc::new(take)))?;
        let edit = self.edit(&live, &changes);
        let mut next = Record::clone(&live.snapshot.record);
        changes.apply(&mut next)?;
        if !next.same_data(&live.snapshot.record) {
            if self.is_cookie_sent() {
                return Err(response_begun());
            }
            edit.stamp(&mut next)?;
            let snapshot = self.commit_edit(&live.snapshot, Arc::new(next), &edit).await?;
            own.changes = ChangeLog::default();
            self.state().saved_as(Live { snapshot, ..live }, false)?;
        } else {
            own.changes = ChangeLog::default();
            self.state().replay()?;
        }
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(taken)
    }
}
