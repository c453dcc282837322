//! All tests of this crate, in one binary.

mod access;
mod clock;
mod conformance;
mod outages;
mod pooler;
mod sent_twice;
mod server;
