//! Records that are sealed before they reach the store: what an attacker can read in the store, and achieve by writing
//! to it.

use crate::support::{BackendKind, Site};
use ampoule::{Options, Secret};
use ampoule_core::{Entry, PutMode, Store};
use http::StatusCode;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

const OLD: &str = "Kcm9706E687DUrYTs4CM2AT_mTpWtzkxSyIKfrDdU1M";
const NEW: &str = "QrXFaOFetOBg19I4svVRssKN40yTYiuexYctANjDHJ4";

fn sealed(keys: &'static [&'static str]) -> impl FnOnce(&mut Options) {
    |options| options.encryption_keys = keys.iter().map(|key| secret(key)).collect()
}

async fn in_store(site: &Site) -> Vec<u8> {
    let written = site.spy.written.lock().unwrap().last().cloned().unwrap();
    written.1.value.to_vec()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn p8_a_sealed_record_contains_no_plaintext() {
    let (plain, site) = (Site::new(BackendKind::Memory), Site::with(BackendKind::Memory, sealed(&[NEW])));
    for (site, readable) in [(plain, true), (site, false)] {
        let mut client = site.client();
        client.post("/set/diagnosis/rheumatism").await;
        client.post("/login/ada").await;
        let bytes = in_store(&site).await;
        let _ = client.post("/set/last/word").await;
        let all = [bytes, in_store(&site).await].concat();
        for text in ["diagnosis", "rheumatism", "ada", "user"] {
            assert_eq!(holds(&all, text), readable, "{text}");
        }
        assert_eq!(client.value("diagnosis").await, "rheumatism");
        assert_eq!(site.layer.sessions_of("ada").await.unwrap().len(), 1, "and it is found by its principal");
    }
}

#[tokio::test]
async fn p8_a_record_under_another_key_is_corrupt() {
    let site = Site::with(BackendKind::Memory, sealed(&[NEW]));
    let (mut ada, mut eve) = (site.client(), site.client());
    ada.post("/set/role/admin").await;
    let (_, of_ada) = site.spy.written.lock().unwrap().last().cloned().unwrap();
    eve.post("/set/role/guest").await;
    let (key_of_eve, _) = site.spy.written.lock().unwrap().last().cloned().unwrap();
    let _ = site.spy.put(key_of_eve, Entry { ..of_ada }, PutMode::Always).await.unwrap();
    assert_eq!(
        eve.get("/get/role").await.status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "who writes to the store gains nothing"
    );
}

#[tokio::test]
async fn keys_rotate_without_ending_logins() {
    let old = Site::with(BackendKind::Memory, sealed(&[OLD]));
    let mut client = old.client();
    client.post("/login/ada").await;
    assert_eq!(client.value("user").await, "ada", "the login is confirmed, which is a write");
    let over = |keys: &'static [&'static str]| {
        let mut options = crate::support::options(old.clock.clone());
        sealed(keys)(&mut options);
        let layer = ampoule::SessionLayer::new(old.spy.clone(), options).unwrap();
        crate::support::site::routes().layer(layer)
    };
    client.app = over(&[NEW, OLD]);
    assert_eq!(client.value("user").await, "ada");
    client.app = over(&[NEW]);
    assert_eq!(client.get("/get/user").await.status, StatusCode::INTERNAL_SERVER_ERROR, "it was not yet sealed anew");
    client.app = over(&[NEW, OLD]);
    client.post("/set/x/1").await;
    client.app = over(&[NEW]);
    assert_eq!(client.value("user").await, "ada", "a save seals with the first key");
}

#[tokio::test]
async fn an_unsealed_record_is_not_accepted_as_sealed() {
    let site = Site::new(BackendKind::Memory);
    let mut client = site.client();
    client.post("/login/ada").await;
    let mut options = crate::support::options(site.clock.clone());
    sealed(&[NEW])(&mut options);
    client.app = crate::support::site::routes().layer(ampoule::SessionLayer::new(site.spy.clone(), options).unwrap());
    assert_eq!(client.get("/get/user").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_sealed_store_keeps_the_contract() {
    use ampoule_core::conformance::{Subject, assert_conforms};
    assert_conforms(|| {
        let clock = std::sync::Arc::new(ampoule::ManualClock::default());
        let memory = ampoule::MemoryStore::new(ampoule::MemoryBounds::default(), clock.clone());
        let mut options = crate::support::options(clock.clone());
        sealed(&[NEW])(&mut options);
        let layer = ampoule::SessionLayer::new(memory, options).unwrap();
        Subject::new(layer.store().unwrap(), Some(clock))
    })
    .await;
}
