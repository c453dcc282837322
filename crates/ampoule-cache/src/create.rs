//! How a value is found or created: looked up, waited for, created by one, kept.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ampoule_core::{Bytes, Error, ErrorKind, PutMode, PutResult, Time, codec};
use futures_util::future::try_join;

use crate::ask::Ask;
use crate::flight::{Creating, Turn};
use crate::format::{Generation, Header, Record};
use crate::lease::Lease;
use crate::memory::{self, Kept, MemoryKey};
use crate::remote::{MAX_CREATION, Remote};
use crate::space::Space;
use crate::value::{Cacheable, Created};

/// What there is.
pub(crate) struct Found {
    /// A value that counts, fresh or stale.
    pub(crate) kept: Option<Kept>,
    /// Under which condition another one may be put in its place.
    when: PutMode,
    reachable: bool,
}

/// What is known when a creator begins.
struct Start {
    began: u64,
    asked: Time,
    /// The same by a clock that is never set.
    instant: Instant,
    when: PutMode,
    /// Of the namespace and the tags; `None` if there is no store that answers.
    generations: Option<Vec<Generation>>,
}

/// Who may create.
enum Right {
    Ours(Option<Lease>),
    /// Another process creates, and there is an old value meanwhile.
    Theirs(Kept),
    /// Another process has created, as was seen by who looked at this moment.
    Made(Kept, Instant),
}

/// Looks into memory, then into the store. A store that fails has nothing.
pub(crate) async fn look<T: Cacheable>(space: &Space, ask: &Ask) -> Found {
    if let Some(kept) = in_memory(space, &ask.place) {
        return Found { kept: Some(kept), when: PutMode::Always, reachable: true };
    }
    match &space.backend.store {
        Some(remote) => in_store::<T>(space, ask, remote).await,
        None => Found { kept: None, when: PutMode::Always, reachable: true },
    }
}

/// A value in memory that may be given out, as far as the process knows.
fn in_memory(space: &Space, place: &MemoryKey) -> Option<Kept> {
    let kept = space.backend.memory.as_ref()?.get(&place.look_up())?;
    let now = space.backend.now();
    (space.counts(&kept) && space.is_recent(&kept, now) && space.lives(&kept, now)).then_some(kept)
}

async fn in_store<T: Cacheable>(space: &Space, ask: &Ask, remote: &Remote) -> Found {
    let (began, asked) = (space.backend.moment(), space.backend.now());
    match fetch::<T>(space, ask, remote, began, asked).await {
        Ok((kept, when)) => {
            if let Some(kept) = &kept {
                space.remember(ask, kept);
            }
            Found { kept, when, reachable: true }
        }
        Err(error) => {
            space.went_wrong(&error, "read");
            Found { kept: None, when: PutMode::Create, reachable: false }
        }
    }
}

async fn fetch<T: Cacheable>(
    space: &Space,
    ask: &Ask,
    remote: &Remote,
    began: u64,
    asked: Time,
) -> Result<(Option<Kept>, PutMode), Error> {
    let record = async {
        match remote.get(ask.entry).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(error)),
            answer => answer.map(Ok),
        }
    };
    let (record, generation) = try_join(record, remote.generation(space.namespace_key)).await?;
    let stored = match record {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok((None, PutMode::Create)),
        Err(damaged) => {
            space.is_damaged(&damaged);
            return Ok((None, PutMode::Always));
        }
    };
    let when = PutMode::Replace(stored.version);
    let (header, body) = match Record::decode(&stored.value) {
        Ok(Record::Value(header, body)) => (header, body),
        Ok(Record::Removed) => return Ok((None, when)),
        Err(damaged) => {
            space.is_damaged(&damaged);
            return Ok((None, when));
        }
    };
    if generation != Some(header.generation) || !carries_its_tags(remote, &header).await? {
        return Ok((None, when));
    }
    let Ok(value) = codec::decode::<T>(&body) else { return Ok((None, when)) };
    let kept = Kept {
        created: header.created,
        expires: header.expires,
        took: header.took,
        began,
        asked,
        tags: memory::tags(header.tags.iter().map(|(key, _)| *key)),
        size: body.len() as u32,
        until: asked + space.options.memory_expire,
        value: Arc::new(value),
    };
    Ok((space.lives(&kept, asked).then_some(kept), when))
}

async fn carries_its_tags(remote: &Remote, header: &Header) -> Result<bool, Error> {
    let now = remote.generations(header.tags.iter().map(|(key, _)| *key)).await?;
    Ok(now.iter().zip(&header.tags).all(|(now, (_, then))| *now == Some(*then)))
}

/// The value; created by the caller where there is none and nobody else is at it.
pub(crate) async fn get_or_create<T, E, F, Fut>(space: &Arc<Space>, ask: Ask, create: F) -> Result<T, E>
where
    T: Cacheable,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Created<T>, E>>,
{
    space.backend.listen();
    let mut missed = false;
    loop {
        let found = look::<T>(space, &ask).await;
        let (creating, old) = match found.kept {
            Some(kept) if !space.is_due(&kept) => return given(space, &kept, missed, create).await,
            Some(kept) => match space.backend.flights.try_turn(&ask.place) {
                Some(creating) => (creating, Some(kept)),
                None => return given(space, &kept, missed, create).await,
            },
            None => {
                if !missed {
                    space.counters.misses();
                    missed = true;
                }
                match space.backend.flights.turn(&ask.place, 2 * space.options.lease).await {
                    Turn::Ours(creating) => (creating, None),
                    Turn::Made(made) => match made.downcast::<T>() {
                        Ok(value) => {
                            space.counters.waits();
                            return Ok(T::clone(&value));
                        }
                        Err(_) => continue,
                    },
                    Turn::TooLong => continue,
                }
            }
        };
        return lead(space, &ask, creating, old, create).await;
    }
}

/// Gives out what there is. That it is of another type cannot be, since the type is part of the key; if it were, it is
/// created.
async fn given<T, E, F, Fut>(space: &Space, kept: &Kept, waited: bool, create: F) -> Result<T, E>
where
    T: Cacheable,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Created<T>, E>>,
{
    match kept.value::<T>() {
        Some(value) => {
            space.count_given(kept, waited);
            Ok(value)
        }
        None => create().await.map(|created| created.value),
    }
}

/// Creates the value, if no other process does.
async fn lead<T, E, F, Fut>(
    space: &Arc<Space>,
    ask: &Ask,
    creating: Creating<'_>,
    old: Option<Kept>,
    create: F,
) -> Result<T, E>
where
    T: Cacheable,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Created<T>, E>>,
{
    let lease = match right::<T>(space, ask, old.as_ref()).await {
        Right::Ours(lease) => lease,
        Right::Theirs(kept) => return given(space, &kept, false, create).await,
        Right::Made(kept, as_of) => {
            creating.land(Arc::clone(&kept.value), as_of);
            return given(space, &kept, true, create).await;
        }
    };
    let as_of = Instant::now();
    let (start, found) = start::<T>(space, ask).await;
    // Another one may have created it between the first look and the lease.
    let newer = |kept: &Kept| old.as_ref().is_none_or(|old| kept.created != old.created) && !space.is_due(kept);
    if let Some(kept) = found.filter(newer) {
        release(lease).await;
        creating.land(Arc::clone(&kept.value), as_of);
        return given(space, &kept, true, create).await;
    }
    let began = space.backend.now();
    let answer = create().await;
    let took = space.backend.now().since(began);
    let value = match answer {
        Ok(created) if created.is_failure && old.as_ref().is_some_and(|old| old.value::<T>().is_some()) => {
            space.counters.failures();
            space.counters.stale();
            Ok(old.as_ref().and_then(|old| old.value()).unwrap_or(created.value))
        }
        Ok(created) => {
            if created.is_failure {
                space.counters.failures();
            } else {
                space.counters.creations();
            }
            let value = created.value.clone();
            keep(space, ask, start, creating, created, took).await;
            Ok(value)
        }
        Err(error) => {
            space.counters.failures();
            match old.as_ref().and_then(|old| old.value::<T>()) {
                Some(value) => {
                    space.counters.stale();
                    Ok(value)
                }
                None => Err(error),
            }
        }
    };
    release(lease).await;
    value
}

async fn release(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.release().await;
    }
}

/// Takes the lease, or waits until another process has created the value, or has had time enough.
async fn right<T: Cacheable>(space: &Arc<Space>, ask: &Ask, old: Option<&Kept>) -> Right {
    let (Some(remote), true) = (&space.backend.store, space.options.shared_lease) else { return Right::Ours(None) };
    let waiting = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match Lease::take(&space.backend, ask.entry, space.options.lease).await {
            Ok(Some(lease)) => return Right::Ours(Some(lease)),
            Ok(None) => {}
            Err(error) => {
                space.went_wrong(&error, "lease");
                return Right::Ours(None);
            }
        }
        if let Some(old) = old {
            return Right::Theirs(old.clone());
        }
        if waiting.elapsed() > space.options.lease {
            return Right::Ours(None);
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        pause = (pause * 2).min(Duration::from_millis(100));
        let as_of = Instant::now();
        let found = in_store::<T>(space, ask, remote).await;
        match found.kept {
            Some(kept) => return Right::Made(kept, as_of),
            None if !found.reachable => return Right::Ours(None),
            None => {}
        }
    }
}

/// What must be known before the creator begins, so that what is cleared or removed meanwhile is noticed; and what has
/// been created since the caller looked.
async fn start<T: Cacheable>(space: &Space, ask: &Ask) -> (Start, Option<Kept>) {
    let (began, asked, instant) = (space.backend.moment(), space.backend.now(), Instant::now());
    let Some(remote) = &space.backend.store else {
        let start = Start { began, asked, instant, when: PutMode::Always, generations: None };
        return (start, in_memory(space, &ask.place));
    };
    let lifetime = space.lifetime(ask.expire);
    let generations = match remote.lasting_generations(space.carried_by(ask), asked, lifetime).await {
        Ok(generations) => Some(generations),
        Err(error) => {
            space.went_wrong(&error, "begin");
            None
        }
    };
    let found = match &generations {
        Some(_) => in_store::<T>(space, ask, remote).await,
        None => Found { kept: None, when: PutMode::Create, reachable: false },
    };
    let generations = generations.filter(|_| found.reachable);
    (Start { began, asked, instant, when: found.when, generations }, found.kept)
}

/// Keeps what was created where nothing happened to it meanwhile, and gives it to those who wait.
async fn keep<T: Cacheable>(
    space: &Space,
    ask: &Ask,
    start: Start,
    creating: Creating<'_>,
    created: Created<T>,
    took: Duration,
) {
    let expire = created.expire.unwrap_or(ask.expire);
    if expire.is_zero() {
        return;
    }
    let value = Arc::new(created.value);
    let Some(body) = space.encode(&*value) else {
        // All who wait would make the same.
        return creating.land(value, Instant::now());
    };
    let now = space.backend.now();
    let kept = Kept {
        created: now,
        expires: now + expire,
        took,
        began: start.began,
        asked: start.asked,
        tags: memory::tags(ask.tags.iter().copied()),
        size: body.len() as u32,
        until: space.until(now, start.asked, expire),
        value: value.clone(),
    };
    let as_of = put(space, ask, &start, &kept, body, creating.is_awaited()).await;
    let Some(as_of) = as_of else { return };
    // What is cleared from here on finds the value in memory.
    space.remember(ask, &kept);
    if !space.is_void(ask, start.began) {
        creating.land(value, as_of);
    }
}

/// Puts the value into the store, if there is one that answers. Returns the moment at which it was still right, and `None`
/// if it is not any more.
async fn put(space: &Space, ask: &Ask, start: &Start, kept: &Kept, body: Bytes, is_awaited: bool) -> Option<Instant> {
    let (Some(remote), Some(generations)) = (&space.backend.store, &start.generations) else {
        return Some(Instant::now());
    };
    if space.backend.now().since(start.asked).max(start.instant.elapsed()) > MAX_CREATION {
        tracing::warn!(cache = %space.namespace, "creating a value took more than {MAX_CREATION:?}; it is not kept");
        return None;
    }
    let lifetime = space.lifetime(kept.expires.since(kept.created));
    let stored = async {
        if lifetime > space.lifetime(ask.expire) && !outlast(space, ask, remote, generations, lifetime).await? {
            return Ok(PutResult::Conflict);
        }
        remote.put(ask.entry, space.record(ask, kept, generations, body), lifetime, start.when).await
    };
    match stored.await {
        Ok(PutResult::Stored(_)) => {}
        Ok(PutResult::Conflict) => return None,
        Err(error) => {
            space.went_wrong(&error, "write");
            // A write of which nothing is known may have met the mark of a removal.
            return (error.kind() != ErrorKind::Timeout).then(Instant::now);
        }
    }
    let as_of = Instant::now();
    if is_awaited {
        let now = remote.generations(space.carried_by(ask)).await.ok()?;
        if !now.iter().zip(generations).all(|(now, then)| *now == Some(*then)) {
            return None;
        }
    }
    Some(as_of)
}

/// Makes the generations outlive a value that is to be kept longer than was known when creating it began. `false` if one was
/// exchanged since, so that the value does not count.
async fn outlast(
    space: &Space,
    ask: &Ask,
    remote: &Remote,
    generations: &[Generation],
    lifetime: Duration,
) -> Result<bool, Error> {
    let now = remote.lasting_generations(space.carried_by(ask), space.backend.now(), lifetime).await?;
    Ok(now == generations)
}
