//! TLS, logins and permissions. Each error says which part is wrong, and no error shows a part of a login.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::internal::tls::TlsFiles;
use ampoule_core::{Bytes, Entry, Error, ErrorKind, PutMode, PutResult, Store, StoreKey, Tag};
use ampoule_store_redis::redis_1::{self as redis, Client, Value};
use ampoule_store_redis::{RedisOptions, RedisStore};
use ampoule_test_servers::{Authority, Certificate, Kind, Node, Server, Setup, free_port};
use tempfile::TempDir;

/// A server that also listens for TLS, on a second port.
struct Tls {
    _server: Server,
    port: u16,
    authority: Authority,
    /// `ca.pem`, `other.pem`, `client.pem` and `client.key`.
    files: TempDir,
}

impl Tls {
    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        format!("rediss://{host}:{}/0?{parameters}", self.port)
    }
}

fn write(files: &Path, name: &str, text: &str) {
    std::fs::write(files.join(name), text).unwrap();
}

fn setup(port: u16, server: &Certificate, ca: &str, clients: &str) -> Setup {
    let mut setup = Setup::tls(Kind::Redis, server, ca);
    let more = format!("--tls-port {port} --tls-auth-clients {clients}");
    setup.arguments.extend(more.split(' ').map(str::to_owned));
    setup
}

/// Starts a server with a certificate for `localhost`; `clients` is whether it requires certificates from its clients.
fn start(clients: &str) -> Option<Tls> {
    let (authority, files, port) = (Authority::new("ours"), tempfile::tempdir().unwrap(), free_port());
    let client = authority.sign("certified");
    write(files.path(), "ca.pem", &authority.cert);
    write(files.path(), "other.pem", &Authority::new("theirs").cert);
    write(files.path(), "client.pem", &client.cert);
    write(files.path(), "client.key", &client.key);
    let setup = setup(port, &authority.sign("localhost"), &authority.cert, clients);
    Some(Tls { _server: Server::start_with(Kind::Redis, &setup)?, port, authority, files })
}

fn tls() -> Option<&'static Tls> {
    static TLS: OnceLock<Option<Tls>> = OnceLock::new();
    TLS.get_or_init(|| start("no")).as_ref()
}

async fn send(url: &str, line: &str) -> Value {
    let mut connection = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut words = line.split(' ');
    redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query_async(&mut connection).await.unwrap()
}

async fn ping(url: &str) -> Result<RedisStore, Error> {
    let store = RedisStore::connect(url, RedisOptions::default())?;
    store.ping().await.map(|_| store)
}

const SECRETS: [&str; 3] = ["hidden_user", "hunter2", "sesame"];

fn assert_hides(shown: &str) {
    assert!(!SECRETS.iter().any(|part| shown.contains(part)), "{shown}");
}

/// Asserts that the error says this once, and shows no part of the login.
fn assert_says(error: &Error, what: &str) {
    let shown = format!("{error} {error:?}");
    assert!(error.report().contains(what), "expected `{what}`: {error}");
    assert_hides(&shown);
    assert_eq!(error.report().matches(what).count(), 1, "the error repeats itself: {error}");
}

async fn assert_refused(url: &str, what: &str) {
    let Err(error) = ping(url).await else { panic!("{url} was accepted") };
    assert_says(&error, what);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_verifies_the_certificate_and_its_host() {
    let Some(tls) = tls() else { return };
    let (ca, other) = (tls.file("ca.pem"), tls.file("other.pem"));
    for url in [
        tls.url("localhost", &format!("tls_ca_file={ca}")),
        tls.url("localhost", &format!("ssl_ca_certs={ca}")),
        tls.url("localhost", &format!("tls_ca_file={ca}")).replace("rediss", "valkeys"),
    ] {
        ping(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }
    for (url, what) in [
        (tls.url("localhost", &format!("tls_ca_file={other}")), "a trusted CA"),
        (tls.url("localhost", ""), "a trusted CA"),
        (tls.url("127.0.0.1", &format!("tls_ca_file={ca}")), "is not for this host"),
        (tls.url("localhost", "tls_ca_file=/nowhere.pem"), "/nowhere.pem"),
        (tls.url("localhost", &format!("tls_cert_file={ca}")), "requires its key"),
        (tls.url("localhost", &format!("tls_ca_file={ca}")).replace("rediss", "redis"), "write rediss://"),
    ] {
        assert_refused(&url, what).await;
    }
}

/// The Cluster has one node, which announces its host name.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_supports_tls() {
    let Some(tls) = tls() else { return };
    let port = free_port();
    let mut setup = setup(port, &tls.authority.sign("localhost"), &tls.authority.cert, "no");
    let bus = free_port();
    let cluster = format!(
        "--cluster-enabled yes --tls-cluster yes --cluster-port {bus} --cluster-announce-hostname localhost \
         --cluster-preferred-endpoint-type hostname"
    );
    setup.arguments.extend(cluster.split_whitespace().map(str::to_owned));
    let Some(server) = Server::start_with(Kind::Redis, &setup) else { return };
    send(server.url(), "CLUSTER ADDSLOTSRANGE 0 16383").await;
    while !format!("{:?}", send(server.url(), "CLUSTER INFO").await).contains("cluster_state:ok") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = |ca: &str| format!("rediss+cluster://localhost:{port}?tls_ca_file={}", tls.file(ca));
    use_every_operation(&ping(&url("ca.pem")).await.unwrap()).await.unwrap();
    assert_refused(&url("other.pem"), "invalid peer certificate: UnknownIssuer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_may_name_the_tls_files() {
    let Some(tls) = tls() else { return };
    for (ca, good) in [("ca.pem", true), ("other.pem", false)] {
        let files = TlsFiles { ca: Some(tls.file(ca).into()), ..TlsFiles::default() };
        let options = RedisOptions { tls: files, ..RedisOptions::default() };
        let store = RedisStore::connect(&tls.url("localhost", ""), options).unwrap();
        assert_eq!(store.ping().await.is_ok(), good, "{ca}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_requires_certificates_accepts_the_client_s() {
    let Some(tls) = start("yes") else { return };
    let (ca, cert, key) = (tls.file("ca.pem"), tls.file("client.pem"), tls.file("client.key"));
    let own = tls.url("localhost", &format!("tls_ca_file={ca}&tls_cert_file={cert}&tls_key_file={key}"));
    ping(&own).await.unwrap();
    assert_refused(&tls.url("localhost", &format!("tls_ca_file={ca}")), "this client's certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_an_error_that_says_so() {
    let Some(tls) = tls() else { return };
    let port = free_port();
    let expired = tls.authority.sign_expired("localhost");
    let setup = setup(port, &expired, &tls.authority.cert, "no");
    let Some(_server) = Server::start_with(Kind::Redis, &setup) else { return };
    let url = format!("rediss://localhost:{port}?tls_ca_file={}", tls.file("ca.pem"));
    assert_refused(&url, "has expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_loses_nothing_over_tls() {
    let Some(tls) = tls() else { return };
    let url = tls.url("localhost", &format!("tls_ca_file={}", tls.file("ca.pem")));
    let options = RedisOptions { prefix: "workload:".to_owned(), ..RedisOptions::default() };
    let store = RedisStore::connect(&url, options).unwrap();
    let report = run_workload(&store, 7, Duration::from_millis(800)).await;
    let WorkloadReport { acknowledged, lost, revived, refused, .. } = report.clone();
    assert!(acknowledged > 100 && [lost, revived, refused] == [0; 3], "{report}");
}

/// The permissions that the crate's documentation lists.
const PERMISSIONS: &str = "+get +set +getrange +setrange +unlink +pttl +pexpire +persist +zadd +zcard +zscore +zrem +zrange \
                           +zrandmember +eval +evalsha +time +scan";

async fn grant(nodes: &[Node], permissions: &str) {
    for node in nodes {
        let line = format!("ACL SETUSER hidden_user reset on >hunter2@/ ~ampoule:* -@all {permissions}");
        assert_eq!(send(&format!("redis://127.0.0.1:{}", node.port), &line).await, Value::Okay);
    }
}

fn entry(tag: Option<Tag>) -> Entry {
    Entry { value: Bytes::from("x"), lifetime: Duration::from_secs(3_600), tag }
}

/// Uses every operation of the store.
async fn use_every_operation(store: &RedisStore) -> Result<(), Error> {
    let tag = Some(Tag::of("ada"));
    store.ping().await?;
    for number in 0..100_u8 {
        let _ = store.put(StoreKey::digest(&[number]), entry(tag), PutMode::Always).await?;
    }
    let key = StoreKey::digest(b"every operation");
    let PutResult::Stored(version) = store.put(key, entry(tag), PutMode::Create).await? else {
        panic!("the key existed")
    };
    store.touch(key, version, Duration::MAX).await?;
    store.get(key).await?;
    store.keys_with_tag(Tag::of("ada")).await?;
    store.scan(None, 10).await?;
    let _ = store.put(key, entry(None), PutMode::Replace(version)).await?;
    store.delete(key).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_and_an_error_names_a_missing_one() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let port = server.node().port;
    let url = format!("redis://hidden_user:hunter2%40%2F@127.0.0.1:{port}");
    let connect = || RedisStore::connect(&url, RedisOptions::default()).unwrap();
    assert!(
        include_str!("../../src/lib.rs").replace("\n//! ", " ").contains(PERMISSIONS),
        "the docs list other permissions"
    );
    grant(server.nodes(), PERMISSIONS).await;
    use_every_operation(&connect()).await.unwrap();
    for permission in PERMISSIONS.split(' ') {
        // The cleaning of a set fails silently without these.
        if ["+zrandmember", "+zscore", "+zrem"].contains(&permission) {
            continue;
        }
        let others: Vec<&str> = PERMISSIONS.split(' ').filter(|other| *other != permission).collect();
        grant(server.nodes(), &others.join(" ")).await;
        send(server.url(), "SCRIPT FLUSH").await;
        send(server.url(), "FLUSHALL").await;
        match use_every_operation(&connect()).await {
            Ok(()) => panic!("{permission} is not needed"),
            Err(error) => assert_says(&error, permission),
        }
    }
    send(server.url(), "FLUSHALL").await;
    grant(server.nodes(), &format!("{PERMISSIONS} resetkeys ~other:*")).await;
    assert_says(&use_every_operation(&connect()).await.unwrap_err(), "its keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_a_sentinel_need_exactly_the_documented_permissions() {
    let login = |url: &str, user: &str| url.replace("://", &format!("://{user}@"));
    let Some(server) = Server::start(Kind::RedisCluster) else { return };
    let url = login(server.url(), "hidden_user:hunter2%40%2F");
    grant(server.nodes(), &format!("{PERMISSIONS} +cluster|slots")).await;
    use_every_operation(&ping(&url).await.unwrap()).await.unwrap();
    assert_refused(&login(server.url(), "hidden_user:sesame"), "the user or the password in the URL is wrong").await;
    grant(server.nodes(), PERMISSIONS).await;
    assert_refused(&url, "+cluster").await;
    grant(server.nodes(), &format!("{PERMISSIONS} +cluster|slots -zadd")).await;
    assert_says(&use_every_operation(&ping(&url).await.unwrap()).await.unwrap_err(), "+zadd");
    let Some(server) = Server::start(Kind::RedisSentinel) else { return };
    let url = login(server.url(), "hidden_user:hunter2%40%2F");
    let options = RedisOptions { replicas: 1, ..RedisOptions::default() };
    let operations = async || use_every_operation(&RedisStore::connect(&url, options.clone()).unwrap()).await;
    grant(&server.nodes()[..2], &format!("{PERMISSIONS} +role +wait")).await;
    operations().await.unwrap();
    grant(&server.nodes()[..2], &format!("{PERMISSIONS} +role")).await;
    assert_says(&operations().await.unwrap_err(), "+wait");
    grant(&server.nodes()[..2], &format!("{PERMISSIONS} +wait")).await;
    assert_says(&operations().await.unwrap_err(), "+role");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_error_says_which_part_is_wrong() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    grant(server.nodes(), "+@all allkeys").await;
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", server.node().port);
    ping(&url("hidden_user:hunter2%40%2F@")).await.unwrap();
    assert_refused(&url("hidden_user:sesame@"), "the user or the password in the URL is wrong").await;
    assert_refused(&url("sesame:hunter2@"), "the user or the password in the URL is wrong").await;
    send(server.url(), "ACL SETUSER default resetpass >sesame").await;
    assert_refused(&url(""), "the URL has none").await;
    assert_refused(&url(":hunter2@"), "the user or the password in the URL is wrong").await;
    ping(&url(":sesame@")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_can_require_a_login_of_their_own() {
    let Some(server) = Server::start(Kind::RedisSentinel) else { return };
    let sentinel = server.nodes()[2].port;
    let plain = format!("redis://127.0.0.1:{sentinel}");
    send(&plain, "ACL SETUSER hidden_user on >hunter2@/ ~* &* +@all").await;
    send(&plain, "ACL SETUSER default resetpass >sesame").await;
    assert_refused(server.url(), "sentinel_password").await;
    let login = |user: &str, password: &str| format!("{}?{user}sentinel_password={password}", server.url());
    ping(&login("", "sesame")).await.unwrap();
    let store = ping(&login("sentinel_user=hidden_user&", "hunter2%40%2F")).await.unwrap();
    assert_hides(&format!("{} {store:?}", store.describe()));
    assert_refused(&login("sentinel_user=hidden_user&", "sesame"), "is wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_works_on_the_application_s_client_and_connection() {
    let Some(server) = Server::start(Kind::Redis) else { return };
    let client = Client::open(server.url()).unwrap();
    use_every_operation(&RedisStore::with_client(client.clone(), RedisOptions::default()).unwrap()).await.unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    let store = RedisStore::with_connection_manager(manager.clone(), RedisOptions::default()).unwrap();
    use_every_operation(&store).await.unwrap();
    assert!(store.watch().is_none());
    let replicas = RedisOptions { replicas: 1, ..RedisOptions::default() };
    let error = RedisStore::with_connection_manager(manager, replicas).unwrap_err();
    assert_says(&error, "with_client");
    tokio::task::block_in_place(|| server.node().kill());
    tokio::task::block_in_place(|| server.node().restart());
    for _ in 0..50 {
        if store.ping().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the store does not reconnect");
}

#[test]
fn an_invalid_url_is_refused_with_what_to_write() {
    let connect = |url: &str| RedisStore::connect(url, RedisOptions::default());
    for (url, location) in [
        ("redis://hidden_user:hunter2@[::1]/3", "[::1]:6379/3"),
        ("redis://cache?db=3", "cache:6379/3"),
        ("redis+unix://:hunter2@/run/redis.sock?db=3", "/run/redis.sock, database 3"),
        ("valkey+unix:///run/redis.sock?user=hidden_user&password=hunter2", "/run/redis.sock"),
        ("valkeys+cluster://hidden_user:hunter2@a:1,b/0", "the Cluster of a:1,b:6379"),
        ("rediss+sentinel://:hunter2@a,b:1/m/3?sentinel_password=sesame", "the sentinels a:26379,b:1"),
    ] {
        let store = connect(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(store.describe().contains(&format!("{location}, keys ampoule:*")), "{}", store.describe());
        assert_hides(&store.describe());
    }
    for (url, what) in [
        ("redis://:hunter2@a?tls_ca_fil=x", "did you mean `tls_ca_file`?"),
        ("redis://:hunter2@a?databas=1", "the known ones are db"),
        ("redis+sentinel://a/m?sentinel_pasword=hunter2", "did you mean `sentinel_password`?"),
        ("redis+sentinel://a/m?sentinel_user=hidden_user", "needs a sentinel_password"),
        ("redis+cluster://a?db=1", "the known ones are tls_ca_file"),
        ("redis+cluster://a/1", "only the database 0"),
        ("redis://hunter2@a", "redis://:password@host"),
        ("redis://:hunter@2@a", "percent-encode"),
        ("redis://:hunter2/x@a", "percent-encode"),
        ("redis://:hunter2#x@a", "percent-encode"),
        ("redis://:hunter2?x@a", "percent-encode"),
        ("redis://a,b", "redis+sentinel:// or redis+cluster://"),
        ("redis://a/mydb", "a number from 0 to 65535"),
        ("rediss+unix:///run/redis.sock", "its scheme is unknown"),
        ("redis+unix://a/run/redis.sock", "no host"),
        (":hunter2@a", "redis://user:password@host"),
    ] {
        let error = connect(url).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert_says(&error, what);
    }
}
