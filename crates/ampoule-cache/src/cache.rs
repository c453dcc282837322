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

/// The values of one type under one namespace, as a region keeps them. Cloning it shares it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
///
/// let backend = Backend::memory(&BackendOptions::default());
/// let manager = CacheManager::new(backend, CacheOptions::default())?;
/// let squares = manager.cache::<u64>("squares");
///
/// // However many ask at once, one of them calculates and the others wait for it.
/// let nine = squares.get_or_insert_with("3", || async { 3 * 3 }).await;
/// assert_eq!(nine, 9);
/// assert_eq!(squares.get("3").await, Some(9));
///
/// squares.remove("3").await?;
/// assert_eq!(squares.get("3").await, None);
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
///
/// **Reading never fails because of the store.** While it is down, reads find nothing and creators are called. What
/// changes the cache does fail: the caller that removes a value must know that others may still see it.
///
/// **What the type looks like is part of the key**: its name, the names and types of its fields, and the
/// [version](Cache::with_version). A program whose type has changed does not read what the one before it wrote, and
/// while both run neither spoils the other's values; each removes its own, and [`clear`](Cache::clear) clears both's.
pub struct Cache<T> {
    namespace: Arc<Namespace>,
    value: PhantomData<fn() -> T>,
}

impl<T: Cacheable> Cache<T> {
    pub(crate) fn of(namespace: Arc<Namespace>) -> Cache<T> {
        Cache { namespace, value: PhantomData }
    }

    /// The same namespace for values of another version of the type: for a change that no field shows, as from metres
    /// to feet. 0 by default.
    #[must_use]
    pub fn with_version(&self, version: u32) -> Cache<T> {
        Cache::of(Arc::new(self.namespace.with_version(version)))
    }

    /// What the time is, by the clock that values expire by.
    pub fn now(&self) -> Time {
        self.namespace.backend.now()
    }

    /// The size of the largest value that is kept, in bytes.
    pub fn max_value_size(&self) -> usize {
        self.namespace.options.max_value_size
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// What happened here since this process began to use the namespace.
    pub fn stats(&self) -> CacheStats {
        self.namespace.counters.read()
    }

    /// One value, to be asked for with more than its key.
    pub fn entry<'a>(&'a self, key: &'a str) -> Entry<'a, T> {
        self.entry_of(Cow::Borrowed(key.as_bytes()))
    }

    /// One value by a key that is not a text: a number, a tuple, a type of your own. It differs from every text.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    /// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
    /// let names = manager.cache::<String>("names");
    /// names.entry_for(&(7_u64, "en")).insert("Ada".into()).await?;
    /// assert_eq!(names.entry_for(&(7_u64, "en")).get().await.as_deref(), Some("Ada"));
    /// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
    /// ```
    pub fn entry_for(&self, key: &(impl CacheKey + ?Sized)) -> Entry<'_, T> {
        self.entry_with(KeyWriter::key_of(key))
    }

    /// One value by a key that was written part by part.
    pub fn entry_with(&self, key: KeyWriter) -> Entry<'_, T> {
        self.entry_of(Cow::Owned(key.into_bytes()))
    }

    fn entry_of<'a>(&'a self, key: Cow<'a, [u8]>) -> Entry<'a, T> {
        Entry { namespace: &self.namespace, value: PhantomData, key, tags: Vec::new(), expire: None }
    }

    /// The value, if there is a fresh one.
    pub async fn get(&self, key: &str) -> Option<T> {
        self.entry(key).get().await
    }

    /// Whether there is a fresh value.
    pub async fn contains_key(&self, key: &str) -> bool {
        self.get(key).await.is_some()
    }

    /// The value; where there is none, what `create` makes, by one caller at a time.
    ///
    /// # Panics
    /// If `create` asks for the value that it creates, itself or through other creators: it would wait for itself. Only
    /// a task that the creator starts is not known to be its own: there the log has a warning after five seconds.
    pub async fn get_or_insert_with<F, Fut>(&self, key: &str, create: F) -> T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        self.entry(key).get_or_insert_with(create).await
    }

    /// The value; where there is none, what `create` makes, by one caller at a time. A failure is returned to the caller
    /// whose creator failed, and is not kept: the next who waits tries again.
    ///
    /// # Errors
    /// Those of `create`, and no others.
    pub async fn get_or_try_insert_with<E, F, Fut>(&self, key: &str, create: F) -> Result<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.entry(key).get_or_try_insert_with(create).await
    }

    /// Puts a value under the key, whatever is there.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] and [`ErrorKind::Value`] for what cannot be kept; those of the store.
    pub async fn insert(&self, key: &str, value: T) -> Result<(), Error> {
        self.entry(key).insert(value).await
    }

    /// Removes the value under the key. A caller that is creating it at this moment, in any process, from what was true
    /// before, does not put it back.
    ///
    /// # Errors
    /// Those of the store: the value may still be given out then.
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        self.entry(key).remove().await
    }

    /// Removes all values of the namespace, of whatever type, and those that are being created. It takes one command
    /// however many they are: the values count no more, and go away when they expire. On memcached too nothing else is
    /// touched, where Beaker's `clear` flushed the server.
    ///
    /// # Errors
    /// Those of the store: the values may still be given out then.
    pub async fn clear(&self) -> Result<(), Error> {
        self.namespace.backend.clear(self.namespace.key).await
    }
}

impl<V: Cacheable, E: Cacheable> Cache<Result<V, E>> {
    /// The result that is kept, be it a success or, for [`failure_expire`](crate::CacheOptions::failure_expire), a
    /// failure; where there is none, what `create` makes, by one caller at a time. For what fails slowly, so that those
    /// who wait share the failure instead of each trying in turn.
    ///
    /// # Errors
    /// Those of a creator, this caller's or a lately kept one.
    pub async fn get_or_insert_result_with<F, Fut>(&self, key: &str, create: F) -> Result<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        self.entry(key).get_or_insert_result_with(create).await
    }
}

/// One value of a [`Cache`], with what it is kept by: see [`Cache::entry`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
/// use std::time::Duration;
///
/// # let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default())?;
/// let pages = manager.cache::<String>("pages");
/// let render = || async { "<h1>Ada</h1>".to_owned() };
/// pages.entry("/users/ada").tags(["user:ada"]).expire(Duration::from_secs(30)).get_or_insert_with(render).await;
///
/// manager.invalidate_tag("user:ada").await?;
/// assert_eq!(pages.get("/users/ada").await, None);
/// # Ok::<(), ampoule_core::Error>(()) }).unwrap();
/// ```
pub struct Entry<'a, T> {
    namespace: &'a Namespace,
    value: PhantomData<fn() -> T>,
    key: Cow<'a, [u8]>,
    tags: Vec<StoreKey>,
    expire: Option<Duration>,
}

impl<T: Cacheable> Entry<'_, T> {
    /// Words by which the value can be invalidated together with others, in any namespace: 64 at most, and a value with
    /// more is not kept. Each costs one more read of the store for every look at the value.
    #[must_use]
    pub fn tags<S: AsRef<str>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| key::tag(tag.as_ref())));
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }

    /// How long the value is fresh, in place of what the region says.
    #[must_use]
    pub fn expire(mut self, expire: Duration) -> Self {
        self.expire = Some(expire);
        self
    }

    /// As [`Cache::get`].
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
    /// # Errors
    /// As [`Cache::remove`].
    pub async fn remove(self) -> Result<(), Error> {
        self.lookup().remove().await
    }

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
    /// # Errors
    /// Those of `create`, and no others.
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

    /// As [`Cache::get_or_try_insert_with`], with a creator that says how long its value is to be kept.
    ///
    /// # Errors
    /// Those of `create`, and no others.
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

    /// What follows when memory has no fresh value.
    async fn find_or_create<E>(self, create: impl AsyncFnOnce() -> Result<Created<T>, E>) -> Result<T, E> {
        if !self.namespace.options.enabled {
            return create().await.map(|created| created.value);
        }
        if let Err(error) = self.check_tags() {
            self.namespace.report_unfit(&error);
            return create().await.map(|created| created.value);
        }
        // Behind a pointer, so that a hit does not pay for the size of what a miss takes.
        Box::pin(async move { self.lookup().get_or_create(create).await }).await
    }

    /// As [`Cache::insert`].
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
        let message = || format!("a cached value has {MAX_TAGS} tags at most");
        (self.tags.len() <= MAX_TAGS).then_some(()).ok_or_else(|| Error::new(ErrorKind::TooLarge, message()))
    }
}

impl<V: Cacheable, E: Cacheable> Entry<'_, Result<V, E>> {
    /// As [`Cache::get_or_insert_result_with`].
    ///
    /// # Errors
    /// As [`Cache::get_or_insert_result_with`].
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
