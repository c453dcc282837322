//! The contract of a session store, and the record of a session.
//!
//! This crate is for authors of stores. Applications add [`ampoule`] instead, which re-exports what they need. Nothing
//! here depends on HTTP, files or a runtime, and the clock is passed in.
//!
//! | to learn | read |
//! |---|---|
//! | what a store must do | [`Store`] |
//! | how to write one | [`MemoryStore`], the example to copy |
//! | how to test one | `conformance`, behind the feature of that name |
//! | what a session consists of | [`Record`], [`Lifetime`] |
//!
//! A store needs no time limit, circuit breaker, counters or encryption of its own: the session layer and the cache
//! wrap any store in them. The hidden module `internal` is for the crates of Ampoule alone.
//!
//! [`ampoule`]: https://docs.rs/ampoule

// Items show their feature on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod change;
mod clock;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod durability;
mod error;
mod folders;
#[cfg(feature = "guard")]
mod guard;
#[doc(hidden)]
pub mod internal;
mod key;
mod lifetime;
mod memory;
mod non_exhaustive;
mod pool;
mod record;
mod reply;
#[cfg(feature = "axum")]
mod response;
#[cfg(feature = "seal")]
mod seal;
mod store;
#[cfg(feature = "guard")]
mod sweeper;
#[cfg(feature = "url")]
mod tls;
#[cfg(feature = "url")]
mod url;

pub use bytes::Bytes;

pub use self::clock::{Clock, ManualClock, SystemClock, Time};
pub use self::durability::Durability;
pub use self::error::{Error, ErrorKind};
pub use self::key::{AsKey, Key, KeyFor, KeyOf, SessionId, StoreKey, Tag};
pub use self::lifetime::Lifetime;
pub use self::memory::{MemoryBounds, MemoryStore};
pub use self::pool::PoolOptions;
pub use self::record::Record;
pub use self::reply::Reply;
pub use self::store::{
    Entry, Page, PutMode, PutResult, Store, StoreEvent, Stored, SweepReport, Version, Watcher, write_and_read_back,
};
#[cfg(feature = "url")]
pub use self::tls::TlsFiles;
