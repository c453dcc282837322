//! In which order sessions are listed, and the first ones in it.

use ampoule::inspect::State;
use ampoule::{SessionId, Time};

use super::look::Look;
use super::row::last_used;

/// What stands first in a list.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub(super) enum Order {
    /// What was used last.
    Used,
    /// What was made last.
    Made,
    /// What ends next.
    Ends,
    /// By the name of the principal; the anonymous at the end.
    Principal,
    /// What is largest.
    Size,
    /// As the store has them: each is shown as it is read, and --from goes on.
    Store,
}

impl Order {
    /// For people, above a list.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Order::Used => "last used first",
            Order::Made => "last made first",
            Order::Ends => "next to end first",
            Order::Principal => "by principal",
            Order::Size => "largest first",
            Order::Store => "as the store has them",
        }
    }

    fn rank(self, look: &Look) -> Rank {
        let deadline = look.stored.as_ref().map_or(Time::MAX, |stored| stored.deadline);
        let size = look.stored.as_ref().map_or(0, |stored| stored.value.len());
        let first_if_late = |time: Time| -millis(time);
        let rank =
            |is_last: bool, name: &str, number: i64| Rank { is_last, name: name.to_owned(), number, id: look.id };
        match (&look.state, self) {
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

/// What comes before what.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_last: bool,
    name: String,
    number: i64,
    id: SessionId,
}

/// The first sessions of an order, of any number that are added, in room for about twice as many as are wanted.
pub(super) struct Top {
    order: Order,
    limit: usize,
    count: u64,
    kept: Vec<(Rank, Look)>,
}

impl Top {
    pub(super) fn new(order: Order, limit: u64) -> Top {
        Top { order, limit: usize::try_from(limit).unwrap_or(usize::MAX), count: 0, kept: Vec::new() }
    }

    pub(super) fn add(&mut self, look: Look) {
        self.count += 1;
        self.kept.push((self.order.rank(&look), look));
        if self.kept.len() >= self.limit.saturating_mul(2).max(1_000) {
            self.tidy();
        }
    }

    /// How many were added, and the first of them, in their order.
    pub(super) fn finish(mut self) -> (u64, Vec<Look>) {
        self.tidy();
        (self.count, self.kept.into_iter().map(|(_, look)| look).collect())
    }

    fn tidy(&mut self) {
        if self.order != Order::Store {
            self.kept.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        self.kept.truncate(self.limit);
    }
}
