//! Events, spans and counters for operators.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ampoule::{Event, EventHook, EventKind};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use support::{BackendKind, HOUR, Log, SECOND, Site};

type EventLog = Arc<Mutex<Vec<(EventKind, String, Option<String>)>>>;

fn listening(backend: BackendKind) -> (Site, EventLog) {
    let told = EventLog::default();
    let ear = told.clone();
    let hook = EventHook::new(move |event: &Event<'_>| {
        let principal = event.principal.map(str::to_owned);
        ear.lock().unwrap().push((event.kind, event.id.to_string(), principal));
    });
    (Site::with(backend, |options| options.on_event = Some(hook)), told)
}

on_each_place! {
    the_events_of_a_session_are_reported;
}

on_each_store! {
    a_replayed_token_is_reported_once;
    conflicting_tokens_are_reported_once;
}

async fn the_events_of_a_session_are_reported(backend: BackendKind) {
    let (site, told) = listening(backend);
    let mut client = site.client();
    client.get("/get/a").await;
    assert!(told.lock().unwrap().is_empty(), "reading makes nothing");
    client.post("/set/a/1").await;
    client.post("/set/a/2").await;
    client.post("/login/ada").await;
    client.post("/regenerate").await;
    let copied = client.clone();
    client.post("/logout").await;
    copied.clone().get("/get/a").await;
    site.clock.advance(6 * SECOND);
    copied.clone().get("/get/a").await;
    let mut late = site.client();
    late.post("/set/a/1").await;
    site.clock.advance(48 * HOUR);
    late.get("/get/a").await;
    let told = told.lock().unwrap().clone();
    let kinds: Vec<EventKind> = told.iter().map(|(kind, ..)| *kind).collect();
    let principals: Vec<_> = told.iter().map(|(.., principal)| principal.as_deref()).collect();
    let [EventKind::Created, EventKind::Forked { from }, rest @ ..] = &kinds[..] else { panic!("{kinds:?}") };
    assert_eq!(from.to_string(), told[0].1, "the session before the login is named");
    assert_ne!(told[1].1, told[0].1, "the login has an id of its own");
    let (rest, of_ada) = match backend {
        // The server cannot end a cookie session, and a new token is a new cookie.
        BackendKind::Cookie => {
            let [EventKind::Destroyed, rest @ ..] = rest else { panic!("{kinds:?}") };
            (rest, 1..3)
        }
        _ => {
            let [EventKind::Rotated, EventKind::Destroyed, EventKind::Expired, rest @ ..] = rest else {
                panic!("{kinds:?}")
            };
            (rest, 1..5)
        }
    };
    assert_eq!(rest, [EventKind::Created, EventKind::Expired]);
    assert!(told[of_ada.clone()].iter().all(|(_, id, _)| *id == told[1].1), "one id for the whole life: {told:?}");
    let whose = if backend == BackendKind::Cookie { 1..3 } else { 1..4 };
    for (index, principal) in principals.iter().enumerate() {
        assert_eq!(*principal, whose.contains(&index).then_some("ada"), "{index} of {told:?}");
    }
}

fn of_kind(told: &EventLog, wanted: EventKind) -> Vec<String> {
    told.lock().unwrap().iter().filter(|(kind, ..)| *kind == wanted).map(|(_, id, _)| id.clone()).collect()
}

/// A log of only this task, until the guard is dropped.
fn logging() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

fn count_of(log: &Log, text: &str) -> usize {
    log.text().lines().filter(|line| line.contains(text)).count()
}

async fn a_replayed_token_is_reported_once(backend: BackendKind) {
    let (site, told) = listening(backend);
    let mut client = site.client();
    client.post("/login/ada").await;
    let (stolen, id) = (client.cookie_header(), client.get("/id").await.text);
    client.post("/regenerate").await;
    client.get("/get/user").await;
    assert_eq!(client.ask("GET", "/get/user", &stolen).await.text, "ada", "within the grace");
    assert_eq!(of_kind(&told, EventKind::Replayed), [""; 0]);
    site.clock.advance(6 * SECOND);
    let (log, _guard) = logging();
    assert_eq!(client.ask("GET", "/info", &stolen).await.text.split(' ').next(), Some("new=true"));
    assert_eq!(of_kind(&told, EventKind::Replayed), std::slice::from_ref(&id));
    assert_eq!(count_of(&log, "may be stolen"), 1, "{}", log.text());
    assert!(!log.text().contains(stolen.strip_prefix("sid=").unwrap()), "{}", log.text());
    // A browser that sends both, as after a change of the cookie's domain, is not reported as a replay.
    let both = format!("{stolen}; {}", client.cookie_header());
    assert_eq!(client.ask("GET", "/get/user", both).await.text, "ada");
    assert_eq!((of_kind(&told, EventKind::Replayed).len(), count_of(&log, "may be stolen")), (1, 1));
    // The thief's login is a separate session; the client keeps its own.
    let answer = client.ask("POST", "/login/eve", &stolen).await;
    assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (200, 1));
    assert_eq!(client.value("user").await, "ada");
    assert_eq!((of_kind(&told, EventKind::Replayed).len(), count_of(&log, "may be stolen")), (2, 2));
}

async fn conflicting_tokens_are_reported_once(backend: BackendKind) {
    let (site, told) = listening(backend);
    let (mut ada, mut eve) = (site.client(), site.client());
    ada.post("/login/ada").await;
    eve.post("/login/eve").await;
    let mut ids = [ada.get("/id").await.text, eve.get("/id").await.text];
    ids.sort();
    let (log, _guard) = logging();
    let both = format!("{}; {}", ada.cookie_header(), eve.cookie_header());
    assert_eq!(ada.ask("GET", "/info", &both).await.text.split(' ').next(), Some("new=true"));
    let mut conflicting = of_kind(&told, EventKind::Conflicting);
    conflicting.sort();
    assert_eq!(conflicting, ids, "each once");
    for id in &ids {
        let lines = log.text();
        let of_id = lines.lines().filter(|line| line.contains("neither counts") && line.contains(id.as_str()));
        assert_eq!(of_id.count(), 1, "{lines}");
    }
    assert_eq!((ada.value("user").await, eve.value("user").await), ("ada".into(), "eve".into()));
    assert_eq!(of_kind(&told, EventKind::Conflicting).len(), 2);
}

#[tokio::test]
async fn a_span_has_the_principal_on_request() {
    use tracing::Instrument;
    use tracing::field::Empty;
    let span = || tracing::info_span!("request", session = Empty, user = Empty);
    let line_of = async |client: &mut support::Client, path: &str| {
        let (log, _guard) = logging();
        async {
            client.post(path).await;
            tracing::info!("done");
        }
        .instrument(span())
        .await;
        log.text().lines().find(|line| line.contains("done")).unwrap().to_owned()
    };
    let site = Site::with(BackendKind::Memory, |options| options.trace_fingerprints = true);
    let mut client = site.client();
    let line = line_of(&mut client, "/login/ada").await;
    let ada = site.layer.fingerprint("ada").unwrap();
    let session = site.layer.fingerprint(&client.get("/id").await.text).unwrap();
    assert!(line.contains(&format!("user=\"{ada}\"")) && line.contains(&format!("session=\"{session}\"")), "{line}");
    assert!(line_of(&mut client, "/set/a/1").await.contains(&ada));
    let token = client.jar["sid"].clone();
    assert!(!line.contains(&token[..8]) && !line.contains("ada\""), "{line}");
    assert_ne!(site.layer.fingerprint("eve"), Some(ada.clone()));
    let mut visitor = site.client();
    let line = line_of(&mut visitor, "/set/a/1").await;
    assert!(line.contains("session=") && !line.contains("user="), "{line}");
    let silent = Site::new(BackendKind::Memory);
    let line = line_of(&mut silent.client(), "/login/ada").await;
    assert!(
        !line.contains("session=") && !line.contains("user=") && silent.layer.fingerprint("ada").is_none(),
        "{line}"
    );
}

fn counters(recorder: &DebuggingRecorder) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for (key, _, description, value) in recorder.snapshotter().snapshot().into_vec() {
        assert!(description.is_some_and(|text| text.len() > 20), "{} has no description", key.key().name());
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
            let site = Site::new(BackendKind::Memory);
            let mut client = site.client();
            client.post("/set/a/1").await;
            client.post("/login/ada").await;
            client.get("/get/a").await;
            site.spy.set_behaviour(support::stores::StoreBehaviour::Refuses);
            for _ in 0..7 {
                client.get("/get/a").await;
            }
        });
    });
    let counters = counters(&recorder);
    let expected = [
        ("ampoule_sessions{event=created}", 1),
        ("ampoule_sessions{event=forked}", 1),
        ("ampoule_store_operations{operation=get,outcome=ok,store=session store}", 3),
        ("ampoule_store_operations{operation=put,outcome=ok,store=session store}", 5),
        ("ampoule_store_operations{operation=get,outcome=unavailable,store=session store}", 5),
        ("ampoule_store_refusals{operation=get,store=session store}", 2),
        ("ampoule_store_seconds{operation=get,store=session store}", 8),
        ("ampoule_store_seconds{operation=put,store=session store}", 5),
    ];
    let expected: BTreeMap<String, u64> = expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    assert_eq!(counters, expected);
}

/// The metrics in the crate's documentation. A new metric needs a line there, a description, and a check in this test.
#[test]
fn every_metric_is_documented_described_and_emitted() {
    use ampoule::Transport;
    let documented: Vec<&str> = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `ampoule_")?.split('`').next())
        .collect();
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let site = Site::with(BackendKind::Memory, |options| options.transports = vec![Transport::Cookie]);
            let mut client = site.client();
            client.post("/set/a/1").await;
            let [one, two] = [(); 2].map(|()| site.layer.begin(&headers(&client)));
            for (session, key) in [(&one, "a"), (&two, "b")] {
                session.insert(key, 2).unwrap();
                session.get::<u32>(key).await.unwrap();
            }
            one.save().await.unwrap();
            two.save().await.unwrap();
            site.clock.advance(100 * 24 * HOUR);
            site.layer.sweep(100).await.unwrap();
            let backend = ampoule::cache::Backend::memory(&Default::default());
            throttled(&site, &backend).await;
            ampoule::cache::CacheManager::new(backend, Default::default()).unwrap().cache::<u32>("c").get("x").await;
            site.spy.set_behaviour(support::stores::StoreBehaviour::Refuses);
            for _ in 0..7 {
                client.get("/get/a").await;
            }
        });
    });
    let emitted: std::collections::BTreeSet<String> = counters(&recorder)
        .into_keys()
        .filter_map(|name| Some(name.strip_prefix("ampoule_")?.split('{').next()?.to_owned()))
        .collect();
    assert!(emitted.iter().eq(documented.iter().copied().collect::<std::collections::BTreeSet<_>>()), "{emitted:?}");
}

fn headers(client: &support::Client) -> http::HeaderMap {
    http::HeaderMap::from_iter([(http::header::COOKIE, client.cookie_header().parse().unwrap())])
}

/// Logs in until it is refused.
async fn throttled(site: &Site, backend: &ampoule::cache::Backend) {
    use ampoule::{LoginAttempts, LoginThrottle, LoginThrottleOptions};
    use axum::extract::FromRequestParts;
    use tower::{Layer, Service};
    let options = LoginThrottleOptions { address: Some(Arc::new(|_| None)), ..LoginThrottleOptions::default() };
    let throttle = LoginThrottle::new(&site.layer, backend, options).unwrap();
    let attempt = tower::service_fn(async |request: http::Request<()>| {
        let mut parts = request.into_parts().0;
        let attempts = LoginAttempts::from_request_parts(&mut parts, &()).await.unwrap();
        Ok::<_, std::convert::Infallible>(attempts.begin("ada").await.is_ok())
    });
    let mut service = throttle.layer(attempt);
    while service.call(http::Request::new(())).await.unwrap() {}
}

#[tokio::test]
async fn cache_operations_are_counted() {
    use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions};
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    ampoule::describe_metrics();
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
