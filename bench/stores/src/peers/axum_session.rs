//! The stores of axum_session, with pools as in its documentation.

use std::hint::black_box;
use std::path::Path;

use ampoule::Durability;
use axum_session::DatabasePool;
use axum_session_sqlx::{SessionMySqlPool, SessionPgPool, SessionSqlitePool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{MySqlPool, PgPool, SqlitePool};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{self, COUNT, SessionNumbers, VALUE};

const TABLE: &str = "axum_sessions";

pub struct AxumSession<P> {
    pool: P,
    saves: u64,
    numbers: SessionNumbers,
}

pub async fn sqlite(path: &Path, durability: Durability) -> Box<dyn Subject> {
    let synchronous = match durability {
        Durability::None => SqliteSynchronous::Off,
        Durability::Process => SqliteSynchronous::Normal,
        Durability::Power => SqliteSynchronous::Full,
    };
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous);
    filled(SessionSqlitePool::from(SqlitePool::connect_with(options).await.expect("a pool"))).await
}

pub async fn postgres(url: &str) -> Box<dyn Subject> {
    filled(SessionPgPool::from(PgPool::connect(url).await.expect("a pool"))).await
}

pub async fn mysql(url: &str) -> Box<dyn Subject> {
    filled(SessionMySqlPool::from(MySqlPool::connect(url).await.expect("a pool"))).await
}

async fn filled<P: DatabasePool + Send + Sync + 'static>(pool: P) -> Box<dyn Subject> {
    pool.initiate(TABLE).await.expect("the table");
    let mut peer = AxumSession { pool, saves: 0, numbers: SessionNumbers::default() };
    for number in 0..COUNT {
        peer.store(number).await;
    }
    Box::new(peer)
}

/// Returns a UUID as text, as axum_session's ids are.
fn id(number: u64) -> String {
    let [a, b, c, d, e, f, g, h, ..] = sessions::key(number);
    let digits = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    format!("{:08x}-{:04x}-4{:03x}-8000-{number:012x}", digits >> 32, digits >> 16 & 0xffff, digits & 0xfff)
}

impl<P: DatabasePool + Send + Sync> AxumSession<P> {
    async fn store(&mut self, number: u64) {
        let expires = sessions::deadline() / 1_000;
        // Another text each time, since a database does not write a row that is unchanged.
        self.saves += 1;
        let text = format!("{:0width$}", self.saves, width = VALUE.len());
        self.pool.store(&id(number), &text, expires, TABLE).await.expect("a save");
    }
}

impl<P: DatabasePool + Send + Sync> Subject for AxumSession<P> {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        Box::pin(async move {
            for _ in 0..count {
                match operation {
                    Operation::Load => {
                        let found = self.pool.load(&id(self.numbers.existing()), TABLE).await.expect("a read");
                        assert!(black_box(found).is_some());
                    }
                    Operation::Save => {
                        let number = self.numbers.existing();
                        self.store(number).await;
                    }
                    Operation::Create => {
                        let number = self.numbers.unused();
                        self.store(number).await;
                    }
                }
            }
        })
    }
}
