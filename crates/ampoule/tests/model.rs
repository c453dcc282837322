//! Every order in which parallel requests can meet in the store, tried on the real code.
//!
//! Requests are futures, and each operation of the store is a point at which another request may run. A search in depth
//! goes through all schedules of two requests, through those of three as far as a bound allows, and through all points
//! at which a request can be dropped. Each request has a layer of its own, as in a process of its own; in one process
//! they would stand in a queue. After each schedule the promises must hold.

mod support;

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use ampoule::{Error, ErrorKind, ManualClock, MemoryBounds, MemoryStore, Options, SessionLayer};
use ampoule_core::{Content, Entry, Outcome, Page, Put, Reply, Store, StoreKey, Stored, Swept, Tag, Time};
use http::{HeaderMap, HeaderValue, StatusCode};
use support::SECOND;

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    Login,
    Logout,
    Count,
    Write,
    Read,
}

/// A store that lets others run before each operation, and after it.
struct Stepping {
    store: MemoryStore,
    keys: Mutex<HashSet<StoreKey>>,
    /// The defect of the negative check: a replace does not look at the version.
    blind: bool,
}

impl Stepping {
    async fn step<T>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        Yield(false).await;
        let answer = reply.await;
        Yield(false).await;
        answer
    }
}

/// Lets the scheduler choose again.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Store for Stepping {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        Reply::new(self.step(self.store.get(key)))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: Put) -> Reply<'_, Outcome> {
        self.keys.lock().unwrap().insert(key);
        let blind = self.blind && matches!(when, Put::Replace(_));
        let when = if blind { Put::Always } else { when };
        Reply::new(self.step(self.store.put(key, entry, when)))
    }

    fn touch(&self, key: StoreKey, deadline: Time) -> Reply<'_, bool> {
        Reply::new(self.step(self.store.touch(key, deadline)))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        Reply::new(self.step(self.store.delete(key)))
    }

    fn tagged(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        self.store.tagged(tag)
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(from, budget)
    }

    fn sweep(&self, budget: usize) -> Reply<'_, Swept> {
        self.store.sweep(budget)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// One request from its first byte to its response.
async fn request(
    layer: SessionLayer,
    op: Op,
    name: usize,
    cookie: HeaderValue,
    said: Rc<RefCell<Vec<String>>>,
) -> Result<(), Error> {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", cookie);
    let session = layer.begin(&headers);
    match op {
        Op::Login => {
            session.insert("user", &name)?;
            session.regenerate_id();
            session.save().await?;
        }
        Op::Logout => session.delete().await?,
        Op::Count => {
            session.update("count", |count: &mut u32| *count += 1).await?;
            session.save().await?;
        }
        Op::Write => {
            session.insert(&format!("key{name}"), &name)?;
            session.save().await?;
        }
        Op::Read => drop(session.keys().await?),
    }
    let mut response = HeaderMap::new();
    layer.finish(&session, StatusCode::OK, &mut response).await?;
    let cookies = response.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    said.borrow_mut().extend(cookies.filter_map(|value| value.split(';').next()).map(str::to_owned));
    Ok(())
}

type Running = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One run of a set of requests under a schedule.
struct World {
    layer: SessionLayer,
    store: Arc<Stepping>,
    clock: Arc<ManualClock>,
    first_cookie: String,
    said: Rc<RefCell<Vec<String>>>,
}

impl World {
    /// A client with a session: some data of its own, and a count of 0.
    fn new(blind: bool) -> World {
        let clock = Arc::new(ManualClock::default());
        let memory = MemoryStore::new(MemoryBounds::default(), clock.clone());
        let store = Arc::new(Stepping { store: memory, keys: Mutex::default(), blind });
        let options = Options { store_timeout: None, ..support::options(clock.clone()) };
        let layer = SessionLayer::from_arc(store.clone(), options).unwrap();
        let said = Rc::new(RefCell::new(Vec::new()));
        let begin = layer.clone();
        let to_say = said.clone();
        alone(async move {
            let session = begin.begin(&HeaderMap::new());
            session.insert("origin", &"here before").unwrap();
            session.insert("count", &0_u32).unwrap();
            session.save().await.unwrap();
            let mut response = HeaderMap::new();
            begin.finish(&session, StatusCode::OK, &mut response).await.unwrap();
            to_say.borrow_mut().push(response["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
        });
        let first_cookie = said.borrow_mut().remove(0);
        World { layer, store, clock, first_cookie, said }
    }

    /// A layer on the same store that shares nothing else with the first.
    fn another_process(&self) -> SessionLayer {
        let options = Options { store_timeout: None, ..support::options(self.clock.clone()) };
        SessionLayer::from_arc(self.store.clone(), options).unwrap()
    }

    /// What a client with this cookie has: its count, its user, its keys; `None` without the data of the beginning.
    fn seen_by(&self, cookie: &str) -> Option<(u32, Option<usize>, Vec<String>)> {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_str(cookie).unwrap());
        let session = self.layer.begin(&headers);
        let seen = Rc::new(RefCell::new(None));
        let result = seen.clone();
        alone(async move {
            if session.contains_key("origin").await.unwrap() {
                let count = session.get("count").await.unwrap().unwrap_or_default();
                let user = session.get("user").await.unwrap();
                *result.borrow_mut() = Some((count, user, session.keys().await.unwrap()));
            }
        });
        seen.take()
    }

    /// How many live records have the data of the beginning, whoever knows their ids.
    fn records_with_origin(&self) -> usize {
        let keys: Vec<StoreKey> = self.store.keys.lock().unwrap().iter().copied().collect();
        let count = Rc::new(RefCell::new(0));
        let total = count.clone();
        let store = self.store.clone();
        alone(async move {
            for key in keys {
                let Some(stored) = store.get(key).await.unwrap() else { continue };
                if let Content::Session(record) = Content::decode(stored.value).unwrap() {
                    *total.borrow_mut() += usize::from(record.get("origin").is_some());
                }
            }
        });
        count.take()
    }
}

/// Runs a future that nobody else can hinder.
fn alone(future: impl Future<Output = ()>) {
    let mut future = std::pin::pin!(future);
    for _ in 0..10_000 {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
    }
    panic!("a request that runs alone does not end");
}

/// How a request ended: as its code says, or dropped.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed(ErrorKind),
    Dropped,
}

/// Runs requests under a schedule: at each point the choice that the path names, or the first. The path is extended to
/// the end of the run; each of its elements is a choice and how many there were.
fn run(world: &World, ops: &[Op], drop_first_at: Option<usize>, path: &mut Vec<(usize, usize)>) -> Vec<End> {
    let cookie = HeaderValue::from_str(&world.first_cookie).unwrap();
    let wakers: Vec<Arc<Woken>> = ops.iter().map(|_| Arc::new(Woken(AtomicBool::new(true)))).collect();
    let start = |(name, &op): (usize, &Op)| -> Option<Running> {
        Some(Box::pin(request(world.another_process(), op, name, cookie.clone(), world.said.clone())))
    };
    let mut running: Vec<Option<Running>> = ops.iter().enumerate().map(start).collect();
    let mut ends: Vec<End> = ops.iter().map(|_| End::Dropped).collect();
    let mut polls_of_first = 0;
    for step in 0..10_000 {
        let ready: Vec<usize> =
            (0..ops.len()).filter(|&at| running[at].is_some() && wakers[at].0.load(Ordering::SeqCst)).collect();
        if ready.is_empty() {
            assert!(running.iter().all(Option::is_none), "requests wait for each other: {ops:?} {path:?}");
            return ends;
        }
        if path.len() == step {
            path.push((0, ready.len()));
        }
        let at = ready[path[step].0];
        if at == 0 && drop_first_at == Some(polls_of_first) {
            running[0] = None;
            continue;
        }
        polls_of_first += usize::from(at == 0);
        wakers[at].0.store(false, Ordering::SeqCst);
        let waker = Waker::from(wakers[at].clone());
        let future = running[at].as_mut().expect("only those that run are ready");
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            running[at] = None;
            ends[at] = result.map_or_else(|error| End::Failed(error.kind()), |()| End::Done);
        }
    }
    panic!("a schedule does not end: {ops:?}");
}

/// The next path in depth, or none if all were gone.
fn next(path: &mut Vec<(usize, usize)>) -> bool {
    while let Some((choice, of)) = path.pop() {
        if choice + 1 < of {
            path.push((choice + 1, of));
            return true;
        }
    }
    false
}

/// Whether the promises hold after a run; if not, which.
fn verdict(world: &World, ops: &[Op], ends: &[End]) -> Result<(), String> {
    let done = |op: Op| ops.iter().zip(ends).filter(|(other, end)| **other == op && **end == End::Done).count();
    let dropped = ends[0] == End::Dropped;
    let has = |op: Op| ops.contains(&op);
    for (op, end) in ops.iter().zip(ends) {
        match end {
            End::Failed(ErrorKind::Gone) if has(Op::Logout) => {}
            End::Failed(kind) => return Err(format!("{op:?} failed with {kind:?}")),
            End::Done | End::Dropped => {}
        }
    }
    let cookies: Vec<String> = [world.first_cookie.clone()].into_iter().chain(world.said.take()).collect();
    let in_grace: Vec<_> = cookies.iter().map(|cookie| world.seen_by(cookie)).collect();
    world.clock.advance(6 * SECOND);
    let after: Vec<_> = cookies.iter().map(|cookie| world.seen_by(cookie)).collect();
    if done(Op::Logout) > 0 {
        let alive = in_grace.iter().chain(&after).flatten().count();
        let records = world.records_with_origin();
        // A dropped login may leave a record behind, whose id nobody was told.
        let orphans = usize::from(dropped && ops[0] == Op::Login);
        if alive > 0 || records > orphans {
            return Err(format!("P2: {alive} cookies, {records} records of an ended session"));
        }
        return Ok(());
    }
    if has(Op::Logout) {
        // Dropped: it may have ended the session or not.
        return Ok(());
    }
    let mut live: Vec<_> = after.iter().flatten().collect();
    if live.is_empty() && dropped && ops[0] == Op::Login {
        // The one moment that nothing can save: the old record was already a pointer, the response not yet sent. The
        // session is found for the grace, and then its new id is known to nobody.
        live = in_grace.iter().flatten().collect();
    }
    let [(count, user, keys)] = live[..] else {
        return Err(format!("P6: {} cookies lead to the session after the grace", live.len()));
    };
    let counted = done(Op::Count) as u32;
    let uncertain = u32::from(dropped && ops[0] == Op::Count);
    if !(counted..=counted + uncertain).contains(count) {
        return Err(format!("P1: counted {count} of {counted}"));
    }
    if user.is_none() && done(Op::Login) > 0 {
        return Err("P6: a login is lost".to_owned());
    }
    if after[0].as_ref().is_some_and(|(_, user, _)| user.is_some()) {
        return Err("P6: the old id is logged in".to_owned());
    }
    for (name, (op, end)) in ops.iter().zip(ends).enumerate() {
        if *op == Op::Write && *end == End::Done && !keys.contains(&format!("key{name}")) {
            return Err(format!("P1: the write of request {name} is lost"));
        }
    }
    if in_grace.iter().flatten().any(|(other, ..)| other != count) {
        return Err("P6: old and new cookie show different data".to_owned());
    }
    Ok(())
}

/// Goes through the schedules of these requests, at most so many. Says how many there were, and what was wrong first.
fn explore(ops: &[Op], drop_first_at: Option<usize>, blind: bool, most: usize) -> (usize, Option<String>) {
    let mut path = Vec::new();
    for count in 1.. {
        let world = World::new(blind);
        let ends = run(&world, ops, drop_first_at, &mut path);
        if let Err(broken) = verdict(&world, ops, &ends) {
            return (count, Some(format!("{broken}\nrequests {ops:?}\nends {ends:?}\nschedule {path:?}")));
        }
        if count == most || !next(&mut path) {
            return (count, None);
        }
    }
    unreachable!("the loop ends with its last path")
}

const OPS: [Op; 5] = [Op::Login, Op::Logout, Op::Count, Op::Write, Op::Read];

fn holds(explored: (usize, Option<String>)) -> usize {
    assert_eq!(explored.1, None);
    explored.0
}

#[test]
fn all_schedules_of_two_requests_keep_the_promises() {
    let mut schedules = 0;
    for first in OPS {
        for second in OPS {
            schedules += holds(explore(&[first, second], None, false, usize::MAX));
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 5_000, "only {schedules} schedules");
}

#[test]
fn schedules_of_three_requests_keep_the_promises() {
    let mut schedules = 0;
    for first in OPS {
        for second in OPS.into_iter().filter(|op| *op >= first) {
            for third in OPS.into_iter().filter(|op| *op >= second) {
                schedules += holds(explore(&[first, second, third], None, false, 600));
                schedules += holds(explore(&[third, second, first], None, false, 200));
            }
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 10_000, "only {schedules} schedules");
}

/// A client that goes away, or a server that gives a request up, at any await.
#[test]
fn a_request_may_be_dropped_at_each_await() {
    let mut schedules = 0;
    for dropped in OPS {
        for other in OPS {
            for at in 0..10 {
                schedules += holds(explore(&[dropped, other], Some(at), false, 600));
            }
        }
    }
    println!("{schedules} schedules");
    assert!(schedules > 5_000, "only {schedules} schedules");
}

/// The same search finds what is wrong with a store that does not compare versions.
#[test]
fn a_store_that_ignores_versions_is_found_out() {
    let lost = explore(&[Op::Count, Op::Count], None, true, usize::MAX).1.expect("an update is lost");
    assert!(lost.starts_with("P1"), "{lost}");
    let raised = explore(&[Op::Logout, Op::Write], None, true, usize::MAX).1.expect("a session comes back");
    assert!(raised.starts_with("P2"), "{raised}");
}
