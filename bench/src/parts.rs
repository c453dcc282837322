//! Measures each part of a request alone; the sum of the parts is the minimum for such a request.

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
    table("read one of five keys", &parts.read());
    table("read and write one of five keys", &[parts.read(), parts.write()].concat());
    table("new session", &parts.new_session());
    let [untouched, read] = without_framework(runtime);
    println!(
        "Without a framework, a request takes {untouched:.0} ns if its session is untouched, {read:.0} ns if it is read."
    );
}

fn table(name: &str, parts: &[Part]) {
    let scenario = Scenario::named(name).expect("it is known");
    let times = turns::times(&scenario, &[Subject::Bare, Subject::MinimalLayer, Subject::Ours, Subject::TowerSessions]);
    let [bare, minimal, ours, peer] = times[..] else { unreachable!("there are four subjects") };
    let peer = peer - bare;
    let row = |what: &str, time: f64| println!("| {what} | {time:.0} ns | {:.2} |", time / peer);
    println!("| {name} | time | share of tower-sessions |\n|---|---|---|");
    row("a minimal layer", minimal - bare);
    parts.iter().for_each(|(what, time)| row(what, *time));
    let sum = minimal - bare + parts.iter().map(|(_, time)| time).sum::<f64>();
    row("sum of the parts", sum);
    row("everything else: the handle, locks, futures, moves, allocations", ours - bare - sum);
    row("Ampoule, measured as a whole", ours - bare);
    row("budget", scenario.budget * peer);
    println!("| tower-sessions | {peer:.0} ns | 1.00 |\n");
}

/// The signer and the record that the parts use.
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

    fn read(&self) -> Vec<Part> {
        let token = self.signer.sign(&credential());
        let bytes = self.record.encode();
        let decode = || {
            let content = Content::decode(black_box(bytes.clone())).expect("it is whole");
            let Content::Session(record) = content else { unreachable!("it is a session") };
            assert_eq!(codec::decode::<u64>(record.get("c").expect("the key exists")).ok(), Some(7));
        };
        let (store, key) = (ours::store(), StoreKey::digest(b"benchmark"));
        put(&store, key, self.entry(), PutMode::Create);
        let get = || assert!(result(store.get(key)).is_some());
        vec![
            (
                "verify the token: base64, three blocks of SHA-256 (signature, digest of the secret)",
                time(|| self.signer.verify(black_box(token.as_bytes()))),
            ),
            ("load from the store: read the clock, find and copy the record", time(get)),
            ("decode the record: checksum, entries, one value", time(decode)),
            (
                "set the header Vary",
                time_headers(|headers| _ = headers.insert(VARY, HeaderValue::from_static("Cookie"))),
            ),
        ]
    }

    fn write(&self) -> Vec<Part> {
        let change = || {
            let change = Change::insert("d", &black_box(8_u64)).expect("a number");
            change.applied(&self.record).expect("a good change")
        };
        let (store, key) = (ours::store(), StoreKey::digest(b"benchmark"));
        let version = Cell::new(put(&store, key, self.entry(), PutMode::Create));
        let replace = || version.set(put(&store, key, self.entry(), PutMode::Replace(version.get())));
        let encode = time(|| self.record.encode());
        vec![
            ("apply the change: encode the value, insert it into the entries", time(change)),
            ("encode the record: layout, checksum", encode),
            ("write to the store: read the clock, compare the version, put", time(replace) - encode),
            ("read the clock for the time of the write", time(|| SystemClock.now())),
        ]
    }

    fn new_session(&self) -> Vec<Part> {
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
            ("create a random id and a random secret", time(Credential::random)),
            ("digest the secret: one block of SHA-256", time(|| black_box(credential()).digest())),
            ("sign the token: base64, two blocks of SHA-256", time(|| self.signer.sign(&black_box(credential())))),
            ("encode the record: layout, checksum", encode),
            ("create in the store, which grows: read the clock, add an entry", time(create) - encode - keys),
            ("read the clock twice, for the times of creation and write", 2.0 * time(|| SystemClock.now())),
            ("set the headers Set-Cookie, Vary and Cache-Control", time_headers(set_cookie)),
        ]
    }

    fn entry(&self) -> Entry {
        Entry { value: self.record.encode(), lifetime: Duration::MAX, tag: None }
    }
}

/// Returns the result of the memory store, whose replies are always ready.
fn result<T>(reply: ampoule::store::Reply<'_, T>) -> T {
    reply.try_now().expect("the memory store does not wait").expect("no error")
}

fn put(store: &MemoryStore, key: StoreKey, entry: Entry, mode: PutMode) -> ampoule::store::Version {
    match result(store.put(key, entry, mode)) {
        PutResult::Stored(version) => version,
        PutResult::Conflict => unreachable!("there is no other writer"),
    }
}

/// Measures a change of headers that have free capacity.
fn time_headers(change: impl Fn(&mut HeaderMap)) -> f64 {
    let headers = RefCell::new(HeaderMap::with_capacity(6));
    time(|| {
        let mut headers = headers.borrow_mut();
        headers.clear();
        change(&mut headers);
        black_box(&*headers);
    })
}

/// Measures an untouched session, and one that is read, without a framework: nanoseconds of `begin` to `finish`.
fn without_framework(runtime: &Runtime) -> [f64; 2] {
    let scenario = Scenario::named("read one of five").expect("it is known");
    let layer = ours::layer();
    let mut site = Site::axum(ours::site(layer.clone()));
    let mut headers = HeaderMap::new();
    let cookie = runtime.block_on(scenario.cookie(Subject::Ours, &mut site));
    headers.insert(COOKIE, HeaderValue::from_maybe_shared(shared(&cookie)).expect("a good value"));
    [false, true].map(|reads| {
        runtime.block_on(async {
            let mut rounds = Vec::new();
            // Frameworks reserve room for a few headers too.
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
