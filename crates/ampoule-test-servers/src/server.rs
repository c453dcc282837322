//! A running server.

use crate::node::Node;

/// A running server, or several that belong together. They are stopped when it is dropped.
pub struct Server {
    pub(crate) url: String,
    pub(crate) nodes: Vec<Node>,
}

impl Server {
    /// Returns the URL for a store.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the processes: one; for a Cluster its three masters; for Sentinel the master, the replica and the
    /// sentinel; for PgBouncer itself and its PostgreSQL.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the first process.
    pub fn node(&self) -> &Node {
        &self.nodes[0]
    }
}
