//! Where the store comes from: an ini file, or a URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampoule::store::{self, Store, StoreOptions};
use ampoule_deploy::{Registry, load};

use crate::{Failure, ini_file};

/// What a store that seals says of itself, behind where it is.
const SEALED: &str = ", sealed";

/// Which store is meant.
#[derive(clap::Args)]
pub(super) struct Source {
    /// The ini file whose sessions are meant; development.ini, if it is there.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "url")]
    ini: Option<PathBuf>,
    /// Which app of the file: [app:NAME].
    #[arg(long, global = true, default_value = "main")]
    name: String,
    /// Which sessions, where the app has several in different stores: by the name of their cookie.
    #[arg(long, global = true, value_name = "COOKIE")]
    session: Option<String>,
    /// The store itself, such as file:data/sessions or postgres://user@host/database.
    #[arg(long, global = true)]
    url: Option<String>,
}

impl Source {
    /// The store to work on.
    pub(super) fn open(&self, registry: &Registry) -> Result<Arc<dyn Store>, Failure> {
        let store = match &self.url {
            Some(url) => {
                is_there(url)?;
                store::open(url, &StoreOptions::default())?
            }
            None => self.of_file(ini_file(self.ini.as_deref())?, registry)?,
        };
        not_memory(&*store)?;
        Ok(store)
    }

    /// The store to copy to: at a URL, or that of an ini file, which says how values are sealed too.
    pub(super) fn open_target(&self, to: &str, registry: &Registry) -> Result<Arc<dyn Store>, Failure> {
        let store = match Path::new(to).is_file() {
            true => self.of_file(Path::new(to), registry)?,
            false => store::open(to, &StoreOptions::default())?,
        };
        not_memory(&*store)?;
        Ok(store)
    }

    fn of_file(&self, file: &Path, registry: &Registry) -> Result<Arc<dyn Store>, Failure> {
        let layers = load(file, &self.name, &[], registry)?.sessions;
        let wanted = |cookie: &str| self.session.as_deref().is_none_or(|session| session == cookie);
        let mut stores: Vec<(String, Arc<dyn Store>)> = Vec::new();
        for layer in &layers {
            let description = layer.describe();
            let cookie = description.split(": ").next().unwrap_or_default();
            let Some(store) = layer.store().filter(|_| wanted(cookie)) else { continue };
            if stores.iter().all(|(_, other)| other.describe() != store.describe()) {
                stores.push((description, store));
            }
        }
        match stores.pop() {
            Some((_, store)) if stores.is_empty() => Ok(store),
            Some(last) => Err(self.several(file, stores.into_iter().chain([last]).map(|(description, _)| description))),
            None => Err(self.none(file, &layers.iter().map(|layer| layer.describe()).collect::<Vec<_>>())),
        }
    }

    fn several(&self, file: &Path, stores: impl Iterator<Item = String>) -> Failure {
        let list: Vec<String> = stores.map(|description| format!("\n{description}")).collect();
        let message = "keeps sessions in several stores; choose one with --session COOKIE or --url URL:";
        Failure(format!("[app:{}] of {} {message}{}", self.name, file.display(), list.concat()))
    }

    fn none(&self, file: &Path, layers: &[String]) -> Failure {
        let app = format!("[app:{}] of {}", self.name, file.display());
        let list: String = layers.iter().map(|description| format!("\n{description}")).collect();
        match &self.session {
            _ if layers.is_empty() => Failure(format!("{app} has no session filter; name a store with --url")),
            Some(session) => {
                Failure(format!("{app} keeps no sessions of a cookie `{session}` in a store; it has:{list}"))
            }
            None => Failure(format!(
                "{app} keeps its sessions in their cookies, with the clients: there is no store to look into"
            )),
        }
    }
}

/// Files are made where there are none, which is right for who serves and wrong for who looks.
pub(crate) fn is_there(url: &str) -> Result<(), Failure> {
    let Some(path) = ["file:", "sqlite:"].iter().find_map(|scheme| url.strip_prefix(scheme)) else { return Ok(()) };
    let path = path.strip_prefix("//").unwrap_or(path);
    match path.is_empty() || Path::new(path).exists() {
        true => Ok(()),
        false => Err(Failure(format!("there is nothing at {path}: expected a store that has sessions"))),
    }
}

fn not_memory(store: &dyn Store) -> Result<(), Failure> {
    match store.describe().starts_with("memory") {
        true => {
            Err(Failure("sessions in memory are in that of the process that serves: no other can reach them".into()))
        }
        false => Ok(()),
    }
}

/// Whether its engine forgets what has expired by itself.
pub(super) fn expires_by_itself(store: &dyn Store) -> bool {
    ["Redis", "Valkey", "memcached"].iter().any(|engine| store.describe().starts_with(engine))
}

/// Whether it encrypts what it is given.
pub(super) fn is_sealed(store: &dyn Store) -> bool {
    store.describe().ends_with(SEALED)
}

/// Whether two stores keep their values in one place, sealed or not.
pub(super) fn same_place(one: &dyn Store, other: &dyn Store) -> bool {
    one.describe().trim_end_matches(SEALED) == other.describe().trim_end_matches(SEALED)
}
