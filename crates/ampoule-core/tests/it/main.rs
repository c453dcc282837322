//! All tests of this crate, in one binary.

mod broken;
mod memory;
mod memory_bounds;
mod wrappers;
