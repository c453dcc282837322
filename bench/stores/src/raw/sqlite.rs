//! rusqlite alone: one connection, prepared statements, on the caller's thread.

use std::future::ready;
use std::hint::black_box;
use std::path::Path;

use ampoule::Durability;
use rusqlite::{Connection, params};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{self, COUNT, SessionNumbers, VALUE};

const SCHEMA: &str = "CREATE TABLE raw (id BLOB PRIMARY KEY NOT NULL, version INTEGER NOT NULL, \
     deadline INTEGER NOT NULL, value BLOB NOT NULL) STRICT";
const SELECT: &str = "SELECT value, version FROM raw WHERE id = ?1 AND deadline > ?2";
const UPDATE: &str = "UPDATE raw SET version = ?2, deadline = ?3, value = ?4 WHERE id = ?1 AND version = ?5";
const INSERT: &str = "INSERT INTO raw (id, version, deadline, value) VALUES (?1, ?2, ?3, ?4)";

pub struct RawSqlite {
    connection: Connection,
    versions: Vec<i64>,
    numbers: SessionNumbers,
}

impl RawSqlite {
    pub fn at(path: &Path, durability: Durability) -> Box<dyn Subject> {
        let connection = Connection::open(path).expect("the database opens");
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("the mode");
        connection.pragma_update(None, "synchronous", synchronous(durability)).expect("the setting");
        connection.execute_batch(SCHEMA).expect("the table");
        let mut raw = RawSqlite { connection, versions: vec![1; COUNT as usize], numbers: SessionNumbers::default() };
        raw.create(0..COUNT).expect("the sessions");
        Box::new(raw)
    }

    fn load(&mut self, count: u32) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare(SELECT)?;
        for _ in 0..count {
            let key = sessions::key(self.numbers.existing());
            let found = select.query_row(params![key, sessions::now()], |row| {
                Ok((row.get_ref(0)?.as_blob()?.to_vec(), row.get::<_, i64>(1)?))
            })?;
            assert_eq!(black_box(found).0.len(), VALUE.len());
        }
        Ok(())
    }

    fn save(&mut self, count: u32) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare(UPDATE)?;
        for _ in 0..count {
            let number = self.numbers.existing();
            let version = &mut self.versions[number as usize];
            let values = params![sessions::key(number), *version + 1, sessions::deadline(), VALUE, *version];
            assert_eq!(update.execute(values)?, 1);
            *version += 1;
        }
        Ok(())
    }

    fn create(&mut self, numbers: impl Iterator<Item = u64>) -> rusqlite::Result<()> {
        let mut insert = self.connection.prepare(INSERT)?;
        for number in numbers {
            insert.execute(params![sessions::key(number), 1, sessions::deadline(), VALUE])?;
        }
        Ok(())
    }
}

/// Returns the value of `synchronous` that Ampoule's store uses for this durability.
pub fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::None => "OFF",
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    }
}

impl Subject for RawSqlite {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        let done = match operation {
            Operation::Load => self.load(count),
            Operation::Save => self.save(count),
            Operation::Create => {
                let numbers: Vec<u64> = (0..count).map(|_| self.numbers.unused()).collect();
                self.create(numbers.into_iter())
            }
        };
        done.expect("the operation");
        Box::pin(ready(()))
    }
}
