//! The kit that proves a store: every rule of [`Store`]'s contract as a check that any store can be put to.
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
//! Run it on a runtime of several threads. Every check uses keys of its own, so that a server may be shared. Where the
//! server keeps the time the checks wait for it, about half a minute in all. A store that was given a clock is used by
//! one check at a time: what is swept and what is left can then be counted.

mod basics;
pub mod books;
mod cancelling;
mod expiry;
mod hostile;
mod races;
mod scanning;
mod tags;

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
    /// The clock that the store was given; `None` if its server keeps the time, and checks must wait.
    pub clock: Option<Arc<ManualClock>>,
    /// The largest value that is tried, in bytes. 1 MiB by default.
    pub max_value: usize,
    /// How many keys are written at once, each of them once. 10,000 by default; fewer where a write takes long.
    pub many_keys: usize,
    /// Whether sweeping is the store's own work, and counted; `false` where the engine frees what expired by itself.
    pub sweeps: bool,
}

/// One rule of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    /// What the rule is, in words.
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
    basics::absent_is_an_answer,
    basics::what_is_created_is_read,
    basics::create_needs_an_absent_key,
    basics::replace_needs_the_version,
    basics::replace_needs_a_key,
    basics::always_writes,
    basics::an_evictable_put_is_a_put,
    basics::versions_never_come_back,
    basics::delete_says_whether_it_was_there,
    basics::many_keys_are_kept_apart,
    basics::the_description_is_a_line,
    basics::a_ping_returns_the_time_and_leaves_nothing,
    expiry::expired_is_absent_for_every_method,
    expiry::touch_moves_the_deadline_only,
    expiry::touch_never_shortens,
    expiry::touch_needs_the_version,
    expiry::touch_does_not_raise_the_dead,
    expiry::no_lifetime_removes_one_version,
    expiry::never_is_kept,
    expiry::sweep_removes_what_expired_and_nothing_else,
    expiry::sweep_keeps_to_its_budget,
    expiry::a_clock_that_is_set_back_revives_nothing_deleted,
    tags::tagged_finds_what_was_last_put_with_it,
    tags::tagged_forgets_the_expired,
    tags::tags_hold_many,
    tags::tags_follow_parallel_writers,
    scanning::a_scan_names_every_key,
    scanning::a_scan_goes_on_where_it_ended,
    scanning::a_scan_bears_writers,
    scanning::a_scan_refuses_what_is_no_place,
    hostile::any_key_is_a_key,
    hostile::any_value_is_a_value,
    races::one_writer_of_a_version_wins,
    races::one_creator_wins,
    races::counting_loses_nothing,
    races::one_deleter_is_told,
    races::a_deleted_key_is_not_replaced,
    races::touching_loses_no_write,
    races::a_touch_that_lost_moves_nothing,
    races::touching_raises_no_deleted_key,
    races::readers_see_whole_values,
    races::sweeping_hurts_no_writer,
    races::sweeping_spares_what_is_made_again,
    cancelling::a_dropped_put_leaves_old_or_new,
    cancelling::a_dropped_touch_leaves_the_value,
    cancelling::a_dropped_delete_is_done_or_not,
    cancelling::dropped_readers_and_sweepers_leave_all,
}

impl Check {
    /// Puts a store to this check: for one test each.
    ///
    /// # Errors
    /// What was found, if the store fails it; also if the check does not end within two minutes.
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

/// Puts a store to every check, and returns those that it failed with what was found.
pub async fn failures(make: impl Fn() -> Subject) -> Vec<(&'static str, String)> {
    let mut failures = Vec::new();
    for check in CHECKS {
        if let Err(found) = check.run(make()).await {
            failures.push((check.name, found));
        }
    }
    failures
}

/// Puts a store to every check.
///
/// # Panics
/// If it fails any, with all that it failed.
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
    /// A store with the clock that it was given, or with `None` if its server keeps the time.
    pub fn new(store: Arc<dyn Store>, clock: Option<Arc<ManualClock>>) -> Subject {
        Subject { store, clock, max_value: 1 << 20, many_keys: 10_000, sweeps: true }
    }

    fn now(&self) -> Time {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// Lets time pass.
    async fn wait(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }

    fn entry(&self, value: impl Into<Bytes>) -> Entry {
        Entry { value: value.into(), lifetime: HOUR, tag: None }
    }

    /// An entry that a short wait ends. Servers count in seconds at worst.
    fn brief(&self, value: &'static str) -> Entry {
        Entry { lifetime: BRIEF, ..self.entry(value) }
    }

    async fn create(&self, key: StoreKey, entry: Entry) -> Version {
        match self.put(key, entry, PutMode::Create).await {
            PutResult::Stored(version) => version,
            PutResult::Conflict => panic!("a create of an absent key was a conflict"),
        }
    }

    async fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> PutResult {
        self.store.put(key, entry, mode).await.unwrap_or_else(|error| panic!("put {mode:?} failed: {error:?}"))
    }

    async fn replace(&self, key: StoreKey, entry: Entry, version: Version) -> Version {
        match self.put(key, entry, PutMode::Replace(version)).await {
            PutResult::Stored(version) => version,
            PutResult::Conflict => panic!("a replace of the present version was a conflict"),
        }
    }

    async fn always(&self, key: StoreKey, entry: Entry) {
        assert!(
            matches!(self.put(key, entry, PutMode::Always).await, PutResult::Stored(_)),
            "put Always was a conflict"
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

    /// Sweeps until nothing waits.
    async fn sweep(&self, budget: usize) -> u64 {
        let mut removed = 0;
        for _ in 0..100_000 {
            let swept = self.store.sweep(budget).await.unwrap_or_else(|error| panic!("sweep failed: {error:?}"));
            removed += swept.removed;
            if !swept.more {
                return removed;
            }
        }
        panic!("100,000 sweeps did not come to an end");
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
