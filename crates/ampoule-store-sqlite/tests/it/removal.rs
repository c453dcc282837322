//! A file that is removed or replaced while it is in use is detected, and new files and folders are private.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use ampoule_core::conformance::workload::{WorkloadReport, run_workload};
use ampoule_core::{Entry, Error, ErrorKind, PutMode, PutResult, Store, StoreKey};
use ampoule_store_sqlite::rusqlite_0::Connection;
use ampoule_store_sqlite::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

fn key(number: u64) -> StoreKey {
    StoreKey::digest(&number.to_le_bytes())
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).unwrap()
}

async fn create(store: &SqliteStore, number: u64) -> Result<(), Error> {
    let entry = Entry { value: number.to_string().into(), lifetime: Duration::from_secs(3_600), tag: None };
    match store.put(key(number), entry, PutMode::Create).await? {
        PutResult::Stored(_) => Ok(()),
        PutResult::Conflict => panic!("a conflict for the new key {number}"),
    }
}

fn remove(path: &Path, with_companions: bool) {
    fs::remove_file(path).unwrap();
    if with_companions {
        ["-wal", "-shm"].iter().for_each(|suffix| fs::remove_file(format!("{}{suffix}", path.display())).unwrap());
    }
}

fn rows(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM ampoule_sessions", [], |row| row.get(0)).unwrap()
}

fn assert_gone<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().ends_with("was removed or replaced while it was in use"), "{error}");
}

#[tokio::test]
async fn p7_a_removed_database_is_detected_and_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    for with_companions in [false, true] {
        let (one, other) = (open(&path), open(&path));
        create(&one, 1).await.unwrap();
        remove(&path, with_companions);
        assert_gone(create(&one, 2).await);
        create(&one, 2).await.unwrap();
        assert_gone(other.get(key(1)).await);
        assert!(other.get(key(1)).await.unwrap().is_none(), "the removed session is lost");
        assert!(other.get(key(2)).await.unwrap().is_some(), "both use the new file");
        create(&other, 3).await.unwrap();
        assert!(one.get(key(3)).await.unwrap().is_some());
        assert_eq!(rows(&path), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop((one, other));
        fs::remove_file(&path).unwrap();
    }
}

/// A backup is renamed into place: its sessions are found, and the log of the old database is not applied to it.
#[tokio::test]
async fn p7_a_replaced_database_is_detected_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = (dir.path().join("sessions.db"), dir.path().join("backup.db"));
    create(&open(&backup), 7).await.unwrap();
    let (one, other) = (open(&path), open(&path));
    for number in 0..200 {
        create(&one, 1_000 + number).await.unwrap();
    }
    fs::rename(&backup, &path).unwrap();
    assert_gone(one.get(key(7)).await);
    assert!(one.get(key(7)).await.unwrap().is_some());
    assert_gone(create(&other, 8).await);
    create(&other, 8).await.unwrap();
    drop((one, other));
    assert_eq!(rows(&path), 2);
    let check: String =
        Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// No write that was acknowledged after the removal is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p7_stores_that_detect_a_removal_concurrently_agree_on_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.db");
    let stores: Vec<_> = (0..4).map(|_| open(&path)).collect();
    for round in 0..5 {
        create(&stores[0], round).await.unwrap();
        remove(&path, round % 2 == 0);
        let mut detecting = JoinSet::new();
        for store in stores.clone() {
            detecting.spawn(async move { assert_gone(store.get(key(1)).await) });
        }
        detecting.join_all().await;
        let report = JoinSet::from_iter(
            (0..4)
                .zip(stores.clone())
                .map(|(seed, store)| async move { run_workload(&store, seed, Duration::from_millis(150)).await }),
        );
        let report = WorkloadReport::sum(report.join_all().await);
        assert_eq!((report.lost, report.revived, report.refused), (0, 0, 0), "{report}");
        for (number, store) in (100 + round * 4..).zip(&stores) {
            create(store, number).await.unwrap();
            for other in &stores {
                assert!(other.get(key(number)).await.unwrap().is_some(), "the stores use different files");
            }
        }
    }
}

#[test]
fn p7_stores_that_create_a_database_concurrently_all_open_it() {
    for _ in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.db");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    open(&path)
                });
            }
        });
    }
}

#[tokio::test]
async fn folders_above_the_file_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let is_root = dir.path().metadata().unwrap().uid() == 0;
    if is_root {
        chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
    }
    let folder = dir.path().join("data/sessions");
    let store = open(&folder.join("sessions.db"));
    store.ping().await.unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    for path in files.chain([folder.clone(), dir.path().join("data")]) {
        let owner = fs::metadata(&path).unwrap().uid();
        assert!(
            !is_root || owner == 65_534,
            "{} belongs to {owner}, not to the owner of the folder above",
            path.display()
        );
    }
}
