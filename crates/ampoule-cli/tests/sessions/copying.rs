//! What `copy` carries from store to store, also when it is interrupted.

use std::path::Path;
use std::process::{Command, Stdio};

use ampoule::store::{Entry, Put, Store, StoreKey, Tag, Time};
use ampoule_core::{Content, Lifetime, Record};
use ampoule_test_servers::{Kind, Server};

use crate::site::{Site, all_keys, damage, err, open, out, record_file, sessions};

/// So many sessions, of a hundred principals, some of which moved.
async fn fill(store: &dyn Store, count: usize) {
    let now = Time::from(std::time::SystemTime::now());
    for number in 0..count {
        let mut record = Record::new(now, Lifetime::starting(now, Some(std::time::Duration::from_secs(3_600)), None));
        record.set_principal(Some(&format!("user:{}", number % 100))).unwrap();
        record.insert("number", &[0xcd, (number >> 8) as u8, number as u8]).unwrap();
        let key = StoreKey::digest(&number.to_le_bytes());
        let (value, tag) = match number % 50 {
            48 => (Content::Moved(StoreKey::digest(b"elsewhere")).encode(), None),
            // As the library writes it: with the tag of the session that it leads to.
            49 => {
                let to = number - 2;
                let pointer = Content::Moved(StoreKey::digest(&to.to_le_bytes()));
                (pointer.encode(), Some(Tag::of(&format!("user:{}", to % 100))))
            }
            _ => (record.encode(), record.tag()),
        };
        let _ = store.put(key, Entry { value, deadline: record.deadline(), tag }, Put::Create).await.unwrap();
    }
}

/// Every record is there with its bytes, its deadline and its tag, and no other.
async fn assert_same(from: &dyn Store, to: &dyn Store) {
    let mut keys = all_keys(from).await;
    let mut copied = all_keys(to).await;
    keys.sort();
    copied.sort();
    assert_eq!(keys, copied);
    for key in keys {
        let (one, other) = (from.get(key).await.unwrap().unwrap(), to.get(key).await.unwrap().unwrap());
        assert_eq!((one.value, one.deadline), (other.value, other.deadline), "{key}");
    }
    for user in 0..100 {
        let tag = Tag::of(&format!("user:{user}"));
        let (mut one, mut other) = (from.tagged(tag).await.unwrap(), to.tagged(tag).await.unwrap());
        one.sort();
        other.sort();
        assert_eq!(one, other, "user:{user}");
    }
}

/// The number in front of these words.
fn number(text: &str, words: &str) -> usize {
    let line = text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no `{words}` in {text}"));
    line.split(' ').next().unwrap().replace(',', "").parse().unwrap()
}

/// Where it says that it goes on.
fn place(text: &str) -> Option<String> {
    let rest = text.split("the same command with --from ").nth(1)?;
    rest.split(' ').next().map(str::to_owned)
}

fn files_in(folder: &Path) -> usize {
    let shards = std::fs::read_dir(folder.join("records")).into_iter().flatten().flatten();
    shards.map(|shard| std::fs::read_dir(shard.path()).into_iter().flatten().count()).sum()
}

#[tokio::test]
async fn a_copy_that_is_interrupted_goes_on_where_it_was() {
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
    assert!(err(&stopped).starts_with("error: stopped by Ctrl-C\nerror: not all was copied; "), "{}", err(&stopped));
    let first = number(&out(&stopped), "copied, and verified");
    assert!(first < 2_000, "it was stopped: {first}");
    let place = place(&err(&stopped)).expect("more than a page was copied");
    let rest = site.run(&["copy", "--to", "file:target", "--from", &place]);
    assert!(rest.status.success(), "{}", err(&rest));
    let (second, already) = (number(&out(&rest), "copied, and verified"), number(&out(&rest), "already there"));
    assert!(
        second > 0 && second < 2_000 && already < 600,
        "it went on at {place}: {second} copied, {already} already there"
    );
    assert_same(&*site.store, &*open(&target)).await;
    let again = site.out(&["copy", "--to", "file:target"]);
    assert_eq!((number(&again, "copied, and verified"), number(&again, "already there")), (0, 2_000));
}

#[tokio::test]
async fn a_copy_through_another_engine_comes_back_as_it_was() {
    let site = Site::new();
    fill(&*site.store, 500).await;
    let there = site.out(&["copy", "--to", "sqlite:sessions.db"]);
    assert_eq!(number(&there, "copied, and verified"), 500);
    let back = sessions(site.path(), &["copy", "--url", "sqlite:sessions.db", "--to", "file:back"]).output().unwrap();
    assert_eq!(number(&out(&back), "copied, and verified"), 500, "{}", err(&back));
    assert_same(&*site.store, &*open(&site.path().join("back"))).await;
}

/// On a real server of each kind.
async fn on_a_server(kind: Kind) {
    let Some(server) = Server::start(kind) else { return };
    let site = Site::new();
    fill(&*site.store, 500).await;
    let url = server.url();
    let there = site.run(&["copy", "--to", url]);
    assert_eq!(number(&out(&there), "copied, and verified"), 500, "{}", err(&there));
    let ask = |words: &[&str]| {
        let output = sessions(site.path(), &[words, &["--url", url]].concat()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", err(&output));
        out(&output)
    };
    assert_eq!(ask(&["list", "--json", "--limit", "1000"]).lines().count(), 500);
    assert!(ask(&["stats"]).contains("sessions            480"), "{}", ask(&["stats"]));
    assert_eq!(ask(&["list", "--json", "--principal", "user:7"]).lines().count(), 5);
    assert_eq!(ask(&["revoke", "--principal", "user:7"]), "5 sessions ended\n");
    assert_eq!(ask(&["list", "--json", "--principal", "user:7"]), "");
    ask(&["sweep"]);
    let back = sessions(site.path(), &["copy", "--url", url, "--to", "file:back"]).output().unwrap();
    assert_eq!(number(&out(&back), "copied, and verified"), 495, "{}", err(&back));
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
async fn an_error_of_the_target_says_where_to_go_on() {
    let site = Site::new();
    fill(&*site.store, 600).await;
    let target = site.path().join("target");
    drop(open(&target));
    // Some key in the middle finds a file where its folder should be.
    let middle = record_file(&target, site.keys().await[400]).parent().unwrap().to_owned();
    std::fs::write(&middle, "").unwrap();
    let failed = site.run(&["copy", "--to", "file:target"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(err(&failed).starts_with("error: the session folder "), "{}", err(&failed));
    let place = place(&err(&failed)).expect("more than a page was copied");
    std::fs::remove_file(middle).unwrap();
    assert!(site.run(&["copy", "--to", "file:target", "--from", &place]).status.success());
    assert_same(&*site.store, &*open(&target)).await;
}

#[tokio::test]
async fn what_the_target_has_is_kept_unless_it_is_to_be_written_over() {
    let site = Site::new();
    fill(&*site.store, 20).await;
    let target = open(&site.path().join("target"));
    let key = StoreKey::digest(&7_usize.to_le_bytes());
    let own = Entry { value: Record::new(Time::ZERO, Lifetime::default()).encode(), deadline: Time::MAX, tag: None };
    let _ = target.put(key, own.clone(), Put::Create).await.unwrap();
    let kept = site.out(&["copy", "--to", "file:target"]);
    assert_eq!((number(&kept, "copied, and verified"), number(&kept, "already there")), (19, 1));
    assert_eq!(target.get(key).await.unwrap().unwrap().value, own.value);
    let over = site.out(&["copy", "--to", "file:target", "--overwrite"]);
    assert_eq!((number(&over, "copied, and verified"), number(&over, "already there")), (20, 0));
    assert_same(&*site.store, &*target).await;
}

#[tokio::test]
async fn damaged_records_are_left_and_named() {
    let site = Site::new();
    fill(&*site.store, 20).await;
    let key = StoreKey::digest(&3_usize.to_le_bytes());
    damage(&site.file(key));
    let output = site.run(&["copy", "--to", "file:target"]);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!((number(&out(&output), "copied, and verified"), number(&out(&output), "damaged, and left")), (19, 1));
    assert_eq!(err(&output), format!("error: {key} is damaged and was left\n"));
    assert!(!record_file(&site.path().join("target"), key).exists());
}

#[tokio::test]
async fn a_store_is_not_copied_onto_itself_nor_sealed_sessions_into_the_open() {
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
