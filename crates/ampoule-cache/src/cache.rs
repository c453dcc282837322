//! `Cache`: values of one type under one namespace.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{Error, ErrorKind, PutMode, StoreKey, Time};

use crate::ask::Ask;
use crate::create;
use crate::format::MAX_TAGS;
use crate::memory::{self, Kept};
use crate::space::Space;
use crate::stats::CacheStats;
use crate::value::{Cacheable, Created};
use crate::{key, shape};

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
/// // However many ask at once, one of them calculates and the others wait for him.
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
/// changes the cache does fail: whoever removes a value must know that others may still see it.
///
/// **The shape of the type is part of the key**: its name, the names and types of its fields, and the
/// [version](Cache::with_version). A program whose type has changed does not read what the one before it wrote, and
/// while both run neither spoils the other's values; each removes its own, and [`clear`](Cache::clear) clears both's.
pub struct Cache<T> {
    space: Arc<Space>,
    value: PhantomData<fn() -> T>,
}

impl<T: Cacheable> Cache<T> {
    pub(crate) fn of(space: Arc<Space>) -> Cache<T> {
        Cache { space, value: PhantomData }
    }

    /// The same namespace for values of another version of the type: for a change that no field shows, as from metres
    /// to feet. 0 by default.
    #[must_use]
    pub fn with_version(&self, version: u32) -> Cache<T> {
        Cache::of(self.space.of_version(version, || shape::of::<T>(version)))
    }

    /// What the time is, by the clock that values expire by.
    pub fn now(&self) -> Time {
        self.space.backend.now()
    }

    /// The size of the largest value that is kept, in bytes.
    pub fn max_value_size(&self) -> usize {
        self.space.options.max_value_size
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.space.namespace
    }

    /// What happened here since this process began to use the namespace.
    pub fn stats(&self) -> CacheStats {
        self.space.counters.read()
    }

    /// One value, to be asked for with more than its key.
    pub fn entry<'a>(&'a self, key: &'a str) -> Entry<'a, T> {
        Entry { cache: self, key, tags: Vec::new(), expire: None }
    }

    /// The value, if there is a fresh one.
    pub async fn get(&self, key: &str) -> Option<T> {
        if let Some(value) = self.space.try_now(key) {
            return Some(value);
        }
        if !self.space.options.enabled {
            return None;
        }
        self.space.backend.listen();
        let ask = self.space.ask(key, Vec::new(), None);
        let found = create::look::<T>(&self.space, &ask).await;
        let fresh = found.kept.filter(|kept| self.space.backend.now() < kept.expires);
        match fresh.and_then(|kept| kept.value()) {
            Some(value) => {
                self.space.counters.hits();
                Some(value)
            }
            None => {
                self.space.counters.misses();
                None
            }
        }
    }

    /// Whether there is a fresh value.
    pub async fn contains_key(&self, key: &str) -> bool {
        self.get(key).await.is_some()
    }

    /// The value; where there is none, what `create` makes, by one caller at a time.
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

    /// Removes the value under the key. Who is creating it at this moment, from what was true before, does not put it
    /// back, in whichever process he is.
    ///
    /// # Errors
    /// Those of the store: the value may still be given out then.
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        let backend = &self.space.backend;
        let ask = self.space.ask(key, Vec::new(), None);
        let done = match &backend.store {
            Some(remote) => remote.remove(ask.entry).await,
            None => Ok(()),
        };
        backend.forget(&ask.place, ask.entry);
        done
    }

    /// Removes all values of the namespace, of whatever type, and those that are being created. It takes one command
    /// however many they are: the values count no more, and go away when they expire. On memcached too nothing else is
    /// touched, where Beaker's `clear` flushed the server.
    ///
    /// # Errors
    /// Those of the store: the values may still be given out then.
    pub async fn clear(&self) -> Result<(), Error> {
        self.space.backend.clear(self.space.namespace_key).await
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
    cache: &'a Cache<T>,
    key: &'a str,
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

    /// As [`Cache::get_or_insert_with`].
    pub async fn get_or_insert_with<F, Fut>(self, create: F) -> T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        if let Some(value) = self.cache.space.try_now(self.key) {
            return value;
        }
        let create = || async { Ok::<_, Infallible>(Created::new(create().await)) };
        match self.ask_or_create(create).await {
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
        if let Some(value) = self.cache.space.try_now(self.key) {
            return Ok(value);
        }
        self.ask_or_create(|| async { create().await.map(Created::new) }).await
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
        match self.cache.space.try_now(self.key) {
            Some(value) => Ok(value),
            None => self.ask_or_create(create).await,
        }
    }

    /// What follows when memory has no fresh value.
    async fn ask_or_create<E, F, Fut>(self, create: F) -> Result<T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Created<T>, E>>,
    {
        let space = &self.cache.space;
        if !space.options.enabled || !self.has_few_tags() {
            return create().await.map(|created| created.value);
        }
        let ask = space.ask(self.key, self.tags, self.expire);
        // Behind a pointer, so that a hit does not pay for the size of what a miss takes.
        Box::pin(create::get_or_create(space, ask, create)).await
    }

    /// As [`Cache::insert`].
    ///
    /// # Errors
    /// As [`Cache::insert`].
    pub async fn insert(self, value: T) -> Result<(), Error> {
        let space = &self.cache.space;
        if !space.options.enabled {
            return Ok(());
        }
        if !self.has_few_tags() {
            return Err(Error::new(ErrorKind::TooLarge, format!("a cached value has {MAX_TAGS} tags at most")));
        }
        let body = ampoule_core::codec::encode(&value)?;
        if body.len() > space.options.max_value_size {
            let (size, most) = (body.len(), space.options.max_value_size);
            let message = format!("a value of {size} bytes, where {most} are allowed (max_value_size)");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let ask = space.ask(self.key, self.tags, self.expire);
        insert(space, &ask, value, body.into()).await
    }

    fn has_few_tags(&self) -> bool {
        let few = self.tags.len() <= MAX_TAGS;
        if !few {
            tracing::error!(cache = self.cache.namespace(), "a value has more than {MAX_TAGS} tags and is not cached");
        }
        few
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
        let failure_expire = self.cache.space.options.failure_expire;
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

async fn insert<T: Cacheable>(space: &Space, ask: &Ask, value: T, body: ampoule_core::Bytes) -> Result<(), Error> {
    let backend = &space.backend;
    let now = backend.now();
    let mut kept = Kept {
        created: now,
        expires: now + ask.expire,
        took: Duration::ZERO,
        began: backend.moment(),
        asked: now,
        tags: memory::tags(ask.tags.iter().copied()),
        size: body.len() as u32,
        until: space.until(now, now, ask.expire),
        value: Arc::new(value),
    };
    if let Some(remote) = &backend.store {
        let lifetime = space.lifetime(ask.expire);
        let generations = remote.lasting_generations(space.carried_by(ask), now, lifetime).await?;
        let _ = remote.put(ask.entry, space.record(ask, &kept, &generations, body), lifetime, PutMode::Always).await?;
    }
    let is_void = space.is_void(ask, kept.began);
    // Whoever is creating the value, or asked the store for it, began before it was put.
    kept.began = backend.forget(&ask.place, ask.entry);
    if !is_void || backend.store.is_none() {
        space.remember(ask, &kept);
    }
    Ok(())
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Cache<T> {
        Cache { space: Arc::clone(&self.space), value: PhantomData }
    }
}

impl<T> std::fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} of {})", self.space.namespace, std::any::type_name::<T>())
    }
}
