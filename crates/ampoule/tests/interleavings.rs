//! Thousands of scripts on each store: two or three requests on one session, each as in a separate process, run one
//! operation of the store at a time, in an order that the script's number determines. In some scripts the session
//! expires meanwhile. After each the promises must hold.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ampoule::store::{Entry, Page, PutMode, PutResult, Reply, Store, StoreKey, Stored, SweepReport, Tag, Version};
use ampoule::{Error, ErrorKind, ManualClock, Options, SessionLayer, Time};
use http::{HeaderMap, HeaderValue, StatusCode};
use support::{BackendKind, HOUR, SECOND};
use tokio::sync::{mpsc, oneshot};

/// The number of scripts on each store. `AMPOULE_SEARCH=N` multiplies it.
const SCRIPTS: u64 = 1_500;

// Behind Sentinel the store is the same as on one server, and a sealed one as in memory.
on_backends! {
    scripts_keep_the_promises on Memory File Sqlite Postgres MySql Redis RedisCluster Memcached;
}

/// What a request does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Read,
    Write,
    Count,
    Rotate,
    Login,
    Delete,
}

const OPS: [Op; 10] =
    [Op::Read, Op::Write, Op::Write, Op::Count, Op::Count, Op::Count, Op::Rotate, Op::Login, Op::Login, Op::Delete];

/// Random numbers, seeded by the script's number (Vigna's SplitMix64).
struct Random(u64);

impl Random {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// Reports that a request waits before an operation, with the sender that resumes it; or that it has ended.
type Arrival = (usize, Option<oneshot::Sender<()>>);

/// A store that waits for its turn before each operation.
struct TurnStore {
    store: Arc<dyn Store>,
    request: usize,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl TurnStore {
    async fn turn(&self) {
        let (go_on, wait) = oneshot::channel();
        if self.arrivals.send((self.request, Some(go_on))).is_ok() {
            let _ = wait.await;
        }
    }
}

macro_rules! in_turn {
    ($self:ident, $operation:expr) => {
        Reply::new(async move {
            $self.turn().await;
            $operation.await
        })
    };
}

impl Store for TurnStore {
    fn get(&self, key: StoreKey) -> Reply<'_, Option<Stored>> {
        in_turn!(self, self.store.get(key))
    }

    fn put(&self, key: StoreKey, entry: Entry, when: PutMode) -> Reply<'_, PutResult> {
        in_turn!(self, self.store.put(key, entry, when))
    }

    fn touch(&self, key: StoreKey, version: Version, lifetime: Duration) -> Reply<'_, bool> {
        in_turn!(self, self.store.touch(key, version, lifetime))
    }

    fn delete(&self, key: StoreKey) -> Reply<'_, bool> {
        in_turn!(self, self.store.delete(key))
    }

    fn keys_with_tag(&self, tag: Tag) -> Reply<'_, Vec<StoreKey>> {
        in_turn!(self, self.store.keys_with_tag(tag))
    }

    fn scan<'a>(&'a self, from: Option<&'a str>, budget: usize) -> Reply<'a, Page> {
        self.store.scan(from, budget)
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

/// A store with a client that has a session.
struct World {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    cookie: String,
}

fn layer(store: Arc<dyn Store>, clock: &Arc<ManualClock>) -> SessionLayer {
    let options = Options { store_timeout: None, ..support::options(clock.clone()) };
    SessionLayer::new(store, options).unwrap()
}

fn headers(cookie: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_str(cookie).unwrap());
    headers
}

/// One request from its first byte to its response; returns the cookie that was set.
async fn request(layer: &SessionLayer, op: Op, name: usize, cookie: &str) -> Result<Option<(Op, String)>, Error> {
    let session = layer.begin(&headers(cookie));
    match op {
        Op::Read => drop(session.keys().await?),
        Op::Write => {
            session.insert(&format!("key{name}"), name)?;
            session.save().await?;
        }
        Op::Count => {
            session.update("count", |count: &mut u32| *count += 1).await?;
            session.save().await?;
        }
        Op::Rotate => {
            session.regenerate_id();
            session.save().await?;
        }
        Op::Login => {
            session.login("ada").await?;
            session.insert("user", name)?;
            session.save().await?;
        }
        Op::Delete => session.delete().await?,
    }
    let mut response = HeaderMap::new();
    layer.finish(&session, StatusCode::OK, &mut response).await?;
    let set = response.get("set-cookie").and_then(|value| value.to_str().ok()?.split(';').next());
    Ok(set.filter(|set| !set.ends_with('=')).map(|set| (op, set.to_owned())))
}

impl World {
    async fn new(store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> World {
        let layer = layer(store.clone(), clock);
        let session = layer.begin(&HeaderMap::new());
        session.insert("origin", true).unwrap();
        session.insert("count", 0_u32).unwrap();
        session.save().await.unwrap();
        let mut response = HeaderMap::new();
        layer.finish(&session, StatusCode::OK, &mut response).await.unwrap();
        let cookie = response["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        World { store: store.clone(), clock: clock.clone(), cookie }
    }

    /// The count, user and keys that this cookie opens, if the session is the original one.
    async fn seen_by(&self, cookie: &str) -> Option<(u32, bool, Vec<String>)> {
        let session = layer(self.store.clone(), &self.clock).begin(&headers(cookie));
        let session = session.read_only();
        session.get::<bool>("origin").await.unwrap()?;
        let count = session.get("count").await.unwrap().unwrap_or_default();
        Some((count, session.get::<usize>("user").await.unwrap().is_some(), session.keys().await.unwrap()))
    }

    /// The client uses this cookie from now on.
    async fn goes_on_with(&self, cookie: &str) {
        let layer = layer(self.store.clone(), &self.clock);
        request(&layer, Op::Read, 0, cookie).await.unwrap();
    }

    /// Whether this cookie opens a live session of any kind.
    async fn is_live(&self, cookie: &str) -> bool {
        let session = layer(self.store.clone(), &self.clock).begin(&headers(cookie));
        !session.is_new().await.unwrap()
    }
}

/// The results of a script's requests, the cookies that they set, and whether the session expired meanwhile.
struct ScriptOutcome {
    ends: Vec<Result<(), ErrorKind>>,
    cookies: Vec<(Op, String)>,
    expired: bool,
}

async fn play(world: &World, ops: &[Op], random: &mut Random) -> ScriptOutcome {
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let cookies = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (request_number, &op) in ops.iter().enumerate() {
        let turns = TurnStore { store: world.store.clone(), request: request_number, arrivals: sender.clone() };
        let (layer, cookie, cookies) = (layer(Arc::new(turns), &world.clock), world.cookie.clone(), cookies.clone());
        let sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            let ended = request(&layer, op, request_number, &cookie).await;
            let _ = sender.send((request_number, None));
            ended.map(|set| cookies.lock().unwrap().extend(set)).map_err(|error| error.kind())
        }));
    }
    let expires_at = if random.roll(10) == 0 { random.roll(8) } else { usize::MAX };
    let (mut running, mut waiting, mut step) = (ops.len(), Vec::new(), 0);
    while running > 0 {
        while waiting.len() < running {
            match arrivals.recv().await {
                Some((number, Some(go_on))) => waiting.push((number, go_on)),
                _ => running -= 1,
            }
        }
        if running == 0 {
            break;
        }
        // Arrivals at the same moment come in any order; the script's numbers must not depend on it.
        waiting.sort_by_key(|(number, _)| *number);
        if step == expires_at {
            world.clock.advance(25 * HOUR);
        }
        step += 1;
        let (_, go_on) = waiting.swap_remove(random.roll(waiting.len()));
        let _ = go_on.send(());
    }
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.await.unwrap());
    }
    let cookies = cookies.lock().unwrap().clone();
    ScriptOutcome { ends, cookies, expired: step > expires_at }
}

/// Checks the promises after a script, and returns the first violation.
async fn verdict(world: &World, ops: &[Op], played: &ScriptOutcome) -> Result<(), String> {
    let done = |op: Op| ops.iter().zip(&played.ends).filter(|(other, end)| **other == op && end.is_ok()).count();
    let (has_login, has_delete) = (ops.contains(&Op::Login), ops.contains(&Op::Delete));
    for (op, end) in ops.iter().zip(&played.ends) {
        match end {
            Ok(()) => {}
            Err(ErrorKind::Gone) if has_delete || played.expired => {}
            Err(ErrorKind::Superseded) if has_login => {}
            Err(kind) => return Err(format!("{op:?} failed with {kind:?}")),
        }
    }
    if world.seen_by(&world.cookie).await.is_some_and(|(_, has_user, _)| has_user) {
        return Err("P3: a token of before a login shows it".to_owned());
    }
    world.clock.advance(6 * SECOND);
    if played.expired || done(Op::Delete) > 0 {
        if world.is_live(&world.cookie).await {
            return Err("P2: the token of a session that has ended opens one".to_owned());
        }
        for (_, cookie) in &played.cookies {
            if (played.expired || !has_login) && world.seen_by(cookie).await.is_some() {
                return Err("P2: a session that has ended lives under another token".to_owned());
            }
        }
        return Ok(());
    }
    // The client may have a login's token, or one of the previous session.
    let logins = played.cookies.iter().filter(|(op, _)| *op == Op::Login);
    let before =
        played.cookies.iter().filter(|(op, _)| *op != Op::Login).map(|(_, cookie)| cookie).chain([&world.cookie]);
    for cookie in before {
        holds_all(world, ops, played, cookie, false).await?;
    }
    for (_, cookie) in logins {
        holds_all(world, ops, played, cookie, true).await?;
        world.goes_on_with(cookie).await;
        world.clock.advance(6 * SECOND);
        if world.is_live(&world.cookie).await {
            return Err(
                "P3: the session before a login lives on when its client has come with the login's token".to_owned()
            );
        }
    }
    Ok(())
}

/// Acknowledged changes exist, whichever token the client has.
async fn holds_all(
    world: &World,
    ops: &[Op],
    played: &ScriptOutcome,
    cookie: &str,
    has_login: bool,
) -> Result<(), String> {
    let Some((count, has_user, keys)) = world.seen_by(cookie).await else {
        return Err(format!("P6: a token leads nowhere (of a login: {has_login})"));
    };
    let done = |op: Op| ops.iter().zip(&played.ends).filter(|(other, end)| **other == op && end.is_ok()).count();
    if count as usize != done(Op::Count) {
        return Err(format!("P1: counted {count} of {}", done(Op::Count)));
    }
    for (name, (op, end)) in ops.iter().zip(&played.ends).enumerate() {
        if *op == Op::Write && end.is_ok() && !keys.contains(&format!("key{name}")) {
            return Err(format!("P1: the write of request {name} is lost"));
        }
    }
    if has_user != has_login {
        Err(format!("P6: a login is seen: {has_user}, and should be: {has_login}"))
    } else {
        Ok(())
    }
}

async fn scripts_keep_the_promises(backend: BackendKind) {
    let clock = Arc::new(ManualClock::default());
    let dir = tempfile::tempdir().unwrap();
    let store = ampoule::store::open(&backend.url(dir.path()), &support::store_options(clock.clone())).unwrap();
    // One after the other, since they share the clock.
    let times = std::env::var("AMPOULE_SEARCH").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for script in 0..SCRIPTS * times {
        let mut random = Random(script);
        let ops: Vec<Op> = (0..2 + random.roll(2)).map(|_| OPS[random.roll(OPS.len())]).collect();
        let world = World::new(&store, &clock).await;
        let played = play(&world, &ops, &mut random).await;
        if let Err(broken) = verdict(&world, &ops, &played).await {
            panic!("script {script} on {backend:?}: {broken}\nrequests {ops:?}\nends {:?}", played.ends);
        }
    }
}
