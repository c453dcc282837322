//! A Cluster, and a node of it.
//!
//! The driver of a Cluster follows redirections and sends again what was lost with a connection, without saying
//! so. A write that may have been carried out is not left to it: [`Connection`](crate::connection::Connection) sends it
//! again, and knows that it did.

use std::io;

use ampoule_core::internal::ServerUrl;
use ampoule_core::{Error, PoolOptions};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::{ClusterConnection, Connect};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
};

use crate::address::{Target, address, info, known, wrong};
use crate::certificates::Certificates;
use crate::request::Request;

pub(crate) type Channel = ClusterConnection<Node>;

pub(crate) fn target(url: &ServerUrl, is_tls: bool, tls: Option<Certificates>) -> Result<(Target, String), Error> {
    url.reject_unknown(&known(&[]))?;
    if !["", "0"].contains(&url.path.as_str()) {
        return Err(wrong("a Cluster has the database 0 alone"));
    }
    if url.hosts.is_empty() {
        return Err(wrong("no node is named"));
    }
    let nodes = url.hosts.iter().map(|host| info(url, address(host, 6379, is_tls), 0));
    let place = ServerUrl { path: String::new(), ..url.clone() }.location(6379);
    Ok((Target::Cluster(nodes.collect::<Result<_, _>>()?, tls), format!("the Cluster of {place}")))
}

/// Connects, with limits for that and for each answer.
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

/// Several one after the other, since they may lie apart.
pub(crate) async fn send(mut cluster: Channel, request: Request<'_>) -> Result<Value, RedisError> {
    let commands = match request {
        Request::One(command) => return cluster.req_packed_command(command).await?.extract_error(),
        Request::Node(command, node) => {
            return cluster.route_command(Cmd::clone(command), node.clone()).await?.extract_error();
        }
        Request::All(commands) => commands,
    };
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(cluster.req_packed_command(command).await?.extract_error()?);
    }
    Ok(Value::Array(answers))
}

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
    /// A write without an answer fails with an error that the driver passes on (`RetryMethod::NoRetry`).
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if !writes(command) {
            return self.0.req_packed_command(command);
        }
        Box::pin(async move {
            match self.0.send_packed_command(command).await {
                // A timeout is the caller's too, so nothing more comes of it.
                Err(cause) if cause.code().is_none() && !cause.is_timeout() => {
                    Err(io::Error::new(io::ErrorKind::Unsupported, cause).into())
                }
                answer => answer,
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

fn writes(command: &Cmd) -> bool {
    matches!(command.args_iter().next(), Some(Arg::Simple(b"EVALSHA" | b"EVAL" | b"SET")))
}
