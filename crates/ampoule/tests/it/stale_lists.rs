//! A list of a user's sessions that is outdated before its records are read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule::store::{Entry, Page, PutMode, PutResult, Reply, StoreKey, Stored, SweepReport, Tag, Version};
use ampoule::{Error, MemoryStore, Options, Secret, SessionLayer, Store, Time};
use http::{HeaderMap, StatusCode};

/// A store that lets other tasks run between reading a list and returning it.
struct SlowListStore {
    store: Arc<MemoryStore>,
    meanwhile: Mutex<Option<Reply<'static, ()>>>,
}

impl Store for SlowListStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        self.store.get(key)
    }

    fn put(&self, key: StoreKey, entry: Entry, mode: PutMode) -> Reply<'_, PutResult> {
        self.store.put(key, entry, mode)
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        self.store.touch(key, version, lifetime)
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        self.store.delete(key)
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async move {
            let keys = self.store.keys_with_tag(tag).await?;
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some(work) = meanwhile {
                work.await?;
            }
            Ok(keys)
        })
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
        self.store.describe()
    }
}

/// A request that logs in, or only reads, and what the client sends after it.
async fn request(layer: &SessionLayer, headers: &HeaderMap, logs_in: bool) -> Result<HeaderMap, Error> {
    let session = layer.begin(headers);
    if logs_in {
        session.login("user:42").await?;
        session.save().await?;
    } else {
        session.principal().await?;
    }
    let mut answer = HeaderMap::new();
    layer.finish(&session, StatusCode::OK, &mut answer).await?;
    let mut next = headers.clone();
    if let Some(cookie) = answer.get("set-cookie") {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        next.insert("cookie", pair.parse().unwrap());
    }
    Ok(next)
}

#[tokio::test]
async fn a_login_confirmed_after_listing_is_revoked_too() {
    let secret = Secret::generate();
    let options = || Options { secrets: vec![Secret::new(secret.as_str()).unwrap()], ..Options::default() };
    let store = Arc::new(MemoryStore::default());
    let slow = Arc::new(SlowListStore { store: store.clone(), meanwhile: Mutex::default() });
    let (site, administrator) =
        (SessionLayer::new(store, options()).unwrap(), SessionLayer::new(slow.clone(), options()).unwrap());
    let headers = request(&site, &HeaderMap::new(), true).await.unwrap();
    let headers = request(&site, &headers, false).await.unwrap();

    // The list contains the previous session; when it is read, that one has ended, and another has replaced it.
    let latest = Arc::new(Mutex::new(HeaderMap::new()));
    *slow.meanwhile.lock().unwrap() = Some(Reply::new({
        let (site, latest) = (site.clone(), latest.clone());
        async move {
            let headers = request(&site, &headers, true).await?;
            let headers = request(&site, &headers, false).await?;
            *latest.lock().unwrap() = headers;
            Ok(())
        }
    }));
    assert_eq!(administrator.revoke_all("user:42").await.unwrap(), 1);
    let latest = latest.lock().unwrap().clone();
    assert!(latest.contains_key("cookie"), "the login came between");
    assert_eq!(site.begin(&latest).principal().await.unwrap(), None, "it ended too");
    assert_eq!(site.sessions_of("user:42").await.unwrap().len(), 0);
}
