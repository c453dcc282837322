//! A memory store with one defect.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule_core::{
    Bytes, Clock, Entry, Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Page, PutMode, PutResult, Reply,
    Store, StoreKey, Stored, SweepReport, Tag, Time, Version, write_and_read_back,
};
use tokio::task::yield_now;

/// The defects of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    AcceptsAnyCursor,
    ComparesAndWritesInTwoSteps,
    CountsInTwoSteps,
    CreatesInTwoSteps,
    CreatesOverALiveValue,
    CutsValues,
    DeleteAlwaysReturnsTrue,
    DeletesLiveKeysOnly,
    DeletesInTwoSteps,
    DescribesInTwoLines,
    EvictsLiveValues,
    ExpiresWhatNeverExpires,
    FindsOneHundred,
    FoldsKeys,
    IgnoresTheCursor,
    ForgetsTagsInADroppedRead,
    DropsTagsOfExpiredKeys,
    ForgetsTheTagOnReplace,
    HangsAfterADroppedPut,
    IgnoresTheVersion,
    KeepsTagsOfTheDeleted,
    KeepsValuesWithoutLifetime,
    HalfDeletesWhenDropped,
    LosesTheValueInADroppedTouch,
    MakesAKeyByReplace,
    NeverExpires,
    PingReturnsAnotherClock,
    PingLeavesItsValue,
    PutEvictableIgnoresTheMode,
    ReplaceRevivesDeletedKeys,
    ReusesVersions,
    RoundsTheDeadline,
    ScansByOffset,
    ScansOnePage,
    SweepsBeyondTheBudget,
    SweepsByAStaleList,
    SweepsLiveKeysNowAndThen,
    SweepsNothing,
    SweepsLiveKeys,
    TagsInASecondStep,
    TreatsAlwaysAsCreate,
    TearsValues,
    ReportsAbsenceAsAnError,
    TouchChangesTheVersion,
    TouchComparesInTwoSteps,
    TouchForgetsTheDeadline,
    TouchIgnoresTheVersion,
    TouchCreatesAKey,
    TouchMovesTheDeadlineEarlier,
    TouchRevivesDeletedKeys,
    TouchWritesBack,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A store with a defect. All else is delegated to a [`MemoryStore`].
pub(crate) struct Broken {
    defect: Defect,
    store: MemoryStore,
    clock: Arc<ManualClock>,
    /// Keys that were put, for defects that need known keys.
    keys: Mutex<HashSet<StoreKey>>,
    /// Deadlines that a touch has moved, for a defect that the memory store cannot have.
    moved: Mutex<HashMap<StoreKey, Time>>,
    /// Tags that no longer find any key.
    forgotten: Mutex<HashSet<Tag>>,
    counter: AtomicU64,
    hanging: AtomicBool,
}

/// Runs a function if a future is dropped before it has ended.
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
            moved: Mutex::default(),
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
        if self.defect == Defect::SweepsLiveKeys && self.counter.load(Ordering::SeqCst) > 1 {
            return Ok(None);
        }
        let moved = self.moved.lock().unwrap().get(&key).copied();
        let stored = self.store.get(key).await?.filter(|_| moved.is_none_or(|deadline| deadline > self.clock.now()));
        match self.defect {
            Defect::ReportsAbsenceAsAnError if stored.is_none() => {
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

    async fn put_in_two_steps(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let found = self.version_of(key).await?;
        yield_now().await;
        let holds = match mode {
            PutMode::Create => found.is_none(),
            PutMode::Replace(version) => found == Some(version),
            PutMode::Always => true,
        };
        if holds { self.store.put(key, entry, PutMode::Always).await } else { Ok(PutResult::Conflict) }
    }

    async fn put_in_halves(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let half = Entry { value: entry.value.slice(..entry.value.len() / 2), ..entry.clone() };
        let PutResult::Stored(version) = self.store.put(key, half, mode).await? else { return Ok(PutResult::Conflict) };
        yield_now().await;
        self.store.put(key, entry, PutMode::Replace(version)).await
    }

    async fn put_and_then_tag(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        let tag = entry.tag;
        let outcome = self.store.put(key, Entry { tag: None, ..entry.clone() }, mode).await?;
        yield_now().await;
        if tag.is_some_and(|_| !self.counter.fetch_add(1, Ordering::SeqCst).is_multiple_of(5)) {
            return self.store.put(key, entry, PutMode::Always).await;
        }
        Ok(outcome)
    }

    /// The condition that a store with this defect checks instead of the right one.
    async fn wrong_mode(&self, key: StoreKey, mode: PutMode) -> Result<PutMode, Error> {
        let found = self.version_of(key).await?;
        Ok(match (self.defect, mode) {
            (Defect::IgnoresTheVersion, PutMode::Replace(_)) if found.is_some() => PutMode::Always,
            (Defect::MakesAKeyByReplace | Defect::ReplaceRevivesDeletedKeys, PutMode::Replace(_))
                if found.is_none() =>
            {
                PutMode::Always
            }
            (Defect::CreatesOverALiveValue, PutMode::Create) => PutMode::Always,
            (Defect::TreatsAlwaysAsCreate, PutMode::Always) => PutMode::Create,
            (Defect::ReusesVersions, PutMode::Replace(version)) => PutMode::Replace(found.unwrap_or(version)),
            (_, mode) => mode,
        })
    }

    fn wrong_entry(&self, mut entry: Entry, mode: PutMode) -> Entry {
        let ended = entry.lifetime.is_zero();
        match self.defect {
            Defect::NeverExpires if !ended => entry.lifetime = Duration::MAX,
            Defect::KeepsValuesWithoutLifetime if ended => entry.lifetime = Duration::MAX,
            Defect::ExpiresWhatNeverExpires if entry.lifetime == Duration::MAX => entry.lifetime = YEAR,
            Defect::ForgetsTheTagOnReplace if mode != PutMode::Create => entry.tag = None,
            Defect::CutsValues => entry.value = entry.value.slice(..entry.value.len().min(65_535)),
            _ => {}
        }
        entry
    }

    async fn wrong_put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        if self.defect == Defect::EvictsLiveValues && self.store.len() >= 5_000 {
            let victim = self.keys.lock().unwrap().iter().next().copied();
            if let Some(victim) = victim {
                self.keys.lock().unwrap().remove(&victim);
                self.store.delete(victim).await?;
            }
        }
        self.keys.lock().unwrap().insert(key);
        let mode = self.wrong_mode(key, mode).await?;
        let entry = self.wrong_entry(entry, mode);
        match (self.defect, mode) {
            (Defect::ComparesAndWritesInTwoSteps | Defect::CountsInTwoSteps, PutMode::Replace(_))
            | (Defect::CreatesInTwoSteps, PutMode::Create) => self.put_in_two_steps(key, entry, mode).await,
            (Defect::TearsValues, _) => self.put_in_halves(key, entry, mode).await,
            (Defect::TagsInASecondStep, _) => self.put_and_then_tag(key, entry, mode).await,
            (Defect::HangsAfterADroppedPut, _) => self.put_or_hang(key, entry, mode).await,
            (Defect::ReusesVersions, _) => match self.store.put(key, entry, mode).await? {
                PutResult::Stored(version) => Ok(PutResult::Stored(Version(version.0 % 8))),
                PutResult::Conflict => Ok(PutResult::Conflict),
            },
            _ => self.store.put(key, entry, mode).await,
        }
    }

    async fn put_or_hang(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Result<PutResult, Error> {
        if self.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let mut held = IfDropped(Some(|| self.hanging.store(true, Ordering::SeqCst)));
        yield_now().await;
        held.0 = None;
        self.store.put(key, entry, mode).await
    }

    async fn wrong_touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Result<bool, Error> {
        let found = self.store.get(key).await?;
        let there = found.is_some();
        let present = found.as_ref().map(|stored| stored.version);
        let holds = present == Some(version);
        match self.defect {
            Defect::TouchForgetsTheDeadline => Ok(holds),
            Defect::TouchIgnoresTheVersion => self.store.touch(key, present.unwrap_or(version), lifetime).await,
            Defect::TouchComparesInTwoSteps if holds => {
                yield_now().await;
                let present = self.version_of(key).await?;
                self.store.touch(key, present.unwrap_or(version), lifetime).await
            }
            Defect::TouchMovesTheDeadlineEarlier if holds => {
                self.moved.lock().unwrap().insert(key, self.clock.now() + lifetime);
                Ok(true)
            }
            Defect::TouchCreatesAKey
            | Defect::TouchChangesTheVersion
            | Defect::TouchWritesBack
            | Defect::TouchRevivesDeletedKeys
            | Defect::LosesTheValueInADroppedTouch
                if there || self.defect == Defect::TouchCreatesAKey =>
            {
                self.touch_by_a_put(key, found, lifetime).await.map(|()| there)
            }
            _ => self.store.touch(key, version, lifetime).await,
        }
    }

    /// Writes the value again with another lifetime, under a new version.
    async fn touch_by_a_put(&self, key: StoreKey, found: Option<Stored>, lifetime: Duration) -> Result<(), Error> {
        match self.defect {
            Defect::TouchWritesBack | Defect::TouchRevivesDeletedKeys => yield_now().await,
            Defect::LosesTheValueInADroppedTouch => {
                self.store.delete(key).await?;
                yield_now().await;
            }
            _ => {}
        }
        let value = found.map_or(Bytes::new(), |stored| stored.value);
        self.store.put(key, Entry { value, lifetime, tag: None }, PutMode::Always).await.map(drop)
    }

    async fn wrong_delete(&self, key: StoreKey) -> Result<bool, Error> {
        let there = self.store.get(key).await?.is_some();
        match self.defect {
            Defect::DeleteAlwaysReturnsTrue => {}
            Defect::DeletesLiveKeysOnly if !there => return Ok(false),
            Defect::DeletesInTwoSteps => yield_now().await,
            Defect::HalfDeletesWhenDropped => {
                let emptied = Entry { value: Bytes::new(), lifetime: Duration::MAX, tag: None };
                let _ = self.store.put(key, emptied, PutMode::Always).await?;
                yield_now().await;
            }
            _ => return self.store.delete(key).await,
        }
        self.store.delete(key).await?;
        Ok(there || self.defect == Defect::DeleteAlwaysReturnsTrue)
    }

    async fn wrong_tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, Error> {
        let mut keys = self.store.keys_with_tag(tag).await?;
        match self.defect {
            Defect::KeepsTagsOfTheDeleted => keys.push(StoreKey::new(*tag.as_bytes())),
            Defect::FindsOneHundred => keys.truncate(100),
            Defect::DropsTagsOfExpiredKeys => {
                if self.forgotten.lock().unwrap().contains(&tag) {
                    return Ok(Vec::new());
                }
                if keys.is_empty() {
                    self.forgotten.lock().unwrap().insert(tag);
                }
            }
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

    async fn wrong_scan(&self, cursor: Option<&str>, budget: usize) -> Result<Page, Error> {
        match self.defect {
            Defect::AcceptsAnyCursor if cursor.is_some_and(|cursor| !cursor.contains('.')) => Ok(Page::default()),
            Defect::ScansOnePage => Ok(Page { next: None, ..self.store.scan(None, budget.min(100)).await? }),
            Defect::IgnoresTheCursor if cursor.is_some() => Ok(Page::default()),
            Defect::ScansByOffset => {
                let mut keys = self.store.scan(None, usize::MAX).await?.keys;
                keys.sort();
                let start = cursor.map_or(0, |cursor| cursor.parse().unwrap_or(0)).min(keys.len());
                let end = (start + budget).min(keys.len());
                yield_now().await;
                Ok(Page { keys: keys[start..end].to_vec(), next: (end < keys.len()).then(|| end.to_string()) })
            }
            _ => self.store.scan(cursor, budget).await,
        }
    }

    async fn wrong_ping(&self) -> Result<Time, Error> {
        match self.defect {
            Defect::PingLeavesItsValue => {
                let entry = Entry { value: Bytes::from("ping"), lifetime: YEAR, tag: None };
                let _ = self.store.put(StoreKey::digest(b"ping"), entry, PutMode::Always).await?;
            }
            _ => write_and_read_back(self).await?,
        }
        Ok(self.clock.now() + if self.defect == Defect::PingReturnsAnotherClock { YEAR } else { Duration::ZERO })
    }

    async fn wrong_sweep(&self, budget: usize) -> Result<SweepReport, Error> {
        let known: Vec<_> = self.keys.lock().unwrap().iter().copied().collect();
        match self.defect {
            Defect::SweepsNothing => Ok(SweepReport::default()),
            Defect::SweepsBeyondTheBudget => self.store.sweep(usize::MAX).await,
            Defect::SweepsLiveKeys => {
                self.counter.fetch_add(1, Ordering::SeqCst);
                self.store.sweep(budget).await
            }
            Defect::SweepsLiveKeysNowAndThen => {
                yield_now().await;
                if let Some(key) = known.first() {
                    self.store.delete(*key).await?;
                }
                self.store.sweep(budget).await
            }
            Defect::SweepsByAStaleList => {
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

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        Reply::new(self.wrong_put(self.key(key), entry, mode))
    }

    fn put_evictable(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        let forgets_the_mode = self.defect == Defect::PutEvictableIgnoresTheMode;
        self.put(key, entry, if forgets_the_mode { PutMode::Always } else { mode })
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.wrong_touch(self.key(key), version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.wrong_delete(self.key(key)))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(self.wrong_tagged(tag))
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        Reply::new(self.wrong_scan(cursor, budget))
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        Reply::new(self.wrong_sweep(budget))
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(self.wrong_ping())
    }

    fn describe(&self) -> String {
        if self.defect == Defect::DescribesInTwoLines { "two\nlines".to_owned() } else { format!("{:?}", self.defect) }
    }
}
