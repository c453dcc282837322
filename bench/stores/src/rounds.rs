//! Rounds in which the subjects take turns, so that a disturbance affects all alike, and their medians.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// The future of a turn.
pub type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gets an existing session.
    Load,
    /// Replaces an existing session, at its version where there are versions.
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

/// Something that keeps sessions. It has [`sessions::COUNT`](crate::sessions::COUNT) of them from the start.
pub trait Subject: Send {
    /// Does this number of operations, one after the other.
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_>;
}

/// The length of a run. Many short turns rather than a few long ones: the placement of threads and the load of the system
/// change within seconds.
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

    /// The number of operations that fill a turn, from the time of a sample.
    pub fn count(self, tried: u32, took: Duration) -> u32 {
        let each = took.as_secs_f64() / f64::from(tried);
        (self.turn.as_secs_f64() / each).clamp(5.0, 20_000.0) as u32
    }
}

/// Microseconds of one operation for each subject.
pub async fn measure(subjects: &mut [Box<dyn Subject>], operation: Operation, effort: Effort) -> Vec<f64> {
    const TRIED: u32 = 20;
    let mut counts = Vec::new();
    for subject in subjects.iter_mut() {
        subject.run(operation, TRIED).await;
        let started = Instant::now();
        subject.run(operation, TRIED).await;
        counts.push(effort.count(TRIED, started.elapsed()));
    }
    let mut times = vec![Vec::new(); subjects.len()];
    for round in 0..effort.rounds {
        for place in 0..subjects.len() {
            // Each round starts with another subject.
            let who = (place + round) % subjects.len();
            let started = Instant::now();
            subjects[who].run(operation, counts[who]).await;
            times[who].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(counts[who]));
        }
    }
    times.into_iter().map(median).collect()
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
