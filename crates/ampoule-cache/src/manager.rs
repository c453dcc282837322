//! `CacheManager`: where an application's caches come from.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, SweepReport};

use crate::backend::Backend;
use crate::cache::Cache;
use crate::namespace::Namespace;
use crate::options::CacheOptions;
use crate::registry::Registry;
use crate::schema::schema_fingerprint;
use crate::stats::CacheStats;
use crate::value::Cacheable;

/// The caches of an application: namespaces in regions. Cloning it shares it.
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
/// A region says how values are kept, a namespace which they are: two regions with one [`Backend`] share what they keep
/// under one namespace.
#[derive(Clone)]
pub struct CacheManager(Arc<Inner>);

struct Inner {
    default: Region,
    regions: BTreeMap<String, Region>,
    namespaces: Registry,
}

#[derive(Clone)]
struct Region {
    /// Which of the manager's it is.
    number: usize,
    backend: Backend,
    options: CacheOptions,
}

impl CacheManager {
    /// Caches that are kept there, in a default region of these options.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn new(backend: Backend, options: CacheOptions) -> Result<CacheManager, Error> {
        options.check("cache")?;
        Ok(CacheManager::build(Region { number: 0, backend, options }, BTreeMap::new()))
    }

    /// The same with a region of this name, which keeps its values where the default region does.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming every option that is wrong.
    pub fn with_region(self, name: &str, options: CacheOptions) -> Result<CacheManager, Error> {
        let backend = self.0.default.backend.clone();
        self.with_region_in(name, backend, options)
    }

    /// The same with a region of this name, which keeps its values there.
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

    /// The values of a type under a namespace, in the default region.
    pub fn cache<T: Cacheable>(&self, namespace: &str) -> Cache<T> {
        self.of(&self.0.default, namespace)
    }

    /// The values of a type under a namespace, in this region.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region; the message names the nearest.
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

    /// The names of the regions, in order.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.regions.keys().map(String::as_str)
    }

    /// What keeps the values of a region, or of the default one for `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region.
    pub fn backend(&self, region: Option<&str>) -> Result<&Backend, Error> {
        match region {
            None => Ok(&self.0.default.backend),
            Some(name) => self.0.regions.get(name).map(|region| &region.backend).ok_or_else(|| self.unknown(name)),
        }
    }

    /// How the values of a region are kept, or of the default one for `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no such region.
    pub fn options(&self, region: Option<&str>) -> Result<&CacheOptions, Error> {
        match region {
            None => Ok(&self.0.default.options),
            Some(name) => self.0.regions.get(name).map(|region| &region.options).ok_or_else(|| self.unknown(name)),
        }
    }

    /// Every place where values are kept, each once.
    pub fn backends(&self) -> Vec<Backend> {
        let mut all = vec![self.0.default.backend.clone()];
        for region in self.0.regions.values() {
            if all.iter().all(|known| !Arc::ptr_eq(&known.0, &region.backend.0)) {
                all.push(region.backend.clone());
            }
        }
        all
    }

    /// Makes all values that carry this tag count no more, in every namespace and region, with those that are being
    /// created.
    ///
    /// # Errors
    /// Those of the stores: the values may still be given out then. All are tried.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), Error> {
        let mut done = Ok(());
        for backend in self.backends() {
            done = done.and(backend.invalidate_tag(tag).await);
        }
        done
    }

    /// Removes all values of a namespace, in every region: see [`Cache::clear`].
    ///
    /// # Errors
    /// Those of the stores: the values may still be given out then. All are tried.
    pub async fn clear(&self, namespace: &str) -> Result<(), Error> {
        let mut done = Ok(());
        for backend in self.backends() {
            done = done.and(backend.clear_namespace(namespace).await);
        }
        done
    }

    /// What happened in each namespace that this process uses: all of which a [`Cache`] is held, and of the others
    /// about the 1,024 that were used last. What was counted of a namespace that is forgotten begins anew.
    pub fn stats(&self) -> Vec<(String, CacheStats)> {
        self.0.namespaces.stats()
    }

    /// Frees what has expired, looking at all values in memory and at about `budget` of each store at most.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        self.0.namespaces.sweep();
        let mut all = SweepReport::default();
        for backend in self.backends() {
            let swept = backend.sweep(budget).await?;
            all = SweepReport { removed: all.removed + swept.removed, more: all.more || swept.more };
        }
        Ok(all)
    }

    /// Sweeps as long as it is polled, about every `interval`. Spawn it once in each process. Without it nothing that
    /// has expired is ever given out, but it takes space: in memory until the bounds are reached, in files, SQLite,
    /// PostgreSQL and MySQL for ever. Redis and memcached forget by themselves.
    pub async fn sweep_periodically(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval.mul_f64(0.5 + fastrand::f64())).await;
            loop {
                match self.sweep(1_000).await {
                    Ok(swept) if swept.more => tokio::time::sleep(Duration::from_millis(10)).await,
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(error = %error.report(), "expired values of the cache could not be swept");
                        break;
                    }
                }
            }
        }
    }

    /// Where the values are, in a line for the operator: the default place, and the regions that are elsewhere.
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
