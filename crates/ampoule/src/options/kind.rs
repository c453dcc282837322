//! Where sessions are kept, as settings say it.

use std::fmt;

use super::shown::shown;
use crate::store::StoreOptions;

/// Where sessions are kept: the options `type`, `url`, `data_dir` and `cache_dir`. Its `Debug` shows no login.
#[derive(Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a program has one or two")]
pub enum Kind {
    /// In the cookie itself. `type = cookie`.
    Cookie,
    /// In a store. Without a `type`, the one that `url` means; or files, where `data_dir` or `cache_dir` says where they
    /// may lie; or memory, as in Beaker.
    Store {
        /// Which store and where, as [`store::open`](crate::store::open) takes it.
        url: String,
        /// How it works.
        options: StoreOptions,
    },
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Cookie => f.write_str("Cookie"),
            Kind::Store { url, options } => {
                f.debug_struct("Store").field("url", &shown(url)).field("options", options).finish()
            }
        }
    }
}
