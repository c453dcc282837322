//! The namespaces that a process uses, so that all requests share them.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::namespace::Namespace;
use crate::stats::{CacheStats, Counters};

/// The most namespaces that are kept although no cache holds them. With more, all of those are dropped: their values
/// stay in memory, and are found again.
const MAX_UNUSED: usize = 1_024;

/// Namespaces by name, then by region and type.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Namespaces>);

#[derive(Default)]
struct Namespaces {
    by_name: BTreeMap<Box<str>, NamespacesOfName>,
    /// How many there are in all.
    count: usize,
    /// How many of them were held by a cache when they were last counted.
    used: usize,
}

/// The namespaces of one name.
struct NamespacesOfName {
    counters: Arc<Counters>,
    namespaces: Vec<(Id, Arc<Namespace>)>,
}

/// The region and the type.
type Id = (usize, TypeId);

impl Registry {
    pub(crate) fn get_or_insert(
        &self,
        name: &str,
        id: Id,
        make: impl FnOnce(Arc<Counters>) -> Namespace,
    ) -> Arc<Namespace> {
        let mut known = self.known();
        if let Some(found) = known.by_name.get(name).and_then(|named| named.find(id)) {
            return found;
        }
        if known.count >= known.used * 2 + MAX_UNUSED {
            known.forget_unused();
        }
        known.count += 1;
        let new = || NamespacesOfName { counters: Arc::new(Counters::new(name)), namespaces: Vec::new() };
        let named = known.by_name.entry(name.into()).or_insert_with(new);
        let namespace = Arc::new(make(Arc::clone(&named.counters)));
        named.namespaces.push((id, Arc::clone(&namespace)));
        namespace
    }

    /// Drops the namespaces that no cache holds, if there may be too many.
    pub(crate) fn sweep(&self) {
        let mut known = self.known();
        if known.count >= MAX_UNUSED {
            known.forget_unused();
        }
    }

    pub(crate) fn stats(&self) -> Vec<(String, CacheStats)> {
        let known = self.known();
        known.by_name.iter().map(|(name, named)| (name.to_string(), named.counters.read())).collect()
    }

    fn known(&self) -> MutexGuard<'_, Namespaces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespaces {
    fn forget_unused(&mut self) {
        self.by_name.retain(|_, named| named.retain_used());
        self.count = self.by_name.values().map(|named| named.namespaces.len()).sum();
        self.used = self.count;
    }
}

impl NamespacesOfName {
    fn find(&self, id: Id) -> Option<Arc<Namespace>> {
        self.namespaces.iter().find(|(known, _)| *known == id).map(|(_, namespace)| Arc::clone(namespace))
    }

    /// Drops the namespaces that no cache holds; `false` if none of this name is held, in any version.
    fn retain_used(&mut self) -> bool {
        self.namespaces.retain(|(_, namespace)| Arc::strong_count(namespace) > 1);
        !self.namespaces.is_empty() || Arc::strong_count(&self.counters) > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::options::{BackendOptions, CacheOptions};

    #[test]
    fn used_namespaces_stay_and_unused_ones_are_dropped() {
        let (registry, backend) = (Registry::default(), Backend::memory(&BackendOptions::default()));
        let get = |name: &str| {
            registry.get_or_insert(name, (0, TypeId::of::<u8>()), |counters| {
                Namespace::new(name, [0; 32], Arc::clone(&backend.0), CacheOptions::default(), counters)
            })
        };
        let (held, version) = (get("held"), get("of a version").with_version(1));
        held.counters.hits();
        version.counters.hits();
        let many = MAX_UNUSED * 20;
        (0..many).for_each(|number| drop(get(&number.to_string())));
        assert!(registry.known().by_name.len() <= MAX_UNUSED + 4);
        assert!(Arc::ptr_eq(&held, &get("held")));
        assert_eq!((get("held").counters.hits(), get("of a version").counters.hits()), (1, 1));
        let used: Vec<_> = (0..many).map(|number| get(&number.to_string())).collect();
        assert!(used.iter().enumerate().all(|(number, namespace)| Arc::ptr_eq(namespace, &get(&number.to_string()))));
        drop((used, held, version));
        registry.sweep();
        assert_eq!(registry.known().count, 0);
        (0..many).for_each(|number| drop(get(&format!("later {number}"))));
        assert!(registry.known().by_name.len() <= MAX_UNUSED + 4);
    }
}
