//! The conformance kit for stores: a check for every rule of [`Store`]'s contract.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use ampoule_core::{ManualClock, MemoryBounds, MemoryStore, conformance::{Subject, assert_conforms}};
//!
//! assert_conforms(|| {
//!     let clock = Arc::new(ManualClock::default());
//!     let store = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
//!     Subject::new(store, Some(clock))
//! })
//! .await;
//! # });
//! ```
//!
//! Run it on a runtime of several threads. Every check uses keys of its own, so that a server may be shared. If the
//! server keeps the time, the checks wait for it, about half a minute in all. If [`Subject::clock`] is set, run
//! one check at a time on the store, since checks then move the clock and count what a sweep removes.

mod basics;
mod cancelling;
mod expiry;
mod hostile;
mod races;
mod scanning;
mod tags;
pub mod workload;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, ManualClock, SystemClock, Time};
use crate::key::StoreKey;
use crate::store::{Entry, PutMode, PutResult, Store, Version};

/// A store under test.
#[derive(Clone)]
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock of the store; `None` if its server keeps the time, so that checks must wait.
    pub clock: Option<Arc<ManualClock>>,
    /// The size of the largest value that is tried, in bytes. 1 MiB by default.
    pub max_value: usize,
    /// How many keys one check writes, each once. 10,000 by default; fewer for a store whose writes take long.
    pub many_keys: usize,
    /// Whether the store itself sweeps, so that the results are counted; `false` if the engine removes expired values
    /// by itself.
    pub sweeps: bool,
}

/// One rule of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name of the rule, as a sentence in snake case.
    pub name: &'static str,
    check: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! checks {
    ($($module:ident::$check:ident,)*) => {
        /// Every check of the kit.
        pub const CHECKS: &[Check] = &[
            $(Check { name: stringify!($check), check: |subject| Box::pin($module::$check(subject)) },)*
        ];
    };
}

checks! {
    basics::an_absent_key_is_no_error,
    basics::a_created_value_is_read_back,
    basics::create_needs_an_absent_key,
    basics::replace_needs_the_version,
    basics::replace_needs_a_key,
    basics::put_always_writes,
    basics::an_evictable_put_keeps_to_its_mode,
    basics::versions_never_come_back,
    basics::delete_returns_whether_the_key_existed,
    basics::many_keys_are_kept_apart,
    basics::describe_returns_one_line,
    basics::a_ping_returns_the_time_and_leaves_nothing,
    expiry::expired_is_absent_for_every_method,
    expiry::touch_moves_the_deadline_only,
    expiry::touch_never_shortens,
    expiry::touch_needs_the_version,
    expiry::touch_revives_no_deleted_key,
    expiry::a_zero_lifetime_removes_one_version,
    expiry::a_value_that_never_expires_is_kept,
    expiry::sweep_removes_expired_values_only,
    expiry::sweep_keeps_to_its_budget,
    expiry::a_clock_set_back_revives_no_deleted_key,
    tags::keys_with_tag_finds_what_was_last_put_with_it,
    tags::keys_with_tag_omits_expired_keys,
    tags::a_tag_holds_many_keys,
    tags::tags_follow_concurrent_writers,
    scanning::a_scan_returns_every_key,
    scanning::a_scan_continues_at_its_cursor,
    scanning::a_scan_misses_no_key_beside_a_writer,
    scanning::a_scan_rejects_an_invalid_cursor,
    hostile::any_key_is_accepted,
    hostile::any_value_is_read_back_unchanged,
    races::one_writer_of_a_version_wins,
    races::one_creator_wins,
    races::concurrent_increments_are_all_counted,
    races::one_deleter_wins,
    races::a_deleted_key_is_not_replaced,
    races::touch_undoes_no_concurrent_write,
    races::touch_does_not_reach_a_later_version,
    races::concurrent_touches_revive_no_deleted_key,
    races::readers_see_whole_values,
    races::sweep_removes_no_live_key_beside_writers,
    races::sweep_spares_a_recreated_key,
    cancelling::a_dropped_put_leaves_the_old_or_the_new_value,
    cancelling::a_dropped_touch_leaves_the_value,
    cancelling::a_dropped_delete_is_done_or_not,
    cancelling::dropped_reads_and_sweeps_change_nothing,
}

impl Check {
    /// Runs this check against a store, for a test of its own.
    ///
    /// # Errors
    /// What was found, if the store fails the check, or if the check does not end within two minutes.
    pub async fn run(&self, subject: Subject) -> Result<(), String> {
        let mut done = tokio::spawn((self.check)(subject));
        match tokio::time::timeout(Duration::from_secs(120), &mut done).await {
            Ok(ended) => ended.map_err(message_of),
            Err(_) => {
                done.abort();
                Err("it did not end within two minutes".to_owned())
            }
        }
    }
}

/// Runs every check, and returns the name of each that failed with what was found. `make` creates the store for each
/// check.
pub async fn failures(make: impl Fn() -> Subject) -> Vec<(&'static str, String)> {
    let mut failures = Vec::new();
    for check in CHECKS {
        if let Err(found) = check.run(make()).await {
            failures.push((check.name, found));
        }
    }
    failures
}

/// Runs every check. `make` creates the store for each check.
///
/// # Panics
/// Panics with a list of all failed checks, if there are any.
pub async fn assert_conforms(make: impl Fn() -> Subject) {
    let lines: Vec<String> = failures(make).await.into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(lines.is_empty(), "the store breaks the contract:\n{}", lines.join("\n"));
}

fn message_of(panic: tokio::task::JoinError) -> String {
    let Ok(panic) = panic.try_into_panic() else { return "it was cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl Subject {
    /// Creates a subject from a store and its clock, or `None` if its server keeps the time.
    pub fn new(store: Arc<dyn Store>, clock: Option<Arc<ManualClock>>) -> Subject {
        Subject { store, clock, max_value: 1 << 20, many_keys: 10_000, sweeps: true }
    }

    fn now(&self) -> Time {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// Lets time pass: moves the clock, or sleeps.
    async fn wait(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }

    fn entry(&self, value: impl Into<Bytes>) -> Entry {
        Entry { value: value.into(), lifetime: HOUR, tag: None }
    }

    /// An entry that expires after a short wait. The least precise servers count in seconds.
    fn brief(&self, value: &'static str) -> Entry {
        Entry { lifetime: BRIEF, ..self.entry(value) }
    }

    async fn create(&self, key: StoreKey, entry: Entry) -> Version {
        match self.put(key, entry, PutMode::Create).await {
            PutResult::Stored(version) => version,
            PutResult::Conflict => panic!("create of an absent key returned a conflict"),
        }
    }

    async fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> PutResult {
        self.store.put(key, entry, mode).await.unwrap_or_else(|error| panic!("put {mode:?} failed: {error:?}"))
    }

    async fn replace(&self, key: StoreKey, entry: Entry, version: Version) -> Version {
        match self.put(key, entry, PutMode::Replace(version)).await {
            PutResult::Stored(version) => version,
            PutResult::Conflict => panic!("replace of the current version returned a conflict"),
        }
    }

    async fn always(&self, key: StoreKey, entry: Entry) {
        assert!(
            matches!(self.put(key, entry, PutMode::Always).await, PutResult::Stored(_)),
            "put with PutMode::Always returned a conflict"
        );
    }

    async fn value(&self, key: StoreKey) -> Option<Bytes> {
        self.get(key).await.map(|stored| stored.value)
    }

    async fn get(&self, key: StoreKey) -> Option<crate::store::Stored> {
        self.store.get(key).await.unwrap_or_else(|error| panic!("get failed: {error:?}"))
    }

    async fn delete(&self, key: StoreKey) -> bool {
        self.store.delete(key).await.unwrap_or_else(|error| panic!("delete failed: {error:?}"))
    }

    async fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> bool {
        self.store.touch(key, version, lifetime).await.unwrap_or_else(|error| panic!("touch failed: {error:?}"))
    }

    /// Sweeps until nothing more has expired.
    async fn sweep(&self, budget: usize) -> u64 {
        let mut removed = 0;
        for _ in 0..100_000 {
            let swept = self.store.sweep(budget).await.unwrap_or_else(|error| panic!("sweep failed: {error:?}"));
            removed += swept.removed;
            if !swept.more {
                return removed;
            }
        }
        panic!("expired values remain after 100,000 sweeps");
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const BRIEF: Duration = Duration::from_secs(2);
const PAST_BRIEF: Duration = Duration::from_millis(2_100);

/// A key that no other check or run uses.
fn fresh_key() -> StoreKey {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{} {} {count}", std::process::id(), SystemClock.now().as_millis());
    StoreKey::digest(text.as_bytes())
}
