//! The response cache as an attacker meets it: random handlers, nestings and orders of layers, and requests of two users, a
//! stranger and an attacker who chooses every byte.
//!
//! Each answer tells what its handler saw. It must hold: **no answer has anything that its own request did not have, unless
//! the response allowed it explicitly for a shared cache**. Where an answer was made for another request, what that may
//! say is written down in `verdict.rs`; what its own request would have shown is asked of the same site without a cache.

mod request;
mod site;
mod verdict;
mod wire;

#[path = "../walks/random.rs"]
mod random;

use futures_util::future::join_all;
use random::Random;
use request::Asked;
use site::{Arrangement, World};

/// How many arrangements are tried. With `AMPOULE_SEARCH=N` so many times as many.
fn arrangements() -> u64 {
    let times: u64 = std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    400 * times
}

/// How many groups of requests, that run at once, each gets.
const GROUPS: usize = 30;

/// What came of one arrangement: how many answers were made for another request, and for whom.
#[derive(Default)]
struct Tally {
    answers: usize,
    reused: usize,
}

async fn try_arrangement(seed: u64) -> Result<Tally, String> {
    let mut random = Random::new(seed);
    let arrangement = Arrangement::random(&mut random);
    let world = World::new(arrangement, seed).await;
    let mut tally = Tally::default();
    for _ in 0..GROUPS {
        let asked: Vec<Asked> = (0..1 + random.below(4)).map(|_| Asked::random(&mut random, &world)).collect();
        let answers = join_all(asked.iter().map(|asked| world.ask(asked))).await;
        for (asked, answer) in asked.iter().zip(answers) {
            tally.answers += 1;
            let found = verdict::verdict(asked, &answer, &world).await;
            tally.reused += usize::from(found.map_err(|broken| {
                format!("{broken}\nseed {seed}, {arrangement:?}\nasked {asked:?}\nanswered {answer:?}")
            })?);
        }
        if random.one_in(6) {
            world.clock.advance(std::time::Duration::from_secs(random.below(40) as u64));
        }
    }
    Ok(tally)
}

#[tokio::test]
async fn no_answer_has_what_its_own_request_did_not_have() {
    let only = std::env::var("AMPOULE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut all = Tally::default();
    for seed in (0..arrangements()).filter(|seed| only.is_none_or(|only| only == *seed)) {
        match try_arrangement(seed).await {
            Ok(tally) => (all.answers, all.reused) = (all.answers + tally.answers, all.reused + tally.reused),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{} answers, {} of them made for another request", all.answers, all.reused);
    assert!(only.is_some() || all.reused * 20 > all.answers, "too few were reused for the search to mean anything");
}
