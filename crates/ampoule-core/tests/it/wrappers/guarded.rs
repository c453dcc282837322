//! A guarded store behaves like the store inside, with limits and reports.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::internal::GuardedStore;
use ampoule_core::{
    Bytes, Entry, Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, PutMode, PutResult, Reply, Store,
    StoreEvent, StoreKey, Tag, Version,
};

use super::flaky::{Behaviour, FlakyStore};

const DOWN: Behaviour = Behaviour::Fails(ErrorKind::Unavailable);
const LIMIT: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_secs(1);

fn guarded(behaviour: Behaviour) -> (GuardedStore, Arc<FlakyStore>) {
    let flaky = Arc::new(FlakyStore::new(behaviour));
    (GuardedStore::new(flaky.clone(), "session store", Some(LIMIT), 3), flaky)
}

fn key(number: u8) -> StoreKey {
    StoreKey::new([number; 32])
}

fn entry() -> Entry {
    Entry { value: Bytes::from_static(b"value"), lifetime: PAUSE, tag: None }
}

async fn get(store: &GuardedStore) -> Result<(), Error> {
    store.get(key(1)).await.map(drop)
}

async fn put(store: &GuardedStore) -> Result<(), Error> {
    store.put(key(1), entry(), PutMode::Always).await.map(drop)
}

fn is_refusal(answer: &Result<(), Error>) -> bool {
    answer.as_ref().is_err_and(|error| error.to_string().contains("circuit open"))
}

async fn open_for_reads(store: &GuardedStore) {
    for _ in 0..3 {
        assert!(!is_refusal(&get(store).await));
    }
    assert!(is_refusal(&get(store).await));
}

/// Polls a reply once, and returns whether it is still pending.
async fn is_pending<T>(reply: &mut Reply<'_, T>) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *reply).poll(cx).is_pending())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
        Subject::new(Arc::new(GuardedStore::new(store, "session store", Some(10 * PAUSE), 5)), Some(clock))
    })
    .await;
}

#[tokio::test]
async fn every_method_calls_the_store() {
    for behaviour in [Behaviour::Answers, Behaviour::AnswersWhenPolled, Behaviour::AnswersLater] {
        let (store, flaky) = guarded(behaviour);
        assert!(matches!(store.put(key(1), entry(), PutMode::Create).await, Ok(PutResult::Stored(_))));
        let stored = store.get(key(1)).await.unwrap().unwrap();
        assert!(store.touch(key(1), stored.version, PAUSE).await.unwrap());
        assert_eq!(store.scan(None, 10).await.unwrap().keys, [key(1)]);
        assert_eq!(store.keys_with_tag(Tag::of("none")).await.unwrap(), []);
        assert!(store.delete(key(1)).await.unwrap());
        put(&store).await.unwrap();
        flaky.clock.advance(2 * PAUSE);
        assert_eq!(store.sweep(10).await.unwrap().removed, 1);
        store.ping().await.unwrap();
        assert_eq!(flaky.calls(), 9);
        assert_eq!(store.describe(), "flaky");
        assert_eq!(store.inner().describe(), "flaky");
        assert_eq!(format!("{store:?}"), "GuardedStore(session store: flaky)");
        assert_eq!(store.watch().unwrap().next().await, StoreEvent::Lost);
    }
}

#[tokio::test(start_paused = true)]
async fn p10_a_store_that_hangs_is_a_timeout_after_the_limit() {
    let (store, _) = guarded(Behaviour::Hangs);
    let start = tokio::time::Instant::now();
    let error = get(&store).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.to_string(), "session store: no answer within 250ms (store_timeout)");
    assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Timeout, "a health check has the limit too");
    assert_eq!(put(&store).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_the_store_takes_as_long_as_it_takes() {
    let store = GuardedStore::new(Arc::new(FlakyStore::new(Behaviour::Hangs)), "session store", None, 3);
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, store.get(key(1))).await.is_err());
}

/// The runtime has no timer, so that setting one would panic.
#[test]
fn an_answer_at_once_or_at_the_first_poll_needs_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, flaky) = guarded(Behaviour::Answers);
    assert_eq!(store.get(key(1)).try_now().unwrap().unwrap(), None);
    flaky.set(Behaviour::AnswersWhenPolled);
    assert_eq!(runtime.block_on(store.get(key(1)).try_now().unwrap_err()).unwrap(), None);
}

#[test]
fn an_answer_at_once_allocates_nothing() {
    let (store, _) = guarded(Behaviour::Answers);
    let allocations = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert_eq!(store.get(key(1)).try_now().unwrap().unwrap(), None);
            assert!(!store.touch(key(1), Version(1), PAUSE).try_now().unwrap().unwrap());
            assert!(!store.delete(key(1)).try_now().unwrap().unwrap());
        }
    });
    // A key for the counter is made for each operation, even if no recorder takes it.
    let most = if cfg!(feature = "metrics") { 300 * 4 } else { 0 };
    assert!(allocations.count_total <= most, "{} allocations by 300 operations", allocations.count_total);
}

#[tokio::test(start_paused = true)]
async fn p10_an_open_circuit_refuses_at_once_and_calls_nothing() {
    let (store, flaky) = guarded(DOWN);
    open_for_reads(&store).await;
    assert_eq!(flaky.calls(), 3);
    flaky.set(Behaviour::Answers);
    let answers = [
        store.keys_with_tag(Tag::of("none")).map(|answer| answer.map(drop)),
        store.scan(None, 1).map(|answer| answer.map(drop)),
    ];
    for answer in answers {
        assert!(is_refusal(&answer.try_now().unwrap()));
    }
    assert_eq!(flaky.calls(), 3);
    tokio::time::advance(PAUSE).await;
    get(&store).await.unwrap();
    store.scan(None, 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn p10_writes_that_fail_do_not_stop_reads_that_work() {
    let (store, flaky) = guarded(Behaviour::Answers);
    flaky.set_writes(DOWN);
    for _ in 0..3 {
        assert!(!is_refusal(&put(&store).await));
        get(&store).await.unwrap();
    }
    let calls = flaky.calls();
    for answer in [
        put(&store).await,
        store.touch(key(1), Version(1), PAUSE).await.map(drop),
        store.delete(key(1)).await.map(drop),
        store.sweep(1).await.map(drop),
    ] {
        assert!(is_refusal(&answer), "{answer:?}");
        assert!(answer.unwrap_err().to_string().contains("for writes"));
    }
    assert_eq!(flaky.calls(), calls);
    get(&store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_always_tried_and_changes_no_circuit() {
    let (store, flaky) = guarded(DOWN);
    for _ in 0..9 {
        assert!(store.ping().await.unwrap_err().to_string().contains("simulated failure"));
    }
    assert!(!is_refusal(&get(&store).await), "failed pings opened the circuit");
    get(&store).await.unwrap_err();
    get(&store).await.unwrap_err();
    flaky.set(Behaviour::Answers);
    store.ping().await.unwrap();
    assert!(is_refusal(&get(&store).await), "a ping closed the circuit");
    flaky.set(DOWN);
    tokio::time::advance(PAUSE).await;
    store.ping().await.unwrap_err();
    flaky.set(Behaviour::Answers);
    get(&store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_half_open_circuit_tries_eight_at_a_time_until_one_has_answered() {
    let (store, flaky) = guarded(DOWN);
    open_for_reads(&store).await;
    tokio::time::advance(PAUSE).await;
    flaky.set(Behaviour::AnswersLater);
    let mut trials: Vec<_> = (0..8).map(|_| store.get(key(1))).collect();
    for trial in &mut trials {
        assert!(is_pending(trial).await);
    }
    assert!(is_refusal(&get(&store).await), "the ninth is refused");
    trials.pop().unwrap().await.unwrap();
    flaky.set(DOWN);
    assert!(!is_refusal(&get(&store).await), "the first answer closes it");
    for trial in trials {
        trial.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_trials_do_not_keep_a_circuit_half_open() {
    let (store, flaky) = guarded(DOWN);
    open_for_reads(&store).await;
    tokio::time::advance(PAUSE).await;
    flaky.set(Behaviour::Hangs);
    for _ in 0..20 {
        let mut polled = store.get(key(1));
        assert!(is_pending(&mut polled).await);
        drop((polled, store.get(key(1))));
    }
    flaky.set(Behaviour::Answers);
    get(&store).await.unwrap();
    get(&store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_reaches_the_limit_opens_the_circuit_again() {
    let (store, flaky) = guarded(DOWN);
    open_for_reads(&store).await;
    tokio::time::advance(PAUSE).await;
    flaky.set(Behaviour::Hangs);
    assert_eq!(get(&store).await.unwrap_err().kind(), ErrorKind::Timeout);
    flaky.set(Behaviour::Answers);
    assert!(is_refusal(&get(&store).await));
    tokio::time::advance(PAUSE).await;
    get(&store).await.unwrap();
}

/// The lines of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects what this thread logs until the guard is dropped.
    fn begin(level: tracing::Level) -> (Log, tracing::subscriber::DefaultGuard) {
        // With one subscriber, tracing asks only the one of the first thread whether it is interested in a span or
        // event, and caches the answer for all threads. With a second one it asks both.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_line_when_a_circuit_opens_and_one_when_it_closes() {
    let (log, _guard) = Log::begin(tracing::Level::INFO);
    let (store, flaky) = guarded(DOWN);
    for _ in 0..3 {
        open_for_reads_again(&store).await;
    }
    flaky.set(Behaviour::Answers);
    tokio::time::advance(PAUSE).await;
    for _ in 0..3 {
        get(&store).await.unwrap();
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let opened = "session store: circuit open for reads after 3 consecutive failures; next attempt in 1 s";
    assert!(
        lines[0].contains("WARN") && lines[0].contains(opened) && lines[0].contains("simulated failure"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("INFO") && lines[1].contains("session store: circuit closed for reads"), "{}", lines[1]);
}

/// Opens the circuit with failures, after a pause.
async fn open_for_reads_again(store: &GuardedStore) {
    tokio::time::advance(PAUSE).await;
    while !is_refusal(&get(store).await) {}
}

#[tokio::test]
async fn each_operation_is_a_span_that_names_it_and_the_beginning_of_its_key() {
    let (log, _guard) = Log::begin(tracing::Level::DEBUG);
    let (store, flaky) = guarded(Behaviour::Answers);
    get(&store).await.unwrap();
    flaky.set(Behaviour::AnswersLater);
    put(&store).await.unwrap();
    store.sweep(1).await.unwrap();
    let lines = log.lines();
    let text = key(1).to_string();
    let expected = [
        format!("store{{operation=\"get\" key={}}}", &text[..8]),
        format!("store{{operation=\"put\" key={}}}", &text[..8]),
        "store{operation=\"sweep\"}".to_owned(),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(&expected) && line.contains("DEBUG"), "{line} should have {expected}");
        assert!(!line.contains(&text), "{line} has the whole key");
    }
}

#[cfg(feature = "metrics")]
mod counted {
    use std::collections::BTreeMap;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;

    /// The counters, and the number of values in each histogram.
    fn counted(recorder: &DebuggingRecorder) -> BTreeMap<String, u64> {
        let name = |key: &metrics::Key| {
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            format!("{}{{{}}}", key.name(), labels.join(","))
        };
        let values = recorder.snapshotter().snapshot().into_vec().into_iter();
        values
            .map(|(key, _, _, value)| match value {
                DebugValue::Counter(count) => (name(key.key()), count),
                DebugValue::Histogram(values) => (name(key.key()), values.len() as u64),
                DebugValue::Gauge(_) => panic!("there is no gauge"),
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn operations_refusals_and_swept_values_are_counted() {
        let recorder = DebuggingRecorder::new();
        let _installed = metrics::set_default_local_recorder(&recorder);
        let (store, flaky) = guarded(Behaviour::Answers);
        put(&store).await.unwrap();
        flaky.clock.advance(2 * PAUSE);
        assert_eq!(store.sweep(10).await.unwrap().removed, 1);
        flaky.set(Behaviour::AnswersLater);
        get(&store).await.unwrap();
        drop(store.get(key(1)));
        store.ping().await.unwrap();
        flaky.set(DOWN);
        open_for_reads(&store).await;
        let expected = [
            ("ampoule_store_operations{operation=put,outcome=ok,store=session store}", 1),
            ("ampoule_store_operations{operation=sweep,outcome=ok,store=session store}", 1),
            ("ampoule_store_operations{operation=get,outcome=ok,store=session store}", 1),
            ("ampoule_store_operations{operation=ping,outcome=ok,store=session store}", 1),
            ("ampoule_store_operations{operation=get,outcome=unavailable,store=session store}", 3),
            ("ampoule_store_seconds{operation=put,store=session store}", 1),
            ("ampoule_store_seconds{operation=sweep,store=session store}", 1),
            ("ampoule_store_seconds{operation=get,store=session store}", 4),
            ("ampoule_store_seconds{operation=ping,store=session store}", 1),
            ("ampoule_store_refusals{operation=get,store=session store}", 1),
            ("ampoule_swept{store=session store}", 1),
        ];
        let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(counted(&recorder), expected);
    }
}
