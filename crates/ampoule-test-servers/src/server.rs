//! A server that runs.

use crate::node::Node;

/// A running server, or several that belong together.
pub struct Server {
    pub(crate) url: String,
    pub(crate) nodes: Vec<Node>,
}

impl Server {
    /// Where it is reached, as a store's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its processes: one, or those of the cluster; of Sentinel the master, the replica, the sentinel.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The only or the first process.
    pub fn node(&self) -> &Node {
        &self.nodes[0]
    }
}
