//! All tests of this crate, in one binary.

mod documentation;
mod envelopes;
mod secrets;
mod support;
mod tokens;
