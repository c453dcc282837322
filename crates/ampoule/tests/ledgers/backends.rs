//! The stores of the nodes.

use std::path::Path;

use ampoule_test_servers::{Kind, Server, TlsServer, shared, shared_tls};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
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

impl BackendKind {
    /// Whether the store can be tested. If its server is not installed, this prints a line.
    pub(crate) fn is_available(self) -> bool {
        matches!(self, BackendKind::File | BackendKind::Sqlite) || self.server().is_some()
    }

    pub(crate) fn url(self, folder: &Path) -> String {
        match self {
            BackendKind::File => format!("file:{}", folder.join("sessions").display()),
            BackendKind::Sqlite => format!("sqlite:{}", folder.join("sessions.db").display()),
            BackendKind::PostgresTls | BackendKind::MariaDbTls | BackendKind::RedisTls => {
                self.tls().expect("it is there").url().to_owned()
            }
            _ => self.server().expect("it is there").url().to_owned(),
        }
    }

    /// The URL of the server itself, without pooler and TLS.
    pub(crate) fn direct_url(self) -> String {
        let server = self.server().expect("it is there");
        match self {
            BackendKind::PgBouncer => format!("postgres://ampoule@127.0.0.1:{}/ampoule", server.nodes()[1].port),
            _ => server.url().to_owned(),
        }
    }

    fn server(self) -> Option<&'static Server> {
        match self {
            BackendKind::PgBouncer => shared(Kind::PgBouncerTransaction),
            BackendKind::Memcached => shared(Kind::Memcached),
            _ => self.tls().map(|tls| &tls.server),
        }
    }

    /// The same server listens with and without TLS.
    fn tls(self) -> Option<&'static TlsServer> {
        match self {
            BackendKind::Postgres | BackendKind::PostgresTls => shared_tls(Kind::Postgres),
            BackendKind::MariaDb | BackendKind::MariaDbTls => shared_tls(Kind::MariaDb),
            BackendKind::Redis | BackendKind::RedisTls => shared_tls(Kind::Redis),
            _ => None,
        }
    }
}
