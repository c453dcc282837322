//! The stores that are measured, and the subjects with which each is compared.

use std::path::Path;

use ampoule::Durability;
use ampoule_test_servers::{Kind, Server};
use tempfile::TempDir;

use crate::ours::Ours;
use crate::peers::{axum_session, tower_sessions};
use crate::raw::file::RawFiles;
use crate::raw::mysql::RawMySql;
use crate::raw::postgres::RawPostgres;
use crate::raw::sqlite::RawSqlite;
use crate::rounds::{self, Effort, Operation, Subject};
use crate::table::{self, Row};

/// A folder in memory on Linux.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Prints the table of all stores, or of those whose names contain `only`.
pub async fn print(effort: Effort, only: Option<&str>) {
    let only = only.unwrap_or_default().to_lowercase();
    let wanted = |name: &str| name.to_lowercase().contains(&only);
    table::print_head();
    for durability in [Durability::None, Durability::Process, Durability::Power] {
        let name = format!("SQLite, durability {}", durability.name());
        if wanted(&name) {
            sqlite(&name, durability, effort).await;
        }
    }
    for (name, kind) in [("PostgreSQL", Kind::PostgresDurable), ("PostgreSQL without fsync", Kind::Postgres)] {
        if wanted(name) {
            postgres(name, kind, effort).await;
        }
    }
    for (name, kind) in [("MariaDB", Kind::MariaDbDurable), ("MariaDB without fsync", Kind::MariaDb)] {
        if wanted(name) {
            mariadb(name, kind, effort).await;
        }
    }
    for (place, durability) in
        [("memory", Durability::Process), ("disk", Durability::Process), ("disk", Durability::Power)]
    {
        let name = format!("files, {place}, durability {}", durability.name());
        if wanted(&name) {
            files(&name, place == "memory", durability, effort).await;
        }
    }
}

/// Creates a folder on a disk: next to this program, since the system's temporary folder may be in memory.
pub fn folder() -> TempDir {
    let program = std::env::current_exe().expect("the path of this program");
    let parent = program.parent().unwrap_or(Path::new("."));
    tempfile::tempdir_in(parent).expect("a temporary folder")
}

async fn sqlite(name: &str, durability: Durability, effort: Effort) {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    let url = format!("sqlite:{}", file("ours.db").display());
    let mut subjects = vec![
        Ours::at(&url, durability).await,
        RawSqlite::at(&file("raw.db"), durability),
        tower_sessions::sqlite(&file("tower_sessions.db"), durability).await,
        axum_session::sqlite(&file("axum_session.db"), durability).await,
    ];
    print_rows(name, &mut subjects, effort).await;
}

async fn postgres(name: &str, kind: Kind, effort: Effort) {
    let Some(server) = Server::start(kind) else { return table::print_missing(name) };
    let url = server.url();
    let mut subjects = vec![
        Ours::at(url, Durability::default()).await,
        RawPostgres::at(url).await,
        tower_sessions::postgres(url).await,
        axum_session::postgres(url).await,
    ];
    print_rows(name, &mut subjects, effort).await;
}

async fn mariadb(name: &str, kind: Kind, effort: Effort) {
    let Some(server) = Server::start(kind) else { return table::print_missing(name) };
    let url = server.url();
    let mut subjects = vec![
        Ours::at(url, Durability::default()).await,
        RawMySql::at(url).await,
        tower_sessions::mysql(url).await,
        axum_session::mysql(url).await,
    ];
    print_rows(name, &mut subjects, effort).await;
}

async fn files(name: &str, in_memory: bool, durability: Durability, effort: Effort) {
    let folder = if in_memory { tempfile::tempdir_in(MEMORY_FOLDER) } else { Ok(folder()) };
    let Ok(folder) = folder else { return table::print_missing(name) };
    let url = format!("file:{}", folder.path().join("ours").display());
    let mut subjects = vec![Ours::at(&url, durability).await, RawFiles::at(&folder.path().join("raw"), durability)];
    print_rows(name, &mut subjects, effort).await;
}

async fn print_rows(store: &str, subjects: &mut [Box<dyn Subject>], effort: Effort) {
    for operation in Operation::ALL {
        let times = rounds::measure(subjects, operation, effort).await;
        table::print(&Row { store, operation, times: &times });
    }
}
