//! A cache's settings as text: from an ini file, a map or the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule_core::{Durability, Error};

use crate::options::invalid::{BadOptions, InvalidOption};
use crate::options::names::{self, Names, nearest};
use crate::options::parse::RawOptions;
use crate::options::redact::without_login;
use crate::options::stores::{StoreContext, read_store};
use crate::store::{self, StoreOptions};

/// All options: first those of the place where values are stored, then those of how they are cached.
const OPTIONS: [&str; 32] = [
    "type",
    "url",
    "data_dir",
    "memory_tier",
    "max_entries",
    "max_bytes",
    "durability",
    "table_name",
    "schema_name",
    "migrate",
    "prepared_statements",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "prefix",
    "replicas",
    "max_connections",
    "connect_timeout",
    "pool_timeout",
    "command_timeout",
    "store_timeout",
    "fail_fast_after",
    "sweep_interval",
    "enabled",
    "expire",
    "stale",
    "early",
    "lease",
    "shared_lease",
    "failure_expire",
    "max_value_size",
    "memory_expire",
];

/// The options of the place. Regions that agree in these share one backend.
const PLACE: &[&str] = OPTIONS.split_at(23).0;

const CACHE: Names = Names {
    prefixes: ["beaker.cache.", "cache.", "ampoule.cache."],
    environment: "AMPOULE_CACHE_",
    underscore: "cache_",
    options: &OPTIONS,
    foreign: &[
        ("key_length", "remove it: keys may be of any length"),
        ("lock_dir", "remove it: processes agree on one creator by a lease in the store"),
        ("file_dir", "use data_dir"),
        ("dbm_dir", "use type = file and data_dir"),
        ("log_file", "remove it: logging is set up by the program (tracing)"),
        ("namespace_class", "remove it: it named a Python class"),
        ("digest_filenames", "remove it: all keys are digests"),
        ("data_serializer", "remove it: values are stored as MessagePack"),
        ("memcache_module", "remove it: it named a Python module"),
        ("sa_opts", "remove it: they were SQLAlchemy's; ours are max_connections, pool_timeout and their like"),
    ],
};

/// A cache and its regions, read from text.
///
/// Names are Beaker's, under the prefixes `beaker.cache.`, `cache.` or `ampoule.cache.`; `regions` lists the regions,
/// and `REGION.option` is an option of one. **A region inherits every option that it does not set itself**; Beaker's
/// regions inherited only some, and not `url`. In the environment an option is written `AMPOULE_CACHE_EXPIRE`.
///
/// | option | meaning | default |
/// |---|---|---|
/// | `type`, `url`, `data_dir` | the store: see [`store`](crate::store); `cache_dir` puts files under `cache/` | `memory`, as in Beaker |
/// | `memory_tier` | memory before the store: `true` or `false` | `false` |
/// | `max_entries`, `max_bytes` | the bounds of memory | 100000, 67108864 |
/// | `enabled`, `expire`, `stale`, `early`, `lease`, `shared_lease`, `failure_expire`, `max_value_size`, `memory_expire` | as in [`CacheOptions`]; times in whole seconds | as there |
/// | `store_timeout`, `fail_fast_after`, `sweep_interval` | as in [`BackendOptions`]; times in seconds, or `none` | 1, 5, 60 |
/// | `table_name`, `prefix`, `durability`, … | as for sessions | `ampoule_cache`, `ampoule:cache:`, `none` |
///
/// ```
/// use ampoule::cache::CacheSettings;
///
/// let settings = CacheSettings::parse([
///     ("beaker.cache.regions", "short_term, long_term"),
///     ("beaker.cache.short_term.expire", "60"),
/// ])?;
/// let manager = settings.manager()?;
/// assert_eq!(manager.options(Some("short_term"))?.expire.as_secs(), 60);
///
/// let error = CacheSettings::parse([("cache.regions", "short"), ("cache.shrt.expire", "60")]).unwrap_err();
/// assert_eq!(error.to_string(), "cache.shrt.expire: `shrt` is not among the regions; did you mean `short`?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CacheSettings {
    top: Region,
    regions: Vec<(String, Region)>,
}

#[derive(Clone)]
struct Region {
    options: CacheOptions,
    backend: BackendOptions,
    url: String,
    store: StoreOptions,
    memory_tier: bool,
    /// The options of the place, by which regions share a backend.
    place: Vec<(&'static str, String)>,
}

impl CacheSettings {
    /// Reads pairs of name and value. Names outside the prefixes are ignored, so a whole section can be given; but one
    /// that looks like a misspelt prefix, such as `beaker.sesion.key`, is an error.
    ///
    /// # Errors
    /// Returns all invalid options: unknown ones with the nearest known name, misspelt prefixes with the right ones,
    /// and invalid values with what was expected.
    pub fn parse(
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<CacheSettings, BadOptions> {
        let mut pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        names::remove_unprefixed(&mut pairs);
        let cache_dir = pairs.iter().find(|(name, _)| name == "cache_dir").map(|(_, value)| value.clone());
        let regions = region_names(&pairs);
        let mut faults = Vec::new();
        let (mut of_top, mut of_regions) = (Vec::new(), BTreeMap::<&str, RawOptions>::new());
        for (name, value) in pairs.iter().cloned() {
            let option = CACHE.option_of(&name).map(|option| option.into_owned());
            match option.as_deref().map(|option| option.split_once('.')) {
                Some(None) if option.as_deref() == Some("regions") => {}
                Some(Some((region, option))) => match regions.iter().find(|known| *known == region) {
                    Some(known) => {
                        let empty = || RawOptions::sort(&CACHE, Vec::<(String, String)>::new());
                        of_regions.entry(known).or_insert_with(empty).add(option, name, value);
                    }
                    None => faults.push(no_region(name, region, &regions)),
                },
                _ => of_top.push((name, value)),
            }
        }
        let top = RawOptions::sort(&CACHE, of_top);
        let mut read = |raw: RawOptions| {
            let (region, found) = Region::read(raw, cache_dir.clone());
            // An option that a region inherits is reported once.
            found.into_iter().for_each(|fault| {
                if !faults.contains(&fault) {
                    faults.push(fault)
                }
            });
            region
        };
        let of_region = |name: &str| match of_regions.remove(name) {
            Some(raw) => raw.inherit(&top),
            None => top.clone(),
        };
        let raw: Vec<RawOptions> = regions.iter().map(String::as_str).map(of_region).collect();
        let settings =
            CacheSettings { top: read(top), regions: regions.into_iter().zip(raw.into_iter().map(read)).collect() };
        if faults.is_empty() { Ok(settings) } else { Err(BadOptions(faults)) }
    }

    /// Returns the option that a name stands for, if it is an option of a cache: `expire` for `beaker.cache.expire` and
    /// `AMPOULE_CACHE_EXPIRE`, `short_term.expire` for a region's. The option may be unknown.
    ///
    /// ```
    /// use ampoule::cache::CacheSettings;
    ///
    /// assert_eq!(CacheSettings::option_of("beaker.cache.expire").as_deref(), Some("expire"));
    /// assert_eq!(CacheSettings::option_of("session.timeout"), None);
    /// ```
    pub fn option_of(name: &str) -> Option<std::borrow::Cow<'_, str>> {
        CACHE.option_of(name)
    }

    /// Creates the manager of these settings, and opens its stores. Regions whose options of the place are equal share
    /// a backend.
    ///
    /// # Errors
    /// Errors of opening a store.
    pub fn manager(&self) -> Result<CacheManager, Error> {
        let mut open = vec![(self.top.place.clone(), self.top.open()?)];
        let mut manager = CacheManager::new(open[0].1.clone(), self.top.options.clone())?;
        for (name, region) in &self.regions {
            let known = open.iter().find(|(place, _)| *place == region.place).map(|(_, backend)| backend.clone());
            let backend = match known {
                Some(backend) => backend,
                None => region.open()?,
            };
            open.push((region.place.clone(), backend.clone()));
            manager = manager.with_region_in(name, backend, region.options.clone())?;
        }
        Ok(manager)
    }
}

/// Hides the URL, which may contain a login.
impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region")
            .field("url", &without_login(&self.url))
            .field("store", &self.store)
            .field("memory_tier", &self.memory_tier)
            .field("options", &self.options)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Region {
    fn read(mut raw: RawOptions, cache_dir: Option<String>) -> (Region, Vec<InvalidOption>) {
        let place = raw.texts(PLACE);
        let defaults = StoreOptions {
            table: "ampoule_cache".to_owned(),
            prefix: "ampoule:cache:".to_owned(),
            // A value that is lost can be created again.
            durability: Durability::None,
            ..StoreOptions::default()
        };
        let found = read_store(&mut raw, cache_dir, StoreContext { folder: "cache", is_session: false, defaults });
        let (url, store) = found.unwrap_or_else(|| ("memory:".to_owned(), StoreOptions::default()));
        let mut backend = BackendOptions::default();
        raw.number("max_entries", &mut backend.bounds.entries);
        raw.number("max_bytes", &mut backend.bounds.bytes);
        raw.seconds_or_none("store_timeout", &mut backend.store_timeout);
        raw.number("fail_fast_after", &mut backend.fail_fast_after);
        raw.seconds_or_none("sweep_interval", &mut backend.sweep_interval);
        for (option, time) in [("store_timeout", backend.store_timeout), ("sweep_interval", backend.sweep_interval)] {
            if time == Some(Duration::ZERO) {
                raw.fault(option, "expected more than 0 seconds, or none");
            }
        }
        let mut memory_tier = false;
        raw.bool("memory_tier", &mut memory_tier);
        if memory_tier && url == "memory:" {
            raw.fault("memory_tier", "it puts memory before a store; set a type or url");
        }
        let options = read_options(&mut raw);
        (Region { options, backend, url, store, memory_tier, place }, raw.faults)
    }

    fn open(&self) -> Result<Backend, Error> {
        if self.url == "memory:" || !self.options.enabled {
            return Ok(Backend::memory(&self.backend));
        }
        let store = store::open(&self.url, &self.store)?;
        Ok(match self.memory_tier {
            true => Backend::tiers(store, &self.backend),
            false => Backend::store(store, &self.backend),
        })
    }
}

fn read_options(raw: &mut RawOptions) -> CacheOptions {
    let mut options = CacheOptions::default();
    raw.bool("enabled", &mut options.enabled);
    raw.seconds("expire", &mut options.expire);
    raw.seconds("stale", &mut options.stale);
    raw.float("early", &mut options.early);
    raw.seconds("lease", &mut options.lease);
    raw.bool("shared_lease", &mut options.shared_lease);
    raw.seconds("failure_expire", &mut options.failure_expire);
    raw.number("max_value_size", &mut options.max_value_size);
    raw.seconds("memory_expire", &mut options.memory_expire);
    for (option, message) in options.validate() {
        raw.fault(option, message);
    }
    options
}

/// Reads `regions = short_term, long_term`, under any prefix.
fn region_names(pairs: &[(String, String)]) -> Vec<String> {
    let list = pairs.iter().find(|(name, _)| CACHE.option_of(name).as_deref() == Some("regions"));
    let list = list.map_or("", |(_, list)| list);
    let mut names: Vec<String> = Vec::new();
    for name in list.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()) {
        if names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn no_region(name: String, region: &str, regions: &[String]) -> InvalidOption {
    let known: Vec<&str> = regions.iter().map(String::as_str).collect();
    let hint = match nearest(region, &known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => " (`regions = name, name`)".to_owned(),
    };
    InvalidOption { name, message: format!("`{region}` is not among the regions{hint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_place_end_with_sweep_interval() {
        assert_eq!((PLACE.first(), PLACE.last()), (Some(&"type"), Some(&"sweep_interval")));
    }

    /// All that is known of the top level, and of a region that has one option of its own.
    fn top_and_region(option: Option<(&str, &str)>) -> [String; 2] {
        // Both levels say the same here, so that any difference is another option's.
        let own = if option.is_some_and(|(name, _)| name == "stale") { "lease" } else { "stale" };
        let mut pairs = vec![("cache.regions".to_owned(), "region"), ("cache.type".to_owned(), "file")];
        pairs.extend([("cache.data_dir".to_owned(), "folder"), (format!("cache.{own}"), "9")]);
        pairs.push((format!("cache.region.{own}"), "9"));
        if let Some((name, value)) = option {
            pairs.retain(|(known, _)| *known != format!("cache.{name}"));
            pairs.push((format!("cache.{name}"), value));
        }
        let settings = CacheSettings::parse(pairs).unwrap();
        [&settings.top, &settings.regions[0].1].map(|region| {
            let Region { memory_tier, place, .. } = region;
            format!("{region:?} {memory_tier} {place:?}")
        })
    }

    #[test]
    fn regions_inherit_every_option() {
        let [without, _] = top_and_region(None);
        for option in OPTIONS {
            let value = match option {
                "type" => "sqlite",
                "url" => "file:other",
                "durability" => "power",
                "memory_tier" => "true",
                "migrate" | "prepared_statements" | "enabled" | "shared_lease" => "false",
                _ => "7",
            };
            let [top, region] = top_and_region(Some((option, value)));
            assert_ne!(top, without, "{option} has an effect");
            assert_eq!(region, top, "{option}");
        }
    }
}
