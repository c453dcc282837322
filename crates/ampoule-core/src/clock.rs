//! Points in time, and the clocks that return them.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Arithmetic saturates at [`Time::ZERO`] and [`Time::MAX`].
///
/// ```
/// use std::time::Duration;
/// use ampoule_core::Time;
///
/// let noon = Time::from_millis(43_200_000);
/// assert_eq!((noon + Duration::from_secs(1)).since(noon), Duration::from_secs(1));
/// assert_eq!(noon.since(noon + Duration::from_secs(1)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The start of the Unix epoch.
    pub const ZERO: Time = Time(0);

    /// The end of the year 9999, the last moment that every file system, database and HTTP date can represent. As a
    /// deadline it means "never".
    pub const MAX: Time = Time(253_402_300_799_999);

    /// Creates the time this many milliseconds after the epoch, at most [`Time::MAX`].
    pub const fn from_millis(millis: u64) -> Time {
        if millis > Time::MAX.0 { Time::MAX } else { Time(millis) }
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the duration since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        let millis = u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX);
        Time::from_millis(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, rhs: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        Time::ZERO + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({} ms)", self.0)
    }
}

/// A source of the current time.
///
/// Code that handles expiry receives its clock from outside, so that a test can stop and move time.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Time;
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// The operating system's wall clock, since several processes that share a store need a common time.
///
/// If the clock is set back, sessions live longer by as much; if it is set forward, they end sooner. On Linux it is the
/// clock's last tick (`CLOCK_REALTIME_COARSE`), up to ten milliseconds old, since each request reads it several times.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Time {
        // `clock_gettime` fails on no system that has this clock; the exact time is the fallback.
        let tick = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE);
        tick.map_or_else(|_| SystemTime::now().into(), |tick| Time::ZERO + Duration::from(tick))
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Time {
        SystemTime::now().into()
    }
}

/// A clock for tests, which moves only when it is told to.
///
/// ```
/// use std::time::Duration;
/// use ampoule_core::{Clock, ManualClock, Time};
///
/// let clock = ManualClock::new(Time::from_millis(1_000));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Time::from_millis(61_000));
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub const fn new(now: Time) -> ManualClock {
        ManualClock(AtomicU64::new(now.0))
    }

    /// Moves the clock forward by this duration.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Time) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Shows 2026-01-01T00:00:00Z.
    fn default() -> ManualClock {
        ManualClock::new(Time::from_millis(1_767_225_600_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Time::MAX + Duration::MAX, Time::MAX);
        assert_eq!(Time::from_millis(u64::MAX), Time::MAX);
        assert_eq!(Time::ZERO.since(Time::MAX), Duration::ZERO);
    }

    #[test]
    fn the_system_s_clock_is_at_most_a_tick_behind() {
        let before = Time::from(SystemTime::now());
        let now = SystemClock.now();
        assert!(before.since(now) <= Duration::from_millis(20), "{now:?} is long before {before:?}");
        assert!(now <= Time::from(SystemTime::now()), "{now:?} is yet to come");
    }

    #[test]
    fn system_time_survives_the_round_trip() {
        let time = Time::from_millis(1_767_225_600_123);
        assert_eq!(Time::from(SystemTime::from(time)), time);
        assert_eq!(Time::from(UNIX_EPOCH - Duration::from_secs(1)), Time::ZERO);
    }
}
