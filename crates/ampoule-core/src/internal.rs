//! Items that the crates of Ampoule share, and that programs do not need.
//!
//! They are public only because Ampoule consists of several crates: a patch release may change or remove any of them.

/// The encoding of a session's values.
pub mod codec {
    pub use crate::codec::{decode, encode};
}

/// Folders that only their owner may use.
pub mod folders {
    pub use crate::folders::{inherit_owner, make_private_folder};
}

/// TLS for the drivers of stores.
#[cfg(feature = "url")]
pub mod tls {
    #[cfg(feature = "tls")]
    pub use crate::tls::client_config;
    pub use crate::tls::{TlsFiles, TlsMode, check_provider, ensure_provider, explain};
}

pub use crate::change::{Change, ChangeLog, Pair, UpdateFn};
#[cfg(feature = "guard")]
pub use crate::guard::GuardedStore;
#[cfg(all(feature = "guard", feature = "metrics"))]
pub use crate::guard::observe::describe_metrics;
pub use crate::non_exhaustive::NonExhaustive;
pub use crate::record::{Content, FORM_LIFETIME, Identity, MAX_KEY, PreviousSecret, Text, Tombstone};
#[cfg(feature = "seal")]
pub use crate::seal::SealedStore;
pub use crate::store::{random_key, write_and_read_back_under};
#[cfg(feature = "guard")]
pub use crate::sweeper::{Sweep, Sweeper};
#[cfg(feature = "url")]
pub use crate::url::{Host, ServerUrl};
