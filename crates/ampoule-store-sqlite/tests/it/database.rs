//! The database file: shared, locked, of another program, private, and shrinking.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Bytes, Entry, ErrorKind, ManualClock, PutMode, PutResult, Store, StoreKey};
use ampoule_store_sqlite::rusqlite_0::Connection;
use ampoule_store_sqlite::{Durability, SqliteOptions, SqliteStore};

fn entry(size: usize, lifetime: Duration) -> Entry {
    Entry { value: Bytes::from(vec![7; size]), lifetime, tag: None }
}

fn open(path: &std::path::Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

const FOREVER: Duration = Duration::MAX;

/// Each of the store's connections would have a separate database.
#[test]
fn a_database_without_a_file_is_refused() {
    for path in [":memory:", ""] {
        let error = SqliteStore::open(path, SqliteOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("MemoryStore"), "{error}");
    }
}

#[tokio::test]
async fn two_stores_share_a_file_that_survives_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let key = StoreKey::digest(b"shared");
    {
        let (one, other) = (open(&path), open(&path));
        assert!(matches!(one.put(key, entry(1, FOREVER), PutMode::Create).await.unwrap(), PutResult::Stored(_)));
        assert_eq!(other.put(key, entry(2, FOREVER), PutMode::Create).await.unwrap(), PutResult::Conflict);
    }
    assert_eq!(open(&path).get(key).await.unwrap().unwrap().value.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_blocks_no_reader_and_is_a_timeout_for_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let options = SqliteOptions { lock_wait: Duration::from_millis(200), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).unwrap();
    let key = StoreKey::digest(b"locked");
    let _ = store.put(key, entry(1, FOREVER), PutMode::Create).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.get(key).await.unwrap().is_some(), "a reader does not wait for a writer");
    let error = store.put(key, entry(2, FOREVER), PutMode::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(store.put(key, entry(2, FOREVER), PutMode::Always).await.unwrap(), PutResult::Stored(_)));
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("letter.txt");
    let text = "Dear Ada, this is no database, and longer than the header of one would be. ".repeat(3);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path, SqliteOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let error = SqliteStore::open(path.join("folder.db"), SqliteOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for table in ["", "a b", "x\"; DROP TABLE y; --", &"t".repeat(64)] {
        let options = SqliteOptions { table: table.to_owned(), ..SqliteOptions::default() };
        let error = SqliteStore::open(dir.path().join("x.db"), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{table:?}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn all_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("sessions.db"));
    let _ = store.put(StoreKey::digest(b"x"), entry(1, FOREVER), PutMode::Create).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert!(files >= 2, "the database and its log");
}

#[tokio::test]
async fn p9_the_file_shrinks_when_sessions_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions { clock: clock.clone(), durability: Durability::None, ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).unwrap();
    let second = Duration::from_secs(1);
    for number in 0..2_000_u32 {
        let _ =
            store.put(StoreKey::digest(&number.to_le_bytes()), entry(2_000, second), PutMode::Create).await.unwrap();
    }
    let pages =
        || Connection::open(&path).unwrap().query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
    let full = pages();
    clock.advance(Duration::from_secs(2));
    while store.sweep(100).await.unwrap().more {}
    assert!(pages() < full / 2, "{} pages of {full} are left", pages());
}
