//! All tests of this crate, in one binary.

mod bounds;
mod clock;
mod conformance;
mod outages;
mod sharing;
mod support;
mod time;
mod trips;
