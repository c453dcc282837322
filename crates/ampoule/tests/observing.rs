//! What an operator sees: events and counters.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ampoule::{Event, EventHook, EventKind};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use support::{HOUR, Place, Site};

type Told = Arc<Mutex<Vec<(EventKind, String, Option<String>)>>>;

fn listening(place: Place) -> (Site, Told) {
    let told = Told::default();
    let ear = told.clone();
    let hook = EventHook::new(move |event: &Event<'_>| {
        let principal = event.principal.map(str::to_owned);
        ear.lock().unwrap().push((event.kind, event.handle.to_string(), principal));
    });
    (Site::with(place, |options| options.on_event = Some(hook)), told)
}

on_places! {
    the_turns_of_a_session_are_told on Memory Cookie Redis;
}

async fn the_turns_of_a_session_are_told(place: Place) {
    let (site, told) = listening(place);
    let mut client = site.client();
    client.get("/get/a").await;
    assert!(told.lock().unwrap().is_empty(), "reading makes nothing");
    client.post("/set/a/1").await;
    client.post("/set/a/2").await;
    client.post("/login/ada").await;
    let copied = client.clone();
    client.post("/logout").await;
    copied.clone().get("/get/a").await;
    let mut late = site.client();
    late.post("/set/a/1").await;
    site.clock.advance(48 * HOUR);
    late.get("/get/a").await;
    let told = told.lock().unwrap().clone();
    let kinds: Vec<EventKind> = told.iter().map(|(kind, ..)| *kind).collect();
    if place == Place::Cookie {
        // Nobody can end what the client holds, and a new id is a new cookie.
        assert_eq!(kinds, [EventKind::Created, EventKind::Destroyed, EventKind::Created, EventKind::Expired]);
        return;
    }
    let [EventKind::Created, EventKind::Rotated { from }, EventKind::Destroyed, EventKind::Expired, rest @ ..] =
        &kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(rest, [EventKind::Created, EventKind::Expired]);
    assert_eq!(from.to_string(), told[0].1, "the old handle is named");
    assert!(told[1].1 == told[2].1 && told[2].1 == told[3].1, "the new one is known by its own");
    let principals: Vec<_> = told.iter().map(|(.., principal)| principal.as_deref()).collect();
    assert_eq!(principals, [None, Some("ada"), Some("ada"), None, None, None]);
}

fn counters(recorder: &DebuggingRecorder) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for (key, _, _, value) in recorder.snapshotter().snapshot().into_vec() {
        let labels: Vec<String> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
        match value {
            DebugValue::Counter(count) => drop(counters.insert(name, count)),
            DebugValue::Histogram(values) => drop(counters.insert(name, values.len() as u64)),
            DebugValue::Gauge(_) => {}
        }
    }
    counters
}

#[test]
fn operations_and_events_are_counted() {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let site = Site::new(Place::Memory);
            let mut client = site.client();
            client.post("/set/a/1").await;
            client.post("/login/ada").await;
            client.get("/get/a").await;
            site.spy.set_mood(support::stores::Mood::Refuses);
            for _ in 0..7 {
                client.get("/get/a").await;
            }
        });
    });
    let counters = counters(&recorder);
    let expected = [
        ("ampoule_sessions{event=created}", 1),
        ("ampoule_sessions{event=rotated}", 1),
        ("ampoule_store_operations{operation=get,outcome=ok}", 2),
        ("ampoule_store_operations{operation=put,outcome=ok}", 3),
        ("ampoule_store_operations{operation=get,outcome=unavailable}", 5),
        ("ampoule_store_refusals{operation=get}", 2),
        ("ampoule_store_seconds{operation=get}", 7),
        ("ampoule_store_seconds{operation=put}", 3),
    ];
    let expected: BTreeMap<String, u64> = expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    assert_eq!(counters, expected);
}

#[tokio::test]
async fn what_a_cache_does_is_counted() {
    use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let manager = CacheManager::new(Backend::memory(&BackendOptions::default()), CacheOptions::default()).unwrap();
    let cache = manager.cache::<u32>("squares");
    for _ in 0..3 {
        cache.get_or_insert_with("2", || async { 4 }).await;
    }
    assert!(cache.get_or_try_insert_with("x", || async { Err::<u32, _>("not a number") }).await.is_err());
    let counters = counters(&recorder);
    let count = |event: &str| counters.get(&format!("ampoule_cache{{cache=squares,event={event}}}")).copied();
    assert_eq!(
        (count("hits"), count("misses"), count("creations"), count("failures")),
        (Some(2), Some(2), Some(1), Some(1))
    );
}
