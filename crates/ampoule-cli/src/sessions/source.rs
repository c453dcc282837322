//! Where the store comes from: an ini file, or a URL.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampoule::inspect::State;
use ampoule::store::{self, Record, Store, StoreKey, StoreOptions, Tag};
use ampoule::{Error, ErrorKind, SessionId};
use ampoule_deploy::{Registry, load_with_environment};
use futures_util::TryStreamExt;

use super::look::{Look, look_all};
use super::row::{HOST_PREFIX, without_prefix};
use super::walk::Walk;
use crate::site::environment;
use crate::text::clean_line;
use crate::{Failure, ini_file};

/// What a store that seals says of itself, behind where it is.
const SEALED: &str = ", sealed";

/// How often the sessions of a principal are looked for again.
pub(super) const ROUNDS: usize = 64;

/// Which store is meant.
#[derive(clap::Args)]
pub(super) struct Source {
    /// The ini file whose sessions are meant; development.ini, if it is there.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "url")]
    ini: Option<PathBuf>,
    /// Which app of the file: [app:NAME].
    #[arg(long, global = true, default_value = "main")]
    name: String,
    /// Only the sessions of this layer, by the name of its cookie, for all but sweep. With --url it also finds a principal's
    /// sessions without reading all of them.
    #[arg(long, global = true, value_name = "COOKIE")]
    session: Option<String>,
    /// The store itself, such as file:data/sessions or postgres://user@host/database.
    #[arg(long, global = true)]
    url: Option<String>,
}

/// A store, and the layers whose sessions are meant.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    /// The names of their cookies; none where only the store is known.
    layers: Vec<String>,
    /// The one layer whose sessions are meant, if one was named.
    only: Option<String>,
}

/// A principal whose sessions are looked for, in these layers.
pub(super) struct Principal<'a> {
    store: &'a dyn Store,
    name: &'a str,
    layers: Vec<String>,
    /// What was listed once and had ended when it was read.
    ended: HashSet<SessionId>,
}

impl Opened {
    /// Whether a session is of a layer that is meant.
    pub(super) fn means(&self, record: &Record) -> bool {
        self.only.as_deref().is_none_or(|only| is_named(record.layer(), only))
    }

    /// The same of what was found. What is damaged does not say whose it is, and may be meant.
    pub(super) fn may_be_meant(&self, look: &Look) -> bool {
        match &look.state {
            State::Session(record) => self.means(record),
            State::Damaged(_) => true,
        }
    }

    /// Those of these sessions that are meant. Where one layer is, what is damaged is not.
    pub(super) async fn meant(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>, Error> {
        if self.only.is_none() {
            return Ok(ids);
        }
        let mut looks = look_all(&*self.store, ids);
        let mut meant = Vec::new();
        while let Some(look) = looks.try_next().await? {
            if let Some(Look { id, state: State::Session(record), .. }) = look
                && self.means(&record)
            {
                meant.push(id);
            }
        }
        Ok(meant)
    }

    /// ` of the layer shop`, if one was named.
    pub(super) fn of_layer(&self) -> String {
        self.only.as_ref().map(|only| format!(" of the layer {}", clean_line(only))).unwrap_or_default()
    }

    /// A principal of the layers that are meant. Where they are not known all sessions are read, to learn which there are.
    pub(super) async fn principal<'a>(&'a self, name: &'a str) -> Result<Principal<'a>, Error> {
        let layers = if self.layers.is_empty() { self.all_layers().await? } else { self.layers.clone() };
        Ok(Principal { store: &*self.store, name, layers, ended: HashSet::new() })
    }

    /// Those of all sessions. A session that was listed and has ended when it is read may have ended for a login whose own
    /// session came after the list, so then the store is gone through once more, and again until there is a layer.
    async fn all_layers(&self) -> Result<Vec<String>, Error> {
        let (mut layers, mut ended) = (BTreeSet::new(), HashSet::new());
        for round in 0..ROUNDS {
            let is_stale = self.add_layers(&mut layers, &mut ended).await?;
            if !is_stale || (round > 0 && !layers.is_empty()) {
                break;
            }
        }
        Ok(layers.into_iter().collect())
    }

    /// Says whether a session had ended that was not known to have.
    async fn add_layers(&self, layers: &mut BTreeSet<String>, ended: &mut HashSet<SessionId>) -> Result<bool, Error> {
        let mut is_stale = false;
        let mut walk = Walk::from(&*self.store, None);
        while let Some(page) = walk.page().await? {
            let mut looks = look_all(&*self.store, page.clone());
            for id in page {
                match looks.try_next().await?.flatten().map(|look| look.state) {
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
    /// Its sessions. A tag may name those of others too, so each record is read; one that is damaged counts.
    ///
    /// What was listed and has ended when it is read may have ended for a login that came after the list, so the list is made
    /// again.
    pub(super) async fn sessions(&mut self) -> Result<Vec<SessionId>, Error> {
        for _ in 0..ROUNDS {
            let listed = self.tagged().await?;
            let mut looks = look_all(self.store, listed.clone());
            let (mut ids, mut is_stale) = (Vec::new(), false);
            for id in listed {
                match looks.try_next().await?.flatten() {
                    None => is_stale |= self.ended.insert(id),
                    Some(look) if is_of(self.name, &look) => ids.push(id),
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

/// Whether this is the layer that is meant: by the name of its cookie, or that in its ini file.
fn is_named(layer: &str, name: &str) -> bool {
    layer == name || without_prefix(layer) == name
}

fn is_of(principal: &str, look: &Look) -> bool {
    match &look.state {
        State::Session(record) => record.principal() == Some(principal),
        State::Damaged(_) => true,
    }
}

impl Source {
    /// The store to work on.
    pub(super) fn open(&self, registry: &Registry) -> Result<Opened, Failure> {
        let opened = match &self.url {
            Some(url) => {
                is_there(url)?;
                let store = store::open(url, &StoreOptions::default())?;
                let names = self.session.iter().flat_map(|name| [name.clone(), format!("{HOST_PREFIX}{name}")]);
                Opened { store, layers: names.collect(), only: self.session.clone() }
            }
            None => self.of_file(ini_file(self.ini.as_deref())?, registry)?,
        };
        not_memory(&*opened.store)?;
        Ok(opened)
    }

    /// The store to copy to: at a URL, or that of an ini file, which says how values are sealed too.
    pub(super) fn open_target(&self, to: &str, registry: &Registry) -> Result<Arc<dyn Store>, Failure> {
        let store = match Path::new(to).is_file() {
            true => self.of_file(Path::new(to), registry)?.store,
            false => store::open(to, &StoreOptions::default())?,
        };
        not_memory(&*store)?;
        Ok(store)
    }

    fn of_file(&self, file: &Path, registry: &Registry) -> Result<Opened, Failure> {
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
            Some((_, store)) if stores.is_empty() => Ok(Opened { store, layers: names, only: self.session.clone() }),
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

/// Missing files are created, which is right for a site and wrong for a tool.
pub(crate) fn is_there(url: &str) -> Result<(), Failure> {
    let Some(path) = store::file_path(url)? else { return Ok(()) };
    let (there, path) = (path.try_exists(), path.display());
    match there {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure(format!("there is nothing at {path}: expected a store that has sessions"))),
        Err(error) => Err(Failure(format!("{path} cannot be reached: {error}"))),
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

/// Whether a database keeps its time: a deadline that it returns is then by the database's clock.
pub(super) fn keeps_the_time(store: &dyn Store) -> bool {
    ["PostgreSQL", "MySQL"].iter().any(|engine| store.describe().starts_with(engine))
}

/// Whether it encrypts what it is given.
pub(super) fn is_sealed(store: &dyn Store) -> bool {
    store.describe().ends_with(SEALED)
}

/// Whether two stores keep their values in one place, sealed or not.
pub(super) fn same_place(one: &dyn Store, other: &dyn Store) -> bool {
    one.describe().trim_end_matches(SEALED) == other.describe().trim_end_matches(SEALED)
}
