//! What others change, told by Redis itself: client-side caching's tracking, broadcast for our prefix (Redis 6, RESP3).

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ampoule_core::{StoreEvent, StoreKey, Watcher};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::RedisStore;

/// How often a connection on which nothing comes is asked whether it is still one.
const ALIVE: Duration = Duration::from_secs(5);
/// How long to wait before the next try to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens as long as it is polled.
pub(crate) struct Watching {
    store: RedisStore,
    live: Option<Live>,
    told: VecDeque<StoreEvent>,
}

struct Live {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
}

impl Watching {
    pub(crate) fn new(store: RedisStore) -> Watching {
        Watching { store, live: None, told: VecDeque::new() }
    }

    async fn next_change(&mut self) -> StoreEvent {
        loop {
            if let Some(changed) = self.told.pop_front() {
                return changed;
            }
            match &mut self.live {
                None => match self.connect().await {
                    Ok(live) => {
                        self.live = Some(live);
                        return StoreEvent::Unknown;
                    }
                    Err(_) => sleep(PAUSE).await,
                },
                Some(live) => match timeout(ALIVE, live.pushes.recv()).await {
                    Ok(Some(push)) if push.kind == PushKind::Invalidate => self.read(push.data),
                    Ok(Some(push)) if push.kind != PushKind::Disconnection => {}
                    Err(_) if live.answers(self.store.0.options.pool.command_timeout).await => {}
                    _ => {
                        self.live = None;
                        return StoreEvent::Lost;
                    }
                },
            }
        }
    }

    async fn connect(&self) -> Result<Live, RedisError> {
        let client = self.store.0.connection.client().await?;
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let (sender, pushes) = unbounded_channel();
        let options = &self.store.0.options;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.pool.connect_timeout))
            .set_response_timeout(Some(options.pool.command_timeout))
            .set_push_sender(sender);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(&options.prefix);
        tracking.query_async::<()>(&mut connection).await?;
        Ok(Live { connection, pushes })
    }

    /// A list of names, or nothing when the whole server was flushed.
    fn read(&mut self, data: Vec<Value>) {
        for value in data {
            match value {
                Value::Array(names) => {
                    let prefix = self.store.0.options.prefix.as_bytes();
                    let key = |name: Value| match name {
                        Value::BulkString(name) => {
                            StoreKey::parse(std::str::from_utf8(name.strip_prefix(prefix)?).ok()?)
                        }
                        _ => None,
                    };
                    self.told.extend(names.into_iter().filter_map(key).map(StoreEvent::Key));
                }
                _ => self.told.push_back(StoreEvent::Unknown),
            }
        }
    }
}

impl Live {
    async fn answers(&mut self, limit: Duration) -> bool {
        let ping = redis::cmd("PING");
        let answer = timeout(limit, ping.query_async::<Value>(&mut self.connection)).await;
        matches!(answer, Ok(Ok(_)))
    }
}

impl Watcher for Watching {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>> {
        Box::pin(self.next_change())
    }
}
