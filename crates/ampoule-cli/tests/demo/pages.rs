//! The demo's pages over HTTP, for a visitor without scripts.

use std::path::Path;

use crate::support::visitor::{Answer, Visitor};
use crate::support::{Served, development_ini, production_ini};

fn serve(folder: &Path) -> Served {
    std::fs::write(folder.join("site.ini"), development_ini()).unwrap();
    Served::start(folder)
}

/// The number of kept changes of a kind, equal in picture and text.
fn kept(page: &Answer, kind: &str) -> usize {
    let figure = page.between(&format!("<figure id=\"{kind}\">"), "</figure>");
    let drawn = figure.matches("class=\"kept\"").count();
    assert_eq!(figure.matches("<circle").count(), 64, "{figure}");
    assert!(figure.contains(&format!("{drawn} of 64 kept")), "{figure}");
    drawn
}

#[test]
fn the_race_keeps_every_change_and_read_change_write_loses_most() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    assert!(visitor.get("/").body.contains("Sessions that lose nothing."));
    for _ in 0..2 {
        let page = visitor.submit("/race", "");
        assert_eq!(kept(&page, "updated"), 64);
        assert!(kept(&page, "overwritten") < 64);
    }
    let inspector = visitor.get("/inspector").body;
    assert!(!inspector.contains("race updated"), "the lists of the race are gone: {inspector}");
}

/// The experiments need a store; the pages show that they are missing.
#[test]
fn with_sessions_in_cookies_the_experiments_are_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let key = "beaker.session.key = ampoule_demo\n";
    let ini = development_ini().replace(key, &format!("{key}beaker.session.type = cookie\n"));
    std::fs::write(folder.path().join("site.ini"), ini).unwrap();
    let served = Served::start(folder.path());
    let mut visitor = Visitor::new(&served.base);
    for path in ["/", "/thief", "/outage", "/inspector"] {
        let page = visitor.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.head);
        assert_eq!(page.body.contains("keeps its sessions in cookies"), path != "/inspector", "{path}: {}", page.body);
    }
    assert!(visitor.login("name=Ada").body.contains("Hello, Ada."));
    assert!(visitor.submit("/race", "").body.contains("Hello, Ada."));
}

/// Two races run at once; further visitors get a message, not an error.
#[test]
fn races_of_many_visitors_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let race = |_| {
        let mut visitor = Visitor::new(&served.base);
        visitor.get("/");
        std::thread::spawn(move || {
            let page = visitor.submit("/race", "");
            let is_busy = page.body.contains("Other visitors are trying this at the moment.");
            assert!(is_busy || kept(&page, "updated") == 64, "{}", page.body);
            is_busy
        })
    };
    let races: Vec<_> = (0..16).map(race).collect();
    let busy: Vec<bool> = races.into_iter().map(|race| race.join().unwrap()).collect();
    assert!(busy.contains(&false), "some had their turn");
}

#[test]
fn a_thief_with_copied_cookies_gets_no_access() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    visitor.login("name=Ada");
    visitor.get("/thief");
    let page = visitor.submit("/thief/try", "");
    for (attempt, why) in [("copy", "gone"), ("early", "superseded"), ("late", "superseded"), ("two", "conflicting")] {
        let row = page.between(&format!("<tr id=\"{attempt}\">"), "</tr>");
        assert!(row.contains("Nobody.") && !row.contains("class=\"bad\""), "{row}");
        assert!(row.contains(&format!("<code dir=\"ltr\">{why}</code>")), "{row}");
    }
    assert!(page.body.contains("Logged in as Ada."), "the simulation does not change the visitor's own session");
    let copy = visitor.cookies.clone();
    let page = visitor.submit("/thief/mine", "");
    let row = page.between("<tr id=\"mine\">", "</tr>");
    assert!(row.contains("Nobody.") && row.contains(">gone<"), "{row}");
    assert!(!page.body.contains("Logged in as"), "{}", page.body);
    for token in copy.values() {
        assert!(!page.body.contains(token.as_str()), "the page shows no token");
    }
    let mut thief = Visitor::new(&served.base);
    thief.cookies = copy;
    assert_eq!(thief.get("/private").status, 403);
}

#[test]
fn an_outage_affects_one_visitor_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let (mut visitor, mut other) = (Visitor::new(&served.base), Visitor::new(&served.base));
    visitor.login("name=Ada");
    other.get("/");
    for policy in ["error", "anonymous"] {
        assert!(visitor.get("/outage").body.contains(" visits. After the outage they will still be there."));
        let before = visitor.clone();
        let page = visitor.submit("/outage", &format!("policy={policy}"));
        assert!(page.body.contains("The store is unavailable") && page.body.contains("It is back in"), "{}", page.body);
        assert!(!page.body.contains("Ada"), "the page is rendered without the session: {}", page.body);
        // More failures than would open the circuit breaker.
        for _ in 0..8 {
            let home = visitor.get("/");
            match policy {
                "error" => {
                    assert_eq!((home.status, home.header("retry-after")), (503, Some("1")), "{}", home.head);
                    assert!(home.body.contains("Your session cannot be reached."), "{}", home.body);
                }
                _ => {
                    assert_eq!(home.status, 200, "{}", home.head);
                    assert!(home.body.contains("you are an unknown visitor"), "{}", home.body);
                }
            }
            assert_eq!(visitor.get("/nowhere").status, 404, "a page that does not need the session works");
        }
        assert_eq!(other.get("/").status, 200, "the store is available to others");
        // The browser drops the cookie of the outage after ten seconds.
        visitor.cookies.remove("ampoule_demo_outage").expect("the outage has a cookie");
        assert_eq!(visitor.cookies, before.cookies);
        assert!(visitor.get("/").body.contains("Hello, Ada."), "nothing was lost");
    }
}

#[test]
fn the_inspector_shows_record_trips_events_and_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    visitor.login("name=Ada&remember=yes");
    visitor.get("/");
    let page = visitor.get("/inspector");
    let trips = page.between("<ol id=\"trips\">", "</ol>");
    assert_eq!((trips.matches("<li>").count(), trips.contains(">get<")), (1, true), "one trip to load: {trips}");
    assert!(page.between("id=\"size\">", "<").ends_with(" bytes"));
    let version = |page: &Answer| page.between("id=\"version\" dir=\"ltr\">", "<").to_owned();
    assert_eq!(version(&page), version(&visitor.get("/inspector")), "looking writes nothing");
    visitor.get("/");
    assert_ne!(version(&page), version(&visitor.get("/inspector")));
    assert!(page.between("id=\"events\">", "</ul>").contains("forked"));
    let attributes = page.between("id=\"attributes\">", "</table>");
    for shown in ["HttpOnly<", "SameSite=Lax", "Secure<", "Path=/", "Domain<", "Max-Age=2592000"] {
        assert!(attributes.contains(shown), "{shown}: {attributes}");
    }
    assert_eq!(attributes.matches("not sent").count(), 3, "Secure, Domain, Partitioned: {attributes}");
    assert!(page.body.contains("<time datetime=\"20") && page.body.contains(" UTC</time>"), "{}", page.body);
    for token in visitor.cookies.values() {
        assert!(!page.body.contains(token.as_str()), "the page shows no token");
    }
}

#[test]
fn devices_have_names_and_at_most_ten_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut page = None;
    for number in 0..12 {
        let mut visitor = Visitor::new(&served.base);
        let system = if number % 2 == 0 { "X11; Linux x86_64; rv:140.0" } else { "Windows NT 10.0; rv:140.0" };
        visitor.headers += &format!("User-Agent: Mozilla/5.0 ({system}) Gecko/20100101 Firefox/140.0\r\n");
        page = Some(visitor.login("name=Ada"));
    }
    let page = page.unwrap();
    let devices = page.between("id=\"devices\">", "</ul>");
    assert_eq!((devices.matches("<li>").count(), devices.matches("<button").count()), (10, 9), "{devices}");
    assert_eq!(devices.matches("this session").count(), 1, "{devices}");
    assert!(devices.contains("Firefox on Linux") && devices.contains("Firefox on Windows"), "{devices}");
    assert!(page.body.contains("2 more are not shown."), "{}", page.body);
    assert_eq!(page.body.matches("Log out everywhere else").count(), 1);
}

/// A name proves nothing.
#[test]
fn in_production_two_visitors_of_one_name_are_two_users() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), production_ini()).unwrap();
    let served = Served::start(folder.path());
    let (mut ada, mut other) = (Visitor::new(&served.base), Visitor::new(&served.base));
    for visitor in [&mut ada, &mut other] {
        let page = visitor.login("name=Ada");
        assert_eq!(page.between("id=\"devices\">", "</ul>").matches("<li>").count(), 1, "{}", page.body);
    }
    other.submit("/elsewhere", "");
    let page = ada.get("/");
    assert!(page.body.contains("Hello, Ada."), "{}", page.body);
    // With the tag it is the same user, in another browser.
    let name = page.between("<code dir=\"ltr\">Ada#", "<");
    let mut phone = Visitor::new(&served.base);
    let page = phone.login(&format!("name=Ada%23{name}"));
    assert_eq!(page.between("id=\"devices\">", "</ul>").matches("<li>").count(), 2, "{}", page.body);
}

#[test]
fn blank_names_and_notes_are_rejected_and_a_language_returns_to_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    assert!(visitor.login("name=+++").body.contains("The name is blank."));
    assert!(visitor.submit("/login", "name=%23").body.contains("The name is blank."));
    visitor.get("/notes");
    assert!(visitor.submit("/notes/", "text=+").body.contains("The note is blank"));
    for (path, next) in [("/notes", "/notes"), ("/thief?a=b", "/thief?a=b"), ("/inspector", "/inspector")] {
        let page = visitor.get(path);
        assert!(page.body.contains(&format!("name=\"next\" value=\"{next}\"")), "{}", page.body);
    }
    let page = visitor.submit("/lang", "lang=de&next=/thief?a=b");
    assert!(page.body.contains("<title>Dieb – Ampoule</title>"), "{}", page.body);
    let page = visitor.submit("/lang", "lang=en&next=//evil.example/");
    assert!(page.body.contains("<title>Home – Ampoule</title>"), "no way to another site: {}", page.body);
}

#[test]
fn errors_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    for (method, path, status, says) in [
        ("GET", "/nowhere", 404, "Nothing is here."),
        ("GET", "/notes/nowhere", 404, "Nothing is here."),
        ("GET", "/login", 405, "That cannot be done here."),
        ("GET", "/private", 403, "Please log in first."),
        ("POST", "/login", 403, "That form is out of date."),
    ] {
        let page = visitor.ask(method, path, "application/x-www-form-urlencoded", "");
        assert_eq!(page.status, status, "{method} {path}");
        assert!(page.body.contains(says) && page.body.contains("</html>"), "{method} {path}: {}", page.body);
        assert!(!page.body.contains("in the field"), "a page for people names no field: {}", page.body);
        let offers_login = page.body.contains("id=\"login\"");
        assert_eq!(offers_login, status == 403, "{method} {path}: {}", page.body);
        assert_eq!(page.header("allow").is_some(), status == 405, "{}", page.head);
    }
    // A login on an error page leads to the requested page.
    let page = visitor.get("/private");
    assert!(page.body.contains("name=\"next\" value=\"/private\""), "{}", page.body);
    assert!(visitor.submit("/login", "name=Ada&next=/private").body.contains("Only for you, Ada."));
    // The error page of another session's form has a link back to it.
    let mut late = Visitor::new(&served.base);
    late.headers += &format!("Referer: {}/notes\r\n", served.base);
    let page = late.ask("POST", "/notes/", "application/x-www-form-urlencoded", "text=tea");
    assert!(page.body.contains("<a href=\"/notes\">Back to the form</a>"), "{}", page.body);
}

/// It is in the language of Accept-Language.
#[test]
fn the_error_page_of_a_broken_store_needs_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut visitor = Visitor::new(&served.base);
    visitor.headers += "Accept-Language: de\r\n";
    visitor.get("/");
    let sessions = folder.path().join("data/sessions");
    std::fs::rename(&sessions, folder.path().join("elsewhere")).unwrap();
    std::fs::write(&sessions, "not a folder").unwrap();
    for path in ["/", "/notes", "/inspector", "/thief"] {
        let page = visitor.get(path);
        assert_eq!(page.status, 503, "{path}: {}", page.head);
        assert!(
            page.body.contains("<html lang=\"de\"") && page.body.contains("<h1>Ihre Sitzung "),
            "{path}: {}",
            page.body
        );
    }
    assert_eq!(visitor.get("/nowhere").status, 404);
    std::fs::remove_file(&sessions).unwrap();
    std::fs::rename(folder.path().join("elsewhere"), &sessions).unwrap();
}

/// RFC 9110 section 11.6.1, RFC 6750 section 3, RFC 9457.
#[test]
fn the_api_answers_errors_in_json_with_a_challenge() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path());
    let mut program = Visitor::new(&served.base);
    program.headers = "Accept: */*\r\n".to_owned();
    for (method, path, body, status, challenge) in [
        ("GET", "/api/", "", 401, Some("Bearer realm=\"ampoule\"")),
        ("GET", "/api/nowhere", "", 404, None),
        ("GET", "/api/login", "", 405, None),
        ("POST", "/api/login", "{", 400, None),
        ("POST", "/api/login", "{}", 422, None),
        ("POST", "/api/login", "{\"name\": \" \"}", 422, None),
    ] {
        let answer = program.ask(method, path, "application/json", body);
        assert_eq!((answer.status, answer.header("www-authenticate")), (status, challenge), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
    let token = program.ask("POST", "/api/login", "application/json", "{\"name\": \"Ada\"}");
    let token: serde_json::Value = serde_json::from_str(&token.body).unwrap();
    program.headers += &format!("Authorization: Bearer {}\r\n", token["token"].as_str().unwrap());
    assert_eq!(program.get("/api/").status, 200);
    program.ask("POST", "/api/logout", "", "");
    let answer = program.get("/api/");
    let challenge = "Bearer realm=\"ampoule\", error=\"invalid_token\"";
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)));
}
