//! `CacheManager`: the caches of an application.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

use ampoule_core::{Error, ErrorKind, SweepReport};

use crate::backend::Backend;
use crate::cache::Cache;
use crate::namespace::Namespace;
use crate::options::CacheOptions;
use crate::registry::Registry;
use crate::schema::schema_fingerprint;
use crate::stats::CacheStats;
use crate::value::Cacheable;

/// The caches of an application: namespaces in regions. Clones share one manager.
///
/// ```
/// use std::time::Duration;
/// use ampoule_cache::{Backend, BackendOptions, Cache, CacheManager, CacheOptions};
///
/// let backend = Backend::memory(&BackendOptions::default());
/// let short = CacheOptions { expire: Duration::from_secs(60), ..CacheOptions::default() };
/// let manager = CacheManager::new(backend, CacheOptions::default())?.with_region("short_term", short)?;
///
/// let articles: Cache<String> = manager.cache("articles");
/// let prices: Cache<u32> = manager.cache_in("short_term", "prices")?;
/// let error = manager.cache_in::<u32>("short_turm", "prices").unwrap_err();
/// assert_eq!(error.to_string(), "there is no cache region `short_turm`; did you mean `short_term`?");
/// # Ok::<(), ampoule_core::Error>(())
/// ```
///
/// A region says how values are kept and where; a namespace says which values they are. Two regions with one
/// [`Backend`] share the values of a namespace.
#[derive(Clone)]
pub struct CacheManager(Arc<Inner>);

struct Inner {
    default: Region,
    regions: BTreeMap<String, Region>,
    namespaces: Registry,
}

#[derive(Clone)]
struct Region {
    /// The index of the region in the manager.
    number: usize,
    backend: Backend,
    options: CacheOptions,
}

impl CacheManager {
    /// Creates a manager whose default region has this backend and these options.
    ///
    /// ```
    /// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    ///
    /// let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.describe(), "memory of this process");
    /// # Ok::<(), ampoule_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn new(backend: Backend, options: CacheOptions) -> Result<CacheManager, Error> {
        options.check("cache")?;
        Ok(CacheManager::build(Region { number: 0, backend, options }, BTreeMap::new()))
    }

    /// Adds a region of this name, which keeps its values in the default region's backend.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// use std::time::Duration;
    ///
    /// let short = CacheOptions { expire: Duration::from_secs(60), ..CacheOptions::default() };
    /// let manager = manager.with_region("short_term", short)?;
    /// assert!(manager.regions().eq(["short_term"]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn with_region(self, name: &str, options: CacheOptions) -> Result<CacheManager, Error> {
        let backend = self.0.default.backend.clone();
        self.with_region_in(name, backend, options)
    }

    /// Adds a region of this name, which keeps its values in this backend.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// use ampoule_core::MemoryStore;
    /// use std::sync::Arc;
    ///
    /// let shared = Backend::tiers(Arc::new(MemoryStore::default()), &BackendOptions::default());
    /// let manager = manager.with_region_in("shared", shared, CacheOptions::default())?;
    /// assert_eq!(manager.backends().len(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn with_region_in(self, name: &str, backend: Backend, options: CacheOptions) -> Result<CacheManager, Error> {
        options.check(name)?;
        let mut regions = self.0.regions.clone();
        let number = regions.values().map(|region| region.number).max().unwrap_or_default() + 1;
        regions.insert(name.to_owned(), Region { number, backend, options });
        Ok(CacheManager::build(self.0.default.clone(), regions))
    }

    fn build(default: Region, regions: BTreeMap<String, Region>) -> CacheManager {
        CacheManager(Arc::new(Inner { default, regions, namespaces: Registry::default() }))
    }

    /// Returns the cache of a type under a namespace, in the default region.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let articles = manager.cache::<String>("articles");
    /// articles.insert("7", "All about caches".into()).await?;
    /// # Ok(()) }
    /// ```
    pub fn cache<T: Cacheable>(&self, namespace: &str) -> Cache<T> {
        self.of(&self.0.default, namespace)
    }

    /// Returns the cache of a type under a namespace, in this region.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let manager = manager.with_region("short_term", CacheOptions::default())?;
    /// let prices = manager.cache_in::<u32>("short_term", "prices")?;
    /// assert_eq!(prices.namespace(), "prices");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region; the message suggests the most similar name.
    pub fn cache_in<T: Cacheable>(&self, region: &str, namespace: &str) -> Result<Cache<T>, Error> {
        let found = self.0.regions.get(region).ok_or_else(|| self.unknown(region))?;
        Ok(self.of(found, namespace))
    }

    fn of<T: Cacheable>(&self, region: &Region, namespace: &str) -> Cache<T> {
        let found = self.0.namespaces.get_or_insert(namespace, (region.number, TypeId::of::<T>()), |counters| {
            let (backend, fingerprint) = (Arc::clone(&region.backend.0), schema_fingerprint::<T>());
            Namespace::new(namespace, fingerprint, backend, region.options.clone(), counters)
        });
        Cache::of(found)
    }

    fn unknown(&self, region: &str) -> Error {
        let names: Vec<&str> = self.0.regions.keys().map(String::as_str).collect();
        let nearest = names.iter().min_by_key(|name| strsim::damerau_levenshtein(region, name));
        let near = |name: &&&str| strsim::damerau_levenshtein(region, name) <= 1 + region.len() / 4;
        let hint = match nearest.filter(near) {
            Some(name) => format!("did you mean `{name}`?"),
            None if names.is_empty() => "none is defined".to_owned(),
            None => format!("there are {}", names.join(", ")),
        };
        Error::new(ErrorKind::Config, format!("there is no cache region `{region}`; {hint}"))
    }

    /// Returns the names of the regions, in alphabetical order, without the default one.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let manager = manager.with_region("short_term", CacheOptions::default())?;
    /// assert!(manager.regions().eq(["short_term"]));
    /// # Ok(()) }
    /// ```
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.regions.keys().map(String::as_str)
    }

    /// Returns the backend of a region, or of the default one for `None`.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.backend(None)?.describe(), "memory of this process");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region.
    pub fn backend(&self, region: Option<&str>) -> Result<&Backend, Error> {
        match region {
            None => Ok(&self.0.default.backend),
            Some(name) => self.0.regions.get(name).map(|region| &region.backend).ok_or_else(|| self.unknown(name)),
        }
    }

    /// Returns the options of a region, or of the default one for `None`.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.options(None)?.expire.as_secs(), 3_600);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region.
    pub fn options(&self, region: Option<&str>) -> Result<&CacheOptions, Error> {
        match region {
            None => Ok(&self.0.default.options),
            Some(name) => self.0.regions.get(name).map(|region| &region.options).ok_or_else(|| self.unknown(name)),
        }
    }

    /// Returns the backends of all regions, each once.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.backends().len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn backends(&self) -> Vec<Backend> {
        let mut all = vec![self.0.default.backend.clone()];
        for region in self.0.regions.values() {
            if all.iter().all(|known| !Arc::ptr_eq(&known.0, &region.backend.0)) {
                all.push(region.backend.clone());
            }
        }
        all
    }

    /// Invalidates all values with this tag, in every namespace and region, and those that are being created.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.entry("/users/ada").tags(["user:ada"]).insert("<h1>Ada</h1>".into()).await?;
    /// manager.invalidate_tag("user:ada").await?;
    /// assert_eq!(pages.get("/users/ada").await, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the stores: other processes may then still read the values. All stores are tried.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), Error> {
        let mut done = Ok(());
        for backend in self.backends() {
            done = done.and(backend.invalidate_tag(tag).await);
        }
        done
    }

    /// Removes all values of a namespace, in every region: see [`Cache::clear`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.insert("/", "<h1>Home</h1>".into()).await?;
    /// manager.clear("pages").await?;
    /// assert_eq!(pages.get("/").await, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the stores: other processes may then still read the values. All stores are tried.
    pub async fn clear(&self, namespace: &str) -> Result<(), Error> {
        let mut done = Ok(());
        for backend in self.backends() {
            done = done.and(backend.clear_namespace(namespace).await);
        }
        done
    }

    /// Returns the counters of each namespace that this process uses: those with a live [`Cache`], and about the 1,024
    /// that were used last of the others. The counters of a namespace that was dropped from this list start again at
    /// zero.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.get("/").await;
    /// let (name, stats) = &manager.stats()[0];
    /// assert_eq!((name.as_str(), stats.misses), ("pages", 1));
    /// # Ok(()) }
    /// ```
    pub fn stats(&self) -> Vec<(String, CacheStats)> {
        self.0.namespaces.stats()
    }

    /// Removes expired values: from memory all of them, and from each store by reading about `budget` values at most.
    /// A process that keeps values does so by itself, every [`sweep_interval`](crate::BackendOptions::sweep_interval).
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let swept = manager.sweep(1_000).await?;
    /// assert_eq!((swept.removed, swept.more), (0, false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the stores.
    pub async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.0.namespaces.sweep();
        let mut all = SweepReport::default();
        for backend in self.backends() {
            let swept = backend.sweep(budget).await?;
            all = SweepReport { removed: all.removed + swept.removed, more: all.more || swept.more };
        }
        Ok(all)
    }

    /// Returns where the values are, in one line for the operator: the default region's backend, and the regions that
    /// have another one. It contains no password.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let off = CacheOptions { enabled: false, ..CacheOptions::default() };
    /// let manager = manager.with_region("reports", off)?;
    /// assert_eq!(manager.describe(), "memory of this process; reports: off");
    /// # Ok(()) }
    /// ```
    pub fn describe(&self) -> String {
        let state = |region: &Region| match region.options.enabled {
            true => region.backend.describe(),
            false => "off".to_owned(),
        };
        let mut text = state(&self.0.default);
        for (name, region) in &self.0.regions {
            if state(region) != state(&self.0.default) {
                text.push_str(&format!("; {name}: {}", state(region)));
            }
        }
        text
    }
}

impl std::fmt::Debug for CacheManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CacheManager({})", self.describe())
    }
}
