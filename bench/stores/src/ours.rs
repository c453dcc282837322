//! A store of Ampoule, opened by its URL.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ampoule::Durability;
use ampoule::store::{self, Bytes, Entry, PutMode, PutResult, Store, StoreKey, StoreOptions, Version};

use crate::rounds::{Operation, Subject, Work};
use crate::sessions::{self, COUNT, LIFETIME_SECONDS, SessionNumbers, VALUE};

pub struct Ours {
    store: Arc<dyn Store>,
    versions: Vec<Version>,
    numbers: SessionNumbers,
}

impl Ours {
    pub async fn at(url: &str, durability: Durability) -> Box<dyn Subject> {
        let options = StoreOptions { durability, ..StoreOptions::default() };
        let store = store::open(url, &options).expect("the store opens");
        let mut ours = Ours { store, versions: Vec::new(), numbers: SessionNumbers::default() };
        for number in 0..COUNT {
            let version = ours.put(number, PutMode::Create).await;
            ours.versions.push(version);
        }
        Box::new(ours)
    }

    async fn put(&self, number: u64, mode: PutMode) -> Version {
        let lifetime = Duration::from_secs(LIFETIME_SECONDS.into());
        let entry = Entry { value: Bytes::from_static(&VALUE), lifetime, tag: None };
        match self.store.put(StoreKey::new(sessions::key(number)), entry, mode).await {
            Ok(PutResult::Stored(version)) => version,
            other => panic!("a put that must succeed: {other:?}"),
        }
    }

    async fn execute(&mut self, operation: Operation) {
        match operation {
            Operation::Load => {
                let key = StoreKey::new(sessions::key(self.numbers.existing()));
                let found = self.store.get(key).await.expect("a read").expect("an existing session");
                assert_eq!(black_box(found).value.len(), VALUE.len());
            }
            Operation::Save => {
                let number = self.numbers.existing();
                let version = self.versions[number as usize];
                self.versions[number as usize] = self.put(number, PutMode::Replace(version)).await;
            }
            Operation::Create => {
                let number = self.numbers.unused();
                self.put(number, PutMode::Create).await;
            }
        }
    }
}

impl Subject for Ours {
    fn run(&mut self, operation: Operation, count: u32) -> Work<'_> {
        Box::pin(async move {
            for _ in 0..count {
                self.execute(operation).await;
            }
        })
    }
}
