//! The composite of the Pylons book, copied exactly, and the session filter that it uses.

use std::path::PathBuf;

use ampoule_deploy::{Server, app, load};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{ask, load_text, registry, write};

#[tokio::test]
async fn the_seeds_composite_loads_unchanged() {
    let path = seed();
    let deployment = load(&path, "main", &debug(), &registry()).unwrap();
    assert_eq!(deployment.server, Some(Server::new("0.0.0.0", 5000)));
    let here = path.parent().unwrap().display();
    let home = ask(&deployment, "any", "/a?b=c").await;
    assert_eq!(
        home.text,
        format!("egg:my_project[full_stack=true,cache_dir={here}/data|debug=true] at '' sees /a?b=c")
    );
    let broker = ask(&deployment, "any", "/servicebroker?x").await;
    assert_eq!(broker.text, "egg:Appcelerator#service_broker[|debug=true] at '/servicebroker' sees /?x");
    assert_eq!(
        ask(&deployment, "any", "/proxy/p/q").await.text,
        "egg:Appcelerator#cross_domain_proxy[|debug=true] at '/proxy' sees /p/q"
    );
    assert_eq!(
        deployment.notes[0], "session my_project_key: memory (lost at restart)",
        "the operator is told which store"
    );
    let warnings: Vec<String> = deployment.warnings.iter().map(ToString::to_string).collect();
    let expected = format!(
        "{}:10: [filter-app:main] beaker.session.secret: the secret has 26 bytes, where at least 32 are needed; `ampoule \
         make-config` writes an ini file with a good one; allowed because of debug, never use it in production",
        path.display()
    );
    assert_eq!(warnings, [expected], "and of the secret");
}

/// The same file, with apps that count in their session: all three count in one.
#[tokio::test]
async fn the_seeds_apps_share_one_session() {
    let mut registry = registry();
    for name in ["egg:my_project", "egg:Appcelerator#service_broker", "egg:Appcelerator#cross_domain_proxy"] {
        registry.app(name, |_| {
            let count = |session: ampoule::Session| async move {
                let count = session.update("count", |count: &mut u32| *count += 1).await?;
                session.save().await?;
                Ok::<_, ampoule::Error>(count.to_string())
            };
            Ok(app(Router::new().fallback(count)))
        });
    }
    let deployment = load(&seed(), "main", &debug(), &registry).unwrap();
    let mut cookie = String::new();
    for (index, path) in ["/", "/servicebroker", "/proxy/x", "/", "/servicebroker/y"].iter().enumerate() {
        let request = http::Request::get(*path).header("cookie", &cookie).body(Body::empty()).unwrap();
        let response = deployment.app.clone().oneshot(request).await.unwrap();
        if let Some(set) = response.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.starts_with("my_project_key=") && set.contains("Path=/"), "{set}");
            cookie = set.split(';').next().unwrap().to_owned();
        }
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, (index + 1).to_string(), "{path}");
    }
}

/// Without debug its secret is too short to be served, and the error has its line.
#[test]
fn the_seeds_secret_is_refused_in_production() {
    let faults = load(&seed(), "main", &[], &registry()).unwrap_err().0;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].line, 10);
    assert!(
        faults[0].message.starts_with("[filter-app:main] beaker.session.secret: the secret has 26 bytes"),
        "{}",
        faults[0]
    );
    assert!(faults[0].message.ends_with("debug = true allows this one"), "{}", faults[0]);
}

#[test]
fn a_session_filters_options_are_checked_with_their_lines() {
    let text = "[pipeline:main]\npipeline = session e\n[app:e]\nuse = egg:echo\n[filter:session]\nuse = egg:ampoule#session\n\
                beaker.session.timout = 5\nsecret = x\nbeaker.session.secure = maybe\nbeaker.session.type = fiel\n";
    let said = load_text(text).unwrap_err();
    let expected = [
        "site.ini:8: [filter:session] secret: the options of a session have a prefix: write beaker.session.secret",
        "site.ini:7: [filter:session] beaker.session.timout: there is no such option; did you mean `timeout`?",
        "site.ini:9: [filter:session] beaker.session.secure: expected true or false, found `maybe`",
        "site.ini:5: [filter:session] secret: it is missing; set it, or AMPOULE_SESSION_SECRET in the environment, to a value such as `openssl rand -base64 32` prints (`ampoule make-config` writes an ini file with one)",
    ];
    for line in expected {
        assert!(said.lines().any(|found| found == line), "{line}\nis not in\n{said}");
    }
    let (kind, hint) =
        ("[filter:session] beaker.session.type: expected one of memory, file, ", "found `fiel`; did you mean `file`?");
    let found = said.lines().find(|line| line.starts_with(&format!("site.ini:10: {kind}")));
    assert!(found.is_some_and(|line| line.ends_with(hint)), "{said}");
}

/// Not the section's line.
#[test]
fn the_fault_of_a_session_option_of_default_or_the_command_line_names_its_origin() {
    let text = "[DEFAULT]\nbeaker.session.timout = 5\n[filter-app:main]\nuse = egg:ampoule#session\nnext = egg:echo\n\
                beaker.session.secret = PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E\n";
    let said = load_text(text).unwrap_err();
    assert_eq!(said, "site.ini:2: [DEFAULT] beaker.session.timout: there is no such option; did you mean `timeout`?");
    let text = text.replace("beaker.session.timout", "mood");
    let said = crate::support::load_with(&text, &[("debug", "perhaps")]).unwrap_err();
    assert_eq!(said, "command line: debug: expected true or false, found `perhaps`");
}

/// An indented line below a secret is a second secret, for rotation; an option that is indented by mistake is a fault,
/// in debug too.
#[test]
fn an_indented_line_below_a_secret_is_a_second_secret_and_never_an_option() {
    let (new, old) = ("PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E", "lnP1yJowU7OmW6CMQv9Qh_cDuy_3mJgQFqKNfdpEY8E");
    let text = format!(
        "[DEFAULT]\ndebug = true\n[filter-app:main]\nuse = egg:ampoule#session\nnext = egg:echo\n\
         beaker.session.type = memory\nbeaker.session.secret = {new}\n    # the old one\n    {old}\n"
    );
    assert_eq!(load_text(&text).err(), None);
    let said = load_text(&format!("{text}    timeout = 60\n")).unwrap_err();
    let expected = "site.ini:7: [filter-app:main] beaker.session.secret: a line below it looks like the option `timeout`: \
                    since it is indented, it would be another secret; remove the white space before it";
    assert_eq!(said, expected);
    let said = load_text(&format!("{text}\n  beaker.session.cookie_domain=www.shop.example.com\n")).unwrap_err();
    assert!(said.contains("the option `beaker.session.cookie_domain`"), "{said}");
    let quoted = load_text(&text.replace(new, &format!("\"{new}\"")).replace("debug = true", "")).unwrap_err();
    assert!(
        quoted.contains("site.ini:7: [filter-app:main] beaker.session.secret: the secret is in quotes"),
        "{quoted}"
    );
}

/// On a real socket.
#[tokio::test]
async fn a_deployment_is_served_by_axum() {
    let deployment = load(&seed(), "main", &debug(), &registry()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, Router::new().fallback_service(deployment.app)).await });
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /servicebroker/x HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("at '/servicebroker' sees /x"), "{answer}");
    server.abort();
}

fn seed() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/seed.ini"))
}

fn debug() -> [(String, String); 1] {
    [("debug".to_owned(), "true".to_owned())]
}

/// Counts in the session whose token is the query, and answers with the count and the token.
async fn count_by_query(session: ampoule::Session, uri: http::Uri) -> Result<String, ampoule::Error> {
    if let Some(token) = uri.query() {
        session.set_token(token)?;
    }
    let count = session.update("count", |count: &mut u32| *count += 1).await?;
    session.save().await?;
    let token = session.token().await?;
    Ok(format!("{count} {}", token.as_ref().map_or("", |token| token.as_str())))
}

#[tokio::test]
async fn use_cookies_false_leaves_the_token_to_the_application() {
    let mut registry = registry();
    registry.app("egg:count", |_| Ok(app(Router::new().fallback(count_by_query))));
    for (use_cookies, by_cookie) in [("False", "1"), ("True", "2")] {
        let text = format!(
            "[filter-app:main]\nuse = egg:Beaker#beaker_session\nnext = egg:count\nbeaker.session.type = memory\n\
             beaker.session.key = sid\nbeaker.session.secret = PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E\n\
             beaker.session.use_cookies = {use_cookies}\n"
        );
        let (_dir, path) = write(&[("site.ini", &text)]);
        let deployment = load(&path, "main", &[], &registry).unwrap();
        let ask = async |uri: &str, cookie: &str| {
            let request = http::Request::get(uri).header("cookie", cookie).body(Body::empty()).unwrap();
            let response = deployment.app.clone().oneshot(request).await.unwrap();
            let sets_cookie = response.headers().contains_key("set-cookie");
            let text = response.into_body().collect().await.unwrap().to_bytes();
            let (count, token) = std::str::from_utf8(&text).unwrap().split_once(' ').unwrap();
            (sets_cookie, count.to_owned(), token.to_owned())
        };
        let (sets_cookie, _, token) = ask("/", "").await;
        assert_eq!(sets_cookie, use_cookies == "True");
        assert_eq!(ask("/", &format!("sid={token}")).await.1, by_cookie, "use_cookies = {use_cookies}");
        let (sets_cookie, count, _) = ask(&format!("/?{token}"), "").await;
        assert!(!sets_cookie && count != "1", "the application's token counts, and no cookie is sent: {count}");
    }
}
