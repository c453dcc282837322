//! A request: one command or several.

use redis::Cmd;
#[cfg(feature = "cluster")]
use redis::cluster_routing::RoutingInfo;

/// The commands that are sent in one round trip.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    Single(&'a Cmd),
    /// The response is an array. If the server does not know a script, its element is the error.
    Pipeline(&'a [&'a Cmd]),
    /// A command for one node of a Cluster.
    #[cfg(feature = "cluster")]
    Node(&'a Cmd, &'a RoutingInfo),
}
