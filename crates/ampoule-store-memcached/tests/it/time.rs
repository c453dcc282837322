//! The servers' clocks decide which values are live, for how long, and which keys a tag lists.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{HOUR, create, entry, key, stat, store, talk};
use ampoule_core::{Clock, Entry, ErrorKind, PutMode, PutResult, Store, StoreKey, SystemClock, Tag, Time, Version};
use ampoule_store_memcached::MemcachedStore;
use ampoule_test_servers::{Kind, Server, shared};

const SECOND: Duration = Duration::from_secs(1);
const DAY: u64 = 24 * 3_600;

fn living(lifetime: Duration) -> Entry {
    Entry { lifetime, ..entry("x") }
}

/// Returns the remaining time to live of an item in seconds; -1 for no expiry.
fn left(port: u16, name: &str) -> i64 {
    let said = talk(port, format!("mg {name} t\r\n").as_bytes(), "\r\n");
    said.trim().strip_prefix("HD t").unwrap_or_else(|| panic!("{name}: {said}")).parse().unwrap()
}

/// Returns the line of an answer, and the bytes of the value after it.
fn raw_value(port: u16, name: &str) -> (String, Vec<u8>) {
    let answer = ask(port, format!("mg {name} v t\r\n").as_bytes());
    let end = answer.windows(2).position(|pair| pair == b"\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 2..answer.len() - 2].to_vec())
}

fn ask(port: u16, command: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(command).unwrap();
    let mut buffer = [0; 4_096];
    let size = stream.read(&mut buffer).unwrap();
    buffer[..size].to_vec()
}

/// Writes another deadline into a value, as a client with a wrong clock would.
fn set_deadline(port: u16, name: &str, deadline: Time) {
    let (line, mut bytes) = raw_value(port, name);
    bytes[9..17].copy_from_slice(&deadline.as_millis().to_be_bytes());
    let command = format!("ms {name} {} T{}\r\n", bytes.len(), line.rsplit_once('t').unwrap().1);
    assert!(ask(port, &[command.as_bytes(), &bytes, b"\r\n"].concat()).starts_with(b"HD"));
}

/// Values never expire early. Lifetimes of whole seconds end at most two seconds late; others are rounded up.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_lives_at_least_for_its_lifetime() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let store = store(server.url(), "lives:");
    let mut waiting = tokio::task::JoinSet::new();
    for millis in [1, 500, 1_000, 1_500, 2_000] {
        for shift in [0, 330, 660] {
            let store = store.clone();
            waiting.spawn(async move {
                tokio::time::sleep(Duration::from_millis(shift)).await;
                let (key, lifetime) = (key(&format!("{millis} {shift}")), Duration::from_millis(millis));
                let put = Instant::now();
                create(&store, key, living(lifetime)).await;
                let put_at_last = put.elapsed();
                while store.get(key).await.unwrap().is_some() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let lived = put.elapsed();
                assert!(lived >= lifetime, "{lifetime:?} ended after {lived:?}");
                let most = Duration::from_secs(millis.div_ceil(1_000) + 2) + put_at_last + SECOND;
                assert!(lived <= most, "{lifetime:?} ended after {lived:?}");
            });
        }
    }
    waiting.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_value_is_absent_for_every_method() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let store = store(server.url(), "absent:");
    let tag = Tag::of("ada");
    let keys: Vec<StoreKey> = (0..5).map(|number| key(&number.to_string())).collect();
    let mut versions = Vec::new();
    for key in &keys {
        versions.push(create(&store, *key, Entry { tag: Some(tag), ..living(SECOND) }).await);
    }
    assert!(store.touch(keys[4], versions[4], HOUR).await.unwrap());
    // The tokens that this process has cached are no reason to believe that the values are live.
    tokio::time::sleep(4 * SECOND).await;
    assert_eq!(store.get(keys[0]).await.unwrap(), None);
    assert!(!store.touch(keys[1], versions[1], HOUR).await.unwrap());
    assert!(!store.delete(keys[2]).await.unwrap());
    let replaced = store.put(keys[3], entry("late"), PutMode::Replace(versions[3])).await.unwrap();
    assert_eq!(replaced, PutResult::Conflict);
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [keys[4]], "a touch is told to the tag");
    create(&store, keys[0], entry("again")).await;
}

/// The writer's clock was wrong by fifty years, in one direction or the other.
#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_in_a_value_decides_nothing() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let (port, tag) = (server.node().port, Tag::of("ada"));
    let store = store(server.url(), "wrong:");
    let name = format!("wrong:{}", key("one"));
    let version = create(&store, key("one"), Entry { tag: Some(tag), ..entry("x") }).await;
    set_deadline(port, &name, Time::from_millis(1));
    let assert_hours = async |hours: u64| {
        let deadline = store.get(key("one")).await.unwrap().unwrap().deadline;
        let off = deadline.as_millis().abs_diff((SystemClock.now() + HOUR * hours as u32).as_millis());
        assert!(off < 9_000, "{deadline:?} is {off} ms from {hours} h after the present");
    };
    assert_hours(1).await;
    assert_eq!(store.keys_with_tag(tag).await.unwrap(), [key("one")]);
    assert_eq!(store.put(key("one"), entry("y"), PutMode::Create).await.unwrap(), PutResult::Conflict);
    assert!(store.touch(key("one"), version, 2 * HOUR).await.unwrap());
    set_deadline(port, &name, Time::from_millis(3_000_000_000_000));
    assert_hours(2).await;
    assert!(store.touch(key("one"), version, 3 * HOUR).await.unwrap());
    assert_hours(3).await;
    assert!((3 * 3_600..3 * 3_600 + 4).contains(&left(port, &name)), "and holds no touch up");
    set_deadline(port, &name, Time::from_millis(1));
    assert!(matches!(store.put(key("one"), entry("x"), PutMode::Replace(version)).await, Ok(PutResult::Stored(_))));
    set_deadline(port, &name, Time::from_millis(1));
    assert!(store.delete(key("one")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_raises_the_time_to_live_and_never_lowers_it() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let (port, store) = (server.node().port, store(server.url(), "raise:"));
    let name = format!("raise:{}", key("one"));
    let version = create(&store, key("one"), entry("x")).await;
    for (lifetime, hours) in [(60 * SECOND, 1), (Duration::ZERO, 1), (2 * HOUR, 2), (HOUR, 2)] {
        assert!(store.touch(key("one"), version, lifetime).await.unwrap());
        let left = left(port, &name);
        assert!((hours * 3_600 - 5..hours * 3_600 + 4).contains(&left), "{left} s after a touch for {lifetime:?}");
    }
    for lifetime in [Duration::MAX, HOUR] {
        assert!(store.touch(key("one"), version, lifetime).await.unwrap());
        assert_eq!(left(port, &name), -1, "for ever stays for ever");
    }
    assert_eq!(store.get(key("one")).await.unwrap().unwrap().deadline, Time::MAX);
    for wrong in [Version(version.0.wrapping_add(1)), Version(0)] {
        assert!(!store.touch(key("one"), wrong, HOUR).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memcached_receives_the_time_to_live() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let (port, store) = (server.node().port, store(server.url(), "ttl:"));
    let name = format!("ttl:{}", key("one"));
    let put = async |lifetime| {
        let put = store.put(key("one"), living(lifetime), PutMode::Always).await;
        assert!(matches!(put, Ok(PutResult::Stored(_))));
        left(port, &name)
    };
    for seconds in [60, 29 * DAY, 30 * DAY, 31 * DAY, 400 * DAY] {
        let left = put(Duration::from_secs(seconds)).await;
        let expected = seconds as i64 + 1..seconds as i64 + 7;
        assert!(expected.contains(&left), "{left} seconds of {seconds}");
    }
    // memcached's timestamps end in January 2038.
    for lifetime in [Duration::MAX, Duration::from_secs(5_000 * DAY)] {
        assert_eq!(put(lifetime).await, -1, "{lifetime:?}");
    }
    assert!(store.get(key("one")).await.unwrap().is_some());
}

const OFF: u64 = 3_600;

/// Starts a proxy that makes the server's clock look an hour behind that of this machine.
fn an_hour_behind(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass(client, to_server));
            std::thread::spawn(move || pass(server, to_client));
        }
    });
    address.port()
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    const NAME: &[u8] = b"STAT time ";
    let mut buffer = vec![0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..size];
        if let Some(at) = bytes.windows(NAME.len()).position(|window| window == NAME) {
            let digits = &mut bytes[at + NAME.len()..][..10];
            let seconds: u64 = std::str::from_utf8(digits).unwrap().parse().unwrap();
            digits.copy_from_slice((seconds - OFF).to_string().as_bytes());
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Returns each key of a tag's item, and its timestamp.
fn members(port: u16, name: &str) -> Vec<(StoreKey, Time)> {
    let member = |bytes: &[u8]| {
        let until = u64::from_be_bytes(bytes[32..].try_into().unwrap());
        (StoreKey::new(bytes[..32].try_into().unwrap()), Time::from_millis(until))
    };
    raw_value(port, name).1.chunks(40).map(member).collect()
}

/// The client's clock is an hour ahead: it neither ends live values nor drops a key from a tag.
#[tokio::test(flavor = "multi_thread")]
async fn timestamps_are_by_the_server_s_clock() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let port = server.node().port;
    let store: MemcachedStore = store(&format!("memcached://127.0.0.1:{}", an_hour_behind(port)), "off:");
    let behind = |time: Time| SystemClock.now().since(time);
    let off = behind(store.ping().await.unwrap());
    assert!((OFF - 1..=OFF + 3).contains(&off.as_secs()), "{off:?}");
    create(&store, key("long"), living(Duration::from_secs(40 * DAY))).await;
    let expected = (40 * DAY - OFF) as i64;
    let left_of_long = left(port, &format!("off:{}", key("long")));
    assert!((expected..expected + 8).contains(&left_of_long), "{left_of_long} is not {expected}");

    let tag = Tag::of("ada");
    let minutes = |minutes: u64| Entry { tag: Some(tag), ..living(Duration::from_secs(60 * minutes)) };
    create(&store, key("10"), minutes(10)).await;
    create(&store, key("20"), minutes(20)).await;
    let members = members(port, &format!("off:tag:{tag}"));
    let named: Vec<StoreKey> = members.iter().map(|(key, _)| *key).collect();
    assert_eq!(named, [key("10"), key("20")], "by the client's clock the first has ended");
    let off = behind(members[0].1 - Duration::from_secs(10 * 60) * 5 / 4);
    assert!((OFF - 1..=OFF + 3).contains(&off.as_secs()), "{off:?}");
    assert_eq!(store.keys_with_tag(tag).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_writes_to_every_server_and_returns_the_time_of_the_first() {
    let servers: Option<Vec<Server>> = (0..3).map(|_| Server::start(Kind::Memcached)).collect();
    let Some(servers) = servers else { return };
    let mut addresses: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.node().port)).collect();
    addresses.sort();
    let first = addresses[0].rsplit_once(':').unwrap().1.parse().unwrap();
    addresses[0] = format!("127.0.0.1:{}", an_hour_behind(first));
    let store = store(&format!("memcached://{}", addresses.join(",")), "p:");
    // The proxy's port may sort before or after the other ones.
    let is_first = addresses.iter().min() == Some(&addresses[0]);
    let off = SystemClock.now().since(store.ping().await.unwrap()).as_secs();
    assert_eq!((OFF - 1..=OFF + 3).contains(&off), is_first, "{off}");
    let writes = || servers.iter().map(|server| stat(server.node().port, "cmd_set")).collect::<Vec<_>>();
    let before = writes();
    store.ping().await.unwrap();
    assert!(before.iter().zip(writes()).all(|(before, after)| after > *before), "one was not written to");
    tokio::task::block_in_place(|| servers[1].node().kill());
    let errors: Vec<_> = [store.ping().await, store.ping().await].into_iter().filter_map(Result::err).collect();
    let unreachable =
        |error: &ampoule_core::Error| [ErrorKind::Unavailable, ErrorKind::Timeout].contains(&error.kind());
    assert!(errors.len() == 2 && errors.iter().all(unreachable), "{errors:?}");
    tokio::task::block_in_place(|| servers[1].node().restart());
    store.ping().await.unwrap();
}
