//! Streams that outlast a request, and end with its session.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::support::nodes::{self, Limits};
use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, Client, Site};
use ampoule::store::Store;
use ampoule::{MemoryStore, Session, SessionLayer, testing};
use ampoule_core::{
    Entry, Page, PutMode, PutResult, Reply, StoreEvent, StoreKey, Stored, SweepReport, Tag, Time, Version, Watcher,
};
use ampoule_test_servers::{Kind, shared};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

const POLL: Duration = Duration::from_secs(5);
const POLL_WATCHED: Duration = Duration::from_secs(30);
const MARGIN: Duration = Duration::from_millis(500);

/// A stream that starts at once and ends with its session.
async fn events(session: Session) -> Body {
    let first = stream::once(async { Ok::<_, std::convert::Infallible>(Bytes::from("begun")) });
    Body::from_stream(first.chain(stream::pending()).take_until(Box::pin(session.ended())))
}

fn dress(mut site: Site) -> Site {
    site.app =
        crate::support::site::routes().merge(Router::new().route("/events", get(events))).layer(site.layer.clone());
    site
}

fn site() -> Site {
    dress(Site::new(BackendKind::Memory))
}

async fn logged_in(site: &Site) -> Client {
    let mut client = site.client();
    client.post("/login/ada").await;
    client.get("/principal").await;
    client
}

/// Opens the stream, and returns a future that waits for its end.
async fn open(client: &Client) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let request = Request::get("/events").header("cookie", client.cookie_header()).body(Body::empty()).unwrap();
    let mut events = client.app.clone().oneshot(request).await.unwrap().into_body().into_data_stream();
    assert_eq!(events.next().await.unwrap().unwrap(), "begun");
    Box::pin(async move { while events.next().await.is_some() {} })
}

async fn ends_within(stream: impl Future<Output = ()>, bound: Duration) -> bool {
    timeout(bound, stream).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_logout_ends_a_stream_of_the_same_node_at_once() {
    let site = site();
    let mut client = logged_in(&site).await;
    let (one, two) = (open(&client).await, open(&client).await);
    let mut waits = Box::pin(async { tokio::join!(one, two) });
    assert!(timeout(Duration::from_secs(600), &mut waits).await.is_err(), "a session that lives ends nothing");
    client.post("/logout").await;
    assert!(timeout(MARGIN, waits).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_end_on_another_node_is_detected_within_the_bound() {
    for way in ["/logout", "/revoke-all", "/delete", "/restart"] {
        let site = site();
        let other = dress(site.beside(|_| {}));
        let client = logged_in(&site).await;
        let mut stream = open(&client).await;
        assert!(!ends_within(&mut stream, POLL * 3).await);
        let mut elsewhere = client.clone();
        elsewhere.app = other.app.clone();
        elsewhere.post(way).await;
        assert!(ends_within(stream, POLL + MARGIN).await, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_does_not_end_the_stream_of_the_previous_session() {
    let site = site();
    let mut client = logged_in(&site).await;
    let stream = open(&client).await;
    client.post("/login/ada").await;
    assert!(ends_within(stream, MARGIN).await);
    let stream = open(&client).await;
    assert!(!ends_within(stream, POLL * 2).await, "the stream of the new session stays open");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_does_not_end_a_stream() {
    let site = site();
    let mut client = logged_in(&site).await;
    let stream = open(&client).await;
    client.post("/regenerate").await;
    client.get("/principal").await;
    assert!(!ends_within(stream, POLL * 4).await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_keep_its_session_alive() {
    let site = site();
    let client = logged_in(&site).await;
    let mut stream = open(&client).await;
    site.spy.calls();
    assert!(!ends_within(&mut stream, POLL * 10).await);
    let [gets, puts, touches, _] = site.spy.calls();
    assert!((8..=11).contains(&gets) && puts + touches == 0, "{gets} gets, {puts} puts, {touches} touches");
    site.clock.advance(Duration::from_secs(100 * 24 * 3_600));
    assert!(ends_within(stream, POLL + MARGIN).await);
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_end_a_stream() {
    let site = site();
    let mut client = logged_in(&site).await;
    let mut stream = open(&client).await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert!(!ends_within(&mut stream, POLL * 20).await);
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert!(!ends_within(&mut stream, POLL * 20).await);
    client.post("/logout").await;
    assert!(ends_within(stream, MARGIN).await);
}

#[tokio::test(start_paused = true)]
async fn an_unsaved_session_counts_as_ended() {
    let site = site();
    let session = site.layer.begin(&HeaderMap::new());
    assert!(ends_within(session.ended(), MARGIN).await);
    session.save().await.unwrap();
    assert!(!ends_within(session.ended(), POLL * 2).await);
    let waits = session.ended();
    session.delete().await.unwrap();
    assert!(ends_within(waits, MARGIN).await);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_its_cookie_ends_at_its_deadline() {
    let site = dress(Site::new(BackendKind::Cookie));
    let client = logged_in(&site).await;
    let mut stream = open(&client).await;
    assert!(!ends_within(&mut stream, POLL * 2).await);
    site.clock.advance(Duration::from_secs(100 * 24 * 3_600));
    assert!(ends_within(stream, POLL + MARGIN).await);
}

/// A store that notifies of its writes, unless this is switched off, and counts listeners.
struct NotifyingStore {
    store: MemoryStore,
    events: broadcast::Sender<StoreEvent>,
    is_silent: bool,
}

struct Listener(broadcast::Receiver<StoreEvent>);

impl Watcher for Listener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = StoreEvent> + Send + '_>> {
        Box::pin(async {
            match self.0.recv().await {
                Ok(event) => event,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Store for NotifyingStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.store.get(key)
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        let put = self.store.put(key, entry, mode);
        if !self.is_silent {
            let _nothing_listens = self.events.send(StoreEvent::Key(key));
        }
        put
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.store.touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.store.delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.store.keys_with_tag(tag)
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(cursor, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, SweepReport> {
        self.store.sweep(budget)
    }

    fn ping(&self) -> Reply<'_, Time> {
        self.store.ping()
    }

    fn describe(&self) -> String {
        "a store that tells".to_owned()
    }

    fn watch(&self) -> Option<Box<dyn Watcher>> {
        Some(Box::new(Listener(self.events.subscribe())))
    }
}

fn nodes(is_silent: bool) -> (Arc<NotifyingStore>, [SessionLayer; 2]) {
    let store = Arc::new(NotifyingStore { store: MemoryStore::default(), events: broadcast::channel(64).0, is_silent });
    let layer = || SessionLayer::new(Arc::clone(&store), crate::support::options(Arc::default())).unwrap();
    let layers = [layer(), layer()];
    (store, layers)
}

async fn saved(layer: &SessionLayer) -> Session {
    let session = layer.begin(&HeaderMap::new());
    session.insert("a", 1).unwrap();
    session.save().await.unwrap();
    session
}

#[tokio::test(start_paused = true)]
async fn a_notifying_store_reports_an_end_at_once_to_one_listener() {
    let (store, [here, there]) = nodes(false);
    let sessions = [saved(&here).await, saved(&here).await, saved(&here).await];
    let mut waits: Vec<_> = sessions.iter().map(|session| Box::pin(session.ended())).collect();
    for wait in &mut waits {
        assert!(!ends_within(wait, MARGIN).await);
    }
    assert_eq!(store.events.receiver_count(), 1);
    let began = Instant::now();
    assert!(there.revoke(sessions[1].id().await.unwrap().unwrap()).await.unwrap());
    waits.remove(1).await;
    assert!(began.elapsed() < MARGIN, "{:?}", began.elapsed());
    assert!(!ends_within(&mut waits[0], POLL_WATCHED * 3).await);
    drop(waits);
    tokio::time::sleep(POLL_WATCHED * 2).await;
    assert_eq!(store.events.receiver_count(), 0, "what listens ends with those that wait");
    let last = saved(&here).await;
    let mut wait = Box::pin(last.ended());
    assert!(!ends_within(&mut wait, MARGIN).await);
    assert_eq!(store.events.receiver_count(), 1, "and begins with them");
}

#[tokio::test(start_paused = true)]
async fn a_missed_notification_is_detected_by_polling() {
    let (_, [here, there]) = nodes(true);
    let session = saved(&here).await;
    let mut wait = Box::pin(session.ended());
    assert!(!ends_within(&mut wait, POLL_WATCHED * 2).await);
    there.revoke(session.id().await.unwrap().unwrap()).await.unwrap();
    assert!(ends_within(wait, POLL_WATCHED + MARGIN).await);
}

/// Two nodes with separate connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_notifies_of_an_end_on_another_node() {
    let Some(redis) = shared(Kind::Redis) else { return };
    let name = format!("ended{}", std::process::id());
    let [here, there] = [(); 2].map(|()| nodes::layer(redis.url(), &name, Limits::default()));
    for way in ["logout", "revoke", "revoke all", "login"] {
        let cookies = testing::logged_in(&here, "ada").await.unwrap();
        let headers = HeaderMap::from_iter([(http::header::COOKIE, cookies)]);
        let mut wait = Box::pin(here.begin(&headers).ended());
        assert!(!ends_within(&mut wait, MARGIN).await);
        let elsewhere = there.begin(&headers);
        match way {
            "logout" => elsewhere.logout().await.unwrap(),
            "revoke" => assert!(there.revoke(elsewhere.id().await.unwrap().unwrap()).await.unwrap()),
            "revoke all" => assert_eq!(there.revoke_all("ada").await.unwrap(), 1),
            _ => {
                elsewhere.login("ada").await.unwrap();
                testing::cookies_of(&there, &elsewhere).await.unwrap();
            }
        }
        assert!(ends_within(wait, POLL_WATCHED / 2).await, "{way}: it is told, before the node looks by itself");
        there.revoke_all("ada").await.unwrap();
    }
}
