//! Attacks on the response cache: random handlers, nestings and orders of layers, and requests of two users, a visitor
//! and an attacker who chooses every byte.
//!
//! Each answer contains what its handler saw. Assertion: **no answer contains anything that its own request did not
//! have, unless the response explicitly allowed it for a shared cache**. `verdict.rs` has the rules for an answer that
//! was made for another request. The answer to the own request comes from the same site without a cache.

mod request;
mod site;
mod verdict;
mod wire;

#[path = "../walks/random.rs"]
mod random;

use futures_util::future::join_all;
use random::Random;
use request::RequestSpec;
use site::{Arrangement, World};

/// The number of arrangements. `AMPOULE_SEARCH=N` multiplies it.
fn arrangements() -> u64 {
    let times: u64 = std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    400 * times
}

/// The number of groups of concurrent requests for each arrangement.
const GROUPS: usize = 30;

/// The result of one arrangement: the number of answers that were made for another request, by client.
#[derive(Default)]
struct Counts {
    answers: usize,
    reused: usize,
}

async fn try_arrangement(seed: u64) -> Result<Counts, String> {
    let mut random = Random::new(seed);
    let arrangement = Arrangement::random(&mut random);
    let world = World::new(arrangement, seed).await;
    let mut tally = Counts::default();
    for _ in 0..GROUPS {
        let asked: Vec<RequestSpec> =
            (0..1 + random.below(4)).map(|_| RequestSpec::random(&mut random, &world)).collect();
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
async fn no_response_contains_data_of_another_request() {
    let only = std::env::var("AMPOULE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut all = Counts::default();
    for seed in (0..arrangements()).filter(|seed| only.is_none_or(|only| only == *seed)) {
        match try_arrangement(seed).await {
            Ok(tally) => (all.answers, all.reused) = (all.answers + tally.answers, all.reused + tally.reused),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{} answers, {} of them made for another request", all.answers, all.reused);
    assert!(only.is_some() || all.reused * 20 > all.answers, "too few were reused for the search to mean anything");
}
