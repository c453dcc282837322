//! What the store does with its connections: reads here and now, writes one after another.

use std::sync::Arc;

use ampoule_core::{Error, ErrorKind, Reply};
use rusqlite::Connection;

use crate::{Inner, SqliteStore, error};

impl SqliteStore {
    /// Runs a query here and now; where it is held up, such as while another process recovers the database, on a
    /// thread that may wait.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Inner, &Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let answer = query(&self.0, &self.0.connections.reader());
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
            let writer = Arc::clone(&self.0.connections.writer).lock_owned().await;
            let inner = Arc::clone(&self.0);
            let done = tokio::task::spawn_blocking(move || job(&inner, &writer)).await;
            done.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "the SQLite store's work was broken off").because(cause)
            })?
        })
    }
}
