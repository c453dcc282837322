//! A sealed store behaves like the store inside, whose values nothing else can read or move.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::conformance::{Subject, assert_conforms};
use ampoule_core::internal::SealedStore;
use ampoule_core::{
    Bytes, Entry, ErrorKind, ManualClock, MemoryBounds, MemoryStore, PutMode, PutResult, Store, StoreEvent, StoreKey,
};
use ampoule_seal::{KeyRing, Sealer, Secret};

use super::flaky::{Behaviour, FlakyStore};

const OLD: &str = "y6BrVzb69n5UsHtWHq6UOV53TFF6fZEKVDaeEmPM-9Q";
const NEW: &str = "EVB6Di9eadXfpApiob17buV-a82FxnybhDGzb_8hxDc";

fn sealer(secrets: &[&str]) -> Sealer {
    let secrets = secrets.iter().map(|text| Secret::new(text).unwrap()).collect();
    KeyRing::new(secrets).unwrap().sealer("session record")
}

fn key(number: u8) -> StoreKey {
    StoreKey::new([number; 32])
}

async fn put(store: &dyn Store, key: StoreKey, value: impl Into<Bytes>) {
    let entry = Entry { value: value.into(), lifetime: Duration::from_secs(60), tag: None };
    assert!(matches!(store.put(key, entry, PutMode::Always).await.unwrap(), PutResult::Stored(_)));
}

async fn value(store: &dyn Store, key: StoreKey) -> Bytes {
    store.get(key).await.unwrap().unwrap().value
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    assert_conforms(|| {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::new(MemoryBounds::default(), clock.clone()));
        Subject::new(Arc::new(SealedStore::new(store, sealer(&[NEW]))), Some(clock))
    })
    .await;
}

#[tokio::test]
async fn p8_the_inner_store_holds_nothing_of_a_value() {
    let inner = Arc::new(MemoryStore::default());
    let store = SealedStore::new(inner.clone(), sealer(&[NEW]));
    put(&store, key(1), "diagnosis: rheumatism").await;
    let sealed = value(&*inner, key(1)).await;
    assert!(!sealed.windows(5).any(|part| b"diagnosis: rheumatism".windows(5).any(|known| known == part)));
    assert_eq!(sealed.len(), "diagnosis: rheumatism".len() + 29);
    assert_eq!(value(&store, key(1)).await, "diagnosis: rheumatism");
}

#[tokio::test]
async fn p8_a_value_that_was_moved_changed_or_never_sealed_is_corrupt() {
    let inner = Arc::new(MemoryStore::default());
    let store = SealedStore::new(inner.clone(), sealer(&[NEW]));
    put(&store, key(1), "role: admin").await;
    let sealed = value(&*inner, key(1)).await;
    let mut changed = sealed.to_vec();
    changed[20] ^= 1;
    put(&*inner, key(2), sealed.clone()).await;
    put(&*inner, key(3), "role: admin").await;
    put(&*inner, key(4), "").await;
    put(&*inner, key(1), changed).await;
    for number in 1..=4 {
        let error = store.get(key(number)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "key {number}");
        assert!(error.to_string().contains("encryption keys"), "{error}");
    }
}

#[tokio::test]
async fn an_older_key_opens_until_it_is_removed() {
    let inner = Arc::new(MemoryStore::default());
    put(&SealedStore::new(inner.clone(), sealer(&[OLD])), key(1), "cart: 7").await;
    let (both, new) = (sealer(&[NEW, OLD]), sealer(&[NEW]));
    let (both, new) = (SealedStore::new(inner.clone(), both), SealedStore::new(inner, new));
    assert_eq!(new.get(key(1)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let read = value(&both, key(1)).await;
    put(&both, key(1), read).await;
    assert_eq!(value(&new, key(1)).await, "cart: 7");
}

#[tokio::test]
async fn a_ready_answer_of_the_inner_store_stays_ready() {
    let flaky = Arc::new(FlakyStore::new(Behaviour::Answers));
    let store = SealedStore::new(flaky.clone(), sealer(&[NEW]));
    put(&store, key(1), "cart: 7").await;
    assert_eq!(store.get(key(1)).try_now().unwrap().unwrap().unwrap().value, "cart: 7");
    flaky.set(Behaviour::AnswersLater);
    assert_eq!(value(&store, key(1)).await, "cart: 7");
    flaky.set_writes(Behaviour::Fails(ErrorKind::Full));
    assert_eq!(store.delete(key(1)).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.describe(), "flaky, sealed");
    assert_eq!(store.watch().unwrap().next().await, StoreEvent::Lost);
    let calls = flaky.calls();
    store.ping().await.unwrap();
    assert_eq!(flaky.calls(), calls + 1);
}
