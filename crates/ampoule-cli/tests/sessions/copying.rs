//! `copy` between stores of all kinds, also interrupted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ampoule::SessionId;
use ampoule::store::{Bytes, Entry, PutMode, Store, StoreKey, Tag, Time};
use ampoule_core::internal::{Content, Text, Tombstone};
use ampoule_core::{Lifetime, Record};
use ampoule_test_servers::{Kind, Server};

use crate::site::{Site, all_keys, damage, err, open, out, record_file, sessions, sessions_in};

const LAYER: &str = "shop";
const HOUR: Duration = Duration::from_secs(3_600);

/// The id of the session of this number, as spread out as a random one.
fn id(number: usize) -> SessionId {
    SessionId::new(*StoreKey::digest(&number.to_le_bytes()).as_bytes().first_chunk().unwrap())
}

/// Writes this number of records: sessions of a hundred principals with lifetimes of one to three hours, one in ten
/// without end; and in each fifty records the mark of an ended session, and a record of a cache.
async fn fill(store: &dyn Store, count: usize) {
    let now = Time::from(std::time::SystemTime::now());
    for number in 0..count {
        let entry = match number % 50 {
            48 => {
                let left = Content::Ended(Tombstone { device: id(number), forked_for: None });
                Entry { value: left.encode(), lifetime: HOUR, tag: None }
            }
            49 => Entry { value: Bytes::from_static(b"cached"), lifetime: HOUR, tag: None },
            _ => {
                let idle = (number % 10 != 3).then_some(HOUR);
                let mut record = Record::new(now, Lifetime::starting(now, idle, None), Text::new(LAYER));
                record.set_principal(Some(&format!("user:{}", number % 100))).unwrap();
                record.insert("number", &[0xcd, (number >> 8) as u8, number as u8]).unwrap();
                // A touch moves the deadline without changing the record.
                let lifetime = idle.map_or(Duration::MAX, |idle| idle * (1 + number as u32 % 3));
                Entry { value: record.encode(), lifetime, tag: record.tag() }
            }
        };
        let key = if number % 50 == 49 { StoreKey::digest(&number.to_le_bytes()) } else { id(number).into() };
        let _ = store.put(key, entry, PutMode::Create).await.unwrap();
    }
}

/// The number of sessions among this number of records.
const fn sessions_of(count: usize) -> usize {
    count - count / 50 * 2
}

/// Asserts that every session was copied with its bytes, deadline and tag, and that there are no other records.
async fn assert_same(from: &dyn Store, to: &dyn Store) {
    let ids = sessions_in(from).await;
    let mut copied = all_keys(to).await;
    copied.sort();
    assert_eq!(ids.iter().map(|id| StoreKey::from(*id)).collect::<Vec<_>>(), copied);
    for key in copied {
        let (one, other) = (from.get(key).await.unwrap().unwrap(), to.get(key).await.unwrap().unwrap());
        assert_eq!(one.value, other.value, "{key}");
        let moved = other.deadline.since(one.deadline).max(one.deadline.since(other.deadline));
        assert!(moved < Duration::from_secs(3), "{key} ends {moved:?} earlier or later");
    }
    for user in 0..100 {
        let tag = Tag::of_principal(LAYER, &format!("user:{user}"));
        let (mut one, mut other) = (from.keys_with_tag(tag).await.unwrap(), to.keys_with_tag(tag).await.unwrap());
        one.sort();
        other.sort();
        assert_eq!(one, other, "user:{user}");
    }
}

/// The number before these words.
fn number(text: &str, words: &str) -> usize {
    let line = text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no `{words}` in {text}"));
    line.split(' ').next().unwrap().replace(',', "").parse().unwrap()
}

/// The cursor in an error.
fn cursor(text: &str) -> Option<String> {
    let rest = text.split("the same command with --from ").nth(1)?;
    rest.split(' ').next().map(str::to_owned)
}

fn files_in(folder: &Path) -> usize {
    let shards = std::fs::read_dir(folder.join("records")).into_iter().flatten().flatten();
    shards.map(|shard| std::fs::read_dir(shard.path()).into_iter().flatten().count()).sum()
}

#[tokio::test]
async fn an_interrupted_copy_continues_at_its_cursor() {
    let site = Site::new();
    fill(&*site.store, 2_000).await;
    let target = site.path().join("target");
    let mut child =
        site.command(&["copy", "--to", "file:target"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while files_in(&target) < 600 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{}", err(&stopped));
    assert!(
        err(&stopped).starts_with("error: stopped by Ctrl-C\nerror: not all sessions were copied; "),
        "{}",
        err(&stopped)
    );
    let first = number(&out(&stopped), "copied and verified");
    assert!(first < sessions_of(2_000), "it was stopped: {first}");
    let cursor = cursor(&err(&stopped)).expect("more than a page was copied");
    let rest = site.run(&["copy", "--to", "file:target", "--from", &cursor]);
    assert!(rest.status.success(), "{}", err(&rest));
    let (second, already) = (number(&out(&rest), "copied and verified"), number(&out(&rest), "already in the target"));
    assert!(
        second > 0 && second < sessions_of(2_000) && already < 600,
        "it went on at {cursor}: {second} copied, {already} already there"
    );
    assert_same(&*site.store, &*open(&target)).await;
    let again = site.out(&["copy", "--to", "file:target"]);
    assert_eq!(
        (number(&again, "copied and verified"), number(&again, "already in the target")),
        (0, sessions_of(2_000))
    );
}

#[tokio::test]
async fn a_copy_to_another_engine_and_back_is_unchanged() {
    let site = Site::new();
    fill(&*site.store, 500).await;
    let there = site.out(&["copy", "--to", "sqlite:sessions.db"]);
    assert_eq!(number(&there, "copied and verified"), 480);
    let back = sessions(site.path(), &["copy", "--url", "sqlite:sessions.db", "--to", "file:back"]).output().unwrap();
    assert_eq!(number(&out(&back), "copied and verified"), 480, "{}", err(&back));
    assert_same(&*site.store, &*open(&site.path().join("back"))).await;
}

/// On a real server of each kind.
async fn on_a_server(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let site = Site::new();
    fill(&*site.store, 500).await;
    let url = server.url();
    let there = site.run(&["copy", "--to", url]);
    assert_eq!(number(&out(&there), "copied and verified"), 480, "{}", err(&there));
    let ask = |words: &[&str]| {
        let output = sessions(site.path(), &[words, &["--url", url]].concat()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", err(&output));
        out(&output)
    };
    assert_eq!(ask(&["list", "--json", "--limit", "1000"]).lines().count(), 480);
    assert!(ask(&["stats"]).contains("sessions            480"), "{}", ask(&["stats"]));
    for by_tag in [&[][..], &["--session", LAYER]] {
        let list = [&["list", "--json", "--principal", "user:7"], by_tag].concat();
        assert_eq!(ask(&list).lines().count(), 5);
    }
    assert_eq!(ask(&["revoke", "--principal", "user:7", "--session", LAYER]), "5 sessions ended\n");
    assert_eq!(ask(&["list", "--json", "--principal", "user:7"]), "");
    assert_eq!(ask(&["revoke", "--principal", "user:8"]), "5 sessions ended\n");
    ask(&["sweep"]);
    let back = sessions(site.path(), &["copy", "--url", url, "--to", "file:back"]).output().unwrap();
    assert_eq!(number(&out(&back), "copied and verified"), 470, "{}", err(&back));
    let back = open(&site.path().join("back"));
    for id in sessions_in(&*back).await {
        let (one, other) = (site.store.get(id.into()).await.unwrap(), back.get(id.into()).await.unwrap());
        let (one, other) = (one.unwrap().deadline, other.unwrap().deadline);
        let moved = other.since(one).max(one.since(other));
        assert!(moved < Duration::from_secs(10), "{id} ends {moved:?} earlier or later after two copies");
    }
}

macro_rules! servers {
    ($($test:ident $kind:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            on_a_server(Kind::$kind).await;
        }
    )*};
}

servers! {
    the_sessions_of_postgres Postgres;
    the_sessions_of_mariadb MariaDb;
    the_sessions_of_redis Redis;
    the_sessions_of_a_cluster RedisCluster;
    the_sessions_behind_a_sentinel RedisSentinel;
    the_sessions_of_memcached Memcached;
}

#[tokio::test]
async fn an_error_of_the_target_names_the_cursor() {
    let site = Site::new();
    fill(&*site.store, 600).await;
    let target = site.path().join("target");
    drop(open(&target));
    // Some key in the middle finds a file where its folder should be.
    let middle = record_file(&target, site.ids().await[400].into()).parent().unwrap().to_owned();
    std::fs::write(&middle, "").unwrap();
    let failed = site.run(&["copy", "--to", "file:target"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(err(&failed).starts_with("error: the store's folder "), "{}", err(&failed));
    let cursor = cursor(&err(&failed)).expect("more than a page was copied");
    std::fs::remove_file(middle).unwrap();
    assert!(site.run(&["copy", "--to", "file:target", "--from", &cursor]).status.success());
    assert_same(&*site.store, &*open(&target)).await;
}

#[tokio::test]
async fn sessions_in_the_target_are_kept_unless_overwritten() {
    let site = Site::new();
    fill(&*site.store, 20).await;
    let target = open(&site.path().join("target"));
    let key = StoreKey::from(id(7));
    let own = Record::new(Time::ZERO, Lifetime::default(), Text::new(LAYER));
    let own = Entry { value: own.encode(), lifetime: Duration::MAX, tag: None };
    let _ = target.put(key, own.clone(), PutMode::Create).await.unwrap();
    let kept = site.out(&["copy", "--to", "file:target"]);
    assert_eq!((number(&kept, "copied and verified"), number(&kept, "already in the target")), (19, 1));
    assert_eq!(target.get(key).await.unwrap().unwrap().value, own.value);
    let over = site.out(&["copy", "--to", "file:target", "--overwrite"]);
    assert_eq!((number(&over, "copied and verified"), number(&over, "already in the target")), (20, 0));
    assert_same(&*site.store, &*target).await;
}

#[tokio::test]
async fn damaged_records_are_not_copied_and_are_named() {
    let site = Site::new();
    fill(&*site.store, 20).await;
    let id = id(3);
    damage(&site.file(id));
    let output = site.run(&["copy", "--to", "file:target"]);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(
        (number(&out(&output), "copied and verified"), number(&out(&output), "damaged and not copied")),
        (19, 1)
    );
    assert_eq!(err(&output), format!("error: {id} is damaged and was not copied\n"));
    assert!(!record_file(&site.path().join("target"), id.into()).exists());
}

#[tokio::test]
async fn a_copy_to_the_same_store_or_of_sealed_sessions_to_an_unsealed_store_is_refused() {
    let site = Site::new();
    site.session(Some("user:42"), &[]).await;
    let same = site.run(&["copy", "--to", "file:./sessions", "--overwrite"]);
    assert_eq!((same.status.code(), err(&same).as_str()), (Some(1), "error: source and target are the same store\n"));
    let ini = |dir: &str| {
        format!(
            "[filter-app:main]\nuse = egg:ampoule#session\nnext = site\nsession.secret = {secret}\nsession.type = file\n\
             session.data_dir = %(here)s/{dir}\nsession.encrypt_key = {secret}\n\n[app:site]\nuse = egg:ampoule-demo\n",
            secret = crate::site::SECRET
        )
    };
    for dir in ["one", "two"] {
        std::fs::write(site.path().join(format!("{dir}.ini")), ini(dir)).unwrap();
    }
    let sealing = site.run_ini(&["copy", "--to", "one.ini"], None);
    assert!(sealing.status.success(), "{}", err(&sealing));
    let open = site.run_ini(&["copy", "--to", "file:three"], Some("one.ini"));
    assert_eq!(open.status.code(), Some(1));
    assert!(err(&open).contains("the source is sealed and the target is not"), "{}", err(&open));
    assert!(site.run_ini(&["copy", "--to", "two.ini"], Some("one.ini")).status.success());
    let listed = site.run_ini(&["list"], Some("two.ini"));
    assert!(out(&listed).contains("user:42"), "{}{}", out(&listed), err(&listed));
}
