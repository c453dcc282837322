//! The orders in which requests, responses, crashes and time can meet, searched on the real code.
//!
//! Requests are futures, and each operation of the store is a point at which another may run. A browser keeps the last
//! cookie that it received; an attacker holds the token that the browser had first, as one that planted it would. Between
//! any two operations a request may be dropped, the answer of a write may be lost, a response may arrive or never arrive,
//! and the grace may pass. After each run five things must hold:
//!
//! - **no elevation**: no token that was issued before a login reads or writes anything of after it;
//! - **no loss**: no acknowledged change is missing from what the browser's token leads to, unless that session was ended;
//! - **no lock-out**: from where it stands the browser reaches a session that works, and a login succeeds;
//! - **no return**: after an acknowledged end neither the session nor its data comes back;
//! - **one truth**: the token that the browser received last leads to the session that it was told of.
//!
//! Each is shown to bite: with one rule of the protocol left out the same search finds what the rule is for.
//!
//! Not looked for, since nothing can be done about it: responses that overtake each other on the wire, and what is delayed
//! beyond the grace.

#[path = "../support/mod.rs"]
mod support;

mod search;
mod store;
mod verdict;
mod world;

use std::collections::BTreeSet;

use search::{Search, explore, walk};
use store::LeftOut;
use world::{Op, Script, Setting, Who};

const OPS: [Op; 7] = [Op::Read, Op::Write, Op::Count, Op::Rotate, Op::Login("ada"), Op::Logout, Op::RevokeOthers];

/// How many runs of each script are searched, and how many walks are taken. With `AMPOULE_SEARCH=N` so many times as many.
fn times(usual: usize) -> usize {
    usual * std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn browser(ops: &[Op]) -> Script {
    ops.iter().map(|op| (Who::Browser, *op)).collect()
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
fn pairs_of_requests_keep_the_protocol() {
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
fn an_attacker_with_the_planted_token_gets_nothing_of_the_login() {
    let mut runs = 0;
    for setting in settings() {
        for attack in OPS.into_iter().chain([Op::Login("mallory")]) {
            for then in [Op::Read, Op::Write, Op::Rotate, Op::Login("ada")] {
                let script = vec![(Who::Browser, Op::Login("ada")), (Who::Attacker, attack), (Who::Browser, then)];
                runs += holds(explore(&setting, &script, times(24)));
                let script = vec![(Who::Attacker, attack), (Who::Browser, Op::Login("ada")), (Who::Browser, then)];
                runs += holds(explore(&setting, &script, times(24)));
            }
        }
    }
    println!("{runs} schedules");
    assert!(runs > 6_000, "only {runs} schedules");
}

#[test]
fn random_walks_keep_the_protocol() {
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

/// With one rule left out, the same search finds what the rule is for: so each rule is needed, and each assertion bites.
#[test]
fn each_rule_is_needed_and_each_assertion_bites() {
    for (left_out, expected) in [
        (LeftOut::Versions, "no loss"),
        (LeftOut::Versions, "no return"),
        (LeftOut::Freeze, "no loss"),
        (LeftOut::Confirmation, "no return"),
        (LeftOut::Tombstones, "no loss"),
        (LeftOut::PreviousSecret, "one truth"),
        (LeftOut::EndOfFreeze, "no lock-out"),
        (LeftOut::VersionOfTouch, "one truth"),
        (LeftOut::EndOfPreviousSecret, "old token"),
        (LeftOut::Fork, "no elevation"),
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
