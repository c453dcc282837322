//! What a request that reads its session is made of, each part measured alone: the least that such a request can take.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ampoule::store::{Entry, Outcome, Put, StoreKey};
use ampoule::{Clock, Store, SystemClock, Time};
use ampoule_core::{Content, Lifetime, Record};
use ampoule_seal::{KeyRing, Secret};
use http::StatusCode;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use tokio::runtime::Runtime;

use crate::measure::{median, time};
use crate::scenario::Scenario;
use crate::sites::{Site, Who, ours, shared};
use crate::turns;

pub fn print(runtime: &Runtime) {
    let scenario = Scenario::named("read one of five").expect("it is known");
    let times = turns::times(&scenario, &[Who::Bare, Who::Floor, Who::Ours, Who::TowerSessions]);
    let [bare, floor, ours, peer] = times[..] else { unreachable!("four were asked for") };
    let peer = peer - bare;
    println!("| a request that reads one of five | time | of the peer's |");
    println!("|---|---|---|");
    let row = |what: &str, time: f64| println!("| {what} | {time:.0} ns | {:.2} |", time / peer);
    let mut sum = 0.0;
    let mut line = |what: &str, time: f64| {
        sum += time;
        row(what, time);
    };
    crypto(&mut line);
    stored(runtime, &mut line);
    line("the clock, twice: is it expired, is its use to be noted", 2.0 * time(|| SystemClock.now()));
    let [untouched, read] = handles(runtime);
    row("locks, futures and moves between these", read - untouched - sum);
    row("the handle: begun, finished and dropped", untouched);
    row("ours without a framework", read);
    row("a layer that hands something to a handler", floor - bare);
    row("what the handle costs the framework beside that", ours - floor - read);
    row("ours, measured as a whole", ours - bare);
    row("tower-sessions", peer);
}

/// A session that nobody touches, and one that is read, without a framework around them.
fn handles(runtime: &Runtime) -> [f64; 2] {
    let scenario = Scenario::named("read one of five").expect("it is known");
    let layer = ours::layer();
    let mut site = Site::axum(ours::site(layer.clone()));
    let mut headers = HeaderMap::new();
    let cookie = runtime.block_on(scenario.cookie(Who::Ours, &mut site));
    headers.insert(COOKIE, HeaderValue::from_maybe_shared(shared(&cookie)).expect("a good value"));
    [false, true].map(|reads| {
        runtime.block_on(async {
            let mut rounds = Vec::new();
            for _ in 0..21 {
                let started = Instant::now();
                for _ in 0..5_000 {
                    let session = layer.begin(black_box(&headers));
                    if reads {
                        assert_eq!(session.get::<u64>("c").await.ok(), Some(Some(7)));
                    }
                    let mut response = HeaderMap::new();
                    layer.finish(&session, StatusCode::OK, &mut response).await.expect("it works");
                    black_box(response);
                }
                rounds.push(started.elapsed().as_nanos() as f64 / 5_000.0);
            }
            median(rounds)
        })
    })
}

fn crypto(line: &mut impl FnMut(&str, f64)) {
    let secret = Secret::new("a secret for benchmarks, of 32 bytes or more").expect("a good secret");
    let signer = KeyRing::new(vec![secret]).expect("a secret").signer("benchmark");
    let token = signer.sign(&[7; 16]);
    let verify = || signer.verify(black_box(token.as_str().as_bytes()));
    line("the id's signature: base64 and two blocks of SHA-256", time(verify));
    let digest = || ampoule_seal::store_digest(black_box(&[7; 16]));
    line("the store's key: one block of SHA-256", time(digest));
}

fn stored(runtime: &Runtime, line: &mut impl FnMut(&str, f64)) {
    let record = record();
    let bytes = record.encode();
    let (store, key) = (ours::store(), StoreKey::digest(b"benchmark"));
    let entry = Entry { value: bytes.clone(), deadline: Time::MAX, tag: None };
    let put = runtime.block_on(store.put(key, entry, Put::Create)).expect("there is room");
    assert!(matches!(put, Outcome::Stored(_)));
    let get = runtime.block_on(async {
        let mut rounds = Vec::new();
        for _ in 0..21 {
            let started = Instant::now();
            for _ in 0..5_000 {
                drop(black_box(store.get(key).await.expect("it works")));
            }
            rounds.push(started.elapsed().as_nanos() as f64 / 5_000.0);
        }
        median(rounds)
    });
    // It reads the clock too, which is counted elsewhere.
    line("the store: find it, copy it", get - time(|| SystemClock.now()));
    let decode = || {
        let content = Content::decode(black_box(bytes.clone())).expect("it is whole");
        let Content::Session(record) = content else { unreachable!("it is a session") };
        assert_eq!(ampoule_core::codec::decode::<u64>(record.get("c").expect("it is there")).ok(), Some(7));
    };
    line("the record: its checksum, its entries, one value", time(decode));
}

fn record() -> Record {
    let day = Duration::from_secs(86_400);
    let mut record = Record::new(SystemClock.now(), Lifetime::starting(SystemClock.now(), Some(day), None));
    for key in ["a", "b", "c", "d"] {
        record.insert(key, &[7]).expect("a good key");
    }
    record.insert("text", b"\xa5xxxxx").expect("a good key");
    record
}
