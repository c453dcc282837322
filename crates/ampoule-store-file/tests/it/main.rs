//! All tests of this crate, in one binary.

mod conformance;
mod crash;
mod folder;
mod processes;
mod vanishing;
