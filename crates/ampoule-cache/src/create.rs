//! Finds or creates a value: one caller creates it, the others wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::creation::Creation;
use crate::lease::Lease;
use crate::lookup::Lookup;
use crate::memory::Cached;
use crate::single_flight::{Leader, Outcome};
use crate::value::{Cacheable, Created};

/// Whether this process may create the value.
enum CreationRight<T> {
    Granted(Lease),
    /// Another process creates it, and there is a stale value meanwhile.
    Refused,
    /// Another process has created it, as a read that began at this moment has shown.
    Created(Cached<Arc<T>>, Instant),
}

impl Lookup<'_> {
    /// Returns the value; creates it if it is absent and no other caller is creating it.
    pub(crate) async fn get_or_create<T: Cacheable, E>(
        &self,
        create: impl AsyncFnOnce() -> Result<Created<T>, E>,
    ) -> Result<T, E> {
        let namespace = self.namespace;
        let (flights, limit) = (&namespace.backend.flights, 2 * namespace.options.lease);
        namespace.backend.listen();
        let mut has_missed = false;
        loop {
            if let Some(cached) = self.find::<T>().await.cached {
                let leader =
                    namespace.should_refresh(&cached.about).then(|| flights.try_lead(&self.memory_key)).flatten();
                return match leader {
                    Some(leader) => self.lead(leader, Some(cached), create).await,
                    None => Ok(self.serve(&cached, has_missed)),
                };
            }
            if !has_missed {
                namespace.counters.misses();
                has_missed = true;
            }
            match flights.lead_or_wait(&self.memory_key, limit, &namespace.name).await {
                Outcome::Leader(leader) => return self.lead(leader, None, create).await,
                Outcome::Shared(value) => {
                    if let Some(value) = value.downcast_ref::<T>() {
                        namespace.counters.waits();
                        return Ok(value.clone());
                    }
                }
                Outcome::TimedOut => {}
            }
        }
    }

    fn serve<T: Cacheable>(&self, cached: &Cached<Arc<T>>, waited: bool) -> T {
        self.namespace.count_served(&cached.about, waited);
        T::clone(&cached.value)
    }

    /// Creates the value as this process's leader, unless another process does.
    async fn lead<T: Cacheable, E>(
        &self,
        leader: Leader<'_>,
        old: Option<Cached<Arc<T>>>,
        create: impl AsyncFnOnce() -> Result<Created<T>, E>,
    ) -> Result<T, E> {
        let lease = match (self.acquire_right(old.is_some()).await, &old) {
            (CreationRight::Granted(lease), _) => lease,
            (CreationRight::Refused, Some(old)) => return Ok(self.serve(old, false)),
            (CreationRight::Refused, None) => Lease::default(),
            (CreationRight::Created(cached, as_of), _) => {
                leader.complete(cached.erase().value, as_of);
                return Ok(self.serve(&cached, true));
            }
        };
        let as_of = Instant::now();
        let (creation, found) = Creation::begin::<T>(self).await;
        // Another process may have created it between the first read and the lease.
        let is_newer = |cached: &Cached<Arc<T>>| {
            old.as_ref().is_none_or(|old| cached.about.created != old.about.created)
                && !self.namespace.should_refresh(&cached.about)
        };
        if let Some(cached) = found.filter(is_newer) {
            lease.release().await;
            leader.complete(cached.erase().value, as_of);
            return Ok(self.serve(&cached, true));
        }
        let value = self.run(creation, leader, old, create).await;
        lease.release().await;
        value
    }

    /// Runs the creator, and stores its value. If the creator fails, a stale value is returned instead of the failure.
    async fn run<T: Cacheable, E>(
        &self,
        creation: Creation<'_>,
        leader: Leader<'_>,
        old: Option<Cached<Arc<T>>>,
        create: impl AsyncFnOnce() -> Result<Created<T>, E>,
    ) -> Result<T, E> {
        let counters = &self.namespace.counters;
        let began = self.namespace.backend.now();
        let result = leader.create(create()).await;
        let took = self.namespace.backend.now().since(began);
        let has_failed = result.as_ref().map_or(true, |created| created.is_failure);
        if has_failed {
            counters.failures()
        } else {
            counters.creations()
        };
        match (result, old) {
            (_, Some(old)) if has_failed => {
                counters.stale();
                Ok(T::clone(&old.value))
            }
            (Ok(created), _) => {
                let value = created.value.clone();
                creation.finish(leader, created, took).await;
                Ok(value)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Acquires the lease, or waits until another process has created the value or the lease's time is over.
    async fn acquire_right<T: Cacheable>(&self, has_old: bool) -> CreationRight<T> {
        let (namespace, options) = (self.namespace, &self.namespace.options);
        let Some(remote) = namespace.backend.store.as_ref().filter(|_| options.shared_lease) else {
            return CreationRight::Granted(Lease::default());
        };
        let waiting = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            match Lease::acquire(&namespace.backend, self.entry, options.lease).await {
                Ok(Some(lease)) => return CreationRight::Granted(lease),
                Ok(None) => {}
                Err(error) => {
                    namespace.report_outage(&error, "lease");
                    return CreationRight::Granted(Lease::default());
                }
            }
            if has_old {
                return CreationRight::Refused;
            }
            if waiting.elapsed() > options.lease {
                return CreationRight::Granted(Lease::default());
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(Duration::from_millis(100));
            let as_of = Instant::now();
            let found = self.in_store::<T>(remote).await;
            match found.cached {
                Some(cached) => return CreationRight::Created(cached, as_of),
                None if !found.is_reachable => return CreationRight::Granted(Lease::default()),
                None => {}
            }
        }
    }
}
