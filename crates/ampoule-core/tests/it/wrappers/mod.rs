//! Stores that wrap a store: each one conforms as the store inside does.

mod flaky;
mod guarded;
mod sealed;
