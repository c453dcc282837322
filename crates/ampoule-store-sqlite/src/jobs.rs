//! What the store does with its connections: reads here and now, writes one after another.

use std::sync::{Arc, PoisonError, TryLockError};

use ampoule_core::{Error, ErrorKind, Reply};
use rusqlite::Connection;

use crate::connections::Connections;
use crate::{Inner, SqliteStore, error, file};

impl SqliteStore {
    /// Runs a query here and now; where it is held up, such as while another process recovers the database, on a
    /// thread that may wait.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Inner, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let connections = self.0.connections();
        if connections.file.as_ref().is_some_and(|file| file.is_gone()) {
            return self.blocking(move |inner| inner.reopen(&connections));
        }
        let answer = query(&self.0, &connections.reader());
        match answer {
            Err(held_up) if error::is_busy(&held_up) => {
                self.write(move |inner, sql| query(inner, sql).map_err(error::from))
            }
            answer => Reply::ready(answer.map_err(error::from)),
        }
    }

    /// Runs a job when the writer is free. If the caller goes away the job ends all the same, whole.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner, &Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Reply::new(async move {
            let connections = self.0.connections();
            let writer = Arc::clone(&connections.writer).lock_owned().await;
            self.blocking(move |inner| {
                inner.assure(&connections)?;
                let done = job(inner, &writer);
                drop(writer);
                // What is written by now may be in a file that is gone.
                inner.assure(&connections)?;
                done
            })
            .await
        })
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        let inner = Arc::clone(&self.0);
        Reply::new(async move {
            let done = tokio::task::spawn_blocking(move || work(&inner)).await;
            done.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "the SQLite store's work was broken off").because(cause)
            })?
        })
    }
}

impl Inner {
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An error if the file of these connections is gone.
    fn assure(&self, connections: &Arc<Connections>) -> Result<(), Error> {
        match &connections.file {
            Some(file) if file.is_gone() => self.reopen(connections),
            _ => Ok(()),
        }
    }

    /// Opens the database anew, as at the start, for the operations to come. For the one that found it gone this is an
    /// error in any case: what was in it is lost, and the operator has to see that.
    fn reopen<T>(&self, old: &Arc<Connections>) -> Result<T, Error> {
        let gone = old.file.as_ref().map(file::DatabaseFile::gone);
        let gone = gone.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the session database is gone"));
        // Opening may take seconds. The operations that find the file gone meanwhile fail at once.
        let _one_at_a_time = match self.reopening.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(gone),
        };
        if !Arc::ptr_eq(&self.connections(), old) {
            return Err(gone);
        }
        if let Some(Err(error)) = old.file.as_ref().map(file::DatabaseFile::remove_companions) {
            return Err(gone.because(error));
        }
        match self.connect() {
            Ok(new) => {
                *self.connections.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                Err(gone)
            }
            Err(error) => Err(gone.because(error)),
        }
    }
}
