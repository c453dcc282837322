//! Runs `ampoule cache` on a cache that was filled through the library; and the cache filter of an ini file.

mod support;

use std::path::Path;
use std::process::Output;

use ampoule::cache::{CacheManager, CacheSettings};
use support::{Served, ampoule, development_ini};

const INI: &str = "[DEFAULT]\ndebug = true\n
[filter-app:main]\nuse = egg:Beaker#beaker_cache\nnext = home\ncache.type = file\ncache.data_dir = %(here)s/one\n\
cache.regions = elsewhere, quick\ncache.elsewhere.data_dir = %(here)s/two\ncache.quick.type = memory\n
[app:home]\nuse = egg:ampoule-demo#api\n";

fn cache(folder: &Path, arguments: &[&str]) -> Output {
    ampoule().arg("cache").args(arguments).current_dir(folder).env("COLUMNS", "80").output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with a site's file and a filled cache.
async fn site() -> (tempfile::TempDir, CacheManager) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("development.ini"), INI).unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let settings = CacheSettings::parse([
        ("cache.type", "file".to_owned()),
        ("cache.data_dir", place("one")),
        ("cache.regions", "elsewhere".to_owned()),
        ("cache.elsewhere.data_dir", place("two")),
    ]);
    let manager = settings.unwrap().manager().unwrap();
    for n in 0..30 {
        let tag = format!("half:{}", n % 2);
        manager.cache::<String>("users").entry(&n.to_string()).tags([tag]).insert("x".into()).await.unwrap();
    }
    manager.cache::<u32>("pages").insert("1", 1).await.unwrap();
    manager.cache_in::<u32>("elsewhere", "far\u{1b}[2J").unwrap().insert("1", 1).await.unwrap();
    (folder, manager)
}

#[tokio::test]
async fn stats_count_values_by_namespace() {
    let (folder, manager) = site().await;
    manager.invalidate_tag("half:1").await.unwrap();
    let said = out(&cache(folder.path(), &["stats"]));
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&said, "users")[1..4], ["15", "0", "15"]);
    assert_eq!(line(&said, "pages")[1..4], ["1", "0", "0"]);
    assert!(said.contains("far\\u001b[2J"), "what others wrote cannot steer the terminal: {said}");
    let json = out(&cache(folder.path(), &["stats", "--json", "--region", "elsewhere"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["namespaces"][0]["fresh"], 1);
    assert_eq!(json["namespaces"].as_array().unwrap().len(), 1);
    let by_url = out(&cache(folder.path(), &["stats", "--url", "file:one"]));
    assert_eq!(line(&by_url, "users")[1..4], ["15", "0", "15"]);
}

#[tokio::test]
async fn cleared_values_are_invalid_at_once() {
    let (folder, manager) = site().await;
    let users = manager.cache::<String>("users");
    let said = out(&cache(folder.path(), &["clear", "--tag", "half:0"]));
    assert_eq!(said.lines().count(), 2, "one for each store: {said}");
    assert!(said.starts_with("the values with the tag half:0 are cleared in "), "{said}");
    assert_eq!((users.get("0").await, users.get("1").await.as_deref()), (None, Some("x")));
    cache(folder.path(), &["clear", "--namespace", "users"]);
    assert_eq!(users.get("1").await, None);
    assert_eq!(manager.cache::<u32>("pages").get("1").await, Some(1));
    let said = out(&cache(folder.path(), &["clear", "--all", "--region", "elsewhere"]));
    let json = out(&cache(folder.path(), &["clear", "--tag", "half:0", "--json"]));
    let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(json["tag"] == "half:0" && json["store"].as_str().unwrap().starts_with("files in "), "{json}");
    // The value, and the records of its namespace and of earlier clears.
    assert!(said.starts_with("4 records removed from "), "{said}");
    assert!(out(&cache(folder.path(), &["stats"])).contains("no values"));
}

#[tokio::test]
async fn invalid_arguments_and_sources_are_errors() {
    let (folder, _manager) = site().await;
    let fails = |arguments: &[&str], expected: &str| {
        let output = cache(folder.path(), arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(err(&output).contains(expected), "{arguments:?}: {}", err(&output));
    };
    fails(&["clear"], "--namespace");
    fails(&["clear", "--json"], "--namespace");
    fails(&["clear", "--all", "--tag", "x"], "cannot be used with");
    fails(&["stats", "--region", "elswhere"], "there is no cache region `elswhere`; did you mean `elsewhere`?");
    fails(&["stats", "--region", "quick"], "in the memory of the serving process");
    fails(&["stats", "--url", "file:nowhere"], "nowhere does not exist");
    fails(&["stats", "--url", "nowhere"], "expected a URL that starts with");
    std::fs::write(folder.path().join("none.ini"), "[app:main]\nuse = egg:ampoule-demo#api\n").unwrap();
    fails(&["stats", "--ini", "none.ini"], "has no cache filter; name a store with --url");
    std::fs::write(
        folder.path().join("wrong.ini"),
        INI.replace("cache.type", "cache.tipe").replace("next", "expire = 5\nnext"),
    )
    .unwrap();
    fails(&["stats", "--ini", "wrong.ini"], "did you mean `type`?");
    fails(&["stats", "--ini", "wrong.ini"], "the options of a cache have a prefix: write beaker.cache.expire");
    let empty = tempfile::tempdir().unwrap();
    let output = cache(empty.path(), &["stats"]);
    assert!(err(&output).contains("name an ini file with --ini, or a store with --url"));
}

#[test]
fn the_demo_shows_the_store_of_its_cache() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    assert!(served.said.iter().any(|line| line.starts_with("cache: memory before files in ")), "{:?}", served.said);
}
