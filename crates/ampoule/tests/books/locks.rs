//! Locks that another program holds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ampoule::store::mysql::mysql_async::prelude::Queryable;
use ampoule::store::mysql::mysql_async::{Conn, Opts};
use ampoule::store::sqlite::rusqlite::Connection;

use crate::places::Place;
use crate::support::nodes::Cluster;

/// Locks all that there is, for this time.
pub(crate) async fn hold(place: Place, cluster: &Cluster, time: Duration) {
    let table = &cluster.name;
    match place {
        Place::Postgres | Place::PgBouncer | Place::PostgresTls => {
            let url = place.direct_url();
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("BEGIN; SELECT id FROM {table} FOR UPDATE")).await.unwrap();
            tokio::time::sleep(time).await;
            client.batch_execute("COMMIT").await.unwrap();
        }
        Place::MariaDb | Place::MariaDbTls => {
            let mut conn = Conn::new(Opts::from_url(&place.direct_url()).unwrap()).await.unwrap();
            conn.query_drop("BEGIN").await.unwrap();
            conn.query_drop(format!("SELECT id FROM {table} FOR UPDATE")).await.unwrap();
            tokio::time::sleep(time).await;
            conn.query_drop("COMMIT").await.unwrap();
            conn.disconnect().await.unwrap();
        }
        Place::Redis | Place::RedisTls => pause(&place.direct_url(), time).await,
        Place::Sqlite => {
            let file = cluster.folder().join("sessions.db");
            let connection = Connection::open(file).unwrap();
            connection.busy_timeout(Duration::from_secs(20)).unwrap();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            tokio::time::sleep(time).await;
            connection.execute_batch("COMMIT").unwrap();
        }
        Place::File => {
            let shards = std::fs::read_dir(cluster.folder().join("sessions/records")).unwrap();
            let shards = shards.map(|shard| std::fs::File::open(shard.unwrap().path()).unwrap());
            let locked =
                tokio::task::block_in_place(|| shards.inspect(|shard| shard.lock().unwrap()).collect::<Vec<_>>());
            assert!(!locked.is_empty(), "there is nothing to lock");
            tokio::time::sleep(time).await;
        }
        Place::Memcached => panic!("memcached has no locks"),
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
