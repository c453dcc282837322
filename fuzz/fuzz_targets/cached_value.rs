//! Any bytes as what a store holds of a cache: nothing panics, nothing is given out that a cache did not write, and a value
//! is created in its place.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use ampoule_cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule_core::{
    Bytes, Entry, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Time, Version,
};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fuzz_target!(|data: &[u8]| {
    // With the beginning and a checksum that fit, the fuzzer gets past them.
    let mut whole = vec![0xac, 1];
    whole.extend(crc(data).to_le_bytes());
    whole.extend(data);
    RUNTIME.with(|runtime| {
        for bytes in [Bytes::copy_from_slice(data), Bytes::from(whole)] {
            runtime.block_on(ask(bytes));
        }
    });
});

async fn ask(bytes: Bytes) {
    let backend = Backend::store(Arc::new(Says(bytes)), &BackendOptions { store_timeout: None, ..Default::default() });
    let options = CacheOptions { shared_lease: false, ..CacheOptions::default() };
    let manager = CacheManager::new(backend.clone(), options).expect("the options are right");
    let found =
        manager.cache::<Vec<String>>("n").get_or_insert_with("key", || async { vec!["created".to_owned()] }).await;
    // Generations are 16 bytes, which no value is: no value can carry the one that this store tells.
    assert_eq!(found, ["created"]);
    let usage = backend.store_usage(|_| {}).await.expect("it answers");
    assert!(usage.namespaces.values().all(|namespace| namespace.fresh == 0));
}

/// A store that has these bytes under every key.
struct Says(Bytes);

impl Store for Says {
    fn get(&self, _: StoreKey) -> Reply<'_, Option<Stored>> {
        let stored = Stored { value: self.0.clone(), version: Version(1), deadline: Time::MAX };
        Reply::new(async move { Ok(Some(stored)) })
    }

    /// What is written would not be read: a generation that is made is refused at once.
    fn put(&self, _: StoreKey, _: Entry, _: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async { Err(ampoule_core::Error::new(ampoule_core::ErrorKind::Unavailable, "it only speaks")) })
    }

    fn touch(&self, _: StoreKey, _: Version, _: Duration) -> Reply<'_, bool> {
        Reply::new(async { Ok(true) })
    }

    fn delete(&self, _: StoreKey) -> Reply<'_, bool> {
        Reply::new(async { Ok(true) })
    }

    fn keys_with_tag(&self, _: Tag) -> Reply<'_, Vec<StoreKey>> {
        Reply::new(async { Ok(Vec::new()) })
    }

    fn scan<'a>(&'a self, _: Option<&'a str>, _: usize) -> Reply<'a, Page> {
        // As the keys of values end: a checksum of what precedes, and the kind.
        let mut key = [7; 32];
        let suffix = crc(&key[..28]) ^ u32::from_be_bytes([0xac, b'C', b'a', 1]);
        key[28..].copy_from_slice(&suffix.to_be_bytes());
        Reply::new(async move { Ok(Page { keys: vec![StoreKey::new(key)], next: None }) })
    }

    fn sweep(&self, _: usize) -> Reply<'_, SweepReport> {
        Reply::new(async { Ok(SweepReport::default()) })
    }

    fn ping(&self) -> Reply<'_, Time> {
        Reply::new(async { Ok(Time::ZERO) })
    }

    fn describe(&self) -> String {
        "a store that says what it is told to".to_owned()
    }
}

/// CRC-32 of IEEE 802.3, written once more so that the target does not trust the code that it tests.
fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
