//! All tests of this crate, in one binary.

mod access;
mod clock;
mod conformance;
mod eviction;
mod lossy;
mod replicas;
mod resent;
mod server;
mod time;
mod trips;
mod watch;
