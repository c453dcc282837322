//! The macro `cached`, the layer and its extractor, and settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{SECOND, answer};
use ampoule::cache::{Backend, BackendOptions, CacheLayer, CacheManager, CacheOptions, CacheSettings, cached};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::Request;
use tower::ServiceExt;

fn manager() -> CacheManager {
    let backend = Backend::memory(&BackendOptions::default());
    let short = CacheOptions { expire: 60 * SECOND, ..CacheOptions::default() };
    CacheManager::new(backend, CacheOptions::default()).unwrap().with_region("short_term", short).unwrap()
}

#[cached(region = "short_term", key = "{id}", tags = ["user:{id}", "users"])]
async fn user(caches: &CacheManager, id: u32, calls: &AtomicU32) -> Result<String, String> {
    let call = calls.fetch_add(1, Ordering::SeqCst);
    let name = if id == 0 { None } else { Some(id) };
    // `?` needs the type of the error.
    let name = name.ok_or("no user has number 0")?;
    Ok(format!("user {name} by call {call}"))
}

#[cached]
async fn sum(caches: CacheManager, left: u32, right: &str) -> usize {
    assert!(!caches.describe().is_empty());
    left as usize + right.len()
}

#[cached(keep_failures = true, key = "{name}", expire = 30, version = 2, namespace = "lookups")]
async fn lookup(caches: &CacheManager, name: String, calls: Arc<AtomicU32>) -> Result<u32, String> {
    match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(format!("{name} is not known")),
        call => Ok(call),
    }
}

#[cached(region = "nowhere")]
async fn lost(caches: &CacheManager, calls: u32) -> u32 {
    calls
}

struct Shop {
    caches: CacheManager,
    name: &'static str,
    calls: AtomicU32,
}

impl Shop {
    #[cached(caches = "self.caches", namespace = "prices", skip = [self])]
    async fn price(&self, id: u32, currency: &str) -> Option<String> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        (id != 0).then(|| format!("{} {id} {currency} {call}", self.name))
    }
}

#[tokio::test]
async fn a_function_is_called_once_for_its_arguments() {
    let (caches, calls) = (manager(), AtomicU32::new(0));
    assert_eq!(user(&caches, 1, &calls).await.unwrap(), "user 1 by call 0");
    assert_eq!(user(&caches, 1, &calls).await.unwrap(), "user 1 by call 0");
    assert_eq!(user(&caches, 2, &calls).await.unwrap(), "user 2 by call 1");
    for call in 2..4 {
        assert_eq!(user(&caches, 0, &calls).await.unwrap_err(), "no user has number 0");
        assert_eq!(calls.load(Ordering::SeqCst), call + 1, "a failure is not kept");
    }
    invalidate_user(&caches, 1, &calls).await.unwrap();
    assert_eq!(user(&caches, 1, &calls).await.unwrap(), "user 1 by call 4");
    assert_eq!(user(&caches, 2, &calls).await.unwrap(), "user 2 by call 1");
    caches.invalidate_tag("user:2").await.unwrap();
    assert_eq!(user(&caches, 2, &calls).await.unwrap(), "user 2 by call 5");
    caches.invalidate_tag("users").await.unwrap();
    assert_eq!(user(&caches, 1, &calls).await.unwrap(), "user 1 by call 6");
    let namespaces: Vec<String> = caches.stats().into_iter().map(|(namespace, _)| namespace).collect();
    assert_eq!(namespaces, ["it::cached::user"]);
}

#[tokio::test]
async fn without_a_key_all_arguments_are_the_key() {
    let caches = manager();
    assert_eq!(sum(caches.clone(), 1, "23").await, 3);
    assert_eq!(sum(caches.clone(), 1, "23").await, 3);
    assert_eq!(sum(caches.clone(), 12, "3").await, 13);
    assert_eq!(caches.stats()[0].1.creations, 2);
    invalidate_sum(caches.clone(), 1, "23").await.unwrap();
    sum(caches.clone(), 1, "23").await;
    assert_eq!(caches.stats()[0].1.creations, 3);
}

#[tokio::test]
async fn methods_know_their_caches() {
    let shop = Shop { caches: manager(), name: "corner", calls: AtomicU32::new(0) };
    assert_eq!(shop.price(1, "EUR").await.unwrap(), "corner 1 EUR 0");
    assert_eq!(shop.price(1, "EUR").await.unwrap(), "corner 1 EUR 0");
    assert_eq!(shop.price(1, "USD").await.unwrap(), "corner 1 USD 1");
    assert_eq!((shop.price(0, "EUR").await, shop.price(0, "EUR").await), (None, None));
    assert_eq!(shop.calls.load(Ordering::SeqCst), 3, "None is a value");
    shop.invalidate_price(1, "EUR").await.unwrap();
    assert_eq!(shop.price(1, "EUR").await.unwrap(), "corner 1 EUR 3");
}

#[tokio::test]
async fn errors_are_cached_on_request() {
    let (caches, calls) = (manager(), Arc::new(AtomicU32::new(0)));
    for _ in 0..3 {
        assert_eq!(lookup(&caches, "ada".into(), calls.clone()).await.unwrap_err(), "ada is not known");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_missing_region_calls_the_function() {
    let caches = manager();
    assert_eq!((lost(&caches, 1).await, lost(&caches, 2).await), (1, 2));
}

#[tokio::test]
async fn the_layer_adds_the_caches_to_requests() {
    let handler = |caches: CacheManager, Path(key): Path<String>| async move {
        caches.cache::<String>("n").get_or_insert_with(&key, || async { format!("made {key}") }).await
    };
    let routes = Router::new().route("/{key}", get(handler));
    let ask = |app: Router| async {
        answer(app.oneshot(Request::get("/a").body(Body::empty()).unwrap()).await.unwrap()).await
    };
    let manager = manager();
    let app = routes.clone().layer(CacheLayer::new(manager.clone()));
    assert_eq!((ask(app.clone()).await.text, ask(app).await.text), ("made a".into(), "made a".into()));
    assert_eq!(manager.stats()[0].1.hits, 1);
    let missing = ask(routes).await;
    assert_eq!(missing.status, 500);
    assert!(missing.text.contains("no CacheLayer"), "{}", missing.text);
}

fn parse(pairs: &[(&str, &str)]) -> Result<CacheSettings, String> {
    CacheSettings::parse(pairs.iter().copied()).map_err(|bad| bad.to_string())
}

#[test]
fn regions_inherit_the_top_level_options() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let settings = parse(&[
        ("cache_dir", folder.path().to_str().unwrap()),
        ("beaker.cache.regions", "short_term, long_term,\n off"),
        ("beaker.cache.type", "file"),
        ("beaker.cache.data_dir", one.to_str().unwrap()),
        ("beaker.cache.stale", "5"),
        ("beaker.cache.short_term.expire", "60"),
        ("beaker.cache.long_term.expire", "86400"),
        ("beaker.cache.long_term.data_dir", other.to_str().unwrap()),
        ("beaker.cache.long_term.stale", "7"),
        ("beaker.cache.off.enabled", "no"),
        ("beaker.session.key", "not ours"),
    ]);
    let manager = settings.unwrap().manager().unwrap();
    let region = |name| {
        let options = manager.options(name).unwrap();
        (options.expire.as_secs(), options.stale.as_secs(), options.enabled)
    };
    assert_eq!(region(None), (3_600, 5, true));
    assert_eq!(region(Some("short_term")), (60, 5, true));
    assert_eq!(region(Some("long_term")), (86_400, 7, true));
    assert_eq!(region(Some("off")), (3_600, 5, false));
    assert_eq!(manager.backends().len(), 2, "regions that say the same of their place share it");
    assert!(manager.describe().contains("long_term: "), "{}", manager.describe());
    assert_eq!(manager.regions().collect::<Vec<_>>(), ["long_term", "off", "short_term"]);
}

#[test]
fn regions_inherit_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| format!("file:{}", folder.path().join(name).display()));
    let manager = parse(&[
        ("cache.url", &one),
        ("cache.regions", "same, other"),
        ("cache.same.expire", "60"),
        ("cache.other.url", &other),
    ]);
    let manager = manager.unwrap().manager().unwrap();
    assert_eq!(manager.backends().len(), 2);
    let described = manager.describe();
    assert!(described.contains("other: ") && !described.contains("same: "), "{described}");
}

#[test]
fn all_faults_are_reported_at_once_by_name() {
    let wrong = parse(&[
        ("cache.type", "fill"),
        ("cache.expire", "soon"),
        ("cache.expires", "60"),
        ("cache.key_length", "250"),
        ("cache.store_timeout", "0"),
        ("cache.sweep_interval", "0"),
        ("cache.early", "-1"),
        ("cache.regions", "short_term"),
        ("cache.short_trem.expire", "60"),
        ("cache.short_term.expire", "0"),
        ("cache.short_term.exprie", "60"),
    ])
    .unwrap_err();
    for line in [
        "cache.short_trem.expire: `short_trem` is not among the regions; did you mean `short_term`?",
        "cache.type: expected one of memory, file,",
        "found `fill`; did you mean `file`?",
        "cache.expire: expected a whole number of seconds, found `soon`",
        "cache.expires: there is no such option; did you mean `expire`?",
        "cache.key_length: an option of Beaker's that Ampoule does not have: remove it: keys may be of any length",
        "cache.early: expected a number from 0 (never early) to 100",
        "cache.store_timeout: expected more than 0 seconds, or none",
        "cache.sweep_interval: expected more than 0 seconds, or none",
        "cache.short_term.expire: expected from a millisecond to a year",
        "cache.short_term.exprie: there is no such option; did you mean `expire`?",
    ] {
        assert!(wrong.contains(line), "{line}\n--\n{wrong}");
    }
    assert_eq!(wrong.lines().count(), 10, "each once:\n{wrong}");
    let lonely = parse(&[("cache.memory_tier", "true")]).unwrap_err();
    assert!(lonely.contains("set a type or url"), "{lonely}");
    assert!(parse(&[("cache.type", "cookie")]).unwrap_err().contains("expected one of memory"));
    assert!(parse(&[("AMPOULE_CACHE_EXPIRE", "60"), ("PATH", "/bin")]).is_ok());
}
