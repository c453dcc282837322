//! All statements. Each is atomic.

use ampoule_core::{Bytes, Error, ErrorKind, Page, PutMode, StoreKey, Stored, Tag, Time, Version};
use rusqlite::{Connection, OptionalExtension, Params, params};

/// A row to write.
pub(crate) struct Row<'a> {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) tag: Option<Tag>,
    pub(crate) value: &'a [u8],
}

/// The statements for one table.
pub(crate) struct Statements {
    schema: String,
    get: String,
    create: String,
    replace: String,
    overwrite: String,
    touch: String,
    delete: String,
    delete_version: String,
    keys_with_tag: String,
    scan: String,
    sweep: String,
}

impl Statements {
    pub(crate) fn new(table: &str) -> Result<Statements, Error> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=63).contains(&table.len()) || !table.bytes().all(is_allowed) {
            let message = format!("invalid table name `{table}`: expected 1 to 63 letters, digits or underscores");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let insert = format!(
            "INSERT INTO \"{table}\" (id, version, deadline, tag, value) VALUES (?1, ?2, ?3, ?4, ?5) \
            ON CONFLICT (id) DO UPDATE SET version = ?2, deadline = ?3, tag = ?4, value = ?5"
        );
        Ok(Statements {
            schema: format!(
                "BEGIN IMMEDIATE; \
                 CREATE TABLE IF NOT EXISTS \"{table}\" (id BLOB PRIMARY KEY NOT NULL, version INTEGER NOT NULL, \
                 deadline INTEGER NOT NULL, tag BLOB, value BLOB NOT NULL) STRICT; \
                 CREATE INDEX IF NOT EXISTS \"{table}_deadline\" ON \"{table}\" (deadline); \
                 CREATE INDEX IF NOT EXISTS \"{table}_tag\" ON \"{table}\" (tag) WHERE tag IS NOT NULL; \
                 COMMIT;"
            ),
            get: format!("SELECT value, version, deadline FROM \"{table}\" WHERE id = ?1 AND deadline > ?2"),
            create: format!("{insert} WHERE \"{table}\".deadline <= ?6"),
            replace: format!(
                "UPDATE \"{table}\" SET version = ?2, deadline = ?3, tag = ?4, value = ?5 \
                 WHERE id = ?1 AND version = ?6 AND deadline > ?7"
            ),
            overwrite: insert,
            touch: format!(
                "UPDATE \"{table}\" SET deadline = max(deadline, ?3) WHERE id = ?1 AND version = ?2 AND deadline > ?4"
            ),
            delete: format!("DELETE FROM \"{table}\" WHERE id = ?1 RETURNING deadline > ?2"),
            delete_version: format!("DELETE FROM \"{table}\" WHERE id = ?1 AND deadline > ?2 AND version = ?3"),
            keys_with_tag: format!("SELECT id FROM \"{table}\" WHERE tag = ?1 AND deadline > ?2"),
            scan: format!("SELECT id FROM \"{table}\" WHERE id > ?1 AND deadline > ?2 ORDER BY id LIMIT ?3"),
            sweep: format!(
                "DELETE FROM \"{table}\" WHERE rowid IN \
                 (SELECT rowid FROM \"{table}\" WHERE deadline <= ?1 ORDER BY deadline LIMIT ?2)"
            ),
        })
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn get(&self, sql: &Connection, key: StoreKey, now: Time) -> rusqlite::Result<Option<Stored>> {
        let mut statement = sql.prepare_cached(&self.get)?;
        let row = statement.query_row(params![key.as_bytes(), millis(now)], |row| {
            Ok(Stored {
                value: Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?),
                version: Version(row.get::<_, i64>(1)?.cast_unsigned()),
                deadline: Time::from_millis(row.get::<_, i64>(2)?.cast_unsigned()),
            })
        });
        row.optional()
    }

    /// Writes the row if the key is absent or has expired.
    pub(crate) fn create(&self, sql: &Connection, row: &Row<'_>, now: Time) -> rusqlite::Result<bool> {
        let tag = row.tag.as_ref().map(Tag::as_bytes);
        let (version, deadline) = (row.version.0.cast_signed(), millis(row.deadline));
        changes(sql, &self.create, params![row.key.as_bytes(), version, deadline, tag, row.value, millis(now)])
    }

    pub(crate) fn replace(&self, sql: &Connection, row: &Row<'_>, old: Version, now: Time) -> rusqlite::Result<bool> {
        let tag = row.tag.as_ref().map(Tag::as_bytes);
        let (version, deadline) = (row.version.0.cast_signed(), millis(row.deadline));
        let old = old.0.cast_signed();
        changes(sql, &self.replace, params![row.key.as_bytes(), version, deadline, tag, row.value, old, millis(now)])
    }

    pub(crate) fn overwrite(&self, sql: &Connection, row: &Row<'_>) -> rusqlite::Result<bool> {
        let tag = row.tag.as_ref().map(Tag::as_bytes);
        let (version, deadline) = (row.version.0.cast_signed(), millis(row.deadline));
        changes(sql, &self.overwrite, params![row.key.as_bytes(), version, deadline, tag, row.value])
    }

    /// Does what a put with no lifetime does: removes the row under the condition of the mode.
    pub(crate) fn remove(&self, sql: &Connection, key: StoreKey, mode: PutMode, now: Time) -> rusqlite::Result<bool> {
        match mode {
            PutMode::Replace(version) => {
                let version = version.0.cast_signed();
                changes(sql, &self.delete_version, params![key.as_bytes(), millis(now), version])
            }
            PutMode::Create => Ok(self.get(sql, key, now)?.is_none()),
            PutMode::Always => self.delete(sql, key, now).map(|_| true),
        }
    }

    /// Moves the deadline, but never to an earlier moment.
    pub(crate) fn touch(
        &self,
        sql: &Connection,
        key: StoreKey,
        version: Version,
        deadline: Time,
        now: Time,
    ) -> rusqlite::Result<bool> {
        let version = version.0.cast_signed();
        changes(sql, &self.touch, params![key.as_bytes(), version, millis(deadline), millis(now)])
    }

    /// Deletes the row, and returns whether it was live. An expired row is deleted too, since it would live again if
    /// the clock is set back.
    pub(crate) fn delete(&self, sql: &Connection, key: StoreKey, now: Time) -> rusqlite::Result<bool> {
        let mut statement = sql.prepare_cached(&self.delete)?;
        let deleted = statement.query_row(params![key.as_bytes(), millis(now)], |row| row.get(0));
        deleted.optional().map(Option::unwrap_or_default)
    }

    pub(crate) fn keys_with_tag(&self, sql: &Connection, tag: Tag, now: Time) -> rusqlite::Result<Vec<StoreKey>> {
        keys(sql, &self.keys_with_tag, params![tag.as_bytes(), millis(now)])
    }

    pub(crate) fn scan(
        &self,
        sql: &Connection,
        after: Option<StoreKey>,
        now: Time,
        budget: usize,
    ) -> rusqlite::Result<Page> {
        let after = after.as_ref().map_or(&[][..], |key| &key.as_bytes()[..]);
        let limit = i64::try_from(budget).unwrap_or(i64::MAX);
        let keys = keys(sql, &self.scan, params![after, millis(now), limit])?;
        Ok(Page::ordered(keys, budget))
    }

    /// Deletes up to `limit` expired rows, and returns how many.
    pub(crate) fn sweep(&self, sql: &Connection, now: Time, limit: usize) -> rusqlite::Result<usize> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        sql.prepare_cached(&self.sweep)?.execute(params![millis(now), limit])
    }

    /// Returns freed pages to the file system, and whether more are left.
    pub(crate) fn shrink(&self, sql: &Connection, pages: u32) -> rusqlite::Result<bool> {
        let free = || sql.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get::<_, i64>(0));
        let before = free()?;
        if before == 0 {
            return Ok(false);
        }
        // The statement frees one page for each row that is read.
        let mut vacuum = sql.prepare_cached(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        // A database that the application created without auto_vacuum does not shrink.
        let after = free()?;
        Ok(after > 0 && after < before)
    }
}

fn changes(sql: &Connection, statement: &str, values: impl Params) -> rusqlite::Result<bool> {
    sql.prepare_cached(statement)?.execute(values).map(|rows| rows > 0)
}

fn keys(sql: &Connection, statement: &str, values: impl Params) -> rusqlite::Result<Vec<StoreKey>> {
    let mut statement = sql.prepare_cached(statement)?;
    let rows = statement.query_map(values, |row| row.get(0).map(StoreKey::new))?;
    rows.collect()
}

/// Returns the milliseconds of a time. It is at most the year 9999, so it is far from overflow.
fn millis(time: Time) -> i64 {
    time.as_millis().cast_signed()
}
