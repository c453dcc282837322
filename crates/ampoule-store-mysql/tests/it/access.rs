//! TLS, logins and permissions. Each error says what is wrong and contains no part of the login.

use std::path::Path;
use std::sync::OnceLock;

use ampoule_core::{Error, ErrorKind, Store};
use ampoule_store_mysql::mysql_async_0_37::prelude::Queryable;
use ampoule_store_mysql::mysql_async_0_37::{Conn, Opts};
use ampoule_store_mysql::{MySqlOptions, MySqlStore};
use ampoule_test_servers::{Authority, Kind, Server, Setup};
use tempfile::TempDir;

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
        format!("mysql://{user}@{host}:{}/ampoule?{parameters}", self.server.node().port)
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
        let client = authority.sign("certified");
        write(files.path(), "ca.pem", &authority.cert);
        write(files.path(), "other.pem", &Authority::new("theirs").cert);
        write(files.path(), "client.pem", &client.cert);
        write(files.path(), "client.key", &client.key);
        let setup = Setup::tls(Kind::MariaDb, &authority.sign("localhost"), &authority.cert);
        Some(TlsServer { server: Server::start_with(Kind::MariaDb, &setup)?, authority, files })
    };
    TLS.get_or_init(start).as_ref()
}

/// Returns the root user's connection, after creating the users of the tests.
async fn admin(tls: &TlsServer) -> Conn {
    let mut conn = Conn::new(Opts::from_url(tls.server.url()).unwrap()).await.unwrap();
    for statement in [
        "CREATE USER IF NOT EXISTS hidden_user IDENTIFIED BY 'hunter2@/' REQUIRE SSL",
        "CREATE USER IF NOT EXISTS certified REQUIRE X509",
        "GRANT ALL ON ampoule.* TO certified",
        "GRANT SELECT ON ampoule.readable TO hidden_user",
    ] {
        if statement.contains("readable") {
            conn.query_drop("CREATE TABLE IF NOT EXISTS readable (id INT)").await.unwrap();
        }
        conn.query_drop(statement).await.unwrap();
    }
    conn
}

/// Uses a store with a table of its user's own.
async fn ping(url: &str) -> Result<MySqlStore, Error> {
    let user = url.trim_start_matches("mysql://").split([':', '@']).next().unwrap();
    let options = MySqlOptions { table: format!("access_of_{user}"), ..MySqlOptions::default() };
    let store = MySqlStore::connect(url, options)?;
    store.ping().await.map(|_| store)
}

/// Asserts that this URL fails with this message, which repeats nothing and contains no part of the login.
async fn assert_fails_with(url: &str, what: &str) {
    let Err(error) = ping(url).await else { panic!("{url} is accepted") };
    let shown = format!("{error} {error:?}");
    assert!(error.report().contains(what), "{url}: expected `{what}`: {error}");
    assert!(!["hidden_user", "hunter2", "certified"].iter().any(|part| shown.contains(part)), "{error}");
    let text = error.report();
    let mut parts: Vec<&str> = text.split(": ").collect();
    parts.dedup();
    assert_eq!(parts.join(": "), text, "a part is repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tls_mode_verifies_what_it_promises() {
    let Some(tls) = tls_server() else { return };
    admin(tls).await;
    let (ca, other) = (tls.file("ca.pem"), tls.file("other.pem"));
    for (host, parameters, refused) in [
        ("localhost", String::new(), None),
        ("localhost", "sslmode=disable".to_owned(), None),
        ("127.0.0.1", "ssl-mode=REQUIRED".to_owned(), None),
        ("localhost", format!("ssl-mode=VERIFY_CA&ssl-ca={ca}"), Some("write sslmode=verify-full")),
        ("localhost", format!("sslmode=require&ssl-ca={ca}"), Some("write sslmode=verify-full")),
        ("localhost", format!("sslmode=verify-full&ssl-ca={ca}"), None),
        ("localhost", format!("ssl_ca={ca}"), None),
        ("127.0.0.1", "require_ssl=true&verify_ca=false".to_owned(), None),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Some("is not for this host")),
        ("127.0.0.1", format!("ssl-ca={ca}"), Some("is not for this host")),
        ("localhost", format!("sslmode=verify-full&ssl-ca={other}"), Some("a trusted CA")),
        ("localhost", "require_ssl=true".to_owned(), Some("a trusted CA")),
        ("localhost", "sslmode=verify-full&ssl-ca=/nowhere.pem".to_owned(), Some("/nowhere.pem")),
        ("localhost", format!("sslmode=require&ssl-cert={ca}"), Some("requires its key")),
        ("localhost", "sslmode=prefer".to_owned(), Some("write disable, require or verify-full")),
        ("localhost", "sslmode=always".to_owned(), Some("verify-ca or verify-full")),
    ] {
        let url = tls.url("root", host, &parameters);
        let Some(what) = refused else {
            ping(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
            continue;
        };
        assert_fails_with(&url, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_log_in_with_a_certificate() {
    let Some(tls) = tls_server() else { return };
    admin(tls).await;
    let ca = tls.file("ca.pem");
    let own = format!("ssl-cert={}&ssl-key={}", tls.file("client.pem"), tls.file("client.key"));
    ping(&tls.url("certified", "localhost", &format!("sslmode=verify-full&ssl-ca={ca}&{own}"))).await.unwrap();
    // The server's error does not tell that a certificate is required.
    assert_fails_with(&tls.url("certified", "localhost", &format!("ssl-ca={ca}")), "rejected the login").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_an_error_that_says_so() {
    let Some(tls) = tls_server() else { return };
    let setup = Setup::tls(Kind::MariaDb, &tls.authority.sign_expired("localhost"), &tls.authority.cert);
    let Some(server) = Server::start_with(Kind::MariaDb, &setup) else { return };
    let base = format!("mysql://root@localhost:{}/ampoule", server.node().port);
    assert_fails_with(&format!("{base}?sslmode=verify-full&ssl-ca={}", tls.file("ca.pem")), "has expired").await;
    ping(&format!("{base}?sslmode=require")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_error_says_which_part_is_wrong() {
    let Some(tls) = tls_server() else { return };
    let mut admin = admin(tls).await;
    let url = |login: &str, rest: &str| tls.url(login, "localhost", rest);
    assert_fails_with(&url("hidden_user:wrong", "sslmode=require"), "the user or the password in the URL is wrong")
        .await;
    assert_fails_with(&url("hidden_user:hunter2%40%2F", "sslmode=require"), "permission denied").await;
    assert_fails_with(&url("root", "").replace("/ampoule?", "/missing?"), "no such database").await;
    let plain = Server::start(Kind::MariaDb).unwrap();
    assert_fails_with(&format!("{}?sslmode=require", plain.url()), "offers no TLS").await;
    // A password with characters that are reserved in a URL works percent-encoded.
    admin.query_drop("GRANT ALL ON ampoule.* TO hidden_user").await.unwrap();
    ping(&url("hidden_user:hunter2%40%2F", "sslmode=require")).await.unwrap();
    admin.query_drop("SET GLOBAL require_secure_transport = ON").await.unwrap();
    let error = ping(&tls.url("root", "localhost", "")).await.map(drop).unwrap_err();
    admin.query_drop("SET GLOBAL require_secure_transport = OFF").await.unwrap();
    assert!(error.report().contains("needs TLS"), "{error}");
}

/// A Unix socket needs no TLS, and the driver does not support TLS on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_works_without_tls_only() {
    let Some(tls) = tls_server() else { return };
    let socket = tls.server.node().folder().join("socket").display().to_string().replace('/', "%2F");
    for name in ["socket", "unix_socket"] {
        ping(&format!("mysql://root@localhost/ampoule?{name}={socket}")).await.unwrap();
    }
    let url =
        format!("mysql://root@localhost/ampoule?socket={socket}&ssl-ca={}&sslmode=verify-full", tls.file("ca.pem"));
    assert_fails_with(&url, "remove the parameters for TLS").await;
}

#[test]
fn urls_of_other_drivers_are_accepted_or_rejected_with_what_to_write() {
    let connect = |url: &str| MySqlStore::connect(url, MySqlOptions::default());
    for url in [
        "mysql+pymysql://hidden_user:hunter2@db/app?charset=utf8mb4",
        "mariadb+mariadbconnector://hidden_user:hunter2@db/app",
        "mysql://hidden_user:hunter2%40@db:3307/app?compression=fast",
    ] {
        let store = connect(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(!store.describe().contains("hidden_user"), "{}", store.describe());
    }
    for (url, what) in [
        ("mysql+odbc://hidden_user:hunter2@db/app", "mysql://user:password@host"),
        ("mysql://hidden_user:hunter2@db/app?ssl-mod=required", "did you mean `ssl-mode`?"),
        ("mysql://hidden_user:hunter2@db/app?compression=much", "compression"),
        ("mysql://hidden_user:hunter@2@db/app", "percent-encode"),
        ("mysql://hidden_user:hunter2/x@db/app", "percent-encode"),
        ("mysql://hidden_user:hunter2#x@db/app", "percent-encode"),
        ("mysql://hidden_user:hunter2?x@db/app", "percent-encode"),
        ("hidden_user:hunter2@db/app", "mysql://user:password@host"),
        ("mysql://hidden_user:hunter2@db,db2/app", "one host"),
    ] {
        let error = connect(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.report().contains(what), "{url}: {error}");
        assert!(!error.report().contains("hunter2") && !error.report().contains("hidden"), "{error}");
    }
}
