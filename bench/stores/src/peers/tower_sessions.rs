//! The stores of tower-sessions, with pools as in its documentation.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use ampoule::Durability;
use time::{Duration, OffsetDateTime};
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_sqlx_store::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tower_sessions_sqlx_store::sqlx::{MySqlPool, PgPool, SqlitePool};
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{COUNT, LIFETIME_SECONDS, SessionNumbers};

pub struct TowerSessions<S> {
    store: S,
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
    let store = SqliteStore::new(SqlitePool::connect_with(options).await.expect("a pool"));
    store.migrate().await.expect("the table");
    filled(store).await
}

pub async fn postgres(url: &str) -> Box<dyn Subject> {
    let store = PostgresStore::new(PgPool::connect(url).await.expect("a pool"));
    store.migrate().await.expect("the table");
    filled(store).await
}

pub async fn mysql(url: &str) -> Box<dyn Subject> {
    let store = MySqlStore::new(MySqlPool::connect(url).await.expect("a pool"));
    store.migrate().await.expect("the table");
    filled(store).await
}

async fn filled<S: SessionStore>(store: S) -> Box<dyn Subject> {
    for number in 0..COUNT {
        store.create(&mut record(number)).await.expect("a session");
    }
    Box::new(TowerSessions { store, numbers: SessionNumbers::default() })
}

/// Creates a record whose encoded size is about that of the other subjects' sessions.
fn record(number: u64) -> Record {
    let data = HashMap::from([("text".to_owned(), "seven ".repeat(25).into())]);
    let expiry_date = OffsetDateTime::now_utc() + Duration::seconds(LIFETIME_SECONDS.into());
    Record { id: id(number), data, expiry_date }
}

fn id(number: u64) -> Id {
    Id(i128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.cast_signed()))
}

impl<S: SessionStore> Subject for TowerSessions<S> {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        Box::pin(async move {
            for _ in 0..count {
                match operation {
                    Operation::Load => {
                        let found = self.store.load(&id(self.numbers.existing())).await.expect("a read");
                        assert!(black_box(found).is_some());
                    }
                    Operation::Save => self.store.save(&record(self.numbers.existing())).await.expect("a save"),
                    Operation::Create => {
                        self.store.create(&mut record(self.numbers.unused())).await.expect("a session");
                    }
                }
            }
        })
    }
}
