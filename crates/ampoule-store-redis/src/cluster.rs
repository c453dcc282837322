//! The connection to a Cluster, and to one of its nodes.
//!
//! The driver of a Cluster follows redirections. It also resends commands after a broken connection, without reporting
//! it. A write that may have been executed must not be resent like that, so [`Node`] prevents it: instead
//! [`Connection`](crate::connection::Connection) resends the write, and records that it did.

use std::io;

use ampoule_core::internal::ServerUrl;
use ampoule_core::{Error, PoolOptions};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::{ClusterConnection, Connect};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
};

use crate::address::{Target, connection_info, invalid_url, known_parameters, socket_address};
use crate::certificates::Certificates;
use crate::request::Request;

pub(crate) type Channel = ClusterConnection<Node>;

pub(crate) fn target(url: &ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    url.reject_unknown(&known_parameters(&[]))?;
    if !["", "0"].contains(&url.path.as_str()) {
        return Err(invalid_url("a Cluster has only the database 0"));
    }
    if url.hosts.is_empty() {
        return Err(invalid_url("it needs at least one node"));
    }
    let nodes = url.hosts.iter().map(|host| connection_info(url, socket_address(host, 6379, is_tls), 0));
    let location = ServerUrl { path: String::new(), ..url.clone() }.location(6379);
    Ok((Target::Cluster(nodes.collect::<Result<_, _>>()?, tls), format!("the Cluster of {location}")))
}

/// Connects to the Cluster, with time limits for that and for each command.
pub(crate) async fn connect(
    nodes: &[ConnectionInfo],
    tls: Option<&Certificates>,
    limits: &PoolOptions,
) -> Result<Channel, RedisError> {
    let cluster = ClusterClientBuilder::new(nodes.to_vec())
        .connection_timeout(limits.connect_timeout)
        .response_timeout(limits.command_timeout);
    #[cfg(feature = "tls")]
    let cluster = match tls {
        Some(tls) => cluster.certs(tls.clone()),
        None => cluster,
    };
    #[cfg(not(feature = "tls"))]
    let _ = tls;
    cluster.build()?.get_async_generic_connection().await
}

/// Sends several commands one after the other, since their keys may be on different nodes.
pub(crate) async fn send(mut cluster: Channel, request: Request<'_>) -> Result<Value, RedisError> {
    let commands = match request {
        Request::Single(command) => return cluster.req_packed_command(command).await?.extract_error(),
        Request::Node(command, node) => {
            return cluster.route_command(Cmd::clone(command), node.clone()).await?.extract_error();
        }
        Request::Pipeline(commands) => commands,
    };
    let mut responses = Vec::with_capacity(commands.len());
    for command in commands {
        responses.push(cluster.req_packed_command(command).await?.extract_error()?);
    }
    Ok(Value::Array(responses))
}

/// The connection to one node.
#[derive(Clone)]
pub(crate) struct Node(MultiplexedConnection);

impl Connect for Node {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Node>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        Box::pin(async move { MultiplexedConnection::connect_with_config(info, config).await.map(Node) })
    }
}

impl ConnectionLike for Node {
    /// A write without a response fails with an error that the driver does not retry (`RetryMethod::NoRetry`).
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if !is_write(command) {
            return self.0.req_packed_command(command);
        }
        Box::pin(async move {
            match self.0.send_packed_command(command).await {
                // A timeout is returned unchanged: the caller's own limit ends the request at the same time.
                Err(cause) if cause.code().is_none() && !cause.is_timeout() => {
                    Err(io::Error::new(io::ErrorKind::Unsupported, cause).into())
                }
                response => response,
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

fn is_write(command: &Cmd) -> bool {
    matches!(command.args_iter().next(), Some(Arg::Simple(b"EVALSHA" | b"EVAL" | b"SET")))
}
