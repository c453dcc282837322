//! The engines by name: the words of `type`, the schemes of URLs, and the cargo features.

use ampoule_core::{Error, ErrorKind};

/// A store engine: everything that can keep sessions except their own cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Memory,
    File,
    Sqlite,
    Postgres,
    MySql,
    Redis,
    Memcached,
}

/// Every word of `type`, including Beaker's. Beaker's `ext:database` is chosen by its URL.
pub(crate) const WORDS: [(&str, Engine); 12] = [
    ("memory", Engine::Memory),
    ("file", Engine::File),
    ("sqlite", Engine::Sqlite),
    ("postgres", Engine::Postgres),
    ("postgresql", Engine::Postgres),
    ("mysql", Engine::MySql),
    ("mariadb", Engine::MySql),
    ("redis", Engine::Redis),
    ("valkey", Engine::Redis),
    ("memcached", Engine::Memcached),
    ("ext:redis", Engine::Redis),
    ("ext:memcached", Engine::Memcached),
];

/// The scheme of a URL, if it can be shown: without `://` it may be a part of a login.
pub(crate) fn scheme_of(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    let is_name = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_name && !scheme.is_empty()).then_some(scheme)
}

impl Engine {
    /// The engine of a URL, by its scheme.
    pub(crate) fn of_url(url: &str) -> Result<Engine, Error> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        // `redis+cluster`, and `rediss`, which is Redis with TLS.
        let family = scheme.split('+').next().unwrap_or_default();
        let name = match family {
            "rediss" => "redis",
            "valkeys" => "valkey",
            name => name,
        };
        let known = WORDS.iter().find(|(word, _)| *word == name);
        known.map(|(_, engine)| *engine).ok_or_else(|| {
            let message = format!(
                "expected a URL that starts with memory:, file:, sqlite:, postgres://, mysql://, redis://, \
                 redis+sentinel://, redis+cluster:// or memcached://, found {}",
                scheme_of(url).map_or("no scheme".to_owned(), |scheme| format!("`{scheme}`"))
            );
            Error::new(ErrorKind::Config, message)
        })
    }

    /// The cargo feature that compiles the engine in.
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Engine::Memory => "",
            Engine::File => "file",
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
            Engine::MySql => "mysql",
            Engine::Redis => "redis",
            Engine::Memcached => "memcached",
        }
    }

    /// The engine's word of `type`.
    pub(crate) fn name(self) -> &'static str {
        if self == Engine::Memory { "memory" } else { self.feature() }
    }

    /// An example of its URLs.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Engine::Memory => "memory:",
            Engine::File => "file:data/sessions",
            Engine::Sqlite => "sqlite:data/sessions.db",
            Engine::Postgres => "postgres://user:password@host/database",
            Engine::MySql => "mysql://user:password@host/database",
            Engine::Redis => "redis://host:6379",
            Engine::Memcached => "memcached://host:11211,host2:11211",
        }
    }

    pub(crate) fn is_compiled_in(self) -> bool {
        match self {
            Engine::Memory => true,
            Engine::File => cfg!(feature = "file"),
            Engine::Sqlite => cfg!(feature = "sqlite-unbundled"),
            Engine::Postgres => cfg!(feature = "postgres"),
            Engine::MySql => cfg!(feature = "mysql"),
            Engine::Redis => cfg!(feature = "redis"),
            Engine::Memcached => cfg!(feature = "memcached"),
        }
    }

    /// The error for an engine that this program was built without.
    pub(crate) fn missing(self) -> Error {
        let feature = self.feature();
        let message = format!(
            "this program was built without the store `{feature}`: build it with the cargo feature `{feature}` of ampoule \
             (the command `ampoule`: with `--features all-stores`)"
        );
        Error::new(ErrorKind::Config, message)
    }
}
