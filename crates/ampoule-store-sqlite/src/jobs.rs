//! Runs queries: reads on the caller's thread, writes one at a time on a thread that may block.

use std::sync::{Arc, PoisonError, TryLockError};

use ampoule_core::{Error, ErrorKind, Reply};
use rusqlite::Connection;

use crate::connections::Connections;
use crate::{Inner, SqliteStore, error, file};

impl SqliteStore {
    /// Runs a query on this thread. If the query would have to wait, for example while another process recovers the
    /// database, it runs on a thread that may block instead.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Inner, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let connections = self.0.connections();
        if connections.file.as_ref().is_some_and(|file| file.is_gone()) {
            return self.run_blocking(move |inner| inner.reopen(&connections));
        }
        let result = query(&self.0, &connections.reader());
        match result {
            Err(busy) if error::is_busy(&busy) => self.write(move |inner, sql| query(inner, sql).map_err(error::from)),
            result => Reply::ready(result.map_err(error::from)),
        }
    }

    /// Runs a job once the writer is free. The job runs to its end even if the caller is cancelled.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner, &Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        Reply::new(async move {
            let connections = self.0.connections();
            let writer = Arc::clone(&connections.writer).lock_owned().await;
            self.run_blocking(move |inner| {
                inner.check_file(&connections)?;
                let result = job(inner, &writer);
                drop(writer);
                // The write may have gone into a removed file.
                inner.check_file(&connections)?;
                result
            })
            .await
        })
    }

    fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Reply<'_, T> {
        let inner = Arc::clone(&self.0);
        Reply::new(async move {
            let result = tokio::task::spawn_blocking(move || work(&inner)).await;
            result.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "an operation of the SQLite store was aborted").because(cause)
            })?
        })
    }
}

impl Inner {
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns an error if the file of these connections was removed or replaced.
    fn check_file(&self, connections: &Arc<Connections>) -> Result<(), Error> {
        match &connections.file {
            Some(file) if file.is_gone() => self.reopen(connections),
            _ => Ok(()),
        }
    }

    /// Opens the database again for later operations. The operation that detected the removal always gets an error,
    /// since the sessions in the removed file are lost and the operator must know.
    fn reopen<T>(&self, old: &Arc<Connections>) -> Result<T, Error> {
        let gone = old.file.as_ref().map(file::DatabaseFile::gone_error);
        let gone = gone.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the store's database was removed"));
        // Opening may take seconds. Operations that detect the removal meanwhile fail immediately.
        let _guard = match self.reopening.try_lock() {
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
