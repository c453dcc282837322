//! Every statement for one table, each one step that the server does whole or not at all.
//!
//! `deadline + 0` keeps the server from looking a single key up by the index on the deadline, as it may in a small table:
//! a row whose deadline is moved at that moment would be missed.

use ampoule_core::{Error, ErrorKind};

pub(crate) struct Statements {
    pub(crate) schema: String,
    pub(crate) get: String,
    pub(crate) insert: String,
    pub(crate) take_over: String,
    pub(crate) replace: String,
    pub(crate) overwrite: String,
    pub(crate) has_version: String,
    pub(crate) has_deadline: String,
    pub(crate) touch: String,
    pub(crate) delete: String,
    pub(crate) delete_version: String,
    pub(crate) tagged: String,
    pub(crate) scan: String,
    pub(crate) sweep: String,
}

impl Statements {
    pub(crate) fn new(table: &str) -> Result<Statements, Error> {
        let table = quoted(table)?;
        let set = "version = ?, deadline = ?, tag = ?, value = ?";
        let insert = format!("INSERT INTO {table} (id, version, deadline, tag, value) VALUES (?, ?, ?, ?, ?)");
        Ok(Statements {
            schema: format!(
                "CREATE TABLE IF NOT EXISTS {table} (id BINARY(32) NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
                 deadline BIGINT NOT NULL, tag BINARY(32), value LONGBLOB NOT NULL, \
                 INDEX deadline (deadline), INDEX tag (tag)) ENGINE=InnoDB"
            ),
            get: format!("SELECT value, version, deadline FROM {table} WHERE id = ? AND deadline + 0 > ?"),
            take_over: format!("UPDATE {table} SET {set} WHERE id = ? AND deadline + 0 <= ?"),
            replace: format!("UPDATE {table} SET {set} WHERE id = ? AND version = ? AND deadline + 0 > ?"),
            overwrite: format!("{insert} ON DUPLICATE KEY UPDATE {set}"),
            insert,
            has_version: format!("SELECT 1 FROM {table} WHERE id = ? AND version = ?"),
            has_deadline: format!("SELECT 1 FROM {table} WHERE id = ? AND deadline = ?"),
            touch: format!("UPDATE {table} SET deadline = ? WHERE id = ? AND deadline + 0 > ?"),
            delete: format!("DELETE FROM {table} WHERE id = ? AND deadline + 0 > ?"),
            delete_version: format!("DELETE FROM {table} WHERE id = ? AND deadline + 0 > ? AND version = ?"),
            tagged: format!("SELECT id FROM {table} WHERE tag = ? AND deadline > ?"),
            scan: format!("SELECT id FROM {table} WHERE id > ? AND deadline > ? ORDER BY id LIMIT ?"),
            sweep: format!("DELETE FROM {table} WHERE deadline <= ? ORDER BY deadline LIMIT ?"),
        })
    }
}

/// The table's name in backquotes, with that of its database if it has one.
fn quoted(table: &str) -> Result<String, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let parts: Vec<&str> = table.split('.').collect();
    if parts.len() <= 2 && parts.iter().all(|part| (1..=64).contains(&part.len()) && part.bytes().all(good)) {
        return Ok(parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join("."));
    }
    let message = format!(
        "`{table}` is no name for a table: expected 1 to 64 letters, digits or underscores, and a database before it if need be"
    );
    Err(Error::new(ErrorKind::Config, message))
}
