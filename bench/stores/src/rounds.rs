//! Measures the subjects in rounds in which they take turns, so that a disturbance affects all of them, and computes
//! medians.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// The future of a turn.
pub type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gets an existing session.
    Load,
    /// Replaces an existing session, and compares its version if the store has versions.
    Save,
    /// Creates a session that did not exist.
    Create,
}

impl Operation {
    pub const ALL: [Operation; 3] = [Operation::Load, Operation::Save, Operation::Create];

    pub fn name(self) -> &'static str {
        match self {
            Operation::Load => "load",
            Operation::Save => "save",
            Operation::Create => "create",
        }
    }
}

/// A store of sessions. It contains [`sessions::COUNT`](crate::sessions::COUNT) sessions at the start.
pub trait Subject: Send {
    /// Executes this number of operations, one after the other.
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_>;
}

/// The length of a run. Many short turns are better than a few long ones, since the placement of threads and the load
/// of the system change within seconds.
#[derive(Clone, Copy)]
pub struct Effort {
    /// The number of turns of each subject.
    pub rounds: usize,
    /// The approximate length of a turn.
    pub turn: Duration,
}

impl Effort {
    pub const FULL: Effort = Effort { rounds: 101, turn: Duration::from_millis(8) };
    pub const QUICK: Effort = Effort { rounds: 21, turn: Duration::from_millis(5) };

    /// Returns the number of operations that fill a turn, from the time that `sample` operations took.
    pub fn count(self, sample: u32, took: Duration) -> u32 {
        let each = took.as_secs_f64() / f64::from(sample);
        (self.turn.as_secs_f64() / each).clamp(5.0, 20_000.0) as u32
    }
}

/// Returns the microseconds of one operation for each subject.
pub async fn measure(subjects: &mut [Box<dyn Subject>], operation: Operation, effort: Effort) -> Vec<f64> {
    const SAMPLE: u32 = 20;
    let mut counts = Vec::new();
    for subject in subjects.iter_mut() {
        subject.run(operation, SAMPLE).await;
        let started = Instant::now();
        subject.run(operation, SAMPLE).await;
        counts.push(effort.count(SAMPLE, started.elapsed()));
    }
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..effort.rounds {
        for turn in 0..subjects.len() {
            // Each round starts with another subject.
            let index = (turn + round) % subjects.len();
            let started = Instant::now();
            subjects[index].run(operation, counts[index]).await;
            times[index].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(counts[index]));
        }
    }
    times.into_iter().map(median).collect()
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
