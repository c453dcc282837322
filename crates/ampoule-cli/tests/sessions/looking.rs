//! `list`, `show` and `stats`.

use std::process::Stdio;
use std::time::Duration;

use ampoule::SessionId;
use ampoule::cache::{Backend, BackendOptions, CacheManager, CacheOptions};
use ampoule::store::{Bytes, Entry, PutMode, Record, StoreKey, Time};

use http::HeaderMap;
use serde_json::json;

use crate::site::{Site, damage, err, out};

#[tokio::test]
async fn list_prints_principals_and_continues_at_a_cursor() {
    let site = Site::new();
    for number in 0..12 {
        site.session((number % 2 == 0).then_some("user:42"), &[("n", &number.to_string())]).await;
    }
    let text = site.out(&["list"]);
    assert!(text.starts_with("layer session, last used first\n\n"), "{text}");
    assert_eq!(
        text.lines().nth(2).map(|header| header.split_whitespace().collect::<Vec<_>>().join(" ")).as_deref(),
        Some("id principal made last used ends size values")
    );
    assert_eq!(text.matches("user:42").count(), 6, "{text}");
    assert!(!text.contains("More follow") && !text.contains("shows more"), "{text}");
    assert!(text.contains(" in 24 h ") && text.contains(" now "), "moments are as people say them: {text}");
    let some = site.out(&["list", "--limit", "5"]);
    assert!(some.ends_with("\n5 of 12 sessions: --limit N shows more\n"), "{some}");
    let mut listed = Vec::new();
    let mut arguments = vec!["list".to_owned(), "--sort=store".into(), "--limit".into(), "5".into()];
    let pages = loop {
        let lines = site.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        listed.extend(lines.iter().filter_map(|line| line["id"].as_str().map(str::to_owned)));
        match lines.last().and_then(|line| line["next"].as_str()) {
            Some(next) => arguments.splice(4.., ["--from".to_owned(), next.to_owned()]).for_each(drop),
            None => break lines.len(),
        }
    };
    let ids: Vec<String> = site.ids().await.iter().map(ToString::to_string).collect();
    assert_eq!((listed, pages), (ids, 2), "5, 5 and 2, each once and in order");
    let page = site.out(&["list", "--sort", "store", "--limit", "5"]);
    assert!(page.contains("\nMore follow: continue with --from "), "{page}");
}

#[tokio::test]
async fn list_has_the_requested_order() {
    let site = Site::new();
    for (principal, text, timeout) in [("b", 10, 900), ("c", 30, 300), ("a", 20, 600)] {
        let session = site.layer.begin(&HeaderMap::new());
        session.set_principal(Some(principal)).unwrap();
        session.insert("text", "x".repeat(text)).unwrap();
        session.set_timeout(Duration::from_secs(timeout)).unwrap();
        session.save().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.session(None, &[]).await;
    let anonymous = site.json(&["list", "--sort", "principal"])[3]["id"].as_str().unwrap().to_owned();
    site.out(&["revoke", "--", &anonymous]);
    for (order, expected) in [
        (&["--sort", "used"][..], "acb"),
        (&[], "acb"),
        (&["--sort", "made"], "acb"),
        (&["--sort", "ends"], "cab"),
        (&["--sort", "principal"], "abc"),
        (&["--sort", "size"], "cab"),
        (&["--sort", "size", "--limit", "2"], "ca"),
    ] {
        let lines = site.json(&[&["list"], order].concat());
        let principals: String = lines.iter().map(|line| line["principal"].as_str().unwrap()).collect();
        assert_eq!(principals, expected, "{order:?}");
    }
    let wrong = site.run(&["list", "--sort", "made", "--from", "3f"]);
    assert!(err(&wrong).contains("expected --sort store, or no --sort"), "{}", err(&wrong));
}

#[tokio::test]
async fn a_list_shows_the_layer_of_each_session_and_can_select_one() {
    let site = Site::new();
    let mut options = crate::site::options();
    options.cookie.name = "admin".to_owned();
    let admin = ampoule::SessionLayer::new(std::sync::Arc::clone(&site.store), options).unwrap();
    for layer in [&site.layer, &site.layer, &admin] {
        let session = layer.begin(&HeaderMap::new());
        session.insert("a", 1).unwrap();
        crate::site::finish(layer, &session).await;
    }
    for columns in ["40", "60", "80"] {
        let output = site.command(&["list"]).env("COLUMNS", columns).output().unwrap();
        let lines: Vec<String> = out(&output).lines().map(str::to_owned).collect();
        assert!(lines[0] == "last used first" && lines[2].starts_with("id "), "{lines:?}");
        assert!(lines[2].contains(" layer "), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains(" admin ")).count(), 1, "{lines:?}");
    }
    assert_eq!(admin.name(), "__Host-admin");
    let of_admin = ["--session", "admin"];
    assert_eq!(site.json(&["list", "--session", admin.name()]).len(), 1);
    let listed = site.json(&[&["list"], &of_admin[..]].concat());
    assert_eq!(listed.iter().map(|line| &line["layer"]).collect::<Vec<_>>(), [admin.name()]);
    assert!(site.out(&["list", "--session", "none"]).starts_with("no sessions of the layer none in files in "));
    assert_eq!(site.json(&[&["stats"], &of_admin[..]].concat())[0]["sessions"], 1);
    assert_eq!(site.out(&[&["revoke", "--all", "--yes"], &of_admin[..]].concat()), "1 session ended\n");
    assert_eq!(site.ids().await.len(), 2, "the sessions of the other layer stay");
}

#[tokio::test]
async fn list_by_principal_has_all_fields_of_only_its_sessions() {
    let site = Site::new();
    let session = site.layer.begin(&HeaderMap::new());
    session.login("user:42").await.unwrap();
    session.insert("a", "b").unwrap();
    session.insert("visits", 1).unwrap();
    crate::site::finish(&site.layer, &session).await;
    site.session(Some("user:7"), &[]).await;
    site.session(None, &[]).await;
    let lines = site.json(&["list", "--principal", "user:42"]);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(
        (&line["state"], &line["layer"], &line["principal"], &line["value_count"]),
        (&json!("session"), &json!(site.layer.name()), &json!("user:42"), &json!(2))
    );
    let id = SessionId::parse(line["id"].as_str().unwrap()).unwrap();
    assert_eq!(session.id().await.unwrap(), Some(id));
    let stored = site.store.get(id.into()).await.unwrap().unwrap();
    assert_eq!(line["size"], stored.value.len());
    for moment in ["made", "logged_in", "last_used", "ends", "cookie_sent", "absolute_end"] {
        let text = line[moment].as_str().unwrap_or_else(|| panic!("{moment} in {line}"));
        assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T', "{text}");
    }
    let left = stored.deadline.as_millis() - stored.deadline.as_millis() % 1_000;
    assert!(Time::from_millis(left).since(Time::from(std::time::SystemTime::now())) > Duration::from_secs(86_000));
    assert!(site.out(&["list", "--principal", "none"]).starts_with("no sessions in files in "));
}

#[tokio::test]
async fn a_table_fits_the_terminal() {
    let site = Site::new();
    site.session(Some("user:42"), &[]).await;
    site.session(Some(&"ä漢".repeat(40)), &[]).await;
    for columns in [40_usize, 60, 80, 120, 160] {
        let output = site.command(&["list"]).env("COLUMNS", columns.to_string()).output().unwrap();
        let text = out(&output);
        let widest = text.lines().map(console::measure_text_width).max();
        assert!(widest <= Some(columns), "{columns} columns, {widest:?} used:\n{text}");
        assert!(text.contains("user:42") && text.contains('…'), "{text}");
        let sessions = text.lines().skip(3).take_while(|line| !line.is_empty()).count();
        assert_eq!(sessions, 2, "a line for each at {columns} columns:\n{text}");
    }
    let wide = out(&site.command(&["list"]).env("COLUMNS", "400").output().unwrap());
    assert!(site.ids().await.iter().all(|id| wide.contains(&id.to_string())), "{wide}");
}

#[tokio::test]
async fn escape_sequences_in_user_input_are_escaped() {
    let site = Site::new();
    site.session(Some("evil\u{1b}[2J\nuser:1"), &[("k\u{9b}", "\u{202e}")]).await;
    let id = site.ids().await[0].to_string();
    for arguments in
        [&["list"][..], &["list", "--json"], &["show", &id], &["show", &id, "--json"], &["show", &id, "--keys-only"]]
    {
        let text = site.out(arguments);
        let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(harmful) && text.contains("\\u001b[2J"), "{arguments:?}: {text:?}");
    }
}

#[tokio::test]
async fn show_decodes_values_of_any_type() {
    let site = Site::new();
    let session = site.layer.begin(&HeaderMap::new());
    session.insert("cart", vec![("tea", 2), ("cup", 1)]).unwrap();
    session.insert("nested", std::collections::BTreeMap::from([("a", Some(1.5)), ("b", None)])).unwrap();
    session.set_principal(Some("user:42")).unwrap();
    session.save().await.unwrap();
    let id = site.ids().await[0].to_string();
    let text = site.out(&["show", &id]);
    assert!(text.contains(&format!("layer          {}\n", site.layer.name())), "{text}");
    assert!(text.contains("principal      user:42\n") && text.contains("\n  \"cart\": [\n"), "{text}");
    let shown = &site.json(&["show", &id])[0];
    assert_eq!(shown["values"], json!({ "cart": [["tea", 2], ["cup", 1]], "nested": { "a": 1.5, "b": null } }));
    let keys_only = &site.json(&["show", &id, "--keys-only"])[0];
    assert_eq!((&keys_only["keys"], keys_only.get("values")), (&json!(["cart", "nested"]), None));
    assert!(!site.out(&["show", &id, "--keys-only"]).contains("tea"));
}

/// A login creates a session of its own; the previous one ends when the login's token is first used.
#[tokio::test]
async fn a_login_and_its_previous_session_are_listed_until_the_new_token_arrives() {
    let site = Site::new();
    let headers = site.session(None, &[("a", "b")]).await;
    let old = site.ids().await[0];
    let session = site.layer.begin(&headers);
    session.login("user:42").await.unwrap();
    let headers = crate::site::finish(&site.layer, &session).await;
    let new = session.id().await.unwrap().unwrap();
    assert_ne!(new, old);
    let mut both = [old.to_string(), new.to_string()];
    let listed = site.json(&["list"]);
    let mut ids: Vec<&str> = listed.iter().map(|line| line["id"].as_str().unwrap()).collect();
    both.sort();
    ids.sort();
    assert_eq!(ids, both);
    let came = site.layer.begin(&headers);
    assert_eq!(came.get::<String>("a").await.unwrap().as_deref(), Some("b"));
    let mut answer = HeaderMap::new();
    site.layer.finish(&came, http::StatusCode::OK, &mut answer).await.unwrap();
    let listed = site.json(&["list"]);
    assert_eq!(listed.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), [json!(new.to_string())]);
    let gone = site.run(&["show", &format!("{}…", &old.to_string()[..10])]);
    assert_eq!((gone.status.code(), out(&gone).as_str()), (Some(1), ""));
    assert!(err(&gone).starts_with(&format!("error: session {old} does not exist in ")), "{}", err(&gone));
    assert_eq!(site.json(&["show", &new.to_string()])[0]["values"]["a"], "b");
}

/// A cache may be in the same store.
#[tokio::test]
async fn other_records_are_skipped() {
    let site = Site::new();
    site.session(Some("user:42"), &[]).await;
    let caches = CacheManager::new(
        Backend::store(std::sync::Arc::clone(&site.store), &BackendOptions::default()),
        CacheOptions::default(),
    );
    caches.unwrap().cache::<String>("pages").insert("1", "a page".to_owned()).await.unwrap();
    let cached = Entry { value: Bytes::from_static(b"a cached value"), lifetime: Duration::MAX, tag: None };
    let key = StoreKey::digest(b"page");
    let _ = site.store.put(key, cached, PutMode::Create).await.unwrap();
    assert_eq!(site.json(&["list"]).len(), 1);
    let stats = &site.json(&["stats"])[0];
    assert_eq!([&stats["sessions"], &stats["damaged"], &stats["expired_or_ended"]], [&json!(1), &json!(0), &json!(0)]);
    let start = site.run(&["show", &key.to_string()[..8]]);
    assert!(err(&start).starts_with("error: no session's id starts with "), "{}", err(&start));
    assert_eq!(site.out(&["revoke", "--all", "--yes"]), "1 session ended\n");
    assert!(site.store.get(key).await.unwrap().is_some(), "revoking all sessions clears no cache");
}

#[tokio::test]
async fn a_unique_prefix_selects_a_session() {
    let site = Site::new();
    let id = |other: u8| {
        let mut bytes = [0xfb; 16];
        bytes[7] = other;
        SessionId::new(bytes)
    };
    let now = Time::from(std::time::SystemTime::now());
    let record =
        Record::new(now, ampoule_core::Lifetime::default(), ampoule_core::internal::Text::new(site.layer.name()));
    let entry = Entry { value: record.encode(), lifetime: Duration::MAX, tag: None };
    let _ = site.store.put(id(1).into(), entry.clone(), PutMode::Create).await.unwrap();
    // It starts with `-`, as an option does.
    assert!(id(1).to_string().starts_with("-_v7-_v7"));
    assert_eq!(site.json(&["show", "-_v7-_…"])[0]["id"], id(1).to_string());
    let _ = site.store.put(id(2).into(), entry, PutMode::Create).await.unwrap();
    let ambiguous = site.run(&["show", "-_v7-_"]);
    assert_eq!(ambiguous.status.code(), Some(1));
    let expected = format!("error: `-_v7-_` is ambiguous, 2 ids start with it:\nerror: {}\nerror: {}\n", id(1), id(2));
    assert_eq!(err(&ambiguous), expected);
    let unknown = site.run(&["show", "aaaaaa"]);
    assert_eq!(
        (unknown.status.code(), err(&unknown).as_str()),
        (Some(1), "error: no session's id starts with `aaaaaa`\n")
    );
    for wrong in ["short", "with space", "ä23456", &"a".repeat(23)] {
        let output = site.run(&["show", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(err(&output).contains("expected an id of 22 letters, digits, `-` and `_`, or its first 6 or more"));
    }
}

#[tokio::test]
async fn a_damaged_record_is_listed_as_damaged() {
    let site = Site::new();
    for _ in 0..3 {
        site.session(Some("user:42"), &[]).await;
    }
    let ids = site.ids().await;
    damage(&site.file(ids[0]));
    let undecodable =
        Entry { value: Bytes::from_static(b"no record"), lifetime: Duration::MAX, tag: Some(site.tag("user:42")) };
    let _ = site.store.put(ids[1].into(), undecodable, PutMode::Always).await.unwrap();
    let lines = site.json(&["list", "--sort", "store"]);
    let states: Vec<_> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["damaged", "damaged", "session"]);
    assert!(lines[0]["damage"].as_str().unwrap().contains("damaged"), "{}", lines[0]);
    let text = site.out(&["list"]);
    assert!(text.contains("show ID` shows the reason"), "{text}");
    assert!(text.lines().nth(4).is_some_and(|line| line.contains("(damaged)")), "damaged sessions are last: {text}");
    let stats = &site.json(&["stats"])[0];
    assert_eq!((&stats["sessions"], &stats["damaged"]), (&json!(1), &json!(2)));
    let shown = site.run(&["show", &ids[1].to_string()]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(err(&shown).starts_with(&format!("error: {}: a session's record is damaged: ", ids[1])), "{}", err(&shown));
}

#[tokio::test]
async fn stats_count_sessions_and_sizes() {
    let site = Site::new();
    for principal in [Some("user:1"), Some("user:1"), Some("user:2"), None] {
        site.session(principal, &[]).await;
    }
    let soon = site.layer.begin(&HeaderMap::new());
    soon.insert("big", "x".repeat(5_000)).unwrap();
    soon.set_timeout(Duration::from_secs(600)).unwrap();
    soon.save().await.unwrap();
    let stats = &site.json(&["stats"])[0];
    let mut sizes = Vec::new();
    for id in site.ids().await {
        sizes.push(site.store.get(id.into()).await.unwrap().unwrap().value.len());
    }
    let total: usize = sizes.iter().sum();
    assert_eq!(stats["bytes"], json!({ "total": total, "mean": total / 5, "largest": sizes.iter().max() }));
    let counts = ["sessions", "with_principal", "anonymous", "principals", "ending_within_hour", "ending_within_day"];
    assert_eq!(counts.map(|name| stats[name].as_u64().unwrap()), [5, 3, 2, 2, 1, 5]);
    let text = site.out(&["stats"]);
    assert!(text.contains("sessions            5\n") && text.contains("principals          2\n"), "{text}");
}

#[tokio::test]
async fn a_closed_pipe_is_not_an_error() {
    let site = Site::new();
    for _ in 0..400 {
        site.session(None, &[]).await;
    }
    let mut child = site
        .command(&["list", "--json", "--limit", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}
