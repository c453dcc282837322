//! The two deadlines of a session: the idle one, which use moves, and the absolute one, which nothing moves.

use std::time::Duration;

use crate::clock::Time;

/// How long a session lives.
///
/// The idle deadline is [`idle`](Lifetime::idle) after the last use; the absolute one is fixed at the first save. The
/// earlier one ends the session (OWASP's Session Management Cheat Sheet asks for both). Beaker has only the idle one.
///
/// ```
/// use std::time::Duration;
/// use ampoule_core::{Lifetime, Time};
///
/// let hour = Duration::from_secs(3600);
/// let life = Lifetime { idle: Some(hour), absolute: Some(Time::ZERO + 3 * hour), own: false };
/// assert_eq!(life.deadline(Time::ZERO), Time::ZERO + hour);
/// assert_eq!(life.deadline(Time::ZERO + 5 * hour / 2), Time::ZERO + 3 * hour);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// How long a session may be unused before it ends; `None` disables the idle timeout.
    pub idle: Option<Duration>,
    /// When the session ends at the latest, used or not; `None` for never.
    pub absolute: Option<Time>,
    /// Whether the idle timeout was set for this session alone ("remember me"): its cookie then outlives the browser.
    pub own: bool,
}

impl Lifetime {
    /// Creates the lifetime of a session made at `now`, with these timeouts.
    pub fn starting(now: Time, idle: Option<Duration>, absolute: Option<Duration>) -> Lifetime {
        Lifetime { idle, absolute: absolute.map(|absolute| now + absolute), own: false }
    }

    /// Returns when a session that was last used at `accessed` ends.
    pub fn deadline(&self, accessed: Time) -> Time {
        let idle = self.idle.map_or(Time::MAX, |idle| accessed + idle);
        idle.min(self.absolute.unwrap_or(Time::MAX))
    }

    /// Returns how much longer a session that is used at `now` lives; [`Duration::MAX`] if it never ends.
    pub fn remaining(&self, now: Time) -> Duration {
        match self.deadline(now) {
            Time::MAX => Duration::MAX,
            deadline => deadline.since(now),
        }
    }

    /// Returns the lifetime after a login at `now`: the absolute deadline is as far away as that of a new session,
    /// `fresh`. An idle timeout of the session's own stays.
    #[must_use]
    pub fn restarted(&self, fresh: Lifetime, now: Time) -> Lifetime {
        let mut lifetime = fresh;
        if let (true, Some(idle)) = (self.own, self.idle) {
            lifetime.set_own(idle, now);
        }
        lifetime
    }

    /// Returns when a session with this deadline was last used, the inverse of [`Lifetime::deadline`]; `None` if the
    /// deadline does not show it.
    ///
    /// A use moves the deadline in the store and does not write the record, so only the deadline shows the last use.
    pub fn last_use(&self, deadline: Time) -> Option<Time> {
        let idle = self.idle?;
        let clipped = self.absolute.is_some_and(|absolute| deadline >= absolute);
        (!clipped && deadline < Time::MAX).then(|| deadline - idle)
    }

    /// Returns whether a use at `now` should move a deadline that was last moved at `accessed`: once a tenth of the
    /// idle timeout has passed. To move it more often would turn every read into a write.
    ///
    /// A last use in the future is by another clock, a store's or another process's, so the time since then is unknown.
    /// The deadline is then moved with each use, since the session could end while it is in use otherwise.
    pub fn is_touch_due(&self, accessed: Time, now: Time) -> bool {
        let Some(idle) = self.idle else { return false };
        let is_due = now.since(accessed) >= idle / 10 && self.deadline(now) > self.deadline(accessed);
        is_due || accessed.since(now) > idle / 10
    }

    /// Sets an idle timeout for this session alone, which starts at `now`. An absolute deadline that would come sooner
    /// is moved to its end.
    pub fn set_own(&mut self, idle: Duration, now: Time) {
        self.idle = Some(idle);
        self.absolute = self.absolute.map(|absolute| absolute.max(now + idle));
        self.own = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOON: Time = Time::from_millis(1_767_268_800_000);

    #[test]
    fn the_last_use_is_read_back_from_the_deadline() {
        let life = Lifetime::starting(NOON, Some(HOUR), Some(24 * HOUR));
        let used = NOON + 3 * HOUR;
        assert_eq!(life.last_use(life.deadline(used)), Some(used));
        assert_eq!(life.last_use(life.deadline(NOON + 24 * HOUR)), None, "the absolute end hides it");
    }

    #[test]
    fn a_touch_is_due_once_per_tenth_and_never_past_the_absolute_end() {
        let life = Lifetime::starting(NOON, Some(10 * HOUR), Some(12 * HOUR));
        assert!(!life.is_touch_due(NOON, NOON + HOUR - Duration::from_millis(1)));
        assert!(life.is_touch_due(NOON, NOON + HOUR));
        assert!(!life.is_touch_due(NOON + 2 * HOUR, NOON + 4 * HOUR), "the deadline cannot move any more");
        assert!(!Lifetime::default().is_touch_due(NOON, NOON + HOUR));
    }

    #[test]
    fn a_touch_is_due_if_the_last_use_is_in_the_future() {
        let life = Lifetime::starting(NOON, Some(10 * HOUR), None);
        assert!(!life.is_touch_due(NOON + HOUR, NOON), "a tenth is no reason: the next touch is a tenth late");
        assert!(life.is_touch_due(NOON + 48 * HOUR, NOON));
    }

    #[test]
    fn a_longer_idle_timeout_of_its_own_moves_the_absolute_deadline() {
        let mut life = Lifetime::starting(NOON, Some(HOUR), Some(2 * HOUR));
        life.set_own(48 * HOUR, NOON);
        assert_eq!(life.deadline(NOON), NOON + 48 * HOUR);
        life.set_own(HOUR, NOON);
        assert_eq!(life.deadline(NOON), NOON + HOUR);
    }
}
