//! The orders in which requests, responses, crashes and time can meet, searched on the real code.
//!
//! Requests are futures, and each operation of the store is a point at which another may run. A browser keeps the last
//! cookie that it received; an attacker holds the token that the browser had first, as one that planted it would.
//! Between any two operations a request may be dropped, the answer of a write may be lost, a response may arrive or
//! never arrive, and the grace may pass. After each run five things must hold:
//!
//! - **no elevation**: no token that was issued before a login reads or writes anything that is saved after it;
//! - **no loss**: no acknowledged change is missing from what the browser's token leads to, unless that session was
//!   ended;
//! - **no lock-out**: with the tokens that it has, the browser reaches a working session, and a login succeeds;
//! - **no return**: after an acknowledged end neither the session nor its data comes back;
//! - **one truth**: the token that the browser received last leads to the session that it was told of.
//!
//! Each assertion is shown to fail: with one rule of the protocol left out, the same search finds the violation.
//!
//! Not checked, since the protocol cannot prevent it: responses that overtake each other on the wire, and delays beyond
//! the grace.

#[path = "../support/mod.rs"]
mod support;

mod search;
mod store;
mod verdict;
mod world;

use std::collections::BTreeSet;

use search::{Search, explore, walk};
use store::OmittedRule;
use world::{Op, Script, Sender, Setting};

const OPS: [Op; 7] = [Op::Read, Op::Write, Op::Count, Op::Rotate, Op::Login("ada"), Op::Logout, Op::RevokeOthers];

/// The number of runs of each script, and of walks. `AMPOULE_SEARCH=N` multiplies both.
fn times(usual: usize) -> usize {
    usual * std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn browser(ops: &[Op]) -> Script {
    ops.iter().map(|op| (Sender::Browser, *op)).collect()
}

fn holds(search: Search) -> usize {
    if let Some(found) = search.found {
        panic!("{found}");
    }
    search.runs
}

/// Settings in which each pair of requests is searched.
fn settings() -> Vec<Setting> {
    let base = Setting::default();
    vec![
        Setting { graces: 1, ..base.clone() },
        Setting { faults: 1, ..base.clone() },
        Setting { one_process: true, graces: 1, ..base.clone() },
        Setting { refreshes: true, graces: 1, ..base.clone() },
        Setting { logged_in: true, graces: 1, ..base.clone() },
        Setting { logged_in: true, faults: 1, limit: Some(1), ..base },
    ]
}

#[test]
fn pairs_of_requests_keep_the_promises() {
    let mut runs = 0;
    for setting in settings() {
        for first in OPS {
            for second in OPS {
                runs += holds(explore(&setting, &browser(&[first, second]), times(40)));
            }
        }
    }
    println!("{runs} schedules");
    assert!(runs > 10_000, "only {runs} schedules");
}

#[test]
fn an_attacker_with_the_planted_token_sees_nothing_of_the_login() {
    let mut runs = 0;
    for setting in settings() {
        for attack in OPS.into_iter().chain([Op::Login("mallory")]) {
            for then in [Op::Read, Op::Write, Op::Rotate, Op::Login("ada")] {
                let script =
                    vec![(Sender::Browser, Op::Login("ada")), (Sender::Attacker, attack), (Sender::Browser, then)];
                runs += holds(explore(&setting, &script, times(24)));
                let script =
                    vec![(Sender::Attacker, attack), (Sender::Browser, Op::Login("ada")), (Sender::Browser, then)];
                runs += holds(explore(&setting, &script, times(24)));
            }
        }
    }
    println!("{runs} schedules");
    assert!(runs > 6_000, "only {runs} schedules");
}

#[test]
fn random_walks_keep_the_promises() {
    let mut runs = 0;
    let settings = settings();
    let only = std::env::var("AMPOULE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or(0..times(6_000) as u64, |seed| seed..seed + 1);
    for seed in seeds {
        let setting = &settings[seed as usize % settings.len()];
        let setting = Setting { graces: 2, faults: 2, ..setting.clone() };
        runs += holds(walk(&setting, seed, 6));
    }
    println!("{runs} walks");
}

/// With one of these nine rules left out, the same search finds a violation: so each is needed, and each assertion can
/// fail.
#[test]
fn each_rule_is_needed_and_each_assertion_can_fail() {
    for (left_out, expected) in [
        (OmittedRule::Versions, "no loss"),
        (OmittedRule::Versions, "no return"),
        (OmittedRule::Freeze, "no loss"),
        (OmittedRule::Confirmation, "no return"),
        (OmittedRule::Tombstones, "no loss"),
        (OmittedRule::PreviousSecret, "one truth"),
        (OmittedRule::EndOfFreeze, "no lock-out"),
        (OmittedRule::VersionOfTouch, "one truth"),
        (OmittedRule::EndOfPreviousSecret, "old token"),
        (OmittedRule::Fork, "no elevation"),
    ] {
        let settings = settings();
        let mut others = BTreeSet::new();
        let found = (0..30_000).find(|seed| {
            let setting = &settings[*seed as usize % settings.len()];
            let found = walk(&Setting { left_out, graces: 2, faults: 1, ..setting.clone() }, *seed, 5).found;
            let line = found.as_deref().and_then(|found| found.lines().next()).unwrap_or_default();
            others.extend(line.split(':').next().map(str::to_owned));
            line.starts_with(expected)
        });
        println!("{left_out:?} left out: {expected}, walk {found:?}; before it {others:?}");
        assert!(found.is_some(), "{left_out:?} left out: {expected} is not found");
    }
}
