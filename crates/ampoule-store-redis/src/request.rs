//! What a connection is asked to send.

use redis::Cmd;
#[cfg(feature = "cluster")]
use redis::cluster_routing::RoutingInfo;

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    One(&'a Cmd),
    /// The answer is an array, in which a script that the server does not know has its error.
    All(&'a [&'a Cmd]),
    /// To one node of a Cluster.
    #[cfg(feature = "cluster")]
    Node(&'a Cmd, &'a RoutingInfo),
}
