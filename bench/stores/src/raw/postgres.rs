//! tokio-postgres alone: one connection, prepared statements.

use std::hint::black_box;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{self, COUNT, SessionNumbers, VALUE};

const SCHEMA: &str = "CREATE TABLE raw (id bytea PRIMARY KEY, version bigint NOT NULL, deadline bigint NOT NULL, \
     value bytea NOT NULL)";
const SELECT: &str = "SELECT value, version FROM raw WHERE id = $1 AND deadline > $2";
const UPDATE: &str = "UPDATE raw SET version = $2, deadline = $3, value = $4 WHERE id = $1 AND version = $5";
const INSERT: &str = "INSERT INTO raw (id, version, deadline, value) VALUES ($1, $2, $3, $4)";

pub struct RawPostgres {
    client: Client,
    select: Statement,
    update: Statement,
    insert: Statement,
    versions: Vec<i64>,
    numbers: SessionNumbers,
}

impl RawPostgres {
    pub async fn at(url: &str) -> Box<dyn Subject> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client.batch_execute(SCHEMA).await.expect("the table");
        let select = client.prepare(SELECT).await.expect("a statement");
        let update = client.prepare(UPDATE).await.expect("a statement");
        let insert = client.prepare(INSERT).await.expect("a statement");
        let versions = vec![1; COUNT as usize];
        let raw = RawPostgres { client, select, update, insert, versions, numbers: SessionNumbers::default() };
        for number in 0..COUNT {
            raw.create(number).await.expect("a session");
        }
        Box::new(raw)
    }

    async fn execute(&mut self, operation: Operation) -> Result<(), tokio_postgres::Error> {
        match operation {
            Operation::Load => self.load().await,
            Operation::Save => self.save().await,
            Operation::Create => {
                let number = self.numbers.unused();
                self.create(number).await
            }
        }
    }

    async fn load(&mut self) -> Result<(), tokio_postgres::Error> {
        let key = sessions::key(self.numbers.existing());
        let row = self.client.query_one(&self.select, &[&&key[..], &sessions::now()]).await?;
        let found: (Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?);
        assert_eq!(black_box(found).0.len(), VALUE.len());
        Ok(())
    }

    async fn save(&mut self) -> Result<(), tokio_postgres::Error> {
        let number = self.numbers.existing();
        let (key, old) = (sessions::key(number), self.versions[number as usize]);
        let deadline = sessions::deadline();
        let values: [&(dyn ToSql + Sync); 5] = [&&key[..], &(old + 1), &deadline, &&VALUE[..], &old];
        assert_eq!(self.client.execute(&self.update, &values).await?, 1);
        self.versions[number as usize] += 1;
        Ok(())
    }

    async fn create(&self, number: u64) -> Result<(), tokio_postgres::Error> {
        let key = sessions::key(number);
        self.client.execute(&self.insert, &[&&key[..], &1_i64, &sessions::deadline(), &&VALUE[..]]).await.map(drop)
    }
}

impl Subject for RawPostgres {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        Box::pin(async move {
            for _ in 0..count {
                self.execute(operation).await.expect("the operation");
            }
        })
    }
}
