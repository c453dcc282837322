//! The source of the caches: an ini file, or the URL of a store.

use std::path::{Path, PathBuf};

use ampoule::cache::{Backend, BackendOptions, CacheSettings};
use ampoule_deploy::{Registry, load_with_environment};

use crate::sessions::check_exists;
use crate::site::environment;
use crate::{Failure, ini_file};

/// The arguments that select the caches.
#[derive(clap::Args)]
pub(super) struct Source {
    /// The ini file that configures the caches. Default: development.ini.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "url")]
    ini: Option<PathBuf>,
    /// The app of the file: [app:NAME].
    #[arg(long, global = true, default_value = "main")]
    name: String,
    /// Only the store of this region.
    #[arg(long, global = true, conflicts_with = "url")]
    region: Option<String>,
    /// The URL of a store, such as file:data/cache or redis://cache.example, with the default table or prefix.
    #[arg(long, global = true)]
    url: Option<String>,
}

impl Source {
    /// Opens the stores, each once.
    pub(super) fn open(&self, registry: &Registry) -> Result<Vec<Backend>, Failure> {
        let backends = match &self.url {
            Some(url) => {
                check_exists(url)?;
                let settings = CacheSettings::parse([("cache.url", url)]);
                settings.map_err(|bad| Failure(bad.to_string()))?.manager()?.backends()
            }
            None => self.load_file(ini_file(self.ini.as_deref())?, registry)?,
        };
        let mut stores: Vec<Backend> = Vec::new();
        // Without the memory tier, which is in the memory of another process.
        let in_store =
            |backend: Backend| backend.inner_store().map(|store| Backend::store(store, &BackendOptions::default()));
        for backend in backends.into_iter().filter(|backend| !is_memory(backend)).filter_map(in_store) {
            if stores.iter().all(|other| other.describe() != backend.describe()) {
                stores.push(backend);
            }
        }
        match stores.is_empty() {
            true => Err(Failure(
                "these caches are in the memory of the serving process, which no other process can reach".into(),
            )),
            false => Ok(stores),
        }
    }

    fn load_file(&self, file: &Path, registry: &Registry) -> Result<Vec<Backend>, Failure> {
        let caches = load_with_environment(file, &self.name, &[], environment(), registry)?.caches;
        if caches.is_empty() {
            let message = "has no cache filter; name a store with --url";
            return Err(Failure(format!("[app:{}] of {} {message}", self.name, file.display())));
        }
        match &self.region {
            None => Ok(caches.iter().flat_map(|manager| manager.backends()).collect()),
            Some(region) => {
                let found: Vec<_> = caches.iter().map(|manager| manager.backend(Some(region)).cloned()).collect();
                let there: Vec<Backend> = found.iter().filter_map(|found| found.as_ref().ok().cloned()).collect();
                match (there.is_empty(), found.into_iter().find_map(Result::err)) {
                    (true, Some(error)) => Err(error.into()),
                    _ => Ok(there),
                }
            }
        }
    }
}

fn is_memory(backend: &Backend) -> bool {
    backend.inner_store().is_none_or(|store| store.describe().starts_with("memory"))
}
