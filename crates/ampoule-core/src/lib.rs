//! What a session is and what a store must do.
//!
//! This crate is for those who write a store or read how Ampoule works; applications add [`ampoule`] instead, which
//! re-exports what they need. Nothing here knows HTTP, files or a runtime, and the clock is given to it.
//!
//! | to learn | read |
//! |---|---|
//! | what a store promises | [`Store`] |
//! | how one is written | [`MemoryStore`], the example to copy |
//! | how one is proved | `conformance`, behind the feature of that name |
//! | how its time and its failures are bounded | `GuardedStore`, behind the feature `guard` |
//! | how a server's URL is read, and its TLS set up | `ServerUrl` and `tls`, behind the features `url` and `tls` |
//! | how its values are encrypted | `SealedStore`, behind the feature `seal` |
//! | what a session is made of | [`Record`], [`Lifetime`] |
//! | how parallel writers lose nothing | [`ChangeLog`] |
//!
//! [`ampoule`]: https://docs.rs/ampoule

// Each item says its feature, where docs.rs builds the pages.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod change;
mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod durability;
mod error;
pub mod folders;
#[cfg(feature = "guard")]
mod guard;
mod key;
mod lifetime;
mod memory;
mod non_exhaustive;
mod record;
mod reply;
#[cfg(feature = "axum")]
mod response;
#[cfg(feature = "seal")]
mod seal;
mod store;
#[cfg(feature = "url")]
pub mod tls;
#[cfg(feature = "url")]
mod url;

pub use bytes::Bytes;

pub use self::change::{Change, ChangeLog, Pair, UpdateFn};
pub use self::clock::{Clock, ManualClock, SystemClock, Time};
pub use self::durability::Durability;
pub use self::error::{Error, ErrorKind};
#[cfg(feature = "guard")]
pub use self::guard::GuardedStore;
pub use self::key::{AsKey, Key, KeyFor, KeyOf, SessionId, StoreKey, Tag};
pub use self::lifetime::Lifetime;
pub use self::memory::{MemoryBounds, MemoryStore};
#[doc(hidden)]
pub use self::non_exhaustive::NonExhaustive;
pub use self::record::{Content, FORM_LIFETIME, Identity, MAX_KEY, PreviousSecret, Record, Text, Tombstone};
pub use self::reply::Reply;
#[cfg(feature = "seal")]
pub use self::seal::SealedStore;
pub use self::store::{
    Entry, Page, PutMode, PutResult, Store, StoreEvent, Stored, SweepReport, Version, Watcher, random_key,
    write_and_read_back, write_and_read_back_under,
};
#[cfg(feature = "url")]
pub use self::url::{Host, ServerUrl};
