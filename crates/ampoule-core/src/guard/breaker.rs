//! `CircuitBreaker`: stops calling a store after repeated failures, and tries again later.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

/// The pause: how long an open circuit refuses all operations, and how often a half-open one admits trials.
const RESET_TIMEOUT: Duration = Duration::from_secs(1);

/// How many operations a half-open circuit admits before the first of them has answered: as many as one request may
/// start at once.
const MAX_TRIALS: u32 = 8;

/// The circuit breaker of one group of a store's operations.
///
/// | state | an operation is | until |
/// |---|---|---|
/// | closed | admitted | `threshold` consecutive failures: then open |
/// | open | refused | the pause is over: then half-open |
/// | half-open | admitted as a trial, 8 in each pause; the others are refused | the first answer: then closed, or open again |
///
/// A trial that is dropped makes room for another operation; one that never answers occupies its place until the next
/// pause is over.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    /// The names in messages: "session store" and "reads".
    store: &'static str,
    operations: &'static str,
    /// How many consecutive failures open the circuit; 0 for never.
    threshold: usize,
    /// The number of failures since the last success.
    failures: AtomicUsize,
    /// Changes with every change of state, under the lock of `trials`: even while the circuit is closed, odd while it
    /// is not. An answer counts only in the period in which its operation was admitted, so that old operations decide
    /// nothing.
    period: AtomicU64,
    trials: Mutex<Trials>,
}

/// The state of a circuit that is not closed.
#[derive(Debug)]
struct Trials {
    /// When the next trials may begin.
    next: Instant,
    /// How many more trials may begin before that.
    left: u32,
    /// The number of consecutive failures.
    failures: usize,
}

/// The permission for one call of the store. [`Permit::record`] takes the call's answer.
#[must_use = "a dropped permit counts as a cancelled operation"]
pub(super) struct Permit<'a> {
    circuit: &'a CircuitBreaker,
    period: u64,
}

fn is_closed(period: u64) -> bool {
    period.is_multiple_of(2)
}

impl CircuitBreaker {
    pub(super) fn new(store: &'static str, operations: &'static str, threshold: usize) -> CircuitBreaker {
        CircuitBreaker {
            store,
            operations,
            threshold,
            failures: AtomicUsize::new(0),
            period: AtomicU64::new(0),
            trials: Mutex::new(Trials { next: Instant::now(), left: 0, failures: 0 }),
        }
    }

    /// # Errors
    /// [`ErrorKind::Unavailable`] if the circuit refuses the operation.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Error> {
        let period = self.period.load(Ordering::Relaxed);
        if is_closed(period) { Ok(Permit { circuit: self, period }) } else { self.admit_trial() }
    }

    #[cold]
    fn admit_trial(&self) -> Result<Permit<'_>, Error> {
        let mut trials = self.trials();
        let period = self.period.load(Ordering::Relaxed);
        if is_closed(period) {
            return Ok(Permit { circuit: self, period });
        }
        let now = Instant::now();
        if now >= trials.next {
            (trials.next, trials.left) = (now + RESET_TIMEOUT, MAX_TRIALS);
        }
        if trials.left == 0 {
            return Err(Error::new(ErrorKind::Unavailable, self.open_message(trials.failures)));
        }
        trials.left -= 1;
        Ok(Permit { circuit: self, period })
    }

    fn succeeded(&self, period: u64) {
        if !is_closed(period) {
            self.close(period);
        } else if self.failures.load(Ordering::Relaxed) > 0 && self.period.load(Ordering::Relaxed) == period {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    #[cold]
    fn failed(&self, period: u64, error: &Error) {
        if self.threshold == 0 || self.period.load(Ordering::Relaxed) != period {
            return;
        }
        if !is_closed(period) {
            self.reopen(period);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= self.threshold {
            self.open(period, error);
        }
    }

    fn open(&self, period: u64, error: &Error) {
        let Some(mut trials) = self.trials_in(period) else { return };
        *trials = Trials { next: Instant::now() + RESET_TIMEOUT, left: 0, failures: self.threshold };
        self.period.store(period + 1, Ordering::Relaxed);
        drop(trials);
        tracing::warn!(error = %error.report(), "{}", self.open_message(self.threshold));
    }

    /// Logs nothing: one outage is one warning.
    fn reopen(&self, period: u64) {
        let Some(mut trials) = self.trials_in(period) else { return };
        *trials = Trials { next: Instant::now() + RESET_TIMEOUT, left: 0, failures: trials.failures.saturating_add(1) };
        self.period.store(period + 2, Ordering::Relaxed);
    }

    fn close(&self, period: u64) {
        let Some(trials) = self.trials_in(period) else { return };
        self.failures.store(0, Ordering::Relaxed);
        self.period.store(period + 1, Ordering::Relaxed);
        drop(trials);
        tracing::info!("{}: circuit closed for {}, since the store answers again", self.store, self.operations);
    }

    #[cold]
    fn release(&self, period: u64) {
        if let Some(mut trials) = self.trials_in(period) {
            trials.left = MAX_TRIALS.min(trials.left + 1);
        }
    }

    fn open_message(&self, failures: usize) -> String {
        let (store, operations, pause) = (self.store, self.operations, RESET_TIMEOUT.as_secs());
        format!(
            "{store}: circuit open for {operations} after {failures} consecutive failures; next attempt in {pause} s"
        )
    }

    fn trials(&self) -> MutexGuard<'_, Trials> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `trials`; `None` if the period is over.
    fn trials_in(&self, period: u64) -> Option<MutexGuard<'_, Trials>> {
        let trials = self.trials();
        (self.period.load(Ordering::Relaxed) == period).then_some(trials)
    }
}

impl Permit<'_> {
    /// Counts the answer. Only [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] are failures: any other error is
    /// an answer of the store.
    pub(super) fn record<T>(self, answer: &Result<T, Error>) {
        match answer {
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                self.circuit.failed(self.period, error);
            }
            _ => self.circuit.succeeded(self.period),
        }
    }
}

/// A cancelled trial decides nothing, and makes room for another one. A recorded one has ended its period already.
impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !is_closed(self.period) {
            self.circuit.release(self.period);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure<T>(kind: ErrorKind) -> Result<T, Error> {
        Err(Error::new(kind, "down"))
    }

    fn fail(circuit: &CircuitBreaker) {
        circuit.admit().unwrap().record::<u8>(&failure(ErrorKind::Unavailable));
    }

    fn succeed(circuit: &CircuitBreaker) {
        circuit.admit().unwrap().record(&Ok(1));
    }

    fn is_refused(circuit: &CircuitBreaker) -> bool {
        circuit.admit().is_err()
    }

    /// A circuit that opens after two failures, and is open.
    fn open() -> CircuitBreaker {
        let circuit = CircuitBreaker::new("session store", "reads", 2);
        fail(&circuit);
        fail(&circuit);
        assert!(is_refused(&circuit));
        circuit
    }

    async fn pause() {
        tokio::time::advance(RESET_TIMEOUT).await;
    }

    #[tokio::test(start_paused = true)]
    async fn p10_consecutive_failures_open_it_and_the_message_says_so() {
        let circuit = CircuitBreaker::new("session store", "reads", 3);
        fail(&circuit);
        circuit.admit().unwrap().record::<u8>(&failure(ErrorKind::Timeout));
        assert!(!is_refused(&circuit));
        fail(&circuit);
        let refused = circuit.admit().err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        let message = "session store: circuit open for reads after 3 consecutive failures; next attempt in 1 s";
        assert_eq!(refused.to_string(), message);
    }

    #[tokio::test(start_paused = true)]
    async fn only_consecutive_failures_to_answer_count() {
        let circuit = CircuitBreaker::new("session store", "reads", 2);
        let answers =
            [ErrorKind::Corrupt, ErrorKind::Full, ErrorKind::Conflict, ErrorKind::Invalid, ErrorKind::TooLarge];
        for kind in answers {
            fail(&circuit);
            circuit.admit().unwrap().record::<u8>(&failure(kind));
        }
        fail(&circuit);
        succeed(&circuit);
        fail(&circuit);
        assert!(!is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn a_threshold_of_zero_never_opens_it() {
        let circuit = CircuitBreaker::new("session store", "reads", 0);
        (0..100).for_each(|_| fail(&circuit));
        assert!(!is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn it_refuses_until_the_pause_is_over_and_then_admits_eight() {
        let circuit = open();
        tokio::time::advance(RESET_TIMEOUT - Duration::from_millis(1)).await;
        assert!(is_refused(&circuit));
        tokio::time::advance(Duration::from_millis(1)).await;
        let trials: Vec<_> = (0..MAX_TRIALS).map(|_| circuit.admit().unwrap()).collect();
        assert!(is_refused(&circuit), "nine were admitted before one answered");
        drop(trials);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_success_closes_it_and_failures_of_earlier_trials_do_not_count() {
        let circuit = open();
        pause().await;
        let mut trials: Vec<_> = (0..MAX_TRIALS).map(|_| circuit.admit().unwrap()).collect();
        trials.pop().unwrap().record(&Ok(1));
        trials.into_iter().for_each(|trial| trial.record::<u8>(&failure(ErrorKind::Timeout)));
        fail(&circuit);
        assert!(!is_refused(&circuit), "it counts from the beginning");
        fail(&circuit);
        assert!(is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_reopens_it_and_answers_of_earlier_trials_do_not_count() {
        let circuit = open();
        pause().await;
        let (first, second) = (circuit.admit().unwrap(), circuit.admit().unwrap());
        tokio::time::advance(RESET_TIMEOUT / 2).await;
        first.record::<u8>(&failure(ErrorKind::Unavailable));
        second.record(&Ok(1));
        tokio::time::advance(RESET_TIMEOUT - Duration::from_millis(1)).await;
        let refused = circuit.admit().err().unwrap().to_string();
        assert!(refused.contains("after 3 consecutive failures"), "{refused}");
        tokio::time::advance(Duration::from_millis(1)).await;
        succeed(&circuit);
        assert!(!is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_with_another_error_closes_it() {
        let circuit = open();
        pause().await;
        circuit.admit().unwrap().record::<u8>(&failure(ErrorKind::Corrupt));
        let all: Vec<_> = (0..20).map(|_| circuit.admit().unwrap()).collect();
        drop(all);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_trials_make_room_for_others() {
        let circuit = open();
        pause().await;
        for _ in 0..5 {
            let trials: Vec<_> = (0..MAX_TRIALS).map(|_| circuit.admit().unwrap()).collect();
            assert!(is_refused(&circuit));
            drop(trials);
        }
        succeed(&circuit);
        assert!(!is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn trials_that_never_answer_do_not_keep_it_half_open() {
        let circuit = open();
        pause().await;
        let hung: Vec<_> = (0..MAX_TRIALS).map(|_| circuit.admit().unwrap()).collect();
        assert!(is_refused(&circuit));
        pause().await;
        succeed(&circuit);
        drop(hung);
        assert!(!is_refused(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_operations_before_it_opened_do_not_count() {
        let circuit = CircuitBreaker::new("session store", "reads", 3);
        let (slow, slower, slowest) = (circuit.admit().unwrap(), circuit.admit().unwrap(), circuit.admit().unwrap());
        (0..3).for_each(|_| fail(&circuit));
        slow.record(&Ok(1));
        assert!(is_refused(&circuit), "an old success closed it");
        pause().await;
        succeed(&circuit);
        fail(&circuit);
        slower.record::<u8>(&failure(ErrorKind::Timeout));
        fail(&circuit);
        assert!(!is_refused(&circuit), "an old failure was counted");
        slowest.record(&Ok(1));
        fail(&circuit);
        assert!(is_refused(&circuit), "an old success ended a row of failures");
    }
}
