//! What a request that reads its session is made of, each part measured alone: the least that such a request can take.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ampoule::store::{Entry, Outcome, Put, StoreKey};
use ampoule::{Clock, Store, SystemClock, Time};
use ampoule_core::{Content, Lifetime, Record};
use ampoule_seal::{KeyRing, Secret};
use tokio::runtime::Runtime;

use crate::measure::{median, time};
use crate::scenario::Scenario;
use crate::sites::{Who, ours};
use crate::turns;

pub fn print(runtime: &Runtime) {
    let scenario = Scenario::named("read one of five").expect("it is known");
    let times = turns::times(&scenario, &[Who::Bare, Who::Floor, Who::Ours, Who::TowerSessions]);
    let [bare, floor, ours, peer] = times[..] else { unreachable!("four were asked for") };
    let peer = peer - bare;
    let mut sum = 0.0;
    println!("| a request that reads one of five | time | of the peer's |");
    println!("|---|---|---|");
    let mut line = |what: &str, time: f64| {
        sum += time;
        println!("| {what} | {time:.0} ns | {:.2} |", time / peer);
    };
    line("a layer that hands something to a handler", floor - bare);
    crypto(&mut line);
    stored(runtime, &mut line);
    line("the clock, twice: is it expired, is its use to be noted", 2.0 * time(|| SystemClock.now()));
    println!("| together | {sum:.0} ns | {:.2} |", sum / peer);
    println!("| ours, measured as a whole | {:.0} ns | {:.2} |", ours - bare, (ours - bare) / peer);
    println!("| tower-sessions | {peer:.0} ns | 1.00 |");
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
