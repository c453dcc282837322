//! Writes that wait until replicas have received them.
//!
//! `WAIT` covers the writes of its own connection, and delays all other commands on it. So each such write uses a
//! connection of its own, and reads share another one. If the connection breaks before `WAIT` is answered, the write is
//! sent again over a new one. The second attempt either detects that the first succeeded, or the error says that the
//! outcome is unknown.

use std::sync::{Arc, Mutex, PoisonError};

use ampoule_core::{Error, PoolOptions};
use redis::{Cmd, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::{Connection, Response};
use crate::error::{self, CommandError};
use crate::options::RedisOptions;

/// A pool of connections, on each of which one write at a time waits for replicas.
pub(crate) struct ReplicaPool {
    address: Arc<Address>,
    pool: PoolOptions,
    pub(crate) replicas: usize,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    wait_command: Cmd,
    marker_command: Cmd,
}

/// A connection of the pool, for one write. It is closed unless it is released, since it may still be waiting.
pub(crate) struct PooledConnection<'a> {
    pub(crate) connection: Connection,
    pool: &'a ReplicaPool,
    _permit: SemaphorePermit<'a>,
}

impl ReplicaPool {
    /// Returns `None` if writes do not wait for replicas.
    pub(crate) fn new(address: &Arc<Address>, options: &RedisOptions) -> Option<ReplicaPool> {
        let RedisOptions { replicas, pool, .. } = *options;
        let wait_timeout = pool.command_timeout.as_millis() as u64 * 3 / 4;
        let mut wait_command = redis::cmd("WAIT");
        wait_command.arg(replicas).arg(wait_timeout.max(1));
        let mut marker_command = redis::cmd("SET");
        marker_command.arg(format!("{}wait", options.prefix)).arg("").arg("PX").arg(10_000);
        (replicas > 0).then(|| ReplicaPool {
            address: Arc::clone(address),
            pool,
            replicas,
            idle: Mutex::default(),
            permits: Semaphore::new(pool.max_connections.clamp(1, Semaphore::MAX_PERMITS)),
            wait_command,
            marker_command,
        })
    }

    /// Waits for a free connection, up to `pool_timeout`.
    pub(crate) async fn acquire(&self) -> Result<PooledConnection<'_>, Error> {
        let permit = timeout(self.pool.pool_timeout, self.permits.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(error::no_free_connection()) };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || Connection::new(Arc::clone(&self.address), self.pool);
        Ok(PooledConnection { connection: idle.unwrap_or_else(new), pool: self, _permit: permit })
    }
}

impl PooledConnection<'_> {
    pub(crate) fn release(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
    }

    /// Returns whether enough replicas have received the write. A write that was sent twice may have changed nothing
    /// the second time, and newer servers then do not wait; so a marker is written after it.
    pub(crate) async fn wait(&self, written: &Response) -> Result<bool, CommandError> {
        if written.resent {
            self.connection.send_after(written, &self.pool.marker_command).await?;
        }
        let received = self.connection.send_after(written, &self.pool.wait_command).await?;
        Ok(matches!(received, Value::Int(received) if usize::try_from(received).is_ok_and(|n| n >= self.pool.replicas)))
    }
}
