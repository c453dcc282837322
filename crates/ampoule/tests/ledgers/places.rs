//! The stores of the nodes.

use std::path::Path;

use ampoule_test_servers::{Kind, Server, TlsServer, shared, shared_tls};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Postgres,
    /// Behind a PgBouncer in transaction mode.
    PgBouncer,
    PostgresTls,
    MariaDb,
    MariaDbTls,
    Redis,
    RedisTls,
    Memcached,
    File,
    Sqlite,
}

impl Place {
    /// Whether the store can be tested. If its server is not installed, this prints a line.
    pub(crate) fn is_there(self) -> bool {
        matches!(self, Place::File | Place::Sqlite) || self.server().is_some()
    }

    pub(crate) fn url(self, folder: &Path) -> String {
        match self {
            Place::File => format!("file:{}", folder.join("sessions").display()),
            Place::Sqlite => format!("sqlite:{}", folder.join("sessions.db").display()),
            Place::PostgresTls | Place::MariaDbTls | Place::RedisTls => {
                self.tls().expect("it is there").url().to_owned()
            }
            _ => self.server().expect("it is there").url().to_owned(),
        }
    }

    /// The URL of the server itself, without pooler and TLS.
    pub(crate) fn direct_url(self) -> String {
        let server = self.server().expect("it is there");
        match self {
            Place::PgBouncer => format!("postgres://ampoule@127.0.0.1:{}/ampoule", server.nodes()[1].port),
            _ => server.url().to_owned(),
        }
    }

    fn server(self) -> Option<&'static Server> {
        match self {
            Place::PgBouncer => shared(Kind::PgBouncerTransaction),
            Place::Memcached => shared(Kind::Memcached),
            _ => self.tls().map(|tls| &tls.server),
        }
    }

    /// The same server listens with and without TLS.
    fn tls(self) -> Option<&'static TlsServer> {
        match self {
            Place::Postgres | Place::PostgresTls => shared_tls(Kind::Postgres),
            Place::MariaDb | Place::MariaDbTls => shared_tls(Kind::MariaDb),
            Place::Redis | Place::RedisTls => shared_tls(Kind::Redis),
            _ => None,
        }
    }
}
