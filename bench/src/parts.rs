//! Measures each part of a request alone: their sum is the minimum of such a request.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::time::{Duration, Instant};

use ampoule::store::{Entry, PutMode, PutResult, StoreKey};
use ampoule::{Clock, MemoryStore, Store, SystemClock};
use ampoule_core::internal::{Change, Content, Text, codec};
use ampoule_core::{Lifetime, Record};
use ampoule_seal::{Credential, KeyRing, Secret, Signer};
use http::StatusCode;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE, VARY};
use tokio::runtime::Runtime;

use crate::measure::{median, time};
use crate::scenario::Scenario;
use crate::sites::{Site, Subject, ours, shared};
use crate::turns;

/// A part: its name and its time.
type Part = (&'static str, f64);

pub fn print(runtime: &Runtime) {
    let parts = Parts::new();
    table("read one of five", &parts.of_a_read());
    table("read and write one of five", &[parts.of_a_read(), parts.of_a_write()].concat());
    table("new session", &parts.of_a_new_session());
    let [untouched, read] = handles(runtime);
    println!("Without a framework, an untouched session takes {untouched:.0} ns, one that is read {read:.0} ns.");
}

fn table(name: &str, parts: &[Part]) {
    let scenario = Scenario::named(name).expect("it is known");
    let times = turns::times(&scenario, &[Subject::Bare, Subject::Floor, Subject::Ours, Subject::TowerSessions]);
    let [bare, floor, ours, peer] = times[..] else { unreachable!("four were asked for") };
    let peer = peer - bare;
    let row = |what: &str, time: f64| println!("| {what} | {time:.0} ns | {:.2} |", time / peer);
    println!("| {name} | time | of the peer's |\n|---|---|---|");
    row("a layer that hands something to a handler", floor - bare);
    parts.iter().for_each(|(what, time)| row(what, *time));
    let together = floor - bare + parts.iter().map(|(_, time)| time).sum::<f64>();
    row("together", together);
    row(
        "what lies between them: the handle, locks, futures, moves, and what they take from the heap",
        ours - bare - together,
    );
    row("ours, measured as a whole", ours - bare);
    row("at most, by the budget", scenario.budget * peer);
    println!("| tower-sessions | {peer:.0} ns | 1.00 |\n");
}

/// The objects that the parts use.
struct Parts {
    signer: Signer,
    record: Record,
}

impl Parts {
    fn new() -> Parts {
        let secret = Secret::new("8IWvLV-gUbTWRoTt7f38wBohu5IjFbSPPi28PU_E4gw").expect("a good secret");
        let signer = KeyRing::new(vec![secret]).expect("a secret").signer("benchmark");
        Parts { signer, record: record() }
    }

    fn of_a_read(&self) -> Vec<Part> {
        let token = self.signer.sign(&credential());
        let bytes = self.record.encode();
        let decode = || {
            let content = Content::decode(black_box(bytes.clone())).expect("it is whole");
            let Content::Session(record) = content else { unreachable!("it is a session") };
            assert_eq!(codec::decode::<u64>(record.get("c").expect("it is there")).ok(), Some(7));
        };
        let (store, key) = (ours::store(), StoreKey::digest(b"benchmark"));
        put(&store, key, self.entry(), PutMode::Create);
        let get = || assert!(at_hand(store.get(key)).is_some());
        vec![
            (
                "the token: base64, and three blocks of SHA-256 for its signature and the digest of its secret",
                time(|| self.signer.verify(black_box(token.as_bytes()))),
            ),
            ("the store: the clock, find it, copy it", time(get)),
            ("the record: its checksum, its entries, one value", time(decode)),
            ("the header Vary", time_headers(|headers| _ = headers.insert(VARY, HeaderValue::from_static("Cookie")))),
        ]
    }

    fn of_a_write(&self) -> Vec<Part> {
        let change = || {
            let change = Change::insert("d", &black_box(8_u64)).expect("a number");
            change.applied(&self.record).expect("a good change")
        };
        let (store, key) = (ours::store(), StoreKey::digest(b"benchmark"));
        let version = Cell::new(put(&store, key, self.entry(), PutMode::Create));
        let replace = || version.set(put(&store, key, self.entry(), PutMode::Replace(version.get())));
        let encode = time(|| self.record.encode());
        vec![
            ("the change: encode the value, put it among the entries", time(change)),
            ("the record: lay it out, its checksum", encode),
            ("the store: the clock, compare, put", time(replace) - encode),
            ("another clock: when it was written", time(|| SystemClock.now())),
        ]
    }

    fn of_a_new_session(&self) -> Vec<Part> {
        let mut record = Record::new(SystemClock.now(), record().lifetime, Text::new("sid"));
        record.insert("a", &[7]).expect("a good key");
        let store = ours::store();
        let entry = || Entry { value: record.encode(), lifetime: Duration::MAX, tag: None };
        let encode = time(|| record.encode());
        let keys = time(|| StoreKey::new(ampoule_seal::internal::random_bytes()));
        let create = || put(&store, StoreKey::new(ampoule_seal::internal::random_bytes()), entry(), PutMode::Create);
        let value = self.signer.sign(&credential());
        let cookie = [&b"sid="[..], value.as_bytes(), b"; HttpOnly; SameSite=Lax; Secure; Path=/"];
        let set_cookie = |headers: &mut HeaderMap| {
            let value = HeaderValue::try_from(black_box(&cookie).concat()).expect("a good value");
            headers.append(SET_COOKIE, value);
            headers.insert(VARY, HeaderValue::from_static("Cookie"));
            headers.insert("cache-control", HeaderValue::from_static("no-store"));
        };
        vec![
            ("a random id and a random secret", time(Credential::random)),
            ("the digest of the secret: one block of SHA-256", time(|| black_box(credential()).digest())),
            ("the token: base64, and two blocks of SHA-256", time(|| self.signer.sign(&black_box(credential())))),
            ("the record: lay it out, its checksum", encode),
            ("the store, which grows: the clock, a new place", time(create) - encode - keys),
            ("the clock, twice: when it was made, when it was written", 2.0 * time(|| SystemClock.now())),
            ("the headers Set-Cookie, Vary and Cache-Control", time_headers(set_cookie)),
        ]
    }

    fn entry(&self) -> Entry {
        Entry { value: self.record.encode(), lifetime: Duration::MAX, tag: None }
    }
}

/// The answer of the memory store, which is ready at once.
fn at_hand<T>(reply: ampoule::store::Reply<'_, T>) -> T {
    reply.try_now().expect("memory answers at once").expect("it works")
}

fn put(store: &MemoryStore, key: StoreKey, entry: Entry, mode: PutMode) -> ampoule::store::Version {
    match at_hand(store.put(key, entry, mode)) {
        PutResult::Stored(version) => version,
        PutResult::Conflict => unreachable!("there is no other writer"),
    }
}

/// Measures the edits of headers with free capacity.
fn time_headers(change: impl Fn(&mut HeaderMap)) -> f64 {
    let headers = RefCell::new(HeaderMap::with_capacity(6));
    time(|| {
        let mut headers = headers.borrow_mut();
        headers.clear();
        change(&mut headers);
        black_box(&*headers);
    })
}

/// An untouched session, and one that is read, without a framework around them.
fn handles(runtime: &Runtime) -> [f64; 2] {
    let scenario = Scenario::named("read one of five").expect("it is known");
    let layer = ours::layer();
    let mut site = Site::axum(ours::site(layer.clone()));
    let mut headers = HeaderMap::new();
    let cookie = runtime.block_on(scenario.cookie(Subject::Ours, &mut site));
    headers.insert(COOKIE, HeaderValue::from_maybe_shared(shared(&cookie)).expect("a good value"));
    [false, true].map(|reads| {
        runtime.block_on(async {
            let mut rounds = Vec::new();
            // As frameworks have them: with room for a few headers.
            let mut response = HeaderMap::with_capacity(6);
            for _ in 0..21 {
                let started = Instant::now();
                for _ in 0..5_000 {
                    let session = layer.begin(black_box(&headers));
                    if reads {
                        assert_eq!(session.get::<u64>("c").await.ok(), Some(Some(7)));
                    }
                    response.clear();
                    layer.finish(&session, StatusCode::OK, &mut response).await.expect("it works");
                    black_box(&response);
                }
                rounds.push(started.elapsed().as_nanos() as f64 / 5_000.0);
            }
            median(rounds)
        })
    })
}

fn credential() -> Credential {
    Credential::new([7; 16], [8; 16])
}

fn record() -> Record {
    let day = Duration::from_secs(86_400);
    let mut record =
        Record::new(SystemClock.now(), Lifetime::starting(SystemClock.now(), Some(day), None), Text::new("sid"));
    for key in ["a", "b", "c", "d"] {
        record.insert(key, &[7]).expect("a good key");
    }
    record.insert("text", b"\xa5xxxxx").expect("a good key");
    record
}
