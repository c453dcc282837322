//! mysql_async alone: one connection, prepared statements.

use std::hint::black_box;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Statement};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{self, COUNT, SessionNumbers, VALUE};

const SCHEMA: &str = "CREATE TABLE raw (id BINARY(32) NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
     deadline BIGINT NOT NULL, value LONGBLOB NOT NULL) ENGINE=InnoDB";
const SELECT: &str = "SELECT value, version FROM raw WHERE id = ? AND deadline > ?";
const UPDATE: &str = "UPDATE raw SET version = ?, deadline = ?, value = ? WHERE id = ? AND version = ?";
const INSERT: &str = "INSERT INTO raw (version, deadline, value, id) VALUES (?, ?, ?, ?)";

pub struct RawMySql {
    conn: Conn,
    select: Statement,
    update: Statement,
    insert: Statement,
    versions: Vec<i64>,
    numbers: SessionNumbers,
}

impl RawMySql {
    pub async fn at(url: &str) -> Box<dyn Subject> {
        let opts = Opts::from_url(url).expect("a URL");
        let opts = OptsBuilder::from_opts(opts).prefer_socket(false);
        let mut conn = Conn::new(opts).await.expect("a connection");
        conn.query_drop(SCHEMA).await.expect("the table");
        let select = conn.prep(SELECT).await.expect("a statement");
        let update = conn.prep(UPDATE).await.expect("a statement");
        let insert = conn.prep(INSERT).await.expect("a statement");
        let versions = vec![1; COUNT as usize];
        let mut raw = RawMySql { conn, select, update, insert, versions, numbers: SessionNumbers::default() };
        for number in 0..COUNT {
            raw.create(number).await.expect("a session");
        }
        Box::new(raw)
    }

    async fn execute(&mut self, operation: Operation) -> mysql_async::Result<()> {
        match operation {
            Operation::Load => self.load().await,
            Operation::Save => self.save().await,
            Operation::Create => {
                let number = self.numbers.unused();
                self.create(number).await
            }
        }
    }

    async fn load(&mut self) -> mysql_async::Result<()> {
        let key = sessions::key(self.numbers.existing());
        let found = self.conn.exec_first(&self.select, (&key[..], sessions::now())).await?;
        let found: (Vec<u8>, i64) = found.expect("an existing session");
        assert_eq!(black_box(found).0.len(), VALUE.len());
        Ok(())
    }

    async fn save(&mut self) -> mysql_async::Result<()> {
        let number = self.numbers.existing();
        let (key, old) = (sessions::key(number), self.versions[number as usize]);
        self.conn.exec_drop(&self.update, (old + 1, sessions::deadline(), &VALUE[..], &key[..], old)).await?;
        assert_eq!(self.conn.affected_rows(), 1);
        self.versions[number as usize] += 1;
        Ok(())
    }

    async fn create(&mut self, number: u64) -> mysql_async::Result<()> {
        let key = sessions::key(number);
        self.conn.exec_drop(&self.insert, (1, sessions::deadline(), &VALUE[..], &key[..])).await
    }
}

impl Subject for RawMySql {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        Box::pin(async move {
            for _ in 0..count {
                self.execute(operation).await.expect("the operation");
            }
        })
    }
}
