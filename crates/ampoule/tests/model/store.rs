//! A store that yields before and after each operation, fails on demand, and can leave out a rule of the protocol.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ampoule_core::internal::Content;
use ampoule_core::{
    Entry, Error, ErrorKind, MemoryStore, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag,
    Time, Version,
};

/// A rule of the protocol that is left out, to show that the search finds the violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OmittedRule {
    #[default]
    Nothing,
    /// A replace does not look at the version.
    Versions,
    /// A login does not freeze the session that it came from.
    Freeze,
    /// A frozen session never thaws.
    EndOfFreeze,
    /// A login does not store the session that it came from, so that one never ends.
    Confirmation,
    /// A session that ended leaves no tombstone.
    Tombstones,
    /// A rotation forgets the secret before it at once.
    PreviousSecret,
    /// A rotated secret stays valid forever.
    EndOfPreviousSecret,
    /// A touch does not look at the version.
    VersionOfTouch,
    /// A login moves the session: the session's old record gets its data, so both tokens lead to it.
    Fork,
}

pub(crate) struct SteppingStore {
    pub(crate) store: MemoryStore,
    pub(crate) left_out: OmittedRule,
    /// The next write is done, but its answer is lost.
    pub(crate) loses_next_answer: AtomicBool,
    /// The version of the last write of each key.
    versions: Mutex<BTreeMap<StoreKey, Version>>,
}

/// Lets the scheduler choose again.
struct Yield(Cell<bool>);

impl Future for Yield {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.replace(true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn yield_now() {
    Yield(Cell::new(false)).await;
}

impl SteppingStore {
    pub(crate) fn new(store: MemoryStore, left_out: OmittedRule) -> SteppingStore {
        SteppingStore { store, left_out, loses_next_answer: AtomicBool::new(false), versions: Mutex::default() }
    }

    async fn write<T>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        yield_now().await;
        let answer = reply.await;
        if self.loses_next_answer.swap(false, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Timeout, "the answer of a write is lost"));
        }
        answer
    }

    /// The entry as the protocol without the rule would write it.
    fn tampered(&self, mut entry: Entry) -> Entry {
        let Ok(content) = Content::decode(entry.value.clone()) else { return entry };
        match (self.left_out, content) {
            (OmittedRule::Tombstones, Content::Ended(_)) => entry.lifetime = Duration::ZERO,
            (_, Content::Ended(_)) => {}
            (rule, Content::Session(mut record)) => {
                let identity = &mut Arc::make_mut(&mut record).identity;
                match rule {
                    OmittedRule::Freeze => identity.frozen_until = None,
                    OmittedRule::EndOfFreeze => {
                        identity.frozen_until.iter_mut().for_each(|until| *until = Time::MAX);
                    }
                    OmittedRule::Confirmation => identity.origin = None,
                    OmittedRule::PreviousSecret => identity.previous = None,
                    OmittedRule::EndOfPreviousSecret => {
                        identity.previous.iter_mut().for_each(|previous| previous.good_until = None);
                    }
                    _ => {}
                }
                entry.value = record.encode();
            }
        }
        entry
    }

    /// Without forks, a login is visible in the session that it came from.
    async fn write_through(&self, entry: &Entry) {
        let Ok(Content::Session(record)) = Content::decode(entry.value.clone()) else { return };
        let Some(old) = record.identity.awaits() else { return };
        let Ok(Some(stored)) = self.store.get(StoreKey::from(old)).await else { return };
        let Ok(Content::Session(moved)) = Content::decode(stored.value) else { return };
        let mut moved = Arc::unwrap_or_clone(moved);
        let _ = moved.set_principal(record.principal());
        for (key, value) in record.entries() {
            let _ = moved.insert(key, value);
        }
        moved.identity.frozen_until = None;
        let entry = Entry { value: moved.encode(), lifetime: entry.lifetime, tag: moved.tag() };
        let _ = self.store.put(StoreKey::from(old), entry, PutMode::Replace(stored.version)).await;
    }
}

impl Store for SteppingStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(async move {
            yield_now().await;
            self.store.get(key).await
        })
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        let entry = self.tampered(entry);
        let is_blind = self.left_out == OmittedRule::Versions && matches!(mode, PutMode::Replace(_));
        let mode = if is_blind { PutMode::Always } else { mode };
        Reply::new(self.write(Reply::new(async move {
            if self.left_out == OmittedRule::Fork {
                self.write_through(&entry).await;
            }
            let result = self.store.put(key, entry, mode).await?;
            if let PutResult::Stored(version) = result {
                self.versions.lock().unwrap().insert(key, version);
            }
            Ok(result)
        })))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        Reply::new(self.write(Reply::new(async move {
            let present = self.versions.lock().unwrap().get(&key).copied();
            let ignores = self.left_out == OmittedRule::VersionOfTouch;
            let version = present.filter(|_| ignores).unwrap_or(version);
            self.store.touch(key, version, lifetime).await
        })))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.write(self.store.delete(key)))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move {
            yield_now().await;
            self.store.keys_with_tag(tag).await
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.store.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.store.ping()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
