//! All tests of this crate, in one binary.

mod conformance;
mod database;
mod removal;
