//! Every statement for one table. Each that changes rows returns them, so that their number is known.

use ampoule_core::{Error, ErrorKind, StoreKey};

pub(crate) struct Statements {
    pub(crate) table: String,
    /// Which advisory lock belongs to this table.
    pub(crate) turn: i64,
    pub(crate) schema: String,
    pub(crate) get: String,
    pub(crate) create: String,
    pub(crate) replace: String,
    pub(crate) overwrite: String,
    pub(crate) has_version: String,
    pub(crate) touch: String,
    pub(crate) delete: String,
    pub(crate) delete_version: String,
    pub(crate) tagged: String,
    pub(crate) scan: String,
    pub(crate) sweep: String,
}

impl Statements {
    pub(crate) fn new(schema: Option<&str>, name: &str) -> Result<Statements, Error> {
        for name in schema.into_iter().chain([name]) {
            check_name(name)?;
        }
        let table = schema.map_or_else(|| format!("\"{name}\""), |schema| format!("\"{schema}\".\"{name}\""));
        let turn = turn_of(&table);
        let insert = format!(
            "INSERT INTO {table} AS t (id, version, deadline, tag, value) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET version = $2, deadline = $3, tag = $4, value = $5"
        );
        Ok(Statements {
            turn,
            schema: schema_of(schema, name, &table, turn),
            get: format!("SELECT value, version, deadline FROM {table} WHERE id = $1 AND deadline > $2"),
            create: format!("{insert} WHERE t.deadline <= $6 RETURNING 1"),
            replace: format!(
                "UPDATE {table} SET version = $2, deadline = $3, tag = $4, value = $5 \
                 WHERE id = $1 AND version = $6 AND deadline > $7 RETURNING 1"
            ),
            overwrite: format!("{insert} RETURNING 1"),
            has_version: format!("SELECT 1 FROM {table} WHERE id = $1 AND version = $2"),
            touch: format!("UPDATE {table} SET deadline = $2 WHERE id = $1 AND deadline > $3 RETURNING 1"),
            delete: format!("DELETE FROM {table} WHERE id = $1 AND deadline > $2 RETURNING 1"),
            delete_version: format!("DELETE FROM {table} WHERE id = $1 AND deadline > $2 AND version = $3 RETURNING 1"),
            tagged: format!("SELECT id FROM {table} WHERE tag = $1 AND deadline > $2"),
            scan: format!("SELECT id FROM {table} WHERE id > $1 AND deadline > $2 ORDER BY id LIMIT $3"),
            // One node sweeps at a time; rows that somebody is writing are left for the next time.
            sweep: format!(
                "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine), \
                 dead AS MATERIALIZED (SELECT t.id FROM {table} AS t, turn WHERE turn.mine AND t.deadline <= $2 \
                 ORDER BY t.deadline LIMIT $3 FOR UPDATE OF t SKIP LOCKED) \
                 DELETE FROM {table} AS t USING dead WHERE t.id = dead.id RETURNING 1"
            ),
            table,
        })
    }
}

/// The lock keeps processes that start at once from making the table twice.
fn schema_of(schema: Option<&str>, name: &str, table: &str, turn: i64) -> String {
    let make_schema = schema.map(|schema| format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"; ")).unwrap_or_default();
    format!(
        "BEGIN; SELECT pg_advisory_xact_lock({turn}); {make_schema}\
         CREATE TABLE IF NOT EXISTS {table} (id bytea PRIMARY KEY, version bigint NOT NULL, \
         deadline bigint NOT NULL, tag bytea, value bytea NOT NULL); \
         CREATE INDEX IF NOT EXISTS \"{name}_deadline\" ON {table} (deadline); \
         CREATE INDEX IF NOT EXISTS \"{name}_tag\" ON {table} (tag) WHERE tag IS NOT NULL; \
         COMMIT;"
    )
}

fn check_name(name: &str) -> Result<(), Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=50).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    let message = format!("`{name}` is no name for a table or schema: expected 1 to 50 letters, digits or underscores");
    Err(Error::new(ErrorKind::Config, message))
}

fn turn_of(table: &str) -> i64 {
    let digest = StoreKey::digest(format!("ampoule {table}").as_bytes());
    digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}
