//! All statements for one table. A statement that changes rows returns them, so that they can be counted.
//!
//! `$1` is the time of a test's clock, or null for the server's clock. The server's time is `statement_timestamp()`,
//! when the statement started, which is the same for all rows. `clock_timestamp()` changes between rows, so the server
//! could not use the index on the deadline.
//!
//! `deadline + 0` keeps the server from using the index on the deadline to find a key. It would do so if its statistics
//! are older than most sessions, since by those hardly any session is live.

use ampoule_core::{Error, ErrorKind, StoreKey, Tag, Time, Version};
use tokio_postgres::types::{ToSql, Type};

/// A value for `$1`, `$2`, …, which names its type, so that the driver need not query the server for it.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Bytes(Option<&'a [u8]>),
}

impl Value<'_> {
    pub(crate) fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Value::Int(number) => (number, Type::INT8),
            Value::Bytes(bytes) => (bytes, Type::BYTEA),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(Some(number))
    }
}

impl From<Version> for Value<'_> {
    fn from(version: Version) -> Self {
        version.0.cast_signed().into()
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(Some(bytes))
    }
}

impl<'a> From<&'a StoreKey> for Value<'a> {
    fn from(key: &'a StoreKey) -> Self {
        key.as_bytes()[..].into()
    }
}

impl<'a> From<&'a Tag> for Value<'a> {
    fn from(tag: &'a Tag) -> Self {
        tag.as_bytes()[..].into()
    }
}

/// The current time: milliseconds since 1970, rounded down.
const NOW: &str = "COALESCE($1::bigint, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint)";

pub(crate) struct Statements {
    pub(crate) table: String,
    /// The key of the advisory lock that belongs to this table.
    pub(crate) advisory_lock: i64,
    pub(crate) schema: String,
    pub(crate) get: String,
    pub(crate) create: String,
    pub(crate) replace: String,
    pub(crate) overwrite: String,
    pub(crate) has_version: String,
    pub(crate) touch: String,
    pub(crate) delete: String,
    pub(crate) delete_version: String,
    pub(crate) keys_with_tag: String,
    pub(crate) scan: String,
    pub(crate) sweep: String,
    pub(crate) time: String,
}

impl Statements {
    pub(crate) fn new(schema: Option<&str>, name: &str) -> Result<Statements, Error> {
        for name in schema.into_iter().chain([name]) {
            check_name(name)?;
        }
        let table = schema.map_or_else(|| format!("\"{name}\""), |schema| format!("\"{schema}\".\"{name}\""));
        let advisory_lock = advisory_lock_of(&table);
        let max = Time::MAX.as_millis();
        // `$4` is a lifetime in milliseconds.
        let deadline = format!("LEAST({NOW} + $4::bigint, {max})");
        let live = format!("deadline + 0 > {NOW}");
        let insert = format!(
            "INSERT INTO {table} AS t (id, version, deadline, tag, value) VALUES ($2, $3, {deadline}, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, deadline = excluded.deadline, \
             tag = excluded.tag, value = excluded.value"
        );
        Ok(Statements {
            advisory_lock,
            schema: schema_sql(schema, name, &table, advisory_lock),
            get: format!("SELECT value, version, deadline FROM {table} WHERE id = $2 AND {live}"),
            create: format!("{insert} WHERE t.deadline <= {NOW} RETURNING 1"),
            replace: format!(
                "UPDATE {table} SET version = $3, deadline = {deadline}, tag = $5, value = $6 \
                 WHERE id = $2 AND version = $7 AND {live} RETURNING 1"
            ),
            overwrite: format!("{insert} RETURNING 1"),
            has_version: format!("SELECT 1 FROM {table} WHERE id = $1 AND version = $2"),
            touch: format!(
                "UPDATE {table} SET deadline = GREATEST(deadline, {deadline}) \
                 WHERE id = $2 AND version = $3 AND {live} RETURNING 1"
            ),
            // An expired row is removed too: it would be live again if the clock was set back.
            delete: format!(
                "WITH deleted AS (DELETE FROM {table} WHERE id = $2 RETURNING deadline) SELECT 1 FROM deleted WHERE {live}"
            ),
            delete_version: format!("DELETE FROM {table} WHERE id = $2 AND version = $3 AND {live} RETURNING 1"),
            keys_with_tag: format!("SELECT id FROM {table} WHERE tag = $2 AND {live}"),
            scan: format!("SELECT id FROM {table} WHERE id > $2 AND {live} ORDER BY id LIMIT $3"),
            // One node sweeps at a time, and rows that are being written are left for the next sweep. Rows are deleted
            // by `ctid`, so that no plan reads the whole table to delete a part of it.
            sweep: format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} \
                 WHERE (SELECT pg_try_advisory_xact_lock($2)) AND deadline <= {NOW} \
                 ORDER BY deadline LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING 1"
            ),
            time: format!("SELECT {NOW}"),
            table,
        })
    }
}

/// Returns the statements that create the table. The lock keeps processes that start at the same time from creating it
/// twice. The statements are sent together and thus are one transaction. After a `BEGIN`, a statement that fails would
/// leave the connection in a failed transaction.
fn schema_sql(schema: Option<&str>, name: &str, table: &str, advisory_lock: i64) -> String {
    let create_schema = schema.map(|schema| format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"; ")).unwrap_or_default();
    format!(
        "SELECT pg_advisory_xact_lock({advisory_lock}); {create_schema}\
         CREATE TABLE IF NOT EXISTS {table} (id bytea PRIMARY KEY, version bigint NOT NULL, \
         deadline bigint NOT NULL, tag bytea, value bytea NOT NULL); \
         CREATE INDEX IF NOT EXISTS \"{name}_deadline\" ON {table} (deadline); \
         CREATE INDEX IF NOT EXISTS \"{name}_tag\" ON {table} (tag) WHERE tag IS NOT NULL"
    )
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=50).contains(&name.len()) && name.bytes().all(is_valid) {
        return Ok(());
    }
    let message = format!("invalid table or schema name `{name}`: expected 1 to 50 letters, digits or underscores");
    Err(Error::new(ErrorKind::Config, message))
}

fn advisory_lock_of(table: &str) -> i64 {
    let digest = StoreKey::digest(format!("ampoule {table}").as_bytes());
    digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use ampoule_test_servers::{Kind, shared};
    use tokio_postgres::{Client, NoTls};

    use super::*;

    /// Returns the server's plans for a prepared statement: for these values, and for any values.
    async fn plans(client: &Client, statement: &str, values: &str) -> Vec<String> {
        client.batch_execute(&format!("DEALLOCATE ALL; PREPARE ours AS {statement}")).await.unwrap();
        let mut plans = Vec::new();
        for mode in ["force_custom_plan", "force_generic_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.unwrap();
            let rows = client.query(&format!("EXPLAIN EXECUTE ours({values})"), &[]).await.unwrap();
            plans.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n"));
        }
        plans
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_statement_uses_an_index_with_the_server_s_clock_and_with_a_test_s() {
        let Some(server) = shared(Kind::Postgres) else { return };
        let (client, connection) = tokio_postgres::connect(server.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let statements = Statements::new(None, "planned").unwrap();
        client.batch_execute(&statements.schema).await.unwrap();
        // All rows have expired, so the index on the deadline looks like the fastest way to find live ones.
        let rows = "INSERT INTO planned SELECT sha256(n::text::bytea), n, n * 1000000, sha256((n % 1000)::text::bytea), 'x' \
            FROM generate_series(1::bigint, 20000) AS n; ANALYZE planned";
        client.batch_execute(rows).await.unwrap();
        let id = "sha256('7')";
        for now in ["NULL", "5000000"] {
            for (statement, values, index) in [
                (&statements.get, format!("{now}, {id}"), "planned_pkey"),
                (&statements.replace, format!("{now}, {id}, 1, 2, NULL, '', 3"), "planned_pkey"),
                (&statements.touch, format!("{now}, {id}, 1, 2"), "planned_pkey"),
                (&statements.delete_version, format!("{now}, {id}, 1"), "planned_pkey"),
                (&statements.keys_with_tag, format!("{now}, {id}"), "planned_tag"),
                (&statements.scan, format!("{now}, {id}, 10"), "planned_pkey"),
                (&statements.sweep, format!("{now}, 1, 10"), "planned_deadline"),
            ] {
                for plan in plans(&client, statement, &values).await {
                    assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{statement}: {plan}");
                    let searched = plan.lines().any(|line| line.contains("Index Cond") && line.contains("deadline"));
                    assert!(searched || index != "planned_deadline", "{statement}: {plan}");
                }
            }
        }
    }
}
