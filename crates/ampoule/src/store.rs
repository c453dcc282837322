//! What a store is, for those who write one, and the stores there are: by their types, or by URL.
//!
//! ```
//! use ampoule::store::{self, StoreOptions};
//!
//! let store = store::open("memory:", &StoreOptions::default())?;
//! assert_eq!(store.describe(), "memory (lost at restart)");
//! # Ok::<(), ampoule::Error>(())
//! ```
//!
//! | URL | cargo feature | kept where |
//! |---|---|---|
//! | `memory:` | | in this process |
//! | `file:data/sessions` | `file` (on by default) | a folder of files |
//! | `sqlite:data/sessions.db` | `sqlite` | an SQLite file |
//! | `postgres://user:password@host/database` | `postgres` | PostgreSQL |
//! | `mysql://user:password@host/database`, `mariadb://…` | `mysql` | MySQL or MariaDB |
//! | `redis://host`, `rediss://`, `redis+sentinel://a,b/master`, `redis+cluster://a,b`, `valkey…` | `redis`; `redis-sentinel`, `redis-cluster` | Redis or Valkey |
//! | `memcached://a,b` | `memcached` | memcached, which may evict sessions |
//!
//! TLS to a server is one more feature: `tls-ring` or `tls-aws-lc-rs`. `sqlite` compiles SQLite in, `sqlite-unbundled` links the
//! system's. A URL that needs a feature which is missing is an error that names it.
//!
//! A path is as it is written; SQLAlchemy's `sqlite:///data.db` (relative) and `sqlite:////srv/data.db` are read too: see
//! [`file_path`].
//!
//! In a URL of a server a name or a password is percent-encoded: `@` is `%40`, `/` is `%2F`. Parameters are those of the
//! database's own tools, such as `?sslmode=verify-full`; SQLAlchemy's `postgresql+psycopg2://` and `mysql+pymysql://` are
//! read too.
//!
//! What each promises stands in the first lines of its crate's documentation.

mod kind;
mod open;
mod path;

pub use ampoule_core::{
    Bytes, Entry, Page, PutMode, PutResult, Record, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
};

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
