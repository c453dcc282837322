//! The connection that all requests share: made when it is first needed, and again when it is lost.

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
use crate::error::{self, Failed};
use crate::request::Request;
use crate::scripts::Call;

pub(crate) struct Connection {
    address: Arc<Address>,
    limits: PoolOptions,
    current: RwLock<Option<Current>>,
    /// Held while connecting, so that many requests make one connection.
    connecting: tokio::sync::Mutex<()>,
    connections: AtomicU64,
}

/// The connection in use. Commands of all requests share it, each answered in its turn.
#[derive(Clone)]
struct Current {
    /// Which of the connections there have been it is.
    number: u64,
    channel: Channel,
}

#[derive(Clone)]
enum Channel {
    One(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Channel),
    #[cfg(feature = "redis-1")]
    Manager(redis::aio::ConnectionManager),
}

/// What Redis answered to a write.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Whether it was sent twice, because the connection broke: then the first may have been carried out as well.
    pub(crate) resent: bool,
    /// Over which of the connections it came.
    pub(crate) connection: u64,
}

impl Connection {
    pub(crate) fn new(address: Arc<Address>, limits: PoolOptions) -> Connection {
        Connection {
            address,
            limits,
            current: RwLock::default(),
            connecting: tokio::sync::Mutex::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn place(&self) -> &str {
        &self.address.place
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    /// Whether there is one server at a time, to which connections of other kinds can be made.
    pub(crate) fn has_client(&self) -> bool {
        match &self.address.target {
            Target::One(_) => true,
            #[cfg(feature = "sentinel")]
            Target::Sentinel(_) => true,
            #[cfg(any(feature = "cluster", feature = "redis-1"))]
            _ => false,
        }
    }

    /// A client of the single server, or of the master as it is now.
    pub(crate) async fn client(&self) -> Result<redis::Client, RedisError> {
        match &self.address.target {
            Target::One(client) => Ok(client.clone()),
            #[cfg(feature = "sentinel")]
            Target::Sentinel(client) => client.lock().await.async_get_client().await,
            #[cfg(any(feature = "cluster", feature = "redis-1"))]
            _ => Err((redis::ErrorKind::InvalidClientConfig, "there is no one server to make a client of").into()),
        }
    }

    /// One command that reads.
    pub(crate) async fn read(&self, command: &Cmd) -> Result<Value, Error> {
        let answer = self.send_with_retry(Request::One(command)).await;
        answer.map(|answer| answer.value).map_err(Failed::into_read_error)
    }

    /// Several commands that read, in one trip; in a Cluster, where they may lie apart, one after the other.
    pub(crate) async fn read_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<&Cmd> = commands.iter().collect();
        let answers = self.send_with_retry(Request::All(&commands)).await;
        answers.map(|answers| list(answers.value)).map_err(Failed::into_read_error)
    }

    /// One command that reads from one node of a Cluster.
    #[cfg(feature = "cluster")]
    pub(crate) async fn read_node(&self, command: &Cmd, host: &str, port: u16) -> Result<Value, Error> {
        let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        let answer = self.send_with_retry(Request::Node(command, &RoutingInfo::SingleNode(node))).await;
        answer.map(|answer| answer.value).map_err(Failed::into_read_error)
    }

    /// One command that writes.
    pub(crate) async fn write(&self, command: &Cmd) -> Result<Answer, Error> {
        self.send_with_retry(Request::One(command)).await.map_err(Failed::into_write_error)
    }

    /// A script.
    pub(crate) async fn run(&self, call: &Call) -> Result<Answer, Error> {
        match self.send_with_retry(Request::One(call.command())).await {
            Err(failed) if error::is_unknown_script(&failed.cause) => {
                Box::pin(self.run_by_text(call, failed.sent)).await
            }
            answer => answer.map_err(Failed::into_write_error),
        }
    }

    /// Scripts in their order, in one trip; in a Cluster one after the other.
    pub(crate) async fn run_all(&self, calls: &[Call]) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(calls.len());
        if self.is_cluster() {
            for call in calls {
                answers.push(self.run(call).await?);
            }
            return Ok(answers);
        }
        let commands: Vec<&Cmd> = calls.iter().map(Call::command).collect();
        let all = self.send_with_retry(Request::All(&commands)).await.map_err(Failed::into_write_error)?;
        let Answer { value, resent, connection } = all;
        for (call, value) in calls.iter().zip(list(value)) {
            answers.push(match value {
                // Those that the server knew are done.
                Value::ServerError(_) => Box::pin(self.run_by_text(call, resent)).await?,
                value => Answer { value, resent, connection },
            });
        }
        Ok(answers)
    }

    /// A script by its text; `sent` says whether it may have been carried out before, by a server that knew it.
    async fn run_by_text(&self, call: &Call, sent: bool) -> Result<Answer, Error> {
        match self.send_with_retry(Request::One(&call.by_text())).await {
            Ok(answer) => Ok(Answer { resent: answer.resent || sent, ..answer }),
            Err(failed) => Err(failed.after(sent).into_write_error()),
        }
    }

    /// One command over the connection on which a write was answered, and over no other.
    pub(crate) async fn follow(&self, written: &Answer, command: &Cmd) -> Result<Value, Failed> {
        let followed = match self.current() {
            Some(current) if current.number == written.connection => {
                self.send_over(current, Request::One(command)).await
            }
            _ => Err(Failed { cause: io::Error::from(io::ErrorKind::BrokenPipe).into(), sent: true }),
        };
        followed.map(|answer| answer.value).map_err(|failed| failed.after(true))
    }

    /// Sends, and sends once more if the connection turns out to be stale. Everything that is sent here may be sent
    /// twice: reads, scripts that know what they have written, and the SET of a new key, after which such a script looks.
    async fn send_with_retry(&self, request: Request<'_>) -> Result<Answer, Failed> {
        match self.send_once(request).await {
            // What is rare is on the heap, here and below: every command would carry the room for it otherwise.
            Err(failed) if error::is_stale(&failed.cause) => Box::pin(self.send_again(request, failed.sent)).await,
            answer => answer,
        }
    }

    async fn send_again(&self, request: Request<'_>, sent: bool) -> Result<Answer, Failed> {
        match self.send_once(request).await {
            Ok(answer) => Ok(Answer { resent: sent, ..answer }),
            Err(failed) => Err(failed.after(sent)),
        }
    }

    async fn send_once(&self, request: Request<'_>) -> Result<Answer, Failed> {
        match self.connected().await {
            Ok(current) => self.send_over(current, request).await,
            Err(cause) => Err(Failed { cause, sent: false }),
        }
    }

    async fn send_over(&self, Current { number, channel }: Current, request: Request<'_>) -> Result<Answer, Failed> {
        // It is large, and pinned where it is made: a timer that owned it would have it moved there.
        let send = pin!(channel.send(request));
        let answer = timeout(self.limits.command_timeout, send).await.unwrap_or_else(|_| Err(timed_out()));
        match answer {
            Ok(value) => Ok(Answer { value, resent: false, connection: number }),
            Err(cause) => {
                if error::is_stale(&cause) || cause.is_timeout() {
                    self.forget(number);
                }
                // What the server refuses it does not carry out.
                Err(Failed { sent: cause.code().is_none(), cause })
            }
        }
    }

    async fn connected(&self) -> Result<Current, RedisError> {
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
        let channel = self.new_channel().await?;
        let current = Current { number: self.connections.fetch_add(1, Ordering::Relaxed), channel };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }

    fn current(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a connection that failed out of use, unless another is there already.
    fn forget(&self, failed: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.number == failed) {
            *current = None;
        }
    }

    async fn new_channel(&self) -> Result<Channel, RedisError> {
        // `send_over` limits the time of an answer, so the driver need not set a timer of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect_timeout))
            .set_response_timeout(None);
        if self.address.is_tls {
            // The driver asks for the default one, and panics where there are two to choose from.
            ensure_provider();
        }
        match &self.address.target {
            Target::One(client) => client.get_multiplexed_async_connection_with_config(&config).await.map(Channel::One),
            #[cfg(feature = "sentinel")]
            Target::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Channel::One)
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
            (Channel::One(mut connection), Request::One(command)) => {
                connection.send_packed_command(command).await?.extract_error()
            }
            (Channel::One(connection), Request::All(commands)) => Box::pin(in_one_trip(connection, commands)).await,
            #[cfg(feature = "redis-1")]
            (Channel::Manager(mut manager), Request::One(command)) => {
                manager.send_packed_command(command).await?.extract_error()
            }
            #[cfg(feature = "redis-1")]
            (Channel::Manager(manager), Request::All(commands)) => Box::pin(in_one_trip(manager, commands)).await,
            #[cfg(feature = "cluster")]
            (Channel::Cluster(cluster), request) => Box::pin(cluster::send(cluster, request)).await,
            // Only a Cluster has nodes.
            #[cfg(feature = "cluster")]
            (_, Request::Node(..)) => Err((redis::ErrorKind::InvalidClientConfig, "no Cluster").into()),
        }
    }
}

async fn in_one_trip(mut connection: impl ConnectionLike, commands: &[&Cmd]) -> Result<Value, RedisError> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(Cmd::clone(command));
    }
    let mut answers = connection.req_packed_commands(&pipeline, 0, commands.len()).await?;
    let fails = |answer: &Value| matches!(answer, Value::ServerError(cause) if !error::says_unknown_script(cause));
    match answers.iter().position(fails) {
        Some(first) => answers.swap_remove(first).extract_error(),
        None => Ok(Value::Array(answers)),
    }
}

fn list(answers: Value) -> Vec<Value> {
    if let Value::Array(answers) = answers { answers } else { vec![answers] }
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
