//! A memory store with one defect.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ampoule_core::{
    Bytes, Clock, Entry, Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Outcome, Page, Put, Reply, Store,
    StoreKey, Stored, Swept, Tag, Time, Version,
};
use tokio::task::yield_now;

/// The ways in which a store can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    AcceptsAnyPlace,
    ComparesAndWritesInTwoSteps,
    CountsInTwoSteps,
    CreatesInTwoSteps,
    CreatesOverWhatIsThere,
    CutsValues,
    DeleteLies,
    DeletesInTwoSteps,
    DescribesInTwoLines,
    EvictsTheLiving,
    ExpiresNever,
    FindsOneHundred,
    FoldsKeys,
    ForgetsWhereAScanEnded,
    ForgetsTagsInADroppedRead,
    ForgetsTheTagOnReplace,
    HangsAfterADroppedPut,
    IgnoresTheVersion,
    KeepsAPastDeadline,
    KeepsTagsOfTheDeleted,
    LeavesHalfADelete,
    LosesTheValueInADroppedTouch,
    MakesAKeyByReplace,
    NeverExpires,
    RaisesTheDeadByReplace,
    ReusesVersions,
    RoundsTheDeadline,
    ScansByOffset,
    ScansOnePage,
    SweepsBeyondTheBudget,
    SweepsByAnOldList,
    SweepsInPassing,
    SweepsNothing,
    SweepsTheLiving,
    TagsInASecondStep,
    TakesAlwaysForCreate,
    TearsValues,
    TellsAbsenceAsAnError,
    TouchChangesTheVersion,
    TouchForgetsTheDeadline,
    TouchMakesAKey,
    TouchRaisesTheDeleted,
    TouchWritesBack,
}

/// The store. What is not broken is left to a [`MemoryStore`].
pub(crate) struct Broken {
    defect: Defect,
    store: MemoryStore,
    clock: Arc<ManualClock>,
    /// Keys that were put, for defects that must know some.
    keys: Mutex<HashSet<StoreKey>>,
    /// Tags by which no key is found any more.
    forgotten: Mutex<HashSet<Tag>>,
    counter: AtomicU64,
    hanging: AtomicBool,
}

/// What is to happen if a future is dropped before it is at its end.
struct IfDropped<F: FnMut()>(Option<F>);

impl<F: FnMut()> Drop for IfDropped<F> {
    fn drop(&mut self) {
        if let Some(happen) = &mut self.0 {
            happen();
        }
    }
}

impl Broken {
    pub(crate) fn new(defect: Defect, clock: Arc<ManualClock>) -> Broken {
        Broken {
            defect,
            store: MemoryStore::new(MemoryBounds::default(), clock.clone()),
            clock,
            keys: Mutex::default(),
            forgotten: Mutex::default(),
            counter: AtomicU64::new(0),
            hanging: AtomicBool::new(false),
        }
    }

    fn key(&self, key: StoreKey) -> StoreKey {
        let mut bytes = *key.as_bytes();
        if self.defect == Defect::FoldsKeys {
            bytes[31] &= 0xfe;
        }
        StoreKey::new(bytes)
    }

    async fn version_of(&self, key: StoreKey) -> Result<Option<Version>, Error> {
        Ok(self.store.get(key).await?.map(|stored| stored.version))
    }

    async fn wrong_get(&self, key: StoreKey) -> Result<Option<Stored>, Error> {
        if self.defect == Defect::SweepsTheLiving && self.counter.load(Ordering::SeqCst) > 1 {
            return Ok(None);
        }
        let stored = self.store.get(key).await?;
        match self.defect {
            Defect::TellsAbsenceAsAnError if stored.is_none() => {
                Err(Error::new(ErrorKind::Unavailable, "there is nothing"))
            }
            Defect::RoundsTheDeadline => {
                let round = |time: Time| Time::from_millis(time.as_millis().next_multiple_of(86_400_000));
                Ok(stored.map(|stored| Stored { deadline: round(stored.deadline), ..stored }))
            }
            Defect::ReusesVersions => {
                Ok(stored.map(|stored| Stored { version: Version(stored.version.0 % 8), ..stored }))
            }
            _ => Ok(stored),
        }
    }

    async fn put_in_two_steps(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let found = self.version_of(key).await?;
        yield_now().await;
        let holds = match when {
            Put::Create => found.is_none(),
            Put::Replace(version) => found == Some(version),
            Put::Always => true,
        };
        if holds { self.store.put(key, entry, Put::Always).await } else { Ok(Outcome::Conflict) }
    }

    async fn put_in_halves(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let half = Entry { value: entry.value.slice(..entry.value.len() / 2), ..entry.clone() };
        let Outcome::Stored(version) = self.store.put(key, half, when).await? else { return Ok(Outcome::Conflict) };
        yield_now().await;
        self.store.put(key, entry, Put::Replace(version)).await
    }

    async fn put_and_then_tag(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let tag = entry.tag;
        let outcome = self.store.put(key, Entry { tag: None, ..entry.clone() }, when).await?;
        yield_now().await;
        if tag.is_some_and(|_| !self.counter.fetch_add(1, Ordering::SeqCst).is_multiple_of(5)) {
            return self.store.put(key, entry, Put::Always).await;
        }
        Ok(outcome)
    }

    /// The condition that a store with this defect looks at in the place of the right one.
    async fn wrong_when(&self, key: StoreKey, when: Put) -> Result<Put, Error> {
        let found = self.version_of(key).await?;
        Ok(match (self.defect, when) {
            (Defect::IgnoresTheVersion, Put::Replace(_)) if found.is_some() => Put::Always,
            (Defect::MakesAKeyByReplace | Defect::RaisesTheDeadByReplace, Put::Replace(_)) if found.is_none() => {
                Put::Always
            }
            (Defect::CreatesOverWhatIsThere, Put::Create) => Put::Always,
            (Defect::TakesAlwaysForCreate, Put::Always) => Put::Create,
            (Defect::ReusesVersions, Put::Replace(version)) => Put::Replace(found.unwrap_or(version)),
            (_, when) => when,
        })
    }

    fn wrong_entry(&self, mut entry: Entry, when: Put) -> Entry {
        let past = entry.deadline <= self.clock.now();
        match self.defect {
            Defect::NeverExpires if !past => entry.deadline = Time::MAX,
            Defect::KeepsAPastDeadline if past => entry.deadline = Time::MAX,
            Defect::ExpiresNever if entry.deadline == Time::MAX => entry.deadline = Time::from_millis(u32::MAX.into()),
            Defect::ForgetsTheTagOnReplace if when != Put::Create => entry.tag = None,
            Defect::CutsValues => entry.value = entry.value.slice(..entry.value.len().min(65_535)),
            _ => {}
        }
        entry
    }

    async fn wrong_put(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        if self.defect == Defect::EvictsTheLiving && self.store.len() >= 5_000 {
            let victim = self.keys.lock().unwrap().iter().next().copied();
            if let Some(victim) = victim {
                self.keys.lock().unwrap().remove(&victim);
                self.store.delete(victim).await?;
            }
        }
        self.keys.lock().unwrap().insert(key);
        let when = self.wrong_when(key, when).await?;
        let entry = self.wrong_entry(entry, when);
        match (self.defect, when) {
            (Defect::ComparesAndWritesInTwoSteps | Defect::CountsInTwoSteps, Put::Replace(_))
            | (Defect::CreatesInTwoSteps, Put::Create) => self.put_in_two_steps(key, entry, when).await,
            (Defect::TearsValues, _) => self.put_in_halves(key, entry, when).await,
            (Defect::TagsInASecondStep, _) => self.put_and_then_tag(key, entry, when).await,
            (Defect::HangsAfterADroppedPut, _) => self.put_or_hang(key, entry, when).await,
            (Defect::ReusesVersions, _) => match self.store.put(key, entry, when).await? {
                Outcome::Stored(version) => Ok(Outcome::Stored(Version(version.0 % 8))),
                Outcome::Conflict => Ok(Outcome::Conflict),
            },
            _ => self.store.put(key, entry, when).await,
        }
    }

    async fn put_or_hang(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        if self.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let mut held = IfDropped(Some(|| self.hanging.store(true, Ordering::SeqCst)));
        yield_now().await;
        held.0 = None;
        self.store.put(key, entry, when).await
    }

    async fn wrong_touch(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        let found = self.store.get(key).await?;
        let there = found.is_some();
        let value = found.map_or(Bytes::new(), |stored| stored.value);
        let write = || self.store.put(key, Entry { value, deadline, tag: None }, Put::Always);
        match self.defect {
            Defect::TouchForgetsTheDeadline => return Ok(there),
            Defect::TouchMakesAKey => {}
            Defect::TouchChangesTheVersion if there => {}
            Defect::TouchWritesBack | Defect::TouchRaisesTheDeleted if there => yield_now().await,
            Defect::LosesTheValueInADroppedTouch if there => {
                self.store.delete(key).await?;
                yield_now().await;
            }
            _ => return self.store.touch(key, deadline).await,
        }
        write().await.map(|_| there)
    }

    async fn wrong_delete(&self, key: StoreKey) -> Result<bool, Error> {
        let there = self.store.get(key).await?.is_some();
        match self.defect {
            Defect::DeleteLies => {}
            Defect::DeletesInTwoSteps => yield_now().await,
            Defect::LeavesHalfADelete => {
                let emptied = Entry { value: Bytes::new(), deadline: Time::MAX, tag: None };
                let _ = self.store.put(key, emptied, Put::Always).await?;
                yield_now().await;
            }
            _ => return self.store.delete(key).await,
        }
        self.store.delete(key).await?;
        Ok(there || self.defect == Defect::DeleteLies)
    }

    async fn wrong_tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let mut keys = self.store.tagged(tag).await?;
        match self.defect {
            Defect::KeepsTagsOfTheDeleted => keys.push(StoreKey::new(*tag.as_bytes())),
            Defect::FindsOneHundred => keys.truncate(100),
            Defect::ForgetsTagsInADroppedRead => {
                if self.forgotten.lock().unwrap().contains(&tag) {
                    return Ok(Vec::new());
                }
                let mut read = IfDropped(Some(|| _ = self.forgotten.lock().unwrap().insert(tag)));
                yield_now().await;
                read.0 = None;
            }
            _ => {}
        }
        Ok(keys)
    }

    async fn wrong_scan(&self, from: Option<&str>, budget: usize) -> Result<Page, Error> {
        match self.defect {
            Defect::AcceptsAnyPlace if from.is_some_and(|place| !place.contains('.')) => Ok(Page::default()),
            Defect::ScansOnePage => Ok(Page { next: None, ..self.store.scan(None, budget.min(100)).await? }),
            Defect::ForgetsWhereAScanEnded if from.is_some() => Ok(Page::default()),
            Defect::ScansByOffset => {
                let mut keys = self.store.scan(None, usize::MAX).await?.keys;
                keys.sort();
                let start = from.map_or(0, |place| place.parse().unwrap_or(0)).min(keys.len());
                let end = (start + budget).min(keys.len());
                yield_now().await;
                Ok(Page { keys: keys[start..end].to_vec(), next: (end < keys.len()).then(|| end.to_string()) })
            }
            _ => self.store.scan(from, budget).await,
        }
    }

    async fn wrong_sweep(&self, budget: usize) -> Result<Swept, Error> {
        let known: Vec<_> = self.keys.lock().unwrap().iter().copied().collect();
        match self.defect {
            Defect::SweepsNothing => Ok(Swept::default()),
            Defect::SweepsBeyondTheBudget => self.store.sweep(usize::MAX).await,
            Defect::SweepsTheLiving => {
                self.counter.fetch_add(1, Ordering::SeqCst);
                self.store.sweep(budget).await
            }
            Defect::SweepsInPassing => {
                yield_now().await;
                if let Some(key) = known.first() {
                    self.store.delete(*key).await?;
                }
                self.store.sweep(budget).await
            }
            Defect::SweepsByAnOldList => {
                let mut expired = Vec::new();
                for key in known {
                    if self.store.get(key).await?.is_none() {
                        expired.push(key);
                    }
                }
                yield_now().await;
                for key in expired {
                    self.store.delete(key).await?;
                    yield_now().await;
                }
                self.store.sweep(budget).await
            }
            _ => self.store.sweep(budget).await,
        }
    }
}

impl Store for Broken {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.wrong_get(self.key(key)))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Reply::new(self.wrong_put(self.key(key), entry, when))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(self.wrong_touch(self.key(key), deadline))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.wrong_delete(self.key(key)))
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(self.wrong_tagged(tag))
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.wrong_scan(from, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        Reply::new(self.wrong_sweep(budget))
    }

    fn describe(&self) -> String {
        if self.defect == Defect::DescribesInTwoLines { "two\nlines".to_owned() } else { format!("{:?}", self.defect) }
    }
}
