//! The stores: opened by URL or created by their types; and the contract, for authors of stores.
//!
//! ```
//! use ampoule::store::{self, StoreOptions};
//!
//! let store = store::open("memory:", &StoreOptions::default())?;
//! assert_eq!(store.describe(), "memory (lost at restart)");
//! # Ok::<(), ampoule::Error>(())
//! ```
//!
//! | URL | cargo feature | storage |
//! |---|---|---|
//! | `memory:` | | in this process |
//! | `file:data/sessions` | `file` (on by default) | a folder of files |
//! | `sqlite:data/sessions.db` | `sqlite` | an SQLite file |
//! | `postgres://user:password@host/database` | `postgres` | PostgreSQL |
//! | `mysql://user:password@host/database`, `mariadb://…` | `mysql` | MySQL or MariaDB |
//! | `redis://host`, `rediss://`, `redis+sentinel://a,b/master`, `redis+cluster://a,b`, `valkey…` | `redis`; `redis-sentinel`, `redis-cluster` | Redis or Valkey |
//! | `memcached://a,b` | `memcached` | memcached, which may evict sessions |
//!
//! TLS to a server needs one more feature: `tls-ring` or `tls-aws-lc-rs`. `sqlite` compiles SQLite in,
//! `sqlite-unbundled` links the system's. A URL whose feature is not enabled is an error that names the feature.
//!
//! A path is used as it is written; SQLAlchemy's `sqlite:///data.db` (relative) and `sqlite:////srv/data.db` are
//! accepted too: see [`file_path`].
//!
//! In a server's URL, names and passwords are percent-encoded: `@` is `%40`, `/` is `%2F`. The parameters are those of
//! the database's own tools, such as `?sslmode=verify-full`; SQLAlchemy's `postgresql+psycopg2://` and
//! `mysql+pymysql://` are accepted too.
//!
//! The documentation of each store's crate begins with the promises that the store keeps.

mod kind;
mod open;
mod path;

pub use ampoule_core::{
    Bytes, Entry, Lifetime, Page, PutMode, PutResult, Record, Reply, Store, StoreEvent, StoreKey, Stored, SweepReport,
    Tag, Time, Version, Watcher, write_and_read_back,
};
#[cfg(feature = "file")]
pub use ampoule_store_file as file;

#[cfg(feature = "memcached")]
pub use ampoule_store_memcached as memcached;
#[cfg(feature = "mysql")]
pub use ampoule_store_mysql as mysql;
#[cfg(feature = "postgres")]
pub use ampoule_store_postgres as postgres;
#[cfg(feature = "redis")]
pub use ampoule_store_redis as redis;
#[cfg(feature = "sqlite-unbundled")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use ampoule_store_sqlite as sqlite;

pub(crate) use self::kind::{Engine, WORDS, scheme_of};
pub use self::open::{StoreOptions, open};
pub use self::path::file_path;
