//! Cache regions over the stores of Ampoule: what holds sessions can hold a cache.
//!
//! Applications use it as `ampoule::cache`, with the feature `cache` of [`ampoule`], which adds settings from an ini
//! file, layers and the macro `cached`.
//!
//! What it descends from, Beaker's cache, had regions with an expiry, one creator at a time, and old values for the
//! others meanwhile. This one keeps what callers in many processes at once would expect:
//!
//! - **One creator.** Of any number of callers that miss a value one creates it, in a process and, by a lease in the
//!   store, among all that share the store. A holder that dies is waited for no longer than
//!   [`lease`](CacheOptions::lease). A creator that is cancelled or fails lets the next one go on, and one
//!   that asks for its own value fails at once.
//! - **Removed is removed.** A value that is removed, cleared or invalidated by its tag while a caller creates it, from
//!   what was true before, is not put back: not in this process, and not in any other. Each is one command, on every
//!   store.
//! - **Expired is expired**, exactly, unless the region allows stale values for some time. A value in demand is created
//!   anew a little before it expires.
//! - **Readers do not see an outage.** While the store is down creators are called, still one at a time
//!   in a process.
//!
//! | to learn | read |
//! |---|---|
//! | where values are kept | [`Backend`] |
//! | how long, and by whom they are created | [`CacheOptions`] |
//! | how they are asked for | [`Cache`], [`Entry`] |
//! | what a key can be | a text, or a [`CacheKey`] |
//!
//! # What cannot be kept
//!
//! - A value in memory before a store may be as old as [`memory_expire`](CacheOptions::memory_expire) says, unless the
//!   store tells of changes and nothing is lost on the way.
//! - Processes whose clocks differ expire values at different moments.
//! - While the store cannot be reached, processes do not know of each other: each has its own creator.
//! - A value that takes more than five minutes to create is given out and not kept in a store: nothing would tell whether it
//!   was removed meanwhile.
//! - Values are stored as they are: a reader of the store reads them. What must not be read there is not to be cached.
//! - A creator that takes longer than [`lease`](CacheOptions::lease) may be joined by another one.
//! - Bounds hold for what a cache keeps, not for the callers: each that waits holds its own future, and each [`Cache`] that is
//!   held holds its namespace. Of the keys that were removed, cleared and invalidated a process remembers 7,168 each; what
//!   is in memory from before the oldest of them counts no more.
//! - What a value takes in memory is known by its encoded size: `Vec<Option<u64>>` may take four times as much.
//!
//! [`ampoule`]: https://docs.rs/ampoule

// Each item says its feature, where docs.rs builds the pages.
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
