//! The source of the sessions: an ini file, or the URL of a store.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampoule::inspect::State;
use ampoule::store::{self, Record, Store, StoreKey, StoreOptions, Tag};
use ampoule::{Error, ErrorKind, SessionId};
use ampoule_deploy::{Registry, load_with_environment};
use futures_util::TryStreamExt;

use super::entry::{SessionEntry, read_entries};
use super::row::{HOST_PREFIX, without_prefix};
use super::walk::Walk;
use crate::site::environment;
use crate::text::clean_line;
use crate::{Failure, ini_file};

/// The suffix of a sealed store's description.
const SEALED: &str = ", sealed";

/// The maximum number of repetitions of a search for a principal's sessions.
pub(super) const MAX_ROUNDS: usize = 64;

/// The arguments that select the store.
#[derive(clap::Args)]
pub(super) struct Source {
    /// The ini file that configures the sessions. Default: development.ini.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "url")]
    ini: Option<PathBuf>,
    /// The app of the file: [app:NAME].
    #[arg(long, global = true, default_value = "main")]
    name: String,
    /// Only the sessions of the layer with this cookie name; sweep ignores it. With --url, a principal's sessions are
    /// then found without reading all sessions.
    #[arg(long, global = true, value_name = "COOKIE")]
    session: Option<String>,
    /// The URL of the store, such as file:data/sessions or postgres://user@host/database.
    #[arg(long, global = true)]
    url: Option<String>,
}

/// A store, and the selected layers.
pub(super) struct Selection {
    pub(super) store: Arc<dyn Store>,
    /// The cookie names of the layers; empty if they are not known.
    layers: Vec<String>,
    /// The layer of `--session`.
    only: Option<String>,
}

/// A search for the sessions of a principal in these layers.
pub(super) struct Principal<'a> {
    store: &'a dyn Store,
    name: &'a str,
    layers: Vec<String>,
    /// Sessions that were listed, but had ended when they were read.
    ended: HashSet<SessionId>,
}

impl Selection {
    /// Whether the session's layer is selected.
    pub(super) fn includes(&self, record: &Record) -> bool {
        self.only.as_deref().is_none_or(|only| is_named(record.layer(), only))
    }

    /// Whether the entry may be selected. The layer of a damaged session is not known, so it may be.
    pub(super) fn may_include(&self, entry: &SessionEntry) -> bool {
        match &entry.state {
            State::Session(record) => self.includes(record),
            State::Damaged(_) => true,
        }
    }

    /// Returns the ids of selected sessions. If one layer is selected, damaged sessions are not included.
    pub(super) async fn included(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>, Error> {
        if self.only.is_none() {
            return Ok(ids);
        }
        let mut entries = read_entries(&*self.store, ids);
        let mut meant = Vec::new();
        while let Some(entry) = entries.try_next().await? {
            if let Some(SessionEntry { id, state: State::Session(record), .. }) = entry
                && self.includes(&record)
            {
                meant.push(id);
            }
        }
        Ok(meant)
    }

    /// ` of the layer shop`, if one is selected.
    pub(super) fn of_layer(&self) -> String {
        self.only.as_ref().map(|only| format!(" of the layer {}", clean_line(only))).unwrap_or_default()
    }

    /// Starts a search for a principal's sessions. If the layers are not known, all sessions are read to find them.
    pub(super) async fn principal<'a>(&'a self, name: &'a str) -> Result<Principal<'a>, Error> {
        let layers = if self.layers.is_empty() { self.all_layers().await? } else { self.layers.clone() };
        Ok(Principal { store: &*self.store, name, layers, ended: HashSet::new() })
    }

    /// Returns the layers of all sessions. A session that ended between being listed and being read may have been
    /// replaced by a login whose session the scan missed. So the scan is repeated once, and again until a layer is
    /// found.
    async fn all_layers(&self) -> Result<Vec<String>, Error> {
        let (mut layers, mut ended) = (BTreeSet::new(), HashSet::new());
        for round in 0..MAX_ROUNDS {
            let is_stale = self.add_layers(&mut layers, &mut ended).await?;
            if !is_stale || (round > 0 && !layers.is_empty()) {
                break;
            }
        }
        Ok(layers.into_iter().collect())
    }

    /// Scans the store once. Returns whether a session had ended that was not known to have ended.
    async fn add_layers(&self, layers: &mut BTreeSet<String>, ended: &mut HashSet<SessionId>) -> Result<bool, Error> {
        let mut is_stale = false;
        let mut walk = Walk::from(&*self.store, None);
        while let Some(page) = walk.page().await? {
            let mut entries = read_entries(&*self.store, page.clone());
            for id in page {
                match entries.try_next().await?.flatten().map(|entry| entry.state) {
                    None => is_stale |= ended.insert(id),
                    Some(State::Session(record)) if !layers.contains(record.layer()) => {
                        layers.insert(record.layer().to_owned());
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(is_stale)
    }
}

impl Principal<'_> {
    /// Returns the principal's sessions. Different principals may share a tag, so each record is read; a damaged one is
    /// included.
    ///
    /// A session that ended between being listed and being read may have been replaced by a login that the list misses,
    /// so the list is repeated.
    pub(super) async fn sessions(&mut self) -> Result<Vec<SessionId>, Error> {
        for _ in 0..MAX_ROUNDS {
            let listed = self.tagged().await?;
            let mut entries = read_entries(self.store, listed.clone());
            let (mut ids, mut is_stale) = (Vec::new(), false);
            for id in listed {
                match entries.try_next().await?.flatten() {
                    None => is_stale |= self.ended.insert(id),
                    Some(entry) if is_of(self.name, &entry) => ids.push(id),
                    Some(_) => {}
                }
            }
            if !is_stale {
                return Ok(ids);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal logs in faster than its sessions can be listed"))
    }

    async fn tagged(&self) -> Result<Vec<SessionId>, Error> {
        let mut ids = Vec::new();
        for layer in &self.layers {
            let keys = self.store.keys_with_tag(Tag::of_principal(layer, self.name)).await?;
            ids.extend(keys.iter().filter_map(StoreKey::session_id));
        }
        Ok(ids)
    }
}

/// Whether the layer has this name: its cookie's, or the one in its ini file.
fn is_named(layer: &str, name: &str) -> bool {
    layer == name || without_prefix(layer) == name
}

fn is_of(principal: &str, entry: &SessionEntry) -> bool {
    match &entry.state {
        State::Session(record) => record.principal() == Some(principal),
        State::Damaged(_) => true,
    }
}

impl Source {
    /// Opens the store.
    pub(super) fn open(&self, registry: &Registry) -> Result<Selection, Failure> {
        let opened = match &self.url {
            Some(url) => {
                check_exists(url)?;
                let store = store::open(url, &StoreOptions::default())?;
                let names = self.session.iter().flat_map(|name| [name.clone(), format!("{HOST_PREFIX}{name}")]);
                Selection { store, layers: names.collect(), only: self.session.clone() }
            }
            None => self.load_file(ini_file(self.ini.as_deref())?, registry)?,
        };
        reject_memory(&*opened.store)?;
        Ok(opened)
    }

    /// Opens the store to copy to: a URL, or an ini file, which may also configure sealing.
    pub(super) fn open_target(&self, to: &str, registry: &Registry) -> Result<Arc<dyn Store>, Failure> {
        let store = match Path::new(to).is_file() {
            true => self.load_file(Path::new(to), registry)?.store,
            false => store::open(to, &StoreOptions::default())?,
        };
        reject_memory(&*store)?;
        Ok(store)
    }

    fn load_file(&self, file: &Path, registry: &Registry) -> Result<Selection, Failure> {
        let layers = load_with_environment(file, &self.name, &[], environment(), registry)?.sessions;
        let wanted = |cookie: &str| self.session.as_deref().is_none_or(|session| is_named(cookie, session));
        let mut stores: Vec<(String, Arc<dyn Store>)> = Vec::new();
        let mut names = Vec::new();
        for layer in &layers {
            let description = layer.describe();
            let Some(store) = layer.store().filter(|_| wanted(layer.name())) else { continue };
            names.push(layer.name().to_owned());
            if stores.iter().all(|(_, other)| other.describe() != store.describe()) {
                stores.push((description, store));
            }
        }
        match stores.pop() {
            Some((_, store)) if stores.is_empty() => Ok(Selection { store, layers: names, only: self.session.clone() }),
            Some(last) => {
                Err(self.ambiguous_store(file, stores.into_iter().chain([last]).map(|(description, _)| description)))
            }
            None => Err(self.no_store(file, &layers.iter().map(|layer| layer.describe()).collect::<Vec<_>>())),
        }
    }

    fn ambiguous_store(&self, file: &Path, stores: impl Iterator<Item = String>) -> Failure {
        let list: Vec<String> = stores.map(|description| format!("\n{description}")).collect();
        let message = "keeps sessions in several stores; choose one with --session COOKIE or --url URL:";
        Failure(format!("[app:{}] of {} {message}{}", self.name, file.display(), list.concat()))
    }

    fn no_store(&self, file: &Path, layers: &[String]) -> Failure {
        let app = format!("[app:{}] of {}", self.name, file.display());
        let list: String = layers.iter().map(|description| format!("\n{description}")).collect();
        match &self.session {
            _ if layers.is_empty() => Failure(format!("{app} has no session filter; name a store with --url")),
            Some(session) => {
                Failure(format!("{app} keeps no sessions of a cookie `{session}` in a store; it has:{list}"))
            }
            None => Failure(format!("{app} keeps its sessions in cookies, on the clients: there is no store")),
        }
    }
}

/// Refuses the URL of a file that does not exist. A store would create it, which is right for a site but not for a
/// tool.
pub(crate) fn check_exists(url: &str) -> Result<(), Failure> {
    let Some(path) = store::file_path(url)? else { return Ok(()) };
    let (there, path) = (path.try_exists(), path.display());
    match there {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure(format!("{path} does not exist: expected a store with sessions"))),
        Err(error) => Err(Failure(format!("{path} cannot be reached: {error}"))),
    }
}

fn reject_memory(store: &dyn Store) -> Result<(), Failure> {
    match store.describe().starts_with("memory") {
        true => Err(Failure(
            "these sessions are in the memory of the serving process, which no other process can reach".into(),
        )),
        false => Ok(()),
    }
}

/// Whether the store's server removes expired values itself.
pub(super) fn expires_by_itself(store: &dyn Store) -> bool {
    ["Redis", "Valkey", "memcached"].iter().any(|engine| store.describe().starts_with(engine))
}

/// Whether the store's deadlines refer to the clock of its database.
pub(super) fn has_own_clock(store: &dyn Store) -> bool {
    ["PostgreSQL", "MySQL"].iter().any(|engine| store.describe().starts_with(engine))
}

/// Whether the store encrypts values.
pub(super) fn is_sealed(store: &dyn Store) -> bool {
    store.describe().ends_with(SEALED)
}

/// Whether two stores are the same, sealed or not.
pub(super) fn same_store(one: &dyn Store, other: &dyn Store) -> bool {
    one.describe().trim_end_matches(SEALED) == other.describe().trim_end_matches(SEALED)
}
