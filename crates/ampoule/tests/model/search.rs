//! Searches the runs: depth first, or at random.

use std::future::Future;

use crate::OPS;
use crate::verdict::verdict;
use crate::world::{Op, Script, Sender, Setting, Step, World};

/// The result of a search.
pub(crate) struct Search {
    pub(crate) runs: usize,
    /// The first violation, with the steps that led to it.
    pub(crate) found: Option<String>,
}

/// The choices of one run, each with the number of alternatives.
type Path = Vec<(usize, usize)>;

/// Time only passes for requests that wait before they retry.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

/// Runs a script with these choices; after the end of the path it takes the first alternative, and extends the path.
async fn run(setting: &Setting, script: &Script, path: &mut Path) -> (World, Vec<Step>) {
    let mut world = World::new(setting, script.clone());
    let mut steps = Vec::new();
    for at in 0.. {
        assert!(at < 2_000, "a run does not end: {script:?} {steps:?}");
        if world.is_done() {
            break;
        }
        world.wait().await;
        let choices = world.steps();
        assert!(!choices.is_empty(), "requests wait for each other: {script:?} {steps:?}");
        if path.len() == at {
            path.push((0, 0));
        }
        path[at] = (path[at].0 % choices.len(), choices.len());
        let step = choices[path[at].0];
        steps.push(step);
        world.take(step);
    }
    (world, steps)
}

/// The next path, depth first; `None` after the last.
fn next(path: &mut Path) -> bool {
    while let Some((choice, of)) = path.pop() {
        if choice + 1 < of {
            path.push((choice + 1, of));
            return true;
        }
    }
    false
}

fn judged(world: &World, setting: &Setting, steps: &[Step]) -> Option<String> {
    let broken = verdict(world).err()?;
    let reports: Vec<String> = world.reports.iter().map(|report| format!("{:?}", report.borrow())).collect();
    Some(format!("{broken}\n{:?}\n{setting:?}\n{steps:?}\n{}", world.script(), reports.join("\n")))
}

/// Searches the runs of a script depth first, up to a number of runs: half from the front, half spread over the rest.
pub(crate) fn explore(setting: &Setting, script: &Script, most: usize) -> Search {
    let mut path = Path::new();
    let mut random = Random(script.len() as u64 * 7_919 + most as u64);
    for runs in 1.. {
        let (world, steps) = block_on(run(setting, script, &mut path));
        if let Some(found) = judged(&world, setting, &steps) {
            return Search { runs, found: Some(found) };
        }
        if runs == most || !next(&mut path) {
            return Search { runs, found: None };
        }
        if runs > most / 2 {
            // A bound cuts a search in depth off at its tail, so the second half begins anywhere.
            let keep = random.below(path.len().max(1));
            path.truncate(keep);
            for place in &mut path {
                place.0 = random.below(64);
            }
        }
    }
    unreachable!("the loop ends with its last path")
}

/// One run of random requests in a random order.
pub(crate) fn walk(setting: &Setting, seed: u64, most: usize) -> Search {
    block_on(walk_on(setting, seed, most))
}

async fn walk_on(setting: &Setting, seed: u64, most: usize) -> Search {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let count = 2 + random.below(most - 1);
    let script = (0..count).map(|_| random.request()).collect();
    let mut world = World::new(setting, script);
    let mut steps = Vec::new();
    while !world.is_done() {
        world.wait().await;
        let choices = world.steps();
        // Failures are rarer than steps, so that most requests finish.
        let usual: Vec<Step> = choices
            .iter()
            .copied()
            .filter(|step| matches!(step, Step::Start | Step::Poll(_) | Step::Deliver))
            .collect();
        let from = if usual.is_empty() || random.below(12) == 0 { &choices } else { &usual };
        let step = from[random.below(from.len())];
        steps.push(step);
        world.take(step);
    }
    Search { runs: 1, found: judged(&world, setting, &steps).map(|found| format!("{found}\nseed {seed}")) }
}

/// SplitMix64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn request(&mut self) -> (Sender, Op) {
        let is_attacker = self.below(4) == 0;
        let op = match self.below(OPS.len() + 3) {
            0 if is_attacker => Op::Login("mallory"),
            0 => Op::Login("eve"),
            1 | 2 => Op::Login("ada"),
            more => OPS[more - 3],
        };
        (if is_attacker { Sender::Attacker } else { Sender::Browser }, op)
    }
}
