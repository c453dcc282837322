//! Locks that another program holds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ampoule::store::mysql::mysql_async_0_37::prelude::Queryable;
use ampoule::store::mysql::mysql_async_0_37::{Conn, Opts};
use ampoule::store::sqlite::rusqlite_0::Connection;

use crate::backends::BackendKind;
use crate::support::nodes::Cluster;

/// Locks all sessions, and the creation of new ones, for this time.
pub(crate) async fn hold(backend: BackendKind, cluster: &Cluster, time: Duration) {
    let table = &cluster.name;
    match backend {
        BackendKind::Postgres | BackendKind::PgBouncer | BackendKind::PostgresTls => {
            let url = backend.direct_url();
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let rows = format!("SELECT id FROM {table} FOR UPDATE");
            client.batch_execute(&format!("BEGIN; {rows}; LOCK TABLE {table} IN EXCLUSIVE MODE")).await.unwrap();
            tokio::time::sleep(time).await;
            client.batch_execute("COMMIT").await.unwrap();
        }
        BackendKind::MariaDb | BackendKind::MariaDbTls => {
            let mut conn = Conn::new(Opts::from_url(&backend.direct_url()).unwrap()).await.unwrap();
            conn.query_drop("BEGIN").await.unwrap();
            conn.query_drop(format!("SELECT id FROM {table} FOR UPDATE")).await.unwrap();
            tokio::time::sleep(time).await;
            conn.query_drop("COMMIT").await.unwrap();
            conn.disconnect().await.unwrap();
        }
        BackendKind::Redis | BackendKind::RedisTls => pause(&backend.direct_url(), time).await,
        BackendKind::Sqlite => {
            let file = cluster.folder().join("sessions.db");
            let connection = Connection::open(file).unwrap();
            connection.busy_timeout(Duration::from_secs(20)).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            tokio::time::sleep(time).await;
            connection.execute_batch("COMMIT").unwrap();
        }
        BackendKind::File => {
            let records = cluster.folder().join("sessions/records");
            let lock = |first: u8| {
                let shard = records.join(format!("{first:02x}"));
                std::fs::create_dir_all(&shard).unwrap();
                let shard = std::fs::File::open(shard).unwrap();
                shard.lock().unwrap();
                shard
            };
            let _locked: Vec<_> = tokio::task::block_in_place(|| (0..=u8::MAX).map(lock).collect());
            tokio::time::sleep(time).await;
        }
        BackendKind::Memcached => panic!("memcached has no locks"),
    }
}

/// Redis has no locks, but a pause of all writes.
async fn pause(url: &str, time: Duration) {
    let address = url.trim_start_matches("redis://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "CLIENT PAUSE {} WRITE\r\n", time.as_millis()).unwrap();
    let mut said = [0; 3];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"+OK");
    tokio::time::sleep(time).await;
}
