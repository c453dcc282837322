//! Reads any bytes from a store as a cached value: nothing panics, no value is returned that a cache did not write, and
//! a new value is created instead.
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
    // A valid header and checksum let the fuzzer reach the code behind their checks.
    let mut valid = vec![0xac, 1];
    valid.extend(crc(data).to_le_bytes());
    valid.extend(data);
    RUNTIME.with(|runtime| {
        for bytes in [Bytes::copy_from_slice(data), Bytes::from(valid)] {
            runtime.block_on(use_cache(bytes));
        }
    });
});

async fn use_cache(bytes: Bytes) {
    let backend =
        Backend::store(Arc::new(ConstantStore(bytes)), &BackendOptions { store_timeout: None, ..Default::default() });
    let options = CacheOptions { shared_lease: false, ..CacheOptions::default() };
    let manager = CacheManager::new(backend.clone(), options).expect("the options are valid");
    let found =
        manager.cache::<Vec<String>>("n").get_or_insert_with("key", || async { vec!["created".to_owned()] }).await;
    // A generation has 16 bytes, and a value is longer, so no value can have the generation that this store returns.
    assert_eq!(found, ["created"]);
    let usage = backend.store_usage(|_| {}).await.expect("the store can be scanned");
    assert!(usage.namespaces.values().all(|namespace| namespace.fresh == 0));
}

/// A store with these bytes under every key.
struct ConstantStore(Bytes);

impl Store for ConstantStore {
    fn get(&self, _: StoreKey) -> Reply<'_, Option<Stored>> {
        let stored = Stored { value: self.0.clone(), version: Version(1), deadline: Time::MAX };
        Reply::new(async move { Ok(Some(stored)) })
    }

    /// Refuses all writes, such as that of a new generation, since no later read would return what was written.
    fn put(&self, _: StoreKey, _: Entry, _: PutMode) -> Reply<'_, PutResult> {
        Reply::new(async {
            Err(ampoule_core::Error::new(ampoule_core::ErrorKind::Unavailable, "the store is read-only"))
        })
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
        // The key of a value ends with a checksum of the bytes before it, combined with the kind.
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
        "a store with the same value under every key".to_owned()
    }
}

/// CRC-32 of IEEE 802.3, implemented again so that the target does not rely on the code that it tests.
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
