//! The connection that all requests share. It is opened when it is first used, and again when it breaks.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ampoule_core::internal::tls::ensure_provider;
use ampoule_core::{Error, PoolOptions};
use redis::aio::{ConnectionLike, MultiplexedConnection};
#[cfg(feature = "cluster")]
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, Value};
use tokio::time::timeout;

use crate::address::{Address, Target};
#[cfg(feature = "cluster")]
use crate::cluster;
use crate::error::{self, CommandError};
use crate::request::Request;
use crate::scripts::ScriptCall;

/// A connection that replaces itself when it breaks.
pub(crate) struct Connection {
    address: Arc<Address>,
    limits: PoolOptions,
    current: RwLock<Option<Current>>,
    /// Held while connecting, so that concurrent requests open one connection.
    connecting: tokio::sync::Mutex<()>,
    next_id: AtomicU64,
}

/// The connection in use. The commands of all requests are pipelined over it.
#[derive(Clone)]
struct Current {
    /// Distinguishes it from the connections before and after it.
    id: u64,
    channel: Channel,
}

#[derive(Clone)]
enum Channel {
    Single(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Channel),
    #[cfg(feature = "redis-1")]
    Manager(redis::aio::ConnectionManager),
}

/// A response of Redis.
pub(crate) struct Response {
    pub(crate) value: Value,
    /// Whether the command was sent twice, because the connection broke. The first attempt may have been executed too.
    pub(crate) resent: bool,
    /// The connection over which it came.
    pub(crate) connection_id: u64,
}

impl Connection {
    pub(crate) fn new(address: Arc<Address>, limits: PoolOptions) -> Connection {
        Connection {
            address,
            limits,
            current: RwLock::default(),
            connecting: tokio::sync::Mutex::default(),
            next_id: AtomicU64::new(0),
        }
    }

    pub(crate) fn location(&self) -> &str {
        &self.address.location
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    /// Returns whether [`client`](Connection::client) is supported: there is one server at a time, and its address is
    /// known.
    pub(crate) fn can_create_client(&self) -> bool {
        match &self.address.target {
            Target::Single(_) => true,
            #[cfg(feature = "sentinel")]
            Target::Sentinel(_) => true,
            #[cfg(any(feature = "cluster", feature = "redis-1"))]
            _ => false,
        }
    }

    /// Returns a client of the single server, or of the current master.
    pub(crate) async fn client(&self) -> Result<redis::Client, RedisError> {
        match &self.address.target {
            Target::Single(client) => Ok(client.clone()),
            #[cfg(feature = "sentinel")]
            Target::Sentinel(client) => client.lock().await.async_get_client().await,
            #[cfg(any(feature = "cluster", feature = "redis-1"))]
            _ => Err((
                redis::ErrorKind::InvalidClientConfig,
                "a Cluster or a shared connection has no client of one server",
            )
                .into()),
        }
    }

    /// Sends a command that reads.
    pub(crate) async fn read(&self, command: &Cmd) -> Result<Value, Error> {
        let response = self.send_with_retry(Request::Single(command)).await;
        response.map(|response| response.value).map_err(CommandError::into_read_error)
    }

    /// Sends commands that read, in one round trip; in a Cluster, whose nodes share out the keys, one after the other.
    pub(crate) async fn read_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<&Cmd> = commands.iter().collect();
        let response = self.send_with_retry(Request::Pipeline(&commands)).await;
        response.map(|response| into_array(response.value)).map_err(CommandError::into_read_error)
    }

    /// Sends a command that reads to one node of a Cluster.
    #[cfg(feature = "cluster")]
    pub(crate) async fn read_node(&self, command: &Cmd, host: &str, port: u16) -> Result<Value, Error> {
        let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        let response = self.send_with_retry(Request::Node(command, &RoutingInfo::SingleNode(node))).await;
        response.map(|response| response.value).map_err(CommandError::into_read_error)
    }

    /// Sends a command that writes.
    pub(crate) async fn write(&self, command: &Cmd) -> Result<Response, Error> {
        self.send_with_retry(Request::Single(command)).await.map_err(CommandError::into_write_error)
    }

    /// Runs a script.
    pub(crate) async fn run_script(&self, call: &ScriptCall) -> Result<Response, Error> {
        match self.send_with_retry(Request::Single(call.evalsha())).await {
            Err(error) if error::is_unknown_script(&error.cause) => Box::pin(self.eval(call, error.may_have_run)).await,
            response => response.map_err(CommandError::into_write_error),
        }
    }

    /// Runs scripts in this order, in one round trip; in a Cluster one after the other.
    pub(crate) async fn run_scripts(&self, calls: &[ScriptCall]) -> Result<Vec<Response>, Error> {
        let mut responses = Vec::with_capacity(calls.len());
        if self.is_cluster() {
            for call in calls {
                responses.push(self.run_script(call).await?);
            }
            return Ok(responses);
        }
        let commands: Vec<&Cmd> = calls.iter().map(ScriptCall::evalsha).collect();
        let all = self.send_with_retry(Request::Pipeline(&commands)).await.map_err(CommandError::into_write_error)?;
        let Response { value, resent, connection_id } = all;
        for (call, value) in calls.iter().zip(into_array(value)) {
            responses.push(match value {
                // The server does not know this script. It has executed the ones that it knows.
                Value::ServerError(_) => Box::pin(self.eval(call, resent)).await?,
                value => Response { value, resent, connection_id },
            });
        }
        Ok(responses)
    }

    /// Runs a script by its text. `may_have_run` is whether a server that knew the script may have executed it already.
    async fn eval(&self, call: &ScriptCall, may_have_run: bool) -> Result<Response, Error> {
        match self.send_with_retry(Request::Single(&call.eval())).await {
            Ok(response) => Ok(Response { resent: response.resent || may_have_run, ..response }),
            Err(error) => Err(error.after_attempt(may_have_run).into_write_error()),
        }
    }

    /// Sends a command over the connection that `written` came over; fails if that connection is no longer in use.
    pub(crate) async fn send_after(&self, written: &Response, command: &Cmd) -> Result<Value, CommandError> {
        let result = match self.current() {
            Some(current) if current.id == written.connection_id => {
                self.send_over(current, Request::Single(command)).await
            }
            _ => Err(CommandError { cause: io::Error::from(io::ErrorKind::BrokenPipe).into(), may_have_run: true }),
        };
        result.map(|response| response.value).map_err(|error| error.after_attempt(true))
    }

    /// Sends a request, and sends it once more if the connection turns out to be stale. All requests that are sent here
    /// may be sent twice: reads, scripts that recognize their own version, and the SET of a new key, after which such a
    /// script checks the result.
    async fn send_with_retry(&self, request: Request<'_>) -> Result<Response, CommandError> {
        match self.send_once(request).await {
            // Futures of rare cases are boxed, here and below: otherwise the future of every command would be as large.
            Err(error) if error::is_stale(&error.cause) => Box::pin(self.send_again(request, error.may_have_run)).await,
            response => response,
        }
    }

    async fn send_again(&self, request: Request<'_>, may_have_run: bool) -> Result<Response, CommandError> {
        match self.send_once(request).await {
            Ok(response) => Ok(Response { resent: may_have_run, ..response }),
            Err(error) => Err(error.after_attempt(may_have_run)),
        }
    }

    async fn send_once(&self, request: Request<'_>) -> Result<Response, CommandError> {
        match self.current_or_connect().await {
            Ok(current) => self.send_over(current, request).await,
            Err(cause) => Err(CommandError { cause, may_have_run: false }),
        }
    }

    async fn send_over(
        &self,
        Current { id, channel }: Current,
        request: Request<'_>,
    ) -> Result<Response, CommandError> {
        // The future is large, and pinned where it is created: `timeout` would move it if it owned it.
        let send = pin!(channel.send(request));
        let response = timeout(self.limits.command_timeout, send).await.unwrap_or_else(|_| Err(timed_out()));
        match response {
            Ok(value) => Ok(Response { value, resent: false, connection_id: id }),
            Err(cause) => {
                if error::is_stale(&cause) || cause.is_timeout() {
                    self.discard(id);
                }
                // The server does not execute a command that it refuses.
                Err(CommandError { may_have_run: cause.code().is_none(), cause })
            }
        }
    }

    async fn current_or_connect(&self) -> Result<Current, RedisError> {
        match self.current() {
            Some(current) => Ok(current),
            None => Box::pin(timeout(self.limits.connect_timeout, self.connect()))
                .await
                .unwrap_or_else(|_| Err(timed_out())),
        }
    }

    async fn connect(&self) -> Result<Current, RedisError> {
        let _connecting = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let channel = self.open_channel().await?;
        let current = Current { id: self.next_id.fetch_add(1, Ordering::Relaxed), channel };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }

    fn current(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops using a connection that failed, unless it is already replaced.
    fn discard(&self, failed: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.id == failed) {
            *current = None;
        }
    }

    async fn open_channel(&self) -> Result<Channel, RedisError> {
        // `send_over` limits the time of a command, so the driver needs no timer of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect_timeout))
            .set_response_timeout(None);
        if self.address.is_tls {
            // The driver uses the default provider, and panics if no default is set and both are compiled in.
            ensure_provider();
        }
        match &self.address.target {
            Target::Single(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Channel::Single)
            }
            #[cfg(feature = "sentinel")]
            Target::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Channel::Single)
            }
            #[cfg(feature = "cluster")]
            Target::Cluster(nodes, tls) => {
                cluster::connect(nodes, tls.as_ref(), &self.limits).await.map(Channel::Cluster)
            }
            #[cfg(feature = "redis-1")]
            Target::Manager(manager) => Ok(Channel::Manager(manager.clone())),
        }
    }
}

impl Channel {
    async fn send(self, request: Request<'_>) -> Result<Value, RedisError> {
        match (self, request) {
            (Channel::Single(mut connection), Request::Single(command)) => {
                connection.send_packed_command(command).await?.extract_error()
            }
            (Channel::Single(connection), Request::Pipeline(commands)) => {
                Box::pin(send_pipeline(connection, commands)).await
            }
            #[cfg(feature = "redis-1")]
            (Channel::Manager(mut manager), Request::Single(command)) => {
                manager.send_packed_command(command).await?.extract_error()
            }
            #[cfg(feature = "redis-1")]
            (Channel::Manager(manager), Request::Pipeline(commands)) => {
                Box::pin(send_pipeline(manager, commands)).await
            }
            #[cfg(feature = "cluster")]
            (Channel::Cluster(cluster), request) => Box::pin(cluster::send(cluster, request)).await,
            // Only a Cluster has nodes.
            #[cfg(feature = "cluster")]
            (_, Request::Node(..)) => Err((redis::ErrorKind::InvalidClientConfig, "expected a Cluster").into()),
        }
    }
}

async fn send_pipeline(mut connection: impl ConnectionLike, commands: &[&Cmd]) -> Result<Value, RedisError> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(Cmd::clone(command));
    }
    let mut values = connection.req_packed_commands(&pipeline, 0, commands.len()).await?;
    let is_failure = |value: &Value| matches!(value, Value::ServerError(cause) if !error::is_no_script(cause));
    match values.iter().position(is_failure) {
        Some(first) => values.swap_remove(first).extract_error(),
        None => Ok(Value::Array(values)),
    }
}

fn into_array(value: Value) -> Vec<Value> {
    if let Value::Array(values) = value { values } else { vec![value] }
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
