//! The server's present, by which the deadlines in values are reckoned. The clock of this process may be days off.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ampoule_core::{Error, Time};

use crate::connection::Connection;
use crate::format;

/// How long this process's monotonic clock is trusted to go as fast as the server's.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What the server's clock said, and when.
#[derive(Default)]
pub(crate) struct ServerClock(Mutex<Option<(Time, Instant)>>);

impl ServerClock {
    fn set(&self, time: Time) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Instant::now()));
    }

    /// `None` tells one caller to ask the server; the others use what it said last.
    pub(crate) fn now(&self) -> Option<Time> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, asked) = (*said)?;
        let (age, now) = (asked.elapsed(), Instant::now());
        if age >= MAX_AGE {
            *said = Some((time + age, now));
            return None;
        }
        Some(time + age)
    }

    pub(crate) async fn ask(&self, connection: &Connection) -> Result<Time, Error> {
        let time = connection.read(&redis::cmd("TIME")).await?;
        let (seconds, micros) = redis::from_redis_value::<(u64, u64)>(time).map_err(|_| format::damaged())?;
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
    fn one_caller_in_a_while_asks_the_server() {
        let clock = ServerClock::default();
        assert!(clock.is_unknown() && clock.now().is_none());
        clock.set(Time::from_millis(1_000));
        let now = clock.now().unwrap();
        assert!(now >= Time::from_millis(1_000) && now < Time::from_millis(31_000), "{now:?}");
        *clock.0.lock().unwrap() = Some((Time::from_millis(1_000), Instant::now().checked_sub(2 * MAX_AGE).unwrap()));
        assert_eq!(clock.now(), None);
        assert!(clock.now().unwrap() >= Time::from_millis(121_000), "the others use what it said last");
    }
}
