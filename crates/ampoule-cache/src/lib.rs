//! Cache regions over the stores of Ampoule: every store for sessions can hold a cache.
//!
//! Applications use it as `ampoule::cache`, with the feature `cache` of [`ampoule`], which adds settings from an ini
//! file, layers and the macro `cached`.
//!
//! It has the regions of Beaker's cache, with an expiry each, and keeps these promises among callers in many processes:
//!
//! - **One creator.** Of any number of callers that miss a value, one creates it: in a process and, by a lease in the
//!   store, among all processes that share the store. If the process that acquired the lease is killed, another one
//!   creates the value after [`lease`](CacheOptions::lease). If a creator is cancelled or fails, the next caller
//!   creates. A creator that asks for its own value panics at once instead of waiting for itself.
//! - **Removed is removed.** If a value is removed, cleared or invalidated by its tag while a caller creates it from
//!   older data, the created value is not kept, in this process or in any other. Each of these operations is one
//!   command, on every store.
//! - **Expired is expired**, exactly, unless the region allows stale values for some time. A value in demand is created
//!   again a little before it expires.
//! - **Readers do not see an outage.** While the store is down, creators are called, still one at a time in a process.
//!
//! | topic | read |
//! |---|---|
//! | where values are stored | [`Backend`] |
//! | how long they are kept, and which caller creates them | [`CacheOptions`] |
//! | how to get and insert them | [`Cache`], [`Entry`] |
//! | how to limit how often something happens | [`RateLimiter`] |
//! | which keys they have | a text, or a [`CacheKey`] |
//!
//! # What it cannot promise
//!
//! - A value in memory before a store may be as old as [`memory_expire`](CacheOptions::memory_expire), unless the store
//!   reports changes and no report is lost.
//! - Processes whose clocks differ expire values at different moments.
//! - While the store cannot be reached, each process has a creator of its own.
//! - A value that takes more than five minutes to create is returned but not kept in a store, since the store no longer
//!   knows whether it was removed meanwhile.
//! - Values are stored unencrypted: do not cache what a reader of the store must not see.
//! - While a creator takes longer than [`lease`](CacheOptions::lease), a second one may start in another process, and
//!   in its own after twice that time.
//! - The bounds limit what the cache keeps, not its callers: each waiting caller holds its own future, and each live
//!   [`Cache`] holds its namespace. A process remembers the last 7,168 removed keys, cleared namespaces and invalidated
//!   tags each; values in memory that are older than the oldest of them are not used.
//! - The size of a value in memory is that of its encoding: a `Vec<Option<u64>>` may take four times as much.
//!
//! [`ampoule`]: https://docs.rs/ampoule

// docs.rs shows the feature of each item.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod backend;
mod cache;
mod cache_key;
mod create;
mod creation;
#[cfg(feature = "axum")]
mod extract;
mod format;
mod invalidation;
mod key;
mod lease;
mod lookup;
mod manager;
mod memory;
mod namespace;
mod options;
mod rate_limiter;
mod registry;
mod remote;
mod schema;
mod single_flight;
mod stats;
mod usage;
mod value;

pub use self::backend::Backend;
pub use self::cache::{Cache, Entry};
pub use self::cache_key::{CacheKey, KeyWriter};
#[cfg(feature = "axum")]
pub use self::extract::MissingCacheLayer;
pub use self::manager::CacheManager;
pub use self::options::{BackendOptions, CacheOptions};
pub use self::rate_limiter::{Admission, Rate, RateLimiter};
pub use self::stats::CacheStats;
#[cfg(feature = "metrics")]
#[doc(hidden)]
pub use self::stats::describe_metrics;
pub use self::usage::{NamespaceUsage, StoreUsage};
pub use self::value::{Cacheable, Created};
