//! The order of a list, and the first sessions in it.

use ampoule::inspect::State;
use ampoule::{SessionId, Time};

use super::entry::SessionEntry;
use super::row::last_used;

/// The order of a list.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Order {
    /// Last used first.
    Used,
    /// Last made first.
    Made,
    /// Next to end first.
    Ends,
    /// By the name of the principal, anonymous sessions last.
    Principal,
    /// Largest first.
    Size,
    /// The order of the store: each is printed as it is read, and --from continues.
    Store,
}

impl Order {
    /// The heading of a list.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Order::Used => "last used first",
            Order::Made => "last made first",
            Order::Ends => "next to end first",
            Order::Principal => "by principal",
            Order::Size => "largest first",
            Order::Store => "in the order of the store",
        }
    }

    fn rank(self, entry: &SessionEntry) -> Rank {
        let deadline = entry.stored.as_ref().map_or(Time::MAX, |stored| stored.deadline);
        let size = entry.stored.as_ref().map_or(0, |stored| stored.value.len());
        let first_if_late = |time: Time| -millis(time);
        let rank =
            |is_last: bool, name: &str, number: i64| Rank { is_last, name: name.to_owned(), number, id: entry.id };
        match (&entry.state, self) {
            (_, Order::Store) => rank(false, "", 0),
            (State::Damaged(_), _) => rank(true, "\u{10ffff}", 0),
            (State::Session(record), Order::Used) => rank(false, "", first_if_late(last_used(record, deadline))),
            (State::Session(record), Order::Made) => rank(false, "", first_if_late(record.created)),
            (State::Session(_), Order::Ends) => rank(false, "", millis(deadline)),
            (State::Session(_), Order::Size) => rank(false, "", -i64::try_from(size).unwrap_or(i64::MAX)),
            (State::Session(record), Order::Principal) => {
                let used = first_if_late(last_used(record, deadline));
                rank(record.principal().is_none(), record.principal().unwrap_or_default(), used)
            }
        }
    }
}

fn millis(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The sort key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_last: bool,
    name: String,
    number: i64,
    id: SessionId,
}

/// Collects the first sessions of an order, in memory for about twice the limit.
pub(super) struct Top {
    order: Order,
    limit: usize,
    count: u64,
    kept: Vec<(Rank, SessionEntry)>,
}

impl Top {
    pub(super) fn new(order: Order, limit: u64) -> Top {
        Top { order, limit: usize::try_from(limit).unwrap_or(usize::MAX), count: 0, kept: Vec::new() }
    }

    pub(super) fn add(&mut self, entry: SessionEntry) {
        self.count += 1;
        self.kept.push((self.order.rank(&entry), entry));
        if self.kept.len() >= self.limit.saturating_mul(2).max(1_000) {
            self.truncate();
        }
    }

    /// Returns the number of added sessions, and the first of them in order.
    pub(super) fn finish(mut self) -> (u64, Vec<SessionEntry>) {
        self.truncate();
        (self.count, self.kept.into_iter().map(|(_, entry)| entry).collect())
    }

    fn truncate(&mut self) {
        if self.order != Order::Store {
            self.kept.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        self.kept.truncate(self.limit);
    }
}
