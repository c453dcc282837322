//! A process whose clock is two days off ends no value, prolongs none, and sees the deadlines of others correctly.

use std::process::Command;
use std::time::Duration;

use crate::support::{HOUR, create, entry, key, store, talk};
use ampoule_core::{Clock, Entry, Store, SystemClock, Tag, Time};
use ampoule_test_servers::{Kind, set_clock_off, shared};

const CHILD: &str = "AMPOULE_TEST_CLOCK_OFF";
const PREFIX: &str = "clock:";
const DAYS: u64 = 40;

fn living(lifetime: Duration) -> Entry {
    Entry { lifetime, ..entry("x") }
}

fn forty_days() -> Duration {
    HOUR * 24 * DAYS as u32
}

/// Returns how far a deadline is from this lifetime after the current time, in milliseconds.
fn off(deadline: Time, lifetime: Duration) -> u64 {
    deadline.as_millis().abs_diff((SystemClock.now() + lifetime).as_millis())
}

/// Not a test of its own: the process of the test below, whose clock is two days off.
#[tokio::test(flavor = "multi_thread")]
async fn process_whose_clock_is_off() {
    let Some(url) = std::env::var(CHILD).ok() else { return };
    let store = store(&url, PREFIX);
    let difference = store.ping().await.unwrap().as_millis().abs_diff(SystemClock.now().as_millis());
    assert!(difference > 40 * 3_600_000, "this process's clock is {difference} ms off");
    let lives = store.get(key("lives")).await.unwrap().expect("what lives for another process lives here");
    assert!(off(lives.deadline, HOUR) < 15_000, "by this clock it ends in an hour: {:?}", lives.deadline);
    assert!(store.get(key("expired")).await.unwrap().is_none());
    assert!(store.touch(key("lives"), lives.version, 2 * HOUR).await.unwrap());
    let tag = Some(Tag::of("ada"));
    create(&store, key("an hour"), Entry { tag, ..living(HOUR) }).await;
    create(&store, key("forty days"), Entry { tag, ..living(forty_days()) }).await;
    let version = create(&store, key("touched"), living(HOUR)).await;
    assert!(store.touch(key("touched"), version, forty_days()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_two_days_off_ends_and_prolongs_nothing() {
    let Some(server) = shared(Kind::Memcached) else { return };
    let store = store(server.url(), PREFIX);
    for offset in ["+2d", "-2d"] {
        create(&store, key("lives"), living(HOUR)).await;
        create(&store, key("expired"), living(Duration::from_millis(1))).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "clock::process_whose_clock_is_off"]).env(CHILD, server.url());
        if !set_clock_off(&mut child, offset) {
            return;
        }
        let output = tokio::task::block_in_place(|| child.output().unwrap());
        assert!(output.status.success(), "{offset}: {}", String::from_utf8_lossy(&output.stdout));
        let expected =
            [("lives", 2 * HOUR), ("an hour", HOUR), ("forty days", forty_days()), ("touched", forty_days())];
        for (name, lifetime) in expected {
            let said = talk(server.node().port, format!("mg {PREFIX}{} t\r\n", key(name)).as_bytes(), "\r\n");
            let left: u64 =
                said.trim().strip_prefix("HD t").unwrap_or_else(|| panic!("{name}: {said}")).parse().unwrap();
            let most = lifetime.as_secs() + 8;
            assert!((lifetime.as_secs() - 30..=most).contains(&left), "{offset} {name}: {left} s of {lifetime:?}");
            let found = store.get(key(name)).await.unwrap().unwrap();
            assert!(off(found.deadline, lifetime) < 30_000, "{offset} {name}: {:?}", found.deadline);
        }
        assert_eq!(store.keys_with_tag(Tag::of("ada")).await.unwrap().len(), 2, "{offset}");
        for name in ["lives", "an hour", "forty days", "touched"] {
            assert!(store.delete(key(name)).await.unwrap(), "{offset} {name}");
        }
    }
}
