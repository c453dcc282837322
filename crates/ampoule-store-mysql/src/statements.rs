//! All statements for one table. The server executes each of them whole or not at all.
//!
//! `deadline + 0` keeps the server from using the index on the deadline to find a key, as it may in a small table. It
//! would miss a row whose deadline another statement is moving.

use ampoule_core::{Error, ErrorKind, Time};

/// The current time in milliseconds since 1970: the value for `?` is a test's clock, or null for the server's clock.
/// That is the time when the statement started, which is the same for all rows and on replicas.
///
/// `UNIX_TIMESTAMP(NOW(3))` is not used, since it depends on the session's time zone and is wrong by an hour when
/// daylight saving time ends. `SYSDATE` changes between rows, so the server could not use the index on the deadline.
const NOW: &str = "COALESCE(?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)";

pub(crate) struct Statements {
    pub(crate) schema: String,
    pub(crate) get: String,
    pub(crate) insert: String,
    pub(crate) take_over: String,
    pub(crate) replace: String,
    pub(crate) overwrite: String,
    pub(crate) has_version: String,
    pub(crate) has_live_version: String,
    pub(crate) touch: String,
    pub(crate) delete: String,
    pub(crate) delete_expired: String,
    pub(crate) delete_version: String,
    pub(crate) keys_with_tag: String,
    pub(crate) scan: String,
    pub(crate) sweep: String,
    pub(crate) time: String,
}

impl Statements {
    pub(crate) fn new(table: &str) -> Result<Statements, Error> {
        let table = quoted(table)?;
        // The second value is a lifetime in milliseconds.
        let deadline = format!("LEAST({NOW} + ?, {})", Time::MAX.as_millis());
        let live = format!("deadline + 0 > {NOW}");
        let set = format!("version = ?, deadline = {deadline}, tag = ?, value = ?");
        let insert = format!("INSERT INTO {table} (id, version, deadline, tag, value) VALUES (?, ?, {deadline}, ?, ?)");
        Ok(Statements {
            schema: format!(
                "CREATE TABLE IF NOT EXISTS {table} (id BINARY(32) NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
                 deadline BIGINT NOT NULL, tag BINARY(32), value LONGBLOB NOT NULL, \
                 INDEX deadline (deadline), INDEX tag (tag)) ENGINE=InnoDB"
            ),
            get: format!("SELECT value, version, deadline FROM {table} WHERE id = ? AND {live}"),
            take_over: format!("UPDATE {table} SET {set} WHERE id = ? AND deadline + 0 <= {NOW}"),
            replace: format!("UPDATE {table} SET {set} WHERE id = ? AND version = ? AND {live}"),
            overwrite: format!("{insert} ON DUPLICATE KEY UPDATE {set}"),
            insert,
            has_version: format!("SELECT 1 FROM {table} WHERE id = ? AND version = ?"),
            has_live_version: format!("SELECT 1 FROM {table} WHERE id = ? AND version = ? AND {live}"),
            touch: format!(
                "UPDATE {table} SET deadline = GREATEST(deadline, {deadline}) WHERE id = ? AND version = ? AND {live}"
            ),
            delete: format!("DELETE FROM {table} WHERE id = ? AND {live}"),
            delete_expired: format!("DELETE FROM {table} WHERE id = ? AND deadline + 0 <= {NOW}"),
            delete_version: format!("DELETE FROM {table} WHERE id = ? AND version = ? AND {live}"),
            keys_with_tag: format!("SELECT id FROM {table} WHERE tag = ? AND {live}"),
            scan: format!("SELECT id FROM {table} WHERE id > ? AND {live} ORDER BY id LIMIT ?"),
            sweep: format!("DELETE FROM {table} WHERE deadline <= {NOW} ORDER BY deadline LIMIT ?"),
            time: format!("SELECT {NOW}"),
        })
    }
}

/// Returns the table's name in backquotes, after the name of its database if it has one.
fn quoted(table: &str) -> Result<String, Error> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let parts: Vec<&str> = table.split('.').collect();
    if parts.len() <= 2 && parts.iter().all(|part| (1..=64).contains(&part.len()) && part.bytes().all(is_valid)) {
        return Ok(parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join("."));
    }
    let message = format!(
        "invalid table name `{table}`: expected 1 to 64 letters, digits or underscores, with or without a database \
         before it"
    );
    Err(Error::new(ErrorKind::Config, message))
}

#[cfg(test)]
mod tests {
    use ampoule_test_servers::{Kind, shared};
    use mysql_async::prelude::Queryable;
    use mysql_async::{Conn, Opts, Row, Value};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_statement_uses_an_index_with_the_server_s_clock_and_with_a_test_s() {
        let Some(server) = shared(Kind::MariaDb) else { return };
        let mut conn = Conn::new(Opts::from_url(server.url()).unwrap()).await.unwrap();
        let statements = Statements::new("planned").unwrap();
        conn.query_drop(&statements.schema).await.unwrap();
        let rows = "INSERT INTO planned SELECT UNHEX(SHA2(seq, 256)), seq, seq * 1000000, UNHEX(SHA2(seq % 1000, 256)), 'x' \
            FROM seq_1_to_20000";
        conn.query_drop(rows).await.unwrap();
        // All rows but one have expired, so the index on the deadline looks like the fastest way to find the live one.
        let live = "INSERT INTO planned VALUES (REPEAT(CHAR(7), 32), 1, 253402300799999, REPEAT(CHAR(7), 32), 'x')";
        conn.query_drop(live).await.unwrap();
        conn.query_drop("ANALYZE TABLE planned").await.unwrap();
        let id = || Value::Bytes(vec![7; 32]);
        for now in [Value::NULL, Value::Int(5_000_000)] {
            let now = || now.clone();
            let row = vec![1.into(), now(), 2.into(), Value::NULL, Value::Bytes(Vec::new())];
            for (statement, values, index) in [
                (&statements.get, vec![id(), now()], "PRIMARY"),
                (&statements.take_over, [row.clone(), vec![id(), now()]].concat(), "PRIMARY"),
                (&statements.replace, [row, vec![id(), 3.into(), now()]].concat(), "PRIMARY"),
                (&statements.touch, vec![now(), 2.into(), id(), 1.into(), now()], "PRIMARY"),
                (&statements.delete, vec![id(), now()], "PRIMARY"),
                (&statements.delete_expired, vec![id(), now()], "PRIMARY"),
                (&statements.delete_version, vec![id(), 1.into(), now()], "PRIMARY"),
                (&statements.keys_with_tag, vec![id(), now()], "tag"),
                (&statements.scan, vec![id(), now(), 10.into()], "PRIMARY"),
                (&statements.sweep, vec![now(), 10.into()], "deadline"),
            ] {
                let plan: Option<Row> = conn.exec_first(format!("EXPLAIN {statement}"), values).await.unwrap();
                let plan = plan.unwrap();
                let kind: Option<String> = plan.get("type").unwrap();
                let key: Option<String> = plan.get("key").unwrap();
                assert_eq!(key.as_deref(), Some(index), "{statement}: {plan:?}");
                assert!(matches!(kind.as_deref(), Some("const" | "ref" | "range")), "{statement}: {plan:?}");
            }
        }
    }
}
