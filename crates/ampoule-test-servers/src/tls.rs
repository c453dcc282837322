//! Servers with TLS.

use tempfile::TempDir;

use crate::certificates::{Authority, Certificate};
use crate::kinds::Kind;
use crate::node::free_port;
use crate::server::Server;
use crate::tools::Setup;

/// A PostgreSQL, MariaDB or Redis with a certificate for `localhost`. It also accepts connections without TLS, at the
/// URL of [`server`](TlsServer::server).
pub struct TlsServer {
    /// The server.
    pub server: Server,
    url: String,
    _files: TempDir,
}

impl TlsServer {
    /// Returns the URL for a connection by TLS, with which a client verifies the certificate and its host.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts a server with TLS; returns `None` if it is not installed.
    ///
    /// # Panics
    /// As [`Server::start`], and for a kind that [`Setup::tls`] does not support.
    pub fn start(kind: Kind) -> Option<TlsServer> {
        let authority = Authority::new("ours");
        let files = tempfile::tempdir().unwrap_or_else(|error| panic!("cannot create a temporary folder: {error}"));
        let ca = files.path().join("ca.pem");
        std::fs::write(&ca, &authority.cert).unwrap_or_else(|error| panic!("cannot write the file of the CA: {error}"));
        let (mut setup, tls_port) = (Setup::tls(kind, &authority.sign("localhost"), &authority.cert), free_port());
        if kind == Kind::Redis {
            let more = format!("--tls-port {tls_port} --tls-auth-clients no");
            setup.arguments.extend(more.split(' ').map(str::to_owned));
        }
        let server = Server::start_with(kind, &setup)?;
        let (port, ca) = (server.node().port, ca.display());
        let url = match kind {
            Kind::Redis => format!("rediss://localhost:{tls_port}/0?tls_ca_file={ca}"),
            Kind::MariaDb => format!("mysql://root@localhost:{port}/ampoule?sslmode=verify-full&ssl-ca={ca}"),
            _ => format!("postgres://ampoule@localhost:{port}/ampoule?sslmode=verify-full&sslrootcert={ca}"),
        };
        Some(TlsServer { server, url, _files: files })
    }
}

impl Setup {
    /// Returns the settings for a server with this certificate, which accepts clients' certificates that this CA has
    /// signed. Redis also needs a `--tls-port` beside its own port, and requires clients' certificates unless
    /// `--tls-auth-clients` is `no`.
    ///
    /// # Panics
    /// For a kind other than PostgreSQL, MariaDB or a single Redis.
    pub fn tls(kind: Kind, server: &Certificate, ca: &str) -> Setup {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let files = vec![file("server.crt", &server.cert), file("server.key", &server.key), file("ca.crt", ca)];
        let [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map(|name| format!("{{folder}}/{name}"));
        let arguments = match kind {
            Kind::Postgres | Kind::PostgresDurable => {
                [("ssl", "on".to_owned()), ("ssl_cert_file", cert), ("ssl_key_file", key), ("ssl_ca_file", ca)]
                    .into_iter()
                    .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
                    .collect()
            }
            Kind::MariaDb | Kind::MariaDbDurable => {
                vec![format!("--ssl-cert={cert}"), format!("--ssl-key={key}"), format!("--ssl-ca={ca}")]
            }
            Kind::Redis | Kind::RedisDurable => {
                let options = [("cert-file", cert), ("key-file", key), ("ca-cert-file", ca)];
                options.into_iter().flat_map(|(name, value)| [format!("--tls-{name}"), value]).collect()
            }
            other => panic!("TLS is not supported for {other:?}"),
        };
        Setup { files, arguments }
    }
}
