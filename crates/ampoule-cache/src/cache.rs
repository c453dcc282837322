//! `Cache`: values of one type under one namespace.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, StoreKey, Time};

use crate::cache_key::{CacheKey, KeyWriter};
use crate::format::MAX_TAGS;
use crate::key;
use crate::lookup::Lookup;
use crate::namespace::Namespace;
use crate::stats::CacheStats;
use crate::value::{Cacheable, Created};

/// The values of one type under one namespace, kept as a region says. Clones share one cache.
///
/// ```
/// # use ampoule_cache::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ampoule_core::Error> {
/// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
///
/// let backend = Backend::memory(&BackendOptions::default());
/// let manager = CacheManager::new(backend, CacheOptions::default())?;
/// let squares = manager.cache::<u64>("squares");
///
/// // Of any number of concurrent callers one calculates, and the others wait for it.
/// let nine = squares.get_or_insert_with("3", || async { 3 * 3 }).await;
/// assert_eq!(nine, 9);
/// assert_eq!(squares.get("3").await, Some(9));
///
/// squares.remove("3").await?;
/// assert_eq!(squares.get("3").await, None);
/// # Ok(()) }
/// ```
///
/// **Reads never fail because of the store.** While it is down, reads find nothing, and creators are called. Changes do
/// fail: the caller that removes a value must know that others may still read it.
///
/// **The type's shape is part of the key**: its name, the names and types of its fields, and the
/// [version](Cache::with_version). A program whose type has changed does not read the values of the program before it.
/// While both run, neither overwrites the other's values; each removes only its own, and [`clear`](Cache::clear) clears
/// both.
pub struct Cache<T> {
    namespace: Arc<Namespace>,
    value: PhantomData<fn() -> T>,
}

impl<T: Cacheable> Cache<T> {
    pub(crate) fn of(namespace: Arc<Namespace>) -> Cache<T> {
        Cache { namespace, value: PhantomData }
    }

    /// Returns the same namespace for another version of the type: for a change that no field shows, as from metres to
    /// feet. The version is 0 by default.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let heights = manager.cache::<f64>("heights");
    /// heights.insert("eiffel", 330.0).await?; // metres
    /// let in_feet = heights.with_version(1);
    /// assert_eq!(in_feet.get("eiffel").await, None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_version(&self, version: u32) -> Cache<T> {
        Cache::of(Arc::new(self.namespace.with_version(version)))
    }

    /// Returns the time of the clock by which values expire.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let cache = manager.cache::<String>("pages");
    /// let started = cache.now();
    /// assert!(cache.now() >= started);
    /// # Ok(()) }
    /// ```
    pub fn now(&self) -> Time {
        self.namespace.backend.now()
    }

    /// Returns the size of the largest value that is kept, in encoded bytes.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.cache::<String>("pages").max_value_size(), 1 << 20);
    /// # Ok(()) }
    /// ```
    pub fn max_value_size(&self) -> usize {
        self.namespace.options.max_value_size
    }

    /// Returns the name of the namespace.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// assert_eq!(manager.cache::<String>("pages").namespace(), "pages");
    /// # Ok(()) }
    /// ```
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// Returns the counters of this namespace since the process began to use it.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.get("/").await;
    /// assert_eq!((pages.stats().hits, pages.stats().misses), (0, 1));
    /// # Ok(()) }
    /// ```
    pub fn stats(&self) -> CacheStats {
        self.namespace.counters.read()
    }

    /// Returns an [`Entry`]: one value, with tags and an expiry of its own.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.entry("/users/ada").tags(["user:ada"]).insert("<h1>Ada</h1>".into()).await?;
    /// # Ok(()) }
    /// ```
    pub fn entry<'a>(&'a self, key: &'a str) -> Entry<'a, T> {
        self.entry_of(Cow::Borrowed(key.as_bytes()))
    }

    /// Returns an [`Entry`] by a key that is not a text: a number, a tuple, a type of your own. It differs from every
    /// text.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let names = manager.cache::<String>("names");
    /// names.entry_for(&(7_u64, "en")).insert("Ada".into()).await?;
    /// assert_eq!(names.entry_for(&(7_u64, "en")).get().await.as_deref(), Some("Ada"));
    /// # Ok(()) }
    /// ```
    pub fn entry_for(&self, key: &(impl CacheKey + ?Sized)) -> Entry<'_, T> {
        self.entry_with(KeyWriter::key_of(key))
    }

    /// Returns an [`Entry`] by a key that was written part by part.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let names = manager.cache::<String>("names");
    /// let key = KeyWriter::key_of(&(7_u64, "en"));
    /// names.entry_with(key).insert("Ada".into()).await?;
    /// assert_eq!(names.entry_for(&(7_u64, "en")).get().await.as_deref(), Some("Ada"));
    /// # Ok(()) }
    /// ```
    pub fn entry_with(&self, key: KeyWriter) -> Entry<'_, T> {
        self.entry_of(Cow::Owned(key.into_bytes()))
    }

    fn entry_of<'a>(&'a self, key: Cow<'a, [u8]>) -> Entry<'a, T> {
        Entry { namespace: &self.namespace, value: PhantomData, key, tags: Vec::new(), expire: None }
    }

    /// Returns the value, if there is a fresh one.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// assert_eq!(pages.get("/").await, None);
    /// # Ok(()) }
    /// ```
    pub async fn get(&self, key: &str) -> Option<T> {
        self.entry(key).get().await
    }

    /// Returns whether there is a fresh value.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.insert("/", "<h1>Home</h1>".into()).await?;
    /// assert!(pages.contains_key("/").await);
    /// # Ok(()) }
    /// ```
    pub async fn contains_key(&self, key: &str) -> bool {
        self.get(key).await.is_some()
    }

    /// Returns the cached value. On a miss, one caller at a time runs `create`, and its value is kept.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// let home = pages.get_or_insert_with("/", || async { "<h1>Home</h1>".to_owned() }).await;
    /// assert_eq!(home, "<h1>Home</h1>");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// If `create` asks for the value that it creates, by itself or through other creators, since it would wait for
    /// itself. If a task that the creator spawned does so, it is not recognized; the log then has a warning after five
    /// seconds.
    pub async fn get_or_insert_with<F, Fut>(&self, key: &str, create: F) -> T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        self.entry(key).get_or_insert_with(create).await
    }

    /// Returns the cached value. On a miss, one caller at a time runs `create`, and its value is kept. A failure is
    /// returned to the caller whose creator failed, and is not kept: the next waiting caller tries again.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let numbers = manager.cache::<u32>("numbers");
    /// assert!(numbers.get_or_try_insert_with("n", || async { "seven".parse() }).await.is_err());
    /// assert_eq!(numbers.get_or_try_insert_with("n", || async { "7".parse() }).await, Ok(7));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of `create`, and no others.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Cache::get_or_insert_with).
    pub async fn get_or_try_insert_with<E, F, Fut>(&self, key: &str, create: F) -> Result<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.entry(key).get_or_try_insert_with(create).await
    }

    /// Puts a value under the key and replaces the one that is there.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.insert("/", "<h1>Home</h1>".into()).await?;
    /// assert_eq!(pages.get("/").await.as_deref(), Some("<h1>Home</h1>"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the encoded value exceeds [`max_value_size`](crate::CacheOptions::max_value_size), or
    /// if its [`Entry`] has more than 64 tags; [`ErrorKind::Value`] if it cannot be encoded; errors of the store.
    pub async fn insert(&self, key: &str, value: T) -> Result<(), Error> {
        self.entry(key).insert(value).await
    }

    /// Removes the value under the key. If a caller in any process is creating it at this moment, from data that was
    /// read before the removal, that value is not kept.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.insert("/", "<h1>Home</h1>".into()).await?;
    /// pages.remove("/").await?;
    /// assert_eq!(pages.get("/").await, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store: other processes may then still read the value.
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        self.entry(key).remove().await
    }

    /// Removes all values of the namespace, of every type, and those that are being created. It takes one command for
    /// any number of values: they are no longer read, and the store frees them when they expire. Other namespaces keep
    /// theirs, also on memcached, where Beaker's `clear` flushed the server.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let (pages, users) = (manager.cache::<String>("pages"), manager.cache::<String>("users"));
    /// pages.insert("/", "<h1>Home</h1>".into()).await?;
    /// users.insert("7", "Ada".into()).await?;
    /// pages.clear().await?;
    /// assert_eq!((pages.get("/").await, users.get("7").await), (None, Some("Ada".into())));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store: other processes may then still read the values.
    pub async fn clear(&self) -> Result<(), Error> {
        self.namespace.backend.clear(self.namespace.key).await
    }
}

impl<V: Cacheable, E: Cacheable> Cache<Result<V, E>> {
    /// Returns the cached result. On a miss, one caller at a time runs `create`. A failure is kept too,
    /// for [`failure_expire`](crate::CacheOptions::failure_expire). For creators that fail slowly: waiting callers
    /// share the failure instead of each trying in turn.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let rates = manager.cache::<Result<f64, String>>("rates");
    /// let failed = rates.get_or_insert_result_with("EUR", || async { Err("no answer".to_owned()) }).await;
    /// assert_eq!(failed, Err("no answer".to_owned()));
    /// let kept = rates.get_or_insert_result_with("EUR", || async { Ok(1.09) }).await;
    /// assert_eq!(kept, failed, "for a second");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of a creator: this caller's, or the one whose failure is kept.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](Cache::get_or_insert_with).
    pub async fn get_or_insert_result_with<F, Fut>(&self, key: &str, create: F) -> Result<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        self.entry(key).get_or_insert_result_with(create).await
    }
}

/// One value of a [`Cache`], with its tags and its expiry: see [`Cache::entry`].
///
/// ```
/// # use ampoule_cache::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ampoule_core::Error> {
/// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
/// use std::time::Duration;
///
/// let pages = manager.cache::<String>("pages");
/// let render = || async { "<h1>Ada</h1>".to_owned() };
/// pages.entry("/users/ada").tags(["user:ada"]).expire(Duration::from_secs(30)).get_or_insert_with(render).await;
///
/// manager.invalidate_tag("user:ada").await?;
/// assert_eq!(pages.get("/users/ada").await, None);
/// # Ok(()) }
/// ```
pub struct Entry<'a, T> {
    namespace: &'a Namespace,
    value: PhantomData<fn() -> T>,
    key: Cow<'a, [u8]>,
    tags: Vec<StoreKey>,
    expire: Option<Duration>,
}

impl<T: Cacheable> Entry<'_, T> {
    /// Adds tags, by which the value can be invalidated together with others, in any namespace. At most 64; a value
    /// with more is not kept. Each tag costs one more read of the store for every read of the value.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// pages.entry("/users/ada").tags(["users", "user:ada"]).insert("<h1>Ada</h1>".into()).await?;
    /// manager.invalidate_tag("users").await?;
    /// assert_eq!(pages.get("/users/ada").await, None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn tags<S: AsRef<str>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| key::tag(tag.as_ref())));
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }

    /// Sets how long the value is fresh, in place of the region's [`expire`](crate::CacheOptions::expire).
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// use std::time::Duration;
    ///
    /// let pages = manager.cache::<String>("pages");
    /// pages.entry("/news").expire(Duration::from_secs(30)).insert("<h1>News</h1>".into()).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn expire(mut self, expire: Duration) -> Self {
        self.expire = Some(expire);
        self
    }

    /// As [`Cache::get`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let pages = manager.cache::<String>("pages");
    /// assert_eq!(pages.entry("/").get().await, None);
    /// # Ok(()) }
    /// ```
    pub async fn get(self) -> Option<T> {
        let namespace = self.namespace;
        if let Some(value) = namespace.try_now(&self.key) {
            return Some(value);
        }
        if !namespace.options.enabled {
            return None;
        }
        namespace.backend.listen();
        let cached = self.lookup().find::<T>().await.cached;
        match cached.filter(|cached| namespace.backend.now() < cached.about.expires) {
            Some(cached) => {
                namespace.counters.hits();
                Some(T::clone(&cached.value))
            }
            None => {
                namespace.counters.misses();
                None
            }
        }
    }

    /// As [`Cache::remove`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// manager.cache::<String>("names").entry_for(&7_u64).remove().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cache::remove`].
    pub async fn remove(self) -> Result<(), Error> {
        self.lookup().remove().await
    }

    /// As [`Cache::get_or_insert_with`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let names = manager.cache::<String>("names");
    /// assert_eq!(names.entry_for(&7_u64).get_or_insert_with(|| async { "Ada".to_owned() }).await, "Ada");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// As [`Cache::get_or_insert_with`].
    pub async fn get_or_insert_with<F, Fut>(self, create: F) -> T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        if let Some(value) = self.namespace.try_now(&self.key) {
            return value;
        }
        let create = || async { Ok::<_, Infallible>(Created::new(create().await)) };
        match self.find_or_create(create).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`Cache::get_or_try_insert_with`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let numbers = manager.cache::<u32>("numbers");
    /// assert_eq!(numbers.entry("n").get_or_try_insert_with(|| async { "7".parse() }).await, Ok(7));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of `create`, and no others.
    ///
    /// # Panics
    /// As [`Cache::get_or_insert_with`].
    pub async fn get_or_try_insert_with<E, F, Fut>(self, create: F) -> Result<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.namespace.try_now(&self.key) {
            return Ok(value);
        }
        self.find_or_create(|| async { create().await.map(Created::new) }).await
    }

    /// As [`Cache::get_or_try_insert_with`], with a creator that says how long its value is kept.
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// use std::time::Duration;
    ///
    /// let tokens = manager.cache::<String>("tokens");
    /// let create = || async { Ok::<_, String>(Created::new("abc".to_owned()).expire(Duration::from_secs(300))) };
    /// assert_eq!(tokens.entry("api").get_or_try_create_with(create).await.as_deref(), Ok("abc"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of `create`, and no others.
    ///
    /// # Panics
    /// As [`Cache::get_or_insert_with`].
    pub async fn get_or_try_create_with<E, F, Fut>(self, create: F) -> Result<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Created<T>, E>>,
    {
        match self.namespace.try_now(&self.key) {
            Some(value) => Ok(value),
            None => self.find_or_create(async || create().await).await,
        }
    }

    /// Continues when memory has no fresh value.
    async fn find_or_create<E>(self, create: impl AsyncFnOnce() -> Result<Created<T>, E>) -> Result<T, E> {
        if !self.namespace.options.enabled {
            return create().await.map(|created| created.value);
        }
        if let Err(error) = self.check_tags() {
            self.namespace.report_uncacheable(&error);
            return create().await.map(|created| created.value);
        }
        // Behind a pointer, so that a hit does not pay for the size of what a miss takes.
        Box::pin(async move { self.lookup().get_or_create(create).await }).await
    }

    /// As [`Cache::insert`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let names = manager.cache::<String>("names");
    /// names.entry_for(&7_u64).insert("Ada".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cache::insert`].
    pub async fn insert(self, value: T) -> Result<(), Error> {
        if !self.namespace.options.enabled {
            return Ok(());
        }
        self.check_tags()?;
        self.lookup().insert(value).await
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup::new(self.namespace, &self.key, self.tags.clone(), self.expire)
    }

    fn check_tags(&self) -> Result<(), Error> {
        let message = || format!("a value with {} tags, where {MAX_TAGS} are allowed", self.tags.len());
        (self.tags.len() <= MAX_TAGS).then_some(()).ok_or_else(|| Error::new(ErrorKind::TooLarge, message()))
    }
}

impl<V: Cacheable, E: Cacheable> Entry<'_, Result<V, E>> {
    /// As [`Cache::get_or_insert_result_with`].
    ///
    /// ```
    /// # use ampoule_cache::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ampoule_core::Error> {
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let rates = manager.cache::<Result<f64, String>>("rates");
    /// let rate = rates.entry("EUR").get_or_insert_result_with(|| async { Ok(1.09) }).await;
    /// assert_eq!(rate, Ok(1.09));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Cache::get_or_insert_result_with`].
    ///
    /// # Panics
    /// As [`Cache::get_or_insert_with`].
    pub async fn get_or_insert_result_with<F, Fut>(self, create: F) -> Result<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        let failure_expire = self.namespace.options.failure_expire;
        let create = || async {
            let result = create().await;
            let created = match &result {
                Ok(_) => Created::new(result),
                Err(_) => Created::failure(result).expire(failure_expire),
            };
            Ok::<_, Infallible>(created)
        };
        match self.get_or_try_create_with(create).await {
            Ok(result) => result,
            Err(never) => match never {},
        }
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Cache<T> {
        Cache { namespace: Arc::clone(&self.namespace), value: PhantomData }
    }
}

impl<T> std::fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} of {})", self.namespace.name, std::any::type_name::<T>())
    }
}
