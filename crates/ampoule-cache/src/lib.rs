//! Cache regions over the stores of Ampoule: whatever holds sessions can hold a cache.
//!
//! Applications use it as `ampoule::cache`, with the feature `cache` of [`ampoule`], which adds settings from an ini
//! file, layers and the macro `cached`.
//!
//! What it descends from, Beaker's cache, had regions with an expiry, one creator at a time, and old values for the
//! others meanwhile. This one keeps what those who read and write in many processes at once would expect:
//!
//! - **One creator.** Of any number of callers who miss a value one creates it, in a process and, by a lease in the
//!   store, among all that share the store. A holder who dies is waited for no longer than
//!   [`lease`](CacheOptions::lease). A creator who is cancelled or fails lets the next one go on.
//! - **Removed is removed.** A value that is removed, cleared or invalidated by its tag while somebody creates it, from
//!   what was true before, is not put back: not in this process, and not in any other. Each is one command, on every
//!   store.
//! - **Expired is expired**, exactly, unless the region allows stale values for some time. A value in demand is created
//!   anew a little before it expires.
//! - **An outage is none of the reader's business.** While the store is down creators are called, still one at a time
//!   in a process.
//!
//! | to learn | read |
//! |---|---|
//! | where values are kept | [`Backend`] |
//! | how long, and by whom they are created | [`CacheOptions`] |
//! | how they are asked for | [`Cache`], [`Entry`] |
//!
//! # What cannot be kept
//!
//! - A value in memory before a store may be as old as [`memory_expire`](CacheOptions::memory_expire) says, unless the
//!   store tells of changes and nothing is lost on the way.
//! - Processes whose clocks differ expire values at different moments.
//! - While the store cannot be reached, processes do not know of each other: each has its own creator.
//! - A value that takes more than five minutes to create is given out and not kept in a store: nobody would know any more
//!   whether it was removed meanwhile.
//! - Values lie in the store as they are: who reads it reads them. What must not be read there is not to be cached.
//! - A creator who takes longer than [`lease`](CacheOptions::lease) may be joined by another one.
//!
//! [`ampoule`]: https://docs.rs/ampoule

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
pub use self::stats::CacheStats;
pub use self::usage::{NamespaceUsage, StoreUsage};
pub use self::value::{Cacheable, Created};
