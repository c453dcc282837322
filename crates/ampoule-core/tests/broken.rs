//! The kit is no rubber stamp: each of these stores has one defect, and fails the check for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ampoule_core::conformance::{Subject, failures};
use ampoule_core::{
    Bytes, Entry, Error, ManualClock, MemoryBounds, MemoryStore, Outcome, Put, Reply, Store, StoreKey, Stored, Swept,
    Tag, Time, Version,
};

/// The ways in which a store can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    IgnoresTheVersion,
    ComparesAndWritesInTwoSteps,
    ReusesVersions,
    CreatesOverWhatIsThere,
    RaisesTheDeadByReplace,
    TouchChangesTheVersion,
    TouchForgetsTheDeadline,
    TouchMakesAKey,
    NeverExpires,
    ForgetsTheTagOnReplace,
    KeepsTagsOfTheDeleted,
    SweepsTheLiving,
    SweepsBeyondTheBudget,
    SweepsNothing,
    TearsValues,
    CutsValues,
    FoldsKeys,
    DeleteLies,
    HangsAfterADroppedFuture,
    KeepsAPastDeadline,
}

struct Broken {
    defect: Defect,
    store: MemoryStore,
    counter: AtomicU64,
    held: tokio::sync::Mutex<()>,
    hanging: std::sync::atomic::AtomicBool,
}

struct HangUnlessDone<'a>(&'a Broken, bool);

impl Drop for HangUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.hanging.store(true, Ordering::SeqCst);
        }
    }
}

impl Broken {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn key(&self, key: StoreKey) -> StoreKey {
        let mut bytes = *key.as_bytes();
        if self.is(Defect::FoldsKeys) {
            bytes[31] &= 0xfe;
        }
        StoreKey::new(bytes)
    }

    fn version(&self, version: Version) -> Version {
        if self.is(Defect::ReusesVersions) { Version(self.counter.fetch_add(1, Ordering::SeqCst) % 2) } else { version }
    }

    async fn put_in_two_steps(&self, key: StoreKey, entry: Entry, when: Put) -> Result<Outcome, Error> {
        let found = self.store.get(key).await?.map(|stored| stored.version);
        tokio::task::yield_now().await;
        let holds = match when {
            Put::Create => found.is_none(),
            Put::Replace(version) => found == Some(version),
            Put::Always => true,
        };
        if holds { self.store.put(key, entry, Put::Always).await } else { Ok(Outcome::Conflict) }
    }

    async fn wrong_put(&self, key: StoreKey, mut entry: Entry, when: Put) -> Result<Outcome, Error> {
        let past = entry.deadline == Time::ZERO;
        let when = match (self.defect, when) {
            (Defect::IgnoresTheVersion, Put::Replace(_)) if self.store.get(key).await?.is_some() => Put::Always,
            (Defect::RaisesTheDeadByReplace, Put::Replace(_)) if self.store.get(key).await?.is_none() => Put::Always,
            (Defect::CreatesOverWhatIsThere, Put::Create) => Put::Always,
            (Defect::ReusesVersions, Put::Replace(version)) => {
                let now = self.store.get(key).await?.map(|stored| stored.version);
                Put::Replace(now.unwrap_or(version))
            }
            (_, when) => when,
        };
        match self.defect {
            Defect::NeverExpires if !past => entry.deadline = Time::MAX,
            Defect::ForgetsTheTagOnReplace if !matches!(when, Put::Create) => entry.tag = None,
            Defect::CutsValues => entry.value = entry.value.slice(..entry.value.len().min(65_535)),
            Defect::KeepsAPastDeadline if past => entry.deadline = Time::MAX,
            Defect::TearsValues => {
                let half = Entry { value: entry.value.slice(..entry.value.len() / 2), ..entry.clone() };
                if let Outcome::Stored(version) = self.store.put(key, half, when).await? {
                    tokio::task::yield_now().await;
                    return self.store.put(key, entry, Put::Replace(version)).await;
                }
                return Ok(Outcome::Conflict);
            }
            Defect::ComparesAndWritesInTwoSteps => return self.put_in_two_steps(key, entry, when).await,
            _ => {}
        }
        Ok(match self.store.put(key, entry, when).await? {
            Outcome::Stored(version) => Outcome::Stored(self.version(version)),
            conflict => conflict,
        })
    }

    async fn wrong_touch(&self, key: StoreKey, deadline: Time) -> Result<bool, Error> {
        match self.defect {
            Defect::TouchForgetsTheDeadline => Ok(self.store.get(key).await?.is_some()),
            Defect::TouchChangesTheVersion => {
                let Some(stored) = self.store.get(key).await? else { return Ok(false) };
                let entry = Entry { value: stored.value, deadline, tag: None };
                self.store.put(key, entry, Put::Always).await.map(|_| true)
            }
            Defect::TouchMakesAKey => {
                let there = self.store.touch(key, deadline).await?;
                if !there {
                    let made = Entry { value: Bytes::new(), deadline, tag: None };
                    let _ = self.store.put(key, made, Put::Always).await?;
                }
                Ok(there)
            }
            _ => self.store.touch(key, deadline).await,
        }
    }

    async fn wrong_sweep(&self, budget: usize) -> Result<Swept, Error> {
        match self.defect {
            Defect::SweepsNothing => Ok(Swept::default()),
            Defect::SweepsBeyondTheBudget => self.store.sweep(usize::MAX).await,
            _ => self.store.sweep(budget).await,
        }
    }
}

impl Store for Broken {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Box::pin(async move {
            let stored = self.store.get(self.key(key)).await?;
            if self.is(Defect::SweepsTheLiving) && self.counter.load(Ordering::SeqCst) > 0 {
                return Ok(None);
            }
            Ok(stored.map(|stored| Stored { version: self.version(stored.version), ..stored }))
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        Box::pin(async move {
            if self.is(Defect::HangsAfterADroppedFuture) {
                if self.hanging.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let _held = self.held.lock().await;
                let mut done = HangUnlessDone(self, false);
                tokio::task::yield_now().await;
                done.1 = true;
            }
            self.wrong_put(self.key(key), entry, when).await
        })
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Box::pin(async move { self.wrong_touch(self.key(key), deadline).await })
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Box::pin(async move {
            let there = self.store.delete(self.key(key)).await?;
            Ok(there || self.is(Defect::DeleteLies))
        })
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Box::pin(async move {
            let mut keys = self.store.tagged(tag).await?;
            if self.is(Defect::KeepsTagsOfTheDeleted) {
                keys.push(StoreKey::new(*tag.as_bytes()));
            }
            Ok(keys)
        })
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        Box::pin(async move {
            if self.is(Defect::SweepsTheLiving) {
                self.counter.fetch_add(1, Ordering::SeqCst);
            }
            self.wrong_sweep(budget).await
        })
    }

    fn describe(&self) -> String {
        format!("{:?}", self.defect)
    }
}

async fn failed_checks(defect: Defect) -> Vec<&'static str> {
    let failed = failures(|| {
        let clock = Arc::new(ManualClock::default());
        let store = MemoryStore::new(MemoryBounds::default(), clock.clone());
        let (counter, held, hanging) = (AtomicU64::new(0), tokio::sync::Mutex::new(()), false.into());
        Subject::new(Arc::new(Broken { defect, store, counter, held, hanging }), Some(clock))
    })
    .await;
    failed.into_iter().map(|(name, _)| name).collect()
}

macro_rules! each_fails {
    ($($test:ident: $defect:ident fails $check:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let failed = failed_checks(Defect::$defect).await;
            assert!(failed.contains(&stringify!($check)), "{:?} failed only {failed:?}", Defect::$defect);
        }
    )*};
}

each_fails! {
    a_store_that_ignores_the_version: IgnoresTheVersion fails replace_needs_the_version;
    a_store_that_compares_and_writes_in_two_steps: ComparesAndWritesInTwoSteps fails one_writer_of_a_version_wins;
    a_store_that_reuses_versions: ReusesVersions fails versions_never_come_back;
    a_store_that_creates_over_what_is_there: CreatesOverWhatIsThere fails create_needs_an_absent_key;
    a_store_that_raises_the_dead: RaisesTheDeadByReplace fails a_deleted_key_is_not_replaced;
    a_store_whose_touch_changes_the_version: TouchChangesTheVersion fails touch_moves_the_deadline_only;
    a_store_whose_touch_forgets_the_deadline: TouchForgetsTheDeadline fails touch_moves_the_deadline_only;
    a_store_whose_touch_makes_a_key: TouchMakesAKey fails touch_does_not_raise_the_dead;
    a_store_that_never_expires: NeverExpires fails expired_is_absent_for_every_method;
    a_store_that_forgets_the_tag_on_replace: ForgetsTheTagOnReplace fails tagged_finds_what_was_last_put_with_it;
    a_store_that_keeps_tags_of_the_deleted: KeepsTagsOfTheDeleted fails tagged_forgets_the_expired;
    a_store_that_sweeps_the_living: SweepsTheLiving fails sweep_removes_what_expired_and_nothing_else;
    a_store_that_sweeps_beyond_the_budget: SweepsBeyondTheBudget fails sweep_keeps_to_its_budget;
    a_store_that_sweeps_nothing: SweepsNothing fails sweep_removes_what_expired_and_nothing_else;
    a_store_that_tears_values: TearsValues fails readers_see_whole_values;
    a_store_that_cuts_values: CutsValues fails any_value_is_a_value;
    a_store_that_folds_keys: FoldsKeys fails any_key_is_a_key;
    a_store_whose_delete_lies: DeleteLies fails delete_says_whether_it_was_there;
    a_store_that_hangs_after_a_dropped_future: HangsAfterADroppedFuture fails a_dropped_future_leaves_old_or_new;
    a_store_that_keeps_a_past_deadline: KeepsAPastDeadline fails a_past_deadline_removes_one_version;
}
