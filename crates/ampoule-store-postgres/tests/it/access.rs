//! TLS, logins and permissions. Each error says what is wrong and contains no part of the login.

use std::path::Path;
use std::sync::OnceLock;

use ampoule_core::internal::tls::TlsFiles;
use ampoule_core::{Error, ErrorKind, Store};
use ampoule_store_postgres::{PostgresOptions, PostgresStore};
use ampoule_test_servers::{Authority, Kind, Server, Setup};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

const HBA: &str =
    "hostssl all certified all cert\nhostssl all hidden_user all scram-sha-256\nhost all ampoule all trust\n";

/// A server with TLS, and the files that its clients may use.
struct TlsServer {
    server: Server,
    authority: Authority,
    /// `ca.pem`, `other.pem`, `client.pem` and `client.key`.
    files: TempDir,
}

impl TlsServer {
    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/ampoule?{parameters}", self.server.node().port)
    }
}

fn write(files: &Path, name: &str, text: &str) {
    std::fs::write(files.join(name), text).unwrap();
}

/// Returns the server, whose certificate is for `localhost`.
fn tls_server() -> Option<&'static TlsServer> {
    static TLS: OnceLock<Option<TlsServer>> = OnceLock::new();
    let start = || {
        let (authority, files) = (Authority::new("ours"), tempfile::tempdir().unwrap());
        let (server, client) = (authority.sign("localhost"), authority.sign("certified"));
        write(files.path(), "ca.pem", &authority.cert);
        write(files.path(), "other.pem", &Authority::new("theirs").cert);
        write(files.path(), "client.pem", &client.cert);
        write(files.path(), "client.key", &client.key);
        let mut setup = Setup::tls(Kind::Postgres, &server, &authority.cert);
        setup.files.push(("hba.conf".to_owned(), HBA.to_owned()));
        setup.arguments.extend(["-c", "hba_file={folder}/hba.conf"].map(str::to_owned));
        Some(TlsServer { server: Server::start_with(Kind::Postgres, &setup)?, authority, files })
    };
    TLS.get_or_init(start).as_ref()
}

/// Returns a superuser's connection, after creating the users of the tests.
async fn admin(tls: &TlsServer) -> Client {
    let (client, connection) = tokio_postgres::connect(tls.server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let roles = "DO $$ BEGIN CREATE ROLE hidden_user LOGIN PASSWORD 'hunter2@/'; CREATE ROLE certified LOGIN; \
                 GRANT ALL ON SCHEMA public TO certified; GRANT ALL ON DATABASE ampoule TO certified; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    client.batch_execute(roles).await.unwrap();
    client
}

/// Uses a store with a table of its user's own.
async fn ping(url: &str) -> Result<PostgresStore, Error> {
    let user = url.trim_start_matches("postgres://").split([':', '@']).next().unwrap();
    let options = PostgresOptions { table: format!("access_of_{user}"), ..PostgresOptions::default() };
    let store = PostgresStore::connect(url, options)?;
    store.ping().await.map(|_| store)
}

/// Asserts that this URL fails with this message, which repeats nothing and contains no part of the login.
async fn assert_fails_with(url: &str, what: &str) {
    let Err(error) = ping(url).await else { panic!("{url} is accepted") };
    let shown = format!("{error} {error:?}");
    assert!(error.report().contains(what), "{url}: expected `{what}`: {error}");
    assert!(!["hidden_user", "hunter2", "certified"].iter().any(|part| shown.contains(part)), "{error}");
    let mut parts: Vec<&str> = shown.split(['\n']).next().unwrap().split(": ").collect();
    let count = parts.len();
    parts.dedup();
    assert_eq!(parts.len(), count, "a part is repeated: {error}");
}

/// The table of libpq's modes: https://www.postgresql.org/docs/current/libpq-ssl.html, table 34.1.
#[tokio::test(flavor = "multi_thread")]
async fn each_tls_mode_verifies_what_it_does_in_libpq() {
    let Some(tls) = tls_server() else { return };
    let admin = admin(tls).await;
    let (ca, other) = (tls.file("ca.pem"), tls.file("other.pem"));
    for (host, parameters, refused) in [
        ("localhost", "sslmode=disable".to_owned(), None),
        ("localhost", String::new(), None),
        ("localhost", "sslmode=prefer".to_owned(), None),
        ("127.0.0.1", "sslmode=require".to_owned(), None),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={ca}"), None),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), None),
        ("localhost", format!("ssl=verify-full&sslrootcert={ca}"), None),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Some("is not for this host")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), Some("a trusted CA")),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), Some("a trusted CA")),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), Some("/nowhere.pem")),
        ("localhost", format!("sslmode=require&sslcert={ca}"), Some("requires its key")),
        ("localhost", "sslmode=always".to_owned(), Some("verify-ca or verify-full")),
    ] {
        let url = tls.url("ampoule", host, &parameters);
        match refused {
            None => {
                let name = format!("mode {}", parameters.len());
                let store = ping(&format!("{url}&application_name={}", name.replace(' ', "%20"))).await;
                let _store = store.unwrap_or_else(|error| panic!("{url}: {error}"));
                let query = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                             WHERE application_name = $1";
                let encrypted: Option<bool> = admin.query_one(query, &[&name]).await.unwrap().get(0);
                assert_eq!(encrypted, Some(!parameters.contains("disable")), "{url}");
            }
            Some(what) => assert_fails_with(&url, what).await,
        }
    }
    // An application may compile in both of rustls's providers; rustls then has no default and would panic.
    assert!(rustls::crypto::CryptoProvider::get_default().is_none(), "a default provider was installed");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_may_name_the_tls_files() {
    let Some(tls) = tls_server() else { return };
    let files = |ca: &str| TlsFiles { ca: Some(tls.file(ca).into()), ..TlsFiles::default() };
    let url = tls.url("ampoule", "localhost", "sslmode=verify-full");
    for (ca, is_trusted) in [("ca.pem", true), ("other.pem", false)] {
        let options = PostgresOptions { tls: files(ca), ..PostgresOptions::default() };
        assert_eq!(PostgresStore::connect(&url, options).unwrap().ping().await.is_ok(), is_trusted, "{ca}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_log_in_with_a_certificate() {
    let Some(tls) = tls_server() else { return };
    admin(tls).await;
    let ca = tls.file("ca.pem");
    let own = format!("sslcert={}&sslkey={}", tls.file("client.pem"), tls.file("client.key"));
    let url = tls.url("certified", "localhost", &format!("sslmode=verify-full&sslrootcert={ca}&{own}"));
    ping(&url).await.unwrap();
    let url = tls.url("certified", "localhost", &format!("sslmode=verify-full&sslrootcert={ca}"));
    assert_fails_with(&url, "requires a client certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_an_error_that_says_so() {
    let Some(tls) = tls_server() else { return };
    let authority = &tls.authority;
    let setup = Setup::tls(Kind::Postgres, &authority.sign_expired("localhost"), &authority.cert);
    let Some(server) = Server::start_with(Kind::Postgres, &setup) else { return };
    let base = format!("postgres://ampoule@localhost:{}/ampoule", server.node().port);
    assert_fails_with(&format!("{base}?sslmode=verify-ca&sslrootcert={}", tls.file("ca.pem")), "has expired").await;
    ping(&format!("{base}?sslmode=require")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_error_says_which_part_is_wrong() {
    let Some(tls) = tls_server() else { return };
    let admin = admin(tls).await;
    let url = |login: &str, rest: &str| tls.url(login, "localhost", rest);
    assert_fails_with(&url("hidden_user:hunter2%40%2F", "sslmode=disable"), "requires TLS for this login").await;
    assert_fails_with(&url("hidden_user:wrong", "sslmode=require"), "the user or the password in the URL is wrong")
        .await;
    assert_fails_with(&url("hidden_user", "sslmode=require"), "the URL has none").await;
    assert_fails_with(&url("hidden_nobody", "sslmode=require"), "rejected the login").await;
    assert_fails_with(&url("hidden_user:hunter2%40%2F", "sslmode=require"), "permission denied").await;
    let missing = url("ampoule", "").replace("/ampoule?", "/missing?");
    assert_fails_with(&missing, "no such database").await;
    let plain = Server::start(Kind::Postgres).unwrap();
    assert_fails_with(&format!("{}?sslmode=require", plain.url()), "offers no TLS").await;
    // A password with characters that are reserved in a URL works percent-encoded.
    admin.batch_execute("GRANT ALL ON SCHEMA public TO hidden_user").await.unwrap();
    ping(&url("hidden_user:hunter2%40%2F", "sslmode=require")).await.unwrap();
}

#[test]
fn urls_of_other_drivers_are_accepted_or_rejected_with_what_to_write() {
    let connect = |url: &str| PostgresStore::connect(url, PostgresOptions::default());
    for url in [
        "postgresql+psycopg2://hidden_user:hunter2@db/app?sslmode=require&connect_timeout=3",
        "postgresql+asyncpg://hidden_user:hunter2@db/app?ssl=require",
        "postgresql://hidden_user:hunter2@db,db2:5433/app?target_session_attrs=read-write&application_name=shop",
        "postgres://hidden_user@%2Frun%2Fpostgresql/app?sslmode=verify-full",
        "postgres:///app?host=/run/postgresql&user=hidden_user",
        "postgres://db/app?prepared_statements=false",
    ] {
        let store = connect(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(!store.describe().contains("hidden_user"), "{}", store.describe());
    }
    for (url, what) in [
        ("postgresql+odbc://hidden_user:hunter2@db/app", "postgres://user:password@host"),
        ("postgres://hidden_user:hunter2@db/app?sslmod=require", "did you mean `sslmode`?"),
        ("postgres://hidden_user:hunter2@db/app?pgbouncer=true", "prepared_statements=false"),
        ("postgres://hidden_user:hunter2@db/app?statement_cache_capacity=0", "prepared_statements=false"),
        ("postgres://hidden_user:hunter2@db/app?prepared_statements=no", "true or false"),
        ("postgres://hidden_user:hunter2@db/app?connect_timeout=soon", "connect_timeout"),
        ("postgres://hidden_user:hunter@2@db/app", "percent-encode"),
        ("postgres://hidden_user:hunter2/x@db/app", "percent-encode"),
        ("postgres://hidden_user:hunter2#x@db/app", "percent-encode"),
        ("postgres://hidden_user:hunter2?x@db/app", "percent-encode"),
        ("hidden_user:hunter2@db/app", "postgres://user:password@host"),
        ("postgres:///app", "has no host"),
    ] {
        let error = connect(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.report().contains(what), "{url}: {error}");
        assert!(!error.report().contains("hunter2") && !error.report().contains("hidden"), "{error}");
    }
}
