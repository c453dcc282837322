//! A node of a Cluster, whose driver follows redirections and sends again what was lost with a connection, without saying
//! so. A write that may have been carried out is not left to it: [`Connection`](crate::connection::Connection) sends it
//! again, and knows that it did.

use std::io;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::Connect;
use redis::{Arg, AsyncConnectionConfig, Cmd, IntoConnectionInfo, Pipeline, RedisFuture, Value};

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
