//! Writes that count when replicas have received them.
//!
//! `WAIT` vouches for the writes of its own connection, and holds up what others send over that. So such a write has a
//! connection to itself; reads share another. Where it breaks before the replicas are heard of, the write is sent again
//! over a new one: it finds what it has done, or the error says that nothing is known.

use std::sync::{Arc, Mutex, PoisonError};

use ampoule_core::{Error, PoolOptions};
use redis::{Cmd, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::address::Address;
use crate::connection::{Answer, Connection};
use crate::error::{self, Failed};
use crate::options::RedisOptions;

/// Connections on which one write at a time waits for replicas.
pub(crate) struct ReplicaPool {
    address: Arc<Address>,
    pool: PoolOptions,
    pub(crate) replicas: usize,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    wait: Cmd,
    mark: Cmd,
}

/// A connection that is not given back is closed: it may be waiting still.
pub(crate) struct Lease<'a> {
    pub(crate) connection: Connection,
    pool: &'a ReplicaPool,
    _permit: SemaphorePermit<'a>,
}

impl ReplicaPool {
    /// `None` where no replicas are waited for.
    pub(crate) fn new(address: &Arc<Address>, options: &RedisOptions) -> Option<ReplicaPool> {
        let RedisOptions { replicas, pool, .. } = *options;
        let patience = pool.command_timeout.as_millis() as u64 * 3 / 4;
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas).arg(patience.max(1));
        let mut mark = redis::cmd("SET");
        mark.arg(format!("{}wait", options.prefix)).arg("").arg("PX").arg(10_000);
        (replicas > 0).then(|| ReplicaPool {
            address: Arc::clone(address),
            pool,
            replicas,
            idle: Mutex::default(),
            permits: Semaphore::new(pool.max_connections.clamp(1, Semaphore::MAX_PERMITS)),
            wait,
            mark,
        })
    }

    pub(crate) async fn lease(&self) -> Result<Lease<'_>, Error> {
        let permit = timeout(self.pool.pool_timeout, self.permits.acquire()).await;
        let Ok(Ok(permit)) = permit else { return Err(error::all_wait()) };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || Connection::new(Arc::clone(&self.address), self.pool);
        Ok(Lease { connection: idle.unwrap_or_else(new), pool: self, _permit: permit })
    }
}

impl Lease<'_> {
    pub(crate) fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
    }

    /// Whether enough replicas have what was written over this connection. A write that was sent twice may have changed
    /// nothing the second time, and newer servers would then wait for nothing; so a mark is written after it.
    pub(crate) async fn wait(&self, written: &Answer) -> Result<bool, Failed> {
        if written.resent {
            self.connection.follow(written, &self.pool.mark).await?;
        }
        let received = self.connection.follow(written, &self.pool.wait).await?;
        Ok(matches!(received, Value::Int(received) if usize::try_from(received).is_ok_and(|n| n >= self.pool.replicas)))
    }
}
