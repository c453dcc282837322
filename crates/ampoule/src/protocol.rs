//! How a session is found, written, moved and destroyed in a store that others write at the same time.
//!
//! Every step is one operation of the store, and between any two of them other requests, other processes and crashes
//! may come. Nothing here knows requests or cookies: these functions are what the model test explores.
//!
//! - **Commit**: put with the version that was loaded. On conflict load again, apply the changes again, retry.
//! - **Move** (a new id): the new record is created when the session is saved, and the old one becomes a pointer to it
//!   at the end of the request. A request that dies between the two leaves the old session as it was, and a record
//!   under an id that nobody knows, which expires (promise P6).
//! - **Destroy**: put a record whose deadline has passed, with the version that was loaded. A plain delete could hit
//!   the pointer of a move that came between, and leave the session alive at its new place (promise P2).

mod ask;

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::{
    Bytes, ChangeLog, Content, Entry, Error, ErrorKind, Guard, Outcome, Put, Record, Reply, Store, StoreKey, Stored,
    Time, Version,
};

use crate::id::Id;
use crate::observe;
use crate::queue::{Queue, Turn};

/// How often a conflict is met with another try before the error is handed to the caller.
const ATTEMPTS: u32 = 64;

/// How many moves are followed: more than can happen within a grace of seconds by hand.
const MAX_MOVES: usize = 4;

/// A session as it was found or last written. Cloning it shares the record.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) deadline: Time,
    pub(crate) record: Arc<Record>,
    /// Whether it was reached through the pointer that its old id left.
    pub(crate) moved: bool,
    /// How many writes its line of the queue had seen.
    pub(crate) seen: u64,
}

impl Found {
    /// The same, reached through a pointer if this other one was.
    fn reached_as(mut self, other: &Found) -> Found {
        self.moved |= other.moved;
        self
    }
}

/// A record on its way into the store.
struct Writing<'a> {
    record: Arc<Record>,
    outcome: Reply<'a, Outcome>,
}

/// What lies under a key.
enum Lies {
    /// The session, or nothing.
    Here(Option<Found>),
    /// A pointer to where it was moved.
    At(StoreKey),
}

/// The old place of a session whose new record is written and whose old one is still to become a pointer.
pub(crate) struct Move {
    pub(crate) old: Found,
    /// Everything this request changed, for an old record that somebody else has written meanwhile.
    pub(crate) changes: ChangeLog,
}

/// A store, and the queue in which the writers of this process stand.
pub(crate) struct Protocol {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) guard: Guard,
    pub(crate) queue: Queue,
    pub(crate) max_size: usize,
}

impl Protocol {
    /// Loads the session under this key, or where it was moved to.
    pub(crate) fn find(&self, key: StoreKey) -> Reply<'_, Option<Found>> {
        let seen = self.queue.writes(key);
        match self.get(key).at_hand() {
            Ok(answer) => match answer.and_then(|stored| lies(key, stored, seen)) {
                Ok(Lies::Here(found)) => Reply::ready(Ok(found)),
                Ok(Lies::At(to)) => Reply::new(self.follow(to)),
                Err(error) => Reply::ready(Err(error)),
            },
            Err(later) => Reply::new(async move {
                match lies(key, later.await?, seen)? {
                    Lies::Here(found) => Ok(found),
                    Lies::At(to) => self.follow(to).await,
                }
            }),
        }
    }

    /// Follows the pointers that moves have left.
    async fn follow(&self, mut key: StoreKey) -> Result<Option<Found>, Error> {
        for _ in 0..MAX_MOVES {
            let seen = self.queue.writes(key);
            match lies(key, self.get(key).await?, seen)? {
                Lies::Here(found) => return Ok(found.map(|found| Found { moved: true, ..found })),
                Lies::At(to) => key = to,
            }
        }
        Ok(None)
    }

    /// Writes a session for the first time, under a fresh id.
    pub(crate) fn create(&self, record: Arc<Record>) -> Reply<'_, (Id, Found)> {
        let id = ampoule_seal::random_id();
        let key = store_key(&id);
        let entry = match self.entry(&record) {
            Ok(entry) => entry,
            Err(error) => return Reply::ready(Err(error)),
        };
        self.write(key, entry, Put::Create).map(move |outcome| match outcome? {
            Outcome::Stored(version) => {
                let (deadline, seen) = (record.deadline(), self.queue.writes(key));
                Ok((id, Found { key, version, deadline, record, moved: false, seen }))
            }
            // One in 2^128: it is the random generator that is broken, and going on would be fixation.
            Outcome::Conflict => Err(Error::new(ErrorKind::Invalid, "a fresh random id was already in use")),
        })
    }

    /// Writes `next`, which is `base` with `changes`, or whatever others have made of `base` with `changes`.
    ///
    /// # Errors
    /// `Gone` if the session no longer exists; it is not made again.
    pub(crate) fn commit<'a>(
        &'a self,
        base: &'a Found,
        next: Arc<Record>,
        changes: &'a ChangeLog,
        now: Time,
    ) -> Reply<'a, Found> {
        let Some(turn) = self.queue.try_turn(base.key) else {
            return Reply::new(async move {
                let turn = self.queue.turn(base.key).await;
                self.commit_in(turn, base, next, changes, now).await
            });
        };
        self.commit_in(turn, base, next, changes, now)
    }

    /// As [`commit`](Protocol::commit), in this turn. Mostly nobody else has written meanwhile, and the first try is it.
    fn commit_in<'a>(
        &'a self,
        turn: Turn<'a>,
        base: &'a Found,
        next: Arc<Record>,
        changes: &'a ChangeLog,
        now: Time,
    ) -> Reply<'a, Found> {
        if turn.writes() != base.seen {
            return Reply::new(self.try_again(turn, None, base, changes, now));
        }
        let first = match self.replace(base, next) {
            Ok(writing) => writing,
            Err(error) => return Reply::ready(Err(error)),
        };
        match first.outcome.at_hand() {
            Ok(Ok(Outcome::Stored(version))) => Reply::ready(Ok(turn.wrote(base, first.record, version))),
            Ok(Ok(Outcome::Conflict)) => Reply::new(self.try_again(turn, None, base, changes, now)),
            Ok(Err(error)) => Reply::ready(Err(error)),
            Err(outcome) => Reply::new(self.try_again(turn, Some(Writing { outcome, ..first }), base, changes, now)),
        }
    }

    /// Tries until nobody is in between, beginning with what is being written, if anything is.
    async fn try_again(
        &self,
        mut turn: Turn<'_>,
        mut first: Option<Writing<'_>>,
        base: &Found,
        changes: &ChangeLog,
        now: Time,
    ) -> Result<Found, Error> {
        // The writer before has left what he wrote: he was faster than this request's look at the store, not than its turn.
        let mut latest =
            turn.latest.take().filter(|_| turn.writes() != base.seen).map(|latest| latest.reached_as(base));
        let mut is_fresh = latest.is_some();
        for attempt in 0..ATTEMPTS {
            let writing = match first.take() {
                Some(first) => first,
                None => {
                    if !is_fresh {
                        latest = Some(Box::pin(self.reload(latest.as_ref().unwrap_or(base), attempt)).await?);
                    }
                    let latest = latest.as_ref().unwrap_or(base);
                    self.replace(latest, replay(&latest.record, changes, now)?)?
                }
            };
            if let Outcome::Stored(version) = writing.outcome.await? {
                return Ok(turn.wrote(latest.as_ref().unwrap_or(base), writing.record, version));
            }
            is_fresh = false;
        }
        Err(gave_up())
    }

    /// The session as another has written it.
    async fn reload(&self, current: &Found, attempt: u32) -> Result<Found, Error> {
        observe::conflict();
        pause(attempt).await;
        let found = self.find(current.key).await?.ok_or_else(gone)?;
        Ok(found.reached_as(current))
    }

    /// Makes the old record of a moved session a pointer to the new one, and says where the session now lies.
    ///
    /// Where another request was faster, its work is kept: what it wrote is taken over, a move of its own is joined,
    /// and a session that it destroyed stays destroyed.
    pub(crate) async fn complete(
        &self,
        moving: Move,
        mut new: Found,
        grace: Duration,
        now: Time,
    ) -> Result<Found, Error> {
        let Move { mut old, changes } = moving;
        for attempt in 0..ATTEMPTS {
            // It keeps the tag: who lists the principal's sessions at this moment may know the old key alone.
            let (value, tag) = (Content::Moved(new.key).encode(), new.record.tag());
            let pointer = Entry { value, deadline: now + grace, tag };
            if let Outcome::Stored(_) = self.write(old.key, pointer, Put::Replace(old.version)).await? {
                return Ok(new);
            }
            pause(attempt).await;
            match self.find(old.key).await? {
                None => {
                    self.delete(new.key).await?;
                    return Err(gone());
                }
                Some(theirs) if theirs.moved => return self.join(theirs, new, &changes, now).await,
                Some(theirs) => {
                    let Writing { record, outcome } = self.replace(&new, replay(&theirs.record, &changes, now)?)?;
                    let Outcome::Stored(version) = outcome.await? else { return Err(gone()) };
                    new = Found { version, deadline: record.deadline(), record, ..new };
                    old = theirs;
                }
            }
        }
        Err(gave_up())
    }

    /// Two requests moved one session. The first pointer stands; the second's changes follow it, and its own new
    /// record, whose id nobody was told, goes.
    async fn join(&self, theirs: Found, mine: Found, changes: &ChangeLog, now: Time) -> Result<Found, Error> {
        let next = replay(&theirs.record, changes, now)?;
        let joined = self.commit(&theirs, next, changes, now).await;
        self.delete(mine.key).await?;
        joined
    }

    /// Begins to write a record in the place of what was found.
    fn replace(&self, found: &Found, record: Arc<Record>) -> Result<Writing<'_>, Error> {
        let outcome = self.write(found.key, self.entry(&record)?, Put::Replace(found.version));
        Ok(Writing { record, outcome })
    }

    /// Ends a session wherever it now lies. When this returns, no request that is under way can bring it back.
    pub(crate) async fn destroy(&self, found: Found) -> Result<(), Error> {
        let mut current = found;
        for attempt in 0..ATTEMPTS {
            let ended = Entry { value: Bytes::new(), deadline: Time::ZERO, tag: None };
            if let Outcome::Stored(_) = self.write(current.key, ended, Put::Replace(current.version)).await? {
                return Ok(());
            }
            pause(attempt).await;
            match self.find(current.key).await? {
                Some(newer) => current = newer,
                None => return Ok(()),
            }
        }
        Err(gave_up())
    }

    /// The record as it goes into the store, if it is not too large.
    fn entry(&self, record: &Record) -> Result<Entry, Error> {
        let value = record.encode();
        if value.len() > self.max_size {
            let message = format!("a session of {} bytes, where {} are allowed (max_size)", value.len(), self.max_size);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(Entry { value, deadline: record.deadline(), tag: record.tag() })
    }
}

/// The store never learns an id, only its digest (promise P8).
pub(crate) fn store_key(id: &Id) -> StoreKey {
    StoreKey::new(ampoule_seal::store_digest(id))
}

/// Reads what lies under a key.
fn lies(key: StoreKey, stored: Option<Stored>, seen: u64) -> Result<Lies, Error> {
    let Some(Stored { value, version, deadline }) = stored else { return Ok(Lies::Here(None)) };
    Ok(match Content::decode(value)? {
        Content::Moved(to) => Lies::At(to),
        Content::Session(record) => {
            let record = Arc::new(record);
            Lies::Here(Some(Found { key, version, deadline, record, moved: false, seen }))
        }
    })
}

/// What others have written, with these changes too.
fn replay(theirs: &Record, changes: &ChangeLog, now: Time) -> Result<Arc<Record>, Error> {
    let mut record = theirs.clone().accessed_at(now);
    changes.apply(&mut record)?;
    Ok(Arc::new(record))
}

/// Writers of other processes cannot be queued, so they spread: up to a millisecond more for each try, at random.
/// The first conflicts cost no wait.
async fn pause(attempt: u32) {
    if attempt > 2 {
        let random = u32::from_le_bytes(ampoule_seal::random_bytes());
        tokio::time::sleep(Duration::from_micros(u64::from(random) % (1_000 * u64::from(attempt.min(20))))).await;
    }
}

pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Gone, "the session has ended while this request was under way; nothing was saved")
}

fn gave_up() -> Error {
    let message = format!("other writers of this session were faster {ATTEMPTS} times; nothing was saved, try again");
    Error::new(ErrorKind::Conflict, message)
}
