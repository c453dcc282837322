//! Where sessions are stored, read from settings.

use std::fmt;

use super::redact::without_login;
use crate::store::StoreOptions;

/// Where sessions are stored: the options `type`, `url`, `data_dir` and `cache_dir`. Its `Debug` shows no login.
#[derive(Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "a program has one or two")]
pub enum Kind {
    /// In the cookie itself. `type = cookie`.
    Cookie,
    /// In a store. Without a `type`, the store is chosen by `url`; or it is files, if `data_dir` or `cache_dir` is
    /// given; or memory, as in Beaker.
    Store {
        /// The store's URL, as [`store::open`](crate::store::open) takes it.
        url: String,
        /// The store's options.
        options: StoreOptions,
    },
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Cookie => f.write_str("Cookie"),
            Kind::Store { url, options } => {
                f.debug_struct("Store").field("url", &without_login(url)).field("options", options).finish()
            }
        }
    }
}
