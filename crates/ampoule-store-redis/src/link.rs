//! The connection that all requests share: made when it is first needed, and again when it is lost.

use std::io;
use std::pin::pin;
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

/// What is sent.
#[derive(Clone, Copy)]
enum Ask<'a> {
    One(&'a Cmd),
    /// The answer is an array.
    All(&'a [&'a Cmd]),
    /// To one node of a Cluster.
    Node(&'a Cmd, &'a RoutingInfo),
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
        self.twice(Ask::One(command)).await.map_err(error::from)
    }

    /// Several commands that only read, in one trip; in a Cluster, where they may lie apart, one after the other.
    pub(crate) async fn ask_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<&Cmd> = commands.iter().collect();
        self.twice(Ask::All(&commands)).await.map(list).map_err(error::from)
    }

    /// One command to one node of a Cluster.
    pub(crate) async fn ask_node(&self, command: &Cmd, host: &str, port: u16) -> Result<Value, Error> {
        let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
        self.twice(Ask::Node(command, &RoutingInfo::SingleNode(node))).await.map_err(error::from)
    }

    /// A script.
    pub(crate) async fn run(&self, call: &Call) -> Result<Value, Error> {
        match self.twice(Ask::One(call.command())).await {
            Err(cause) if error::is_unknown_script(&cause) => {
                let command = call.by_text();
                Box::pin(self.ask(&command)).await
            }
            answer => answer.map_err(error::from),
        }
    }

    /// Scripts in their order, in one trip; in a Cluster one after the other.
    pub(crate) async fn run_all(&self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let commands: Vec<&Cmd> = calls.iter().map(Call::command).collect();
        match self.twice(Ask::All(&commands)).await {
            Err(cause) if error::is_unknown_script(&cause) => {
                let commands: Vec<Cmd> = calls.iter().map(Call::by_text).collect();
                Box::pin(self.ask_all(&commands)).await
            }
            answers => answers.map(list).map_err(error::from),
        }
    }

    /// Sends, and sends once more if the connection turns out to be stale. Everything that is sent here may be sent
    /// twice: reads, scripts that know what they have written, and the SET of a new key, after which such a script looks.
    async fn twice(&self, ask: Ask<'_>) -> Result<Value, RedisError> {
        match self.once(ask).await {
            // What is rare is on the heap, here and below: every command would carry the room for it otherwise.
            Err(cause) if error::is_stale(&cause) => Box::pin(self.once(ask)).await,
            answer => answer,
        }
    }

    async fn once(&self, ask: Ask<'_>) -> Result<Value, RedisError> {
        let Connection { number, way } = self.connection().await?;
        // It is large, and pinned where it is made: a timer that owned it would have it moved there.
        let send = pin!(way.send(ask));
        let answer = timeout(self.command_timeout, send).await.unwrap_or_else(|_| Err(timed_out()));
        if let Err(cause) = &answer
            && (error::is_stale(cause) || cause.is_timeout())
        {
            self.forget(number);
        }
        answer
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        match self.present() {
            Some(connection) => Ok(connection),
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
    fn forget(&self, failed: u64) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| live.number == failed) {
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
    async fn send(self, ask: Ask<'_>) -> Result<Value, RedisError> {
        let answer = match (self, ask) {
            (Way::One(mut connection), Ask::One(command) | Ask::Node(command, _)) => {
                connection.send_packed_command(command).await?
            }
            (Way::One(connection), Ask::All(commands)) => Box::pin(in_one_trip(connection, commands)).await?,
            (Way::Cluster(cluster), ask) => Box::pin(to_cluster(cluster, ask)).await?,
        };
        answer.extract_error()
    }
}

async fn in_one_trip(mut connection: MultiplexedConnection, commands: &[&Cmd]) -> Result<Value, RedisError> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(Cmd::clone(command));
    }
    connection.send_packed_commands(&pipeline, 0, commands.len()).await.map(Value::Array)
}

/// Several one after the other, since they may lie apart.
async fn to_cluster(mut cluster: ClusterConnection, ask: Ask<'_>) -> Result<Value, RedisError> {
    let commands = match ask {
        Ask::One(command) => return cluster.req_packed_command(command).await,
        Ask::Node(command, node) => return cluster.route_command(Cmd::clone(command), node.clone()).await,
        Ask::All(commands) => commands,
    };
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(cluster.req_packed_command(command).await?);
    }
    Ok(Value::Array(answers))
}

fn list(answers: Value) -> Vec<Value> {
    if let Value::Array(answers) = answers { answers } else { vec![answers] }
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
