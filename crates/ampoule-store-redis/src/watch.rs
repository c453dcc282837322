//! Reports changes by others, which Redis itself tracks for client-side caching: broadcast for our prefix (Redis 6,
//! RESP3).

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

/// How long a connection may be silent before it is checked with a PING.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait before the next attempt to connect.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// A watcher, which receives events only while it is polled.
pub(crate) struct RedisWatcher {
    store: RedisStore,
    tracking: Option<Tracking>,
    events: VecDeque<StoreEvent>,
}

/// A connection that tracks the keys of the store.
struct Tracking {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
}

impl RedisWatcher {
    pub(crate) fn new(store: RedisStore) -> RedisWatcher {
        RedisWatcher { store, tracking: None, events: VecDeque::new() }
    }

    async fn next_event(&mut self) -> StoreEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match &mut self.tracking {
                None => match self.connect().await {
                    Ok(tracking) => {
                        self.tracking = Some(tracking);
                        return StoreEvent::Unknown;
                    }
                    Err(_) => sleep(RECONNECT_DELAY).await,
                },
                Some(tracking) => match timeout(PING_INTERVAL, tracking.pushes.recv()).await {
                    Ok(Some(push)) if push.kind == PushKind::Invalidate => self.queue_events(push.data),
                    Ok(Some(push)) if push.kind != PushKind::Disconnection => {}
                    Err(_) if tracking.is_alive(self.store.0.options.pool.command_timeout).await => {}
                    _ => {
                        self.tracking = None;
                        return StoreEvent::Lost;
                    }
                },
            }
        }
    }

    async fn connect(&self) -> Result<Tracking, RedisError> {
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
        let mut command = redis::cmd("CLIENT");
        command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(&options.prefix);
        command.query_async::<()>(&mut connection).await?;
        Ok(Tracking { connection, pushes })
    }

    /// Queues the events of a push message: a list of names, or null if the whole server was flushed.
    fn queue_events(&mut self, data: Vec<Value>) {
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
                    self.events.extend(names.into_iter().filter_map(key).map(StoreEvent::Key));
                }
                _ => self.events.push_back(StoreEvent::Unknown),
            }
        }
    }
}

impl Tracking {
    async fn is_alive(&mut self, limit: Duration) -> bool {
        let ping = redis::cmd("PING");
        let answer = timeout(limit, ping.query_async::<Value>(&mut self.connection)).await;
        matches!(answer, Ok(Ok(_)))
    }
}

impl Watcher for RedisWatcher {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>> {
        Box::pin(self.next_event())
    }
}
