//! The connection that all requests share: made when it is first needed, and again when it is lost.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ampoule_core::Error;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisError, Value};
use tokio::time::timeout;

use crate::address::{Address, Target};
use crate::error;
use crate::scripts::Call;

pub(crate) struct Link {
    address: Address,
    connect_timeout: Duration,
    command_timeout: Duration,
    live: RwLock<Option<Connection>>,
    /// Held by whoever connects, so that a crowd makes one connection.
    connecting: tokio::sync::Mutex<()>,
    connections: AtomicU64,
}

/// Commands of all requests share it, each answered in its turn.
#[derive(Clone)]
struct Connection {
    /// Which of the connections there have been it is.
    number: u64,
    way: Way,
}

#[derive(Clone)]
enum Way {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(crate) fn new(address: Address, connect_timeout: Duration, command_timeout: Duration) -> Link {
        Link {
            address,
            connect_timeout,
            command_timeout,
            live: RwLock::default(),
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

    /// A client of the single server, or of the master as it is now.
    pub(crate) async fn client(&self) -> Result<redis::Client, RedisError> {
        match &self.address.target {
            Target::One(client) => Ok(client.clone()),
            Target::Sentinel(client) => client.lock().await.async_get_client().await,
            Target::Cluster(_) => Err((redis::ErrorKind::InvalidClientConfig, "a Cluster has no one server").into()),
        }
    }

    /// One command.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, Error> {
        let answers = self.twice(&[command], None).await.map_err(error::from)?;
        Ok(answers.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Several commands that only read, in one trip; in a Cluster, where they may lie apart, one after the other.
    pub(crate) async fn ask_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        self.twice(&commands.iter().collect::<Vec<_>>(), None).await.map_err(error::from)
    }

    /// One command to one node of a Cluster.
    pub(crate) async fn ask_node(&self, command: &Cmd, host: &str, port: u16) -> Result<Value, Error> {
        let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        let answers = self.twice(&[command], Some(&RoutingInfo::SingleNode(node))).await;
        Ok(answers.map_err(error::from)?.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Scripts in their order, in one trip; in a Cluster one after the other.
    pub(crate) async fn run(&self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let commands: Vec<&Cmd> = calls.iter().map(Call::command).collect();
        match self.twice(&commands, None).await {
            Err(cause) if error::is_unknown_script(&cause) => {
                let commands: Vec<Cmd> = calls.iter().map(Call::by_text).collect();
                Box::pin(self.ask_all(&commands)).await
            }
            answers => answers.map_err(error::from),
        }
    }

    /// Sends, and sends once more if the connection turns out to be stale. Everything that is sent here may be sent
    /// twice: reads, scripts that know what they have written, and the SET of a new key, after which such a script looks.
    async fn twice(&self, commands: &[&Cmd], node: Option<&RoutingInfo>) -> Result<Vec<Value>, RedisError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match self.once(commands, node).await {
            Err(cause) if error::is_stale(&cause) => self.once(commands, node).await,
            answers => answers,
        }
    }

    async fn once(&self, commands: &[&Cmd], node: Option<&RoutingInfo>) -> Result<Vec<Value>, RedisError> {
        let mut connection = self.connection().await?;
        let send = connection.way.send(commands, node);
        let answers = timeout(self.command_timeout, send).await.unwrap_or_else(|_| Err(timed_out()));
        if let Err(cause) = &answers
            && (error::is_stale(cause) || cause.is_timeout())
        {
            self.forget(&connection);
        }
        answers
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        match self.present() {
            Some(connection) => Ok(connection),
            // What is rare is on the heap, here and below: every command would carry the room for it otherwise.
            None => Box::pin(timeout(self.connect_timeout, self.new_connection()))
                .await
                .unwrap_or_else(|_| Err(timed_out())),
        }
    }

    async fn new_connection(&self) -> Result<Connection, RedisError> {
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.present() {
            return Ok(connection);
        }
        let way = self.connect().await?;
        let connection = Connection { number: self.connections.fetch_add(1, Ordering::Relaxed), way };
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }

    fn present(&self) -> Option<Connection> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a connection that failed out of use, unless another is there already.
    fn forget(&self, failed: &Connection) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| live.number == failed.number) {
            *live = None;
        }
    }

    async fn connect(&self) -> Result<Way, RedisError> {
        // `once` limits the time of an answer, so the driver need not set a timer of its own.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.connect_timeout)).set_response_timeout(None);
        match &self.address.target {
            Target::One(client) => client.get_multiplexed_async_connection_with_config(&config).await.map(Way::One),
            Target::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Way::One)
            }
            Target::Cluster(nodes) => {
                let cluster = ClusterClientBuilder::new(nodes.clone())
                    .connection_timeout(self.connect_timeout)
                    .response_timeout(self.command_timeout)
                    .build()?;
                cluster.get_async_connection().await.map(Way::Cluster)
            }
        }
    }
}

impl Way {
    async fn send(&mut self, commands: &[&Cmd], node: Option<&RoutingInfo>) -> Result<Vec<Value>, RedisError> {
        let answers = match (self, commands) {
            (Way::One(connection), [command]) => vec![connection.req_packed_command(command).await?],
            (Way::One(connection), commands) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(Cmd::clone(command));
                }
                connection.req_packed_commands(&pipeline, 0, commands.len()).await?
            }
            (Way::Cluster(cluster), commands) => Box::pin(to_cluster(cluster, commands, node)).await?,
        };
        answers.into_iter().map(Value::extract_error).collect()
    }
}

/// One after the other, since they may lie apart.
async fn to_cluster(
    cluster: &mut ClusterConnection,
    commands: &[&Cmd],
    node: Option<&RoutingInfo>,
) -> Result<Vec<Value>, RedisError> {
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(match node {
            Some(node) => cluster.route_command(Cmd::clone(command), node.clone()).await?,
            None => cluster.req_packed_command(command).await?,
        });
    }
    Ok(answers)
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
