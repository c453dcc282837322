//! Random walks over HTTP: what browsers, attackers, proxies and operators do to sessions, in any order.
//!
//! A browser with two tabs and a jar that behaves as RFC 6265bis says asks two hosts of one domain, and several paths. An
//! attacker on a sibling domain has sessions of its own and plants their cookies. Requests meet at every operation of the
//! store; some are dropped, some responses are lost, and the answers of some writes. Between the rounds time passes, from
//! seconds to more than the idle time, secrets are rotated, and the cookie's domain is changed. Two processes share the
//! store. After each round, and more at the end of each walk, it must hold:
//!
//! - **no elevation**: a token leads to the session that it was given out for, and shows nothing of a later login;
//! - **no loss**: no acknowledged change is missing from what the browser's token leads to, and no response takes a session
//!   from the browser that has not ended;
//! - **once**: a flash message and a voucher go to one request each;
//! - **no return**: after an acknowledged logout neither the session, nor its siblings, nor its old tokens live;
//! - **no lock-out**: from where it stands the browser reaches a session that works, and can log in.
//!
//! Not looked for, since nothing can be done about it: responses with cookies that overtake each other on the wire (some
//! walks have them, and the rest must hold all the same), what is delayed beyond the grace, and the cookies that go when
//! those of two sessions come with one request.

#[path = "../support/mod.rs"]
mod support;

mod jar;
mod lineage;
mod random;
mod site;
#[path = "../model/store.rs"]
mod store;
mod verdict;
mod world;

use std::time::Duration;

use store::LeftOut;
use world::{GRACE, Setting, World};

/// How many rounds a walk has.
const ROUNDS: usize = 12;

/// Of each half, so that two run at once. With `AMPOULE_SEARCH=N` so many times as many.
fn walks() -> u64 {
    let times: u64 = std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    1_700 * times
}

/// One walk, and what was wrong first.
fn walk(seed: u64, left_out: LeftOut) -> Result<usize, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let mut world = World::new(seed, Setting::of(seed, left_out));
    let done = runtime.block_on(take(&mut world));
    let requests = world.notes.reports.lock().unwrap().len();
    done.map_err(|broken| format!("{broken}\nseed {seed}, {:?}\n{}", world.setting, world.story.join("\n")))?;
    Ok(requests)
}

async fn take(world: &mut World) -> Result<(), String> {
    for _ in 0..ROUNDS {
        let from = world.notes.reports.lock().unwrap().len();
        world.round().await?;
        world.judge_round(from)?;
        world.pause();
    }
    world.clock.advance(GRACE + Duration::from_secs(1));
    world.judge_end()?;
    world.judge_way_out().await
}

fn holds(seeds: impl Iterator<Item = u64>) {
    let only = std::env::var("AMPOULE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let (mut requests, mut count) = (0, 0);
    for seed in seeds.filter(|seed| only.is_none_or(|only| *seed == only)) {
        match walk(seed, LeftOut::Nothing) {
            Ok(made) => (requests, count) = (requests + made, count + 1),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{count} walks, {} rounds, {requests} requests", count * ROUNDS);
}

#[test]
fn walks_with_even_seeds_keep_the_promises() {
    holds((0..walks()).map(|seed| 2 * seed));
}

#[test]
fn walks_with_odd_seeds_keep_the_promises() {
    holds((0..walks()).map(|seed| 2 * seed + 1));
}

/// With one rule of the protocol left out, the same walks find what the rule is for.
#[test]
fn each_rule_is_needed_and_each_assertion_bites() {
    for (left_out, expected) in [
        (LeftOut::Versions, "no loss"),
        (LeftOut::Freeze, "no return"),
        (LeftOut::EndOfFreeze, "no lock-out"),
        (LeftOut::Confirmation, "no return"),
        (LeftOut::Tombstones, "no loss"),
        (LeftOut::PreviousSecret, "no loss"),
        (LeftOut::EndOfPreviousSecret, "old token"),
        (LeftOut::VersionOfTouch, "no loss"),
        (LeftOut::Fork, "no elevation"),
    ] {
        let found = (0..1_000).find_map(|seed| walk(seed, left_out).err());
        let found = found.unwrap_or_else(|| panic!("{left_out:?} left out is not found"));
        assert!(found.starts_with(expected), "{left_out:?} left out: expected {expected}, found {found}");
    }
}
