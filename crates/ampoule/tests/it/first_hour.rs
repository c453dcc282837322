//! Code that a newcomer writes in the first hour compiles, and mistakes are errors at once.

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::time::Duration;

use ampoule::{
    CookieOptions, ErrorKind, HostPrefix, Key, ManualClock, MemoryBounds, MemoryStore, Options, Secret, Session,
    SessionLayer, store,
};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tower::{ServiceBuilder, ServiceExt};

fn options() -> Options {
    Options { secrets: vec![Secret::new(Secret::generate()).unwrap()], ..Options::default() }
}

fn layer() -> SessionLayer {
    SessionLayer::new(MemoryStore::default(), options()).unwrap()
}

fn session() -> Session {
    layer().begin(&http::HeaderMap::new())
}

async fn text_of(app: Router, path: &str) -> (StatusCode, String) {
    let response = app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

const NAME: Key<String> = Key::new("name");
const CART: Key<Vec<u32>> = Key::new("cart");
const COUNT: Key<u64> = Key::new("count");

#[tokio::test]
async fn a_value_is_inserted_as_it_is_or_by_reference() {
    let session = session();
    let owned = "grace".to_owned();
    session.insert("literal", "ada").unwrap();
    session.insert("owned", owned.clone()).unwrap();
    session.insert("borrowed", &owned).unwrap();
    session.insert("number", 1).unwrap();
    session.insert("reference", 2).unwrap();
    session.insert("slice", &[1, 2][..]).unwrap();
    session.insert(&owned, true).unwrap();
    assert_eq!(session.get::<String>("literal").await.unwrap().as_deref(), Some("ada"));
    assert_eq!(session.get::<String>("borrowed").await.unwrap(), session.get("owned").await.unwrap());
    assert_eq!(session.get::<u8>("number").await.unwrap(), Some(1));
    assert_eq!(session.get::<Vec<u8>>("slice").await.unwrap(), Some(vec![1, 2]));
}

#[tokio::test]
async fn a_typed_key_takes_its_type_as_it_is_or_by_reference() {
    let session = session();
    session.insert(NAME, "ada").unwrap();
    session.insert(NAME, "grace".to_owned()).unwrap();
    session.insert(COUNT, 1).unwrap();
    session.insert(CART, vec![1]).unwrap();
    session.insert(CART, vec![7, 9]).unwrap();
    assert!(session.contains_key(CART).await.unwrap() && session.contains_key("cart").await.unwrap());
    assert!(session.read_only().contains_key(CART).await.unwrap());
    assert!(!session.contains_key(&"other".to_owned()).await.unwrap());
    let cart = session.get(CART).await.unwrap().unwrap_or_default();
    assert_eq!(cart.iter().sum::<u32>(), 16);
    assert_eq!(session.remove(COUNT).await.unwrap(), Some(1));
}

#[tokio::test]
async fn an_update_uses_what_its_closure_owns() {
    let session = session();
    let (number, name) = (7, "ada".to_owned());
    session.update(CART, move |cart| cart.push(number)).await.unwrap();
    let names = session.update("names", move |names: &mut Vec<String>| names.push(name.clone())).await.unwrap();
    assert_eq!(names, ["ada"]);
}

#[tokio::test]
async fn a_store_by_url_can_be_passed_to_a_layer() {
    let layer = SessionLayer::new(store::open("memory:", &Default::default()).unwrap(), options()).unwrap();
    assert!(layer.describe().contains("memory"));
    let boxed: Box<dyn ampoule::Store> = Box::new(MemoryStore::default());
    SessionLayer::new(std::sync::Arc::<dyn ampoule::Store>::from(boxed), options()).unwrap().ping().await.unwrap();
}

/// A body type without `Default`, like that of tower-http's `TraceLayer`.
#[tokio::test]
async fn inner_services_may_have_any_body_type() {
    let other_body = tower::util::MapResponseLayer::new(|response: http::Response<Body>| {
        response.map(|body| body.map_err(std::io::Error::other))
    });
    let stack = ServiceBuilder::new().layer(layer()).layer(other_body);
    let hello = |session: Session| async move {
        session.insert("n", 1)?;
        session.save().await.map(|()| "hello")
    };
    let app = Router::new().route("/", get(hello)).layer(stack);
    assert_eq!(text_of(app, "/").await, (StatusCode::OK, "hello".to_owned()));
}

#[tokio::test]
async fn two_layers_with_one_cookie_are_an_error_at_the_first_request() {
    let shared = layer();
    let touched = Router::new().route("/", get(|_: Session| async { "hello" }));
    for (inner, outer) in [(layer(), layer()), (shared.clone(), shared)] {
        let (status, text) = text_of(touched.clone().layer(inner).layer(outer), "/").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        assert_ne!(text, "hello");
    }
    let admin = SessionLayer::new(
        MemoryStore::default(),
        Options { cookie: CookieOptions { name: "admin".into(), ..CookieOptions::default() }, ..options() },
    )
    .unwrap();
    assert_eq!(text_of(touched.clone().layer(layer()).layer(admin), "/").await.1, "hello");
    let bearer = Options { transports: vec![ampoule::Transport::Bearer], ..options() };
    let bearer = SessionLayer::new(MemoryStore::default(), bearer).unwrap();
    assert_eq!(text_of(touched.layer(layer()).layer(bearer), "/").await.1, "hello");
}

#[tokio::test]
async fn two_layers_with_one_cookie_are_an_error_without_tower_too() {
    let (outer, inner) = (layer(), layer());
    let headers = http::HeaderMap::new();
    let session = inner.begin_within(&headers, Some(outer.begin(&headers)));
    let error = session.insert("n", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("__Host-session") && error.to_string().contains("Options::cookie.name"),
        "{error}"
    );
    assert_eq!(session.get::<u8>("n").await.unwrap_err().kind(), ErrorKind::Config);
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "kind")]
enum Tagged {
    Fields { number: u128 },
    Newtype(Wide),
    Narrow { number: u64, bytes: Vec<u8> },
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Wide {
    number: i128,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Flat {
    #[serde(flatten)]
    wide: Wide,
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
struct Node {
    next: Option<Box<Node>>,
}

#[tokio::test]
async fn a_value_that_cannot_be_read_back_is_refused() {
    let session = session();
    let deep = (0..2_000).fold(Node::default(), |node, _| Node { next: Some(Box::new(node)) });
    let too_deep = (0..128).fold(Node::default(), |node, _| Node { next: Some(Box::new(node)) });
    let errors = [
        session.insert("k", Tagged::Fields { number: 1 }),
        session.insert("k", Tagged::Newtype(Wide { number: -1 })),
        session.insert("k", vec![Some(Tagged::Newtype(Wide { number: -1 }))]),
        session.insert("k", Flat { wide: Wide { number: 1 } }),
        session.insert("k", &deep),
        session.insert("k", &too_deep),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Value, "{error}");
    }
    assert_eq!(session.len().await.unwrap(), 0);
}

#[tokio::test]
async fn a_value_that_can_be_read_back_is_kept() {
    let session = session();
    let narrow = Tagged::Narrow { number: 1, bytes: vec![0xc4, 0x10] };
    let wide = (u128::MAX >> 1, Wide { number: i128::MIN }, HashMap::from([("a".to_owned(), 1_u128)]));
    let nested = (0..127).fold(Node::default(), |node, _| Node { next: Some(Box::new(node)) });
    session.insert("narrow", &narrow).unwrap();
    session.insert("wide", &wide).unwrap();
    session.insert("nested", &nested).unwrap();
    assert_eq!(session.get("narrow").await.unwrap(), Some(narrow));
    assert_eq!(session.get("wide").await.unwrap(), Some(wide));
    assert_eq!(session.get("nested").await.unwrap(), Some(nested));
}

#[tokio::test]
async fn an_option_within_an_option_is_kept_as_one() {
    let session = session();
    session.insert("k", Some(None::<u8>)).unwrap();
    assert_eq!(session.get::<Option<Option<u8>>>("k").await.unwrap(), Some(None), "not Some(Some(None))");
    session.insert("k", [None::<u8>]).unwrap();
    assert_eq!(session.get::<Option<[Option<u8>; 1]>>("k").await.unwrap(), Some(Some([None])), "a list keeps it");
}

#[test]
fn errors_name_fields_in_code_and_options_in_settings() {
    let mut wrong = Options::default();
    wrong.cookie.path = "shop".to_owned();
    wrong.cookie.max_pieces = 0;
    wrong.cookie.host_prefix = HostPrefix::Always;
    let error = SessionLayer::new(MemoryStore::default(), wrong).unwrap_err().to_string();
    let fields = ["path", "max_pieces", "host_prefix"].map(|field| format!("Options::cookie.{field}: "));
    for expected in fields.iter().map(String::as_str).chain(["Options::secrets: ", "Secret::generate"]) {
        assert!(error.contains(expected), "{expected} is missing in {error}");
    }
    assert!(!error.contains("make-config"), "{error}");
    let error = ampoule::Settings::parse([("session.cookie_path", "shop")]).unwrap_err().to_string();
    for expected in ["session.cookie_path: ", "secret: ", "make-config"] {
        assert!(error.contains(expected), "{expected} is missing in {error}");
    }
    let secret = Secret::generate();
    let pairs = [("session.type", "cookie"), ("session.secret", secret.as_str()), ("session.transports", "bearer")];
    let error = ampoule::Settings::parse(pairs).unwrap_err().to_string();
    assert!(error.starts_with("session.transports: expected cookie alone"), "{error}");
}

#[tokio::test]
async fn a_missing_login_is_not_logged_as_an_error() {
    let log = std::sync::Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(std::sync::Arc::clone(&log)).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let private = |session: Session| async move { session.require_fresh(std::time::Duration::from_secs(60)).await };
    let full = |session: Session| async move {
        session.insert("k", "x".repeat(2 << 20))?;
        session.save().await
    };
    let app = Router::new().route("/private", get(private)).route("/full", get(full)).layer(layer());
    assert_eq!(text_of(app.clone(), "/private").await.0, StatusCode::FORBIDDEN);
    assert_eq!(text_of(app, "/full").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut text = String::new();
    (&*log).rewind().unwrap();
    (&*log).read_to_string(&mut text).unwrap();
    assert!(text.contains("INFO") && !text.contains("ERROR") && !text.contains("WARN"), "{text}");
}

/// Without a call of the application, expired sessions are removed.
#[tokio::test]
async fn a_layer_sweeps_itself() {
    let clock = Arc::new(ManualClock::default());
    let store = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
    let often = Options { sweep_interval: Some(Duration::from_millis(20)), clock: clock.clone(), ..options() };
    let layer = SessionLayer::new(store.clone(), often).unwrap();
    for _ in 0..2 {
        let session = layer.begin(&http::HeaderMap::new());
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
    }
    assert_eq!(store.len(), 2);
    clock.advance(Duration::from_secs(25 * 3_600));
    let all_gone = async {
        while !store.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_gone).await.expect("the layer sweeps");
    drop(layer);
    let task_ends = async {
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), task_ends).await.expect("the task holds no layer that is gone");
}
