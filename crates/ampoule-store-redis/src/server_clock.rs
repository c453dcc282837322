//! The server's clock, from which the deadlines in values are computed. The clock of this process may be days off.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampoule_core::{Error, Time};

use crate::connection::Connection;
use crate::format::corrupt;

/// How long the time is computed from the last reading with this process's monotonic clock.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The last reading of the server's clock, and when it was taken.
#[derive(Default)]
pub(crate) struct ServerClock(Mutex<Option<(Time, Instant)>>);

impl ServerClock {
    fn set(&self, time: Time) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Instant::now()));
    }

    /// Returns the server's time. Once the last reading is too old, one caller gets `None` and must read the clock; the
    /// others continue with the last reading.
    pub(crate) fn now(&self) -> Option<Time> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, taken) = (*reading)?;
        let (age, now) = (taken.elapsed(), Instant::now());
        if age >= MAX_AGE {
            *reading = Some((time + age, now));
            return None;
        }
        Some(time + age)
    }

    /// Reads the server's clock.
    pub(crate) async fn fetch(&self, connection: &Connection) -> Result<Time, Error> {
        let time = connection.read(&redis::cmd("TIME")).await?;
        let (seconds, micros) = redis::from_redis_value::<(u64, u64)>(time).map_err(|_| corrupt())?;
        let time = Time::ZERO + Duration::from_secs(seconds) + Duration::from_micros(micros);
        self.set(time);
        Ok(time)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_reads_the_clock_when_the_last_reading_is_old() {
        let clock = ServerClock::default();
        assert!(clock.is_unknown() && clock.now().is_none());
        clock.set(Time::from_millis(1_000));
        let now = clock.now().unwrap();
        assert!(now >= Time::from_millis(1_000) && now < Time::from_millis(31_000), "{now:?}");
        *clock.0.lock().unwrap() = Some((Time::from_millis(1_000), Instant::now().checked_sub(2 * MAX_AGE).unwrap()));
        assert_eq!(clock.now(), None);
        assert!(clock.now().unwrap() >= Time::from_millis(121_000), "the others continue with the last reading");
    }
}
