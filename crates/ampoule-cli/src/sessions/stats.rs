//! `ampoule sessions stats`: counts sessions.

use std::collections::HashSet;
use std::time::Duration;

use ampoule::inspect::State;
use ampoule::store::{Record, Store};
use ampoule::{Clock, SystemClock, Time};
use futures_util::TryStreamExt;
use serde_json::json;

use super::entry::{SessionEntry, read_entries};
use super::source::Selection;
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text::{bytes, moment, print, rfc3339};

#[derive(clap::Args)]
pub(super) struct Stats {
    /// Print JSON, on one line.
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Counts {
    sessions: u64,
    damaged: u64,
    /// Keys that the scan returned whose session had expired or ended. An ended session leaves a mark for seconds.
    gone: u64,
    with_principal: u64,
    /// The first eight bytes of each principal's tag.
    principals: HashSet<[u8; 8]>,
    bytes: u64,
    largest: u64,
    oldest: Option<Time>,
    newest: Option<Time>,
    within_an_hour: u64,
    within_a_day: u64,
}

impl Stats {
    pub(super) async fn run(&self, source: &Selection) -> Result<(), Failure> {
        let store = &*source.store;
        let mut counts = Counts::default();
        let bar = counter("records read", self.json);
        let now = SystemClock.now();
        let mut walk = Walk::from(store, None);
        while let Some(ids) = walk.page().await? {
            let mut entries = read_entries(store, ids);
            while let Some(entry) = entries.try_next().await? {
                bar.inc(1);
                if entry.as_ref().is_none_or(|entry| source.may_include(entry)) {
                    counts.add(entry, now);
                }
            }
        }
        bar.finish_and_clear();
        match self.json {
            true => print(&counts.json(store).to_string()).map(drop),
            false => print(&counts.text(store)).map(drop),
        }
    }
}

impl Counts {
    fn add(&mut self, entry: Option<SessionEntry>, now: Time) {
        let Some(entry) = entry else {
            self.gone += 1;
            return;
        };
        match (&entry.state, &entry.stored) {
            (State::Session(record), Some(stored)) => {
                self.add_session(record, stored.value.len() as u64, stored.deadline.since(now));
            }
            (State::Damaged(_) | State::Session(_), _) => self.damaged += 1,
        }
    }

    fn add_session(&mut self, record: &Record, size: u64, left: Duration) {
        self.sessions += 1;
        self.bytes += size;
        self.largest = self.largest.max(size);
        self.oldest = Some(self.oldest.map_or(record.created, |oldest| oldest.min(record.created)));
        self.newest = self.newest.max(Some(record.created));
        self.within_an_hour += u64::from(left <= Duration::from_secs(3_600));
        self.within_a_day += u64::from(left <= Duration::from_secs(86_400));
        if let Some(tag) = record.tag() {
            self.with_principal += 1;
            self.principals.extend(tag.as_bytes().first_chunk::<8>());
        }
    }

    fn mean(&self) -> u64 {
        self.bytes.checked_div(self.sessions).unwrap_or_default()
    }

    fn json(&self, store: &dyn Store) -> serde_json::Value {
        json!({
            "store": store.describe(),
            "sessions": self.sessions,
            "with_principal": self.with_principal,
            "anonymous": self.sessions - self.with_principal,
            "principals": self.principals.len(),
            "damaged": self.damaged,
            "expired_or_ended": self.gone,
            "ending_within_hour": self.within_an_hour,
            "ending_within_day": self.within_a_day,
            "oldest": self.oldest.and_then(rfc3339),
            "newest": self.newest.and_then(rfc3339),
            "bytes": { "total": self.bytes, "mean": self.mean(), "largest": self.largest },
        })
    }

    fn text(&self, store: &dyn Store) -> String {
        let number = |number: u64| indicatif::HumanCount(number).to_string();
        let time = |time: Option<Time>| time.map_or_else(|| "-".to_owned(), moment);
        let size =
            format!("{} in all, {} on average, {} at most", bytes(self.bytes), bytes(self.mean()), bytes(self.largest));
        let lines = [
            ("store", store.describe()),
            ("sessions", number(self.sessions)),
            ("  with a principal", number(self.with_principal)),
            ("  anonymous", number(self.sessions - self.with_principal)),
            ("principals", number(self.principals.len() as u64)),
            ("damaged", number(self.damaged)),
            ("expired or ended", number(self.gone)),
            ("ending in an hour", number(self.within_an_hour)),
            ("ending in a day", number(self.within_a_day)),
            ("oldest made", time(self.oldest)),
            ("newest made", time(self.newest)),
            ("size", size),
        ];
        lines.map(|(name, text)| format!("{name:18}  {text}")).join("\n")
    }
}
