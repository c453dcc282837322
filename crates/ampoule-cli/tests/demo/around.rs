//! Forms, messages, languages, error pages and other devices in a real browser.

use crate::support::browser::{Driver, fill, open, picture, submit, text};
use crate::support::{Served, development_ini, production_ini};
use fantoccini::Client;

async fn script(client: &Client, script: &str) -> String {
    client.execute_async(script, Vec::new()).await.unwrap().as_str().unwrap_or_default().to_owned()
}

async fn choose(client: &Client, tag: &str) {
    submit(client, &format!("#languages button[value={tag}]")).await;
}

#[tokio::test]
async fn cross_site_requests_are_refused_and_messages_are_shown_once() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;

    open(&client, &served, "/").await;
    let post = |token: &str| {
        format!(
            "const done = arguments[arguments.length - 1];
             const token = document.querySelector('[name=_authentication_token]').value;
             fetch('/login', {{ method: 'POST', redirect: 'manual', body: new URLSearchParams({{ name: 'Eve', {token} }}) }})
                 .then(answer => done(answer.status + ' ' + answer.type))"
        )
    };
    assert_eq!(script(&client, &post("other: token")).await, "403 basic", "the site's own script without the token");
    assert_eq!(script(&client, &post("_authentication_token: token")).await, "0 opaqueredirect", "and with it");
    // A page of another origin: the same site at another name.
    let elsewhere = served.base.replace("127.0.0.1", "localhost");
    client.goto(&format!("{elsewhere}/nowhere")).await.unwrap();
    let forged = format!(
        "const done = arguments[arguments.length - 1]; const form = document.createElement('form');
         form.method = 'post'; form.action = '{}/logout'; document.body.append(form); form.submit(); done('')",
        served.base
    );
    script(&client, &forged).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(text(&client, "main").await.contains("a page of another site sent it"));
    picture(&client, "forged").await;

    open(&client, &served, "/").await;
    assert_eq!(text(&client, "h1").await, "Hello, Eve.", "the forged logout did nothing");
    assert_eq!(text(&client, ".flash").await, "Welcome, Eve.");
    open(&client, &served, "/").await;
    assert!(client.find(fantoccini::Locator::Css(".flash")).await.is_err(), "it was shown");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_language_survives_a_restart() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 500, false).await;
    client.set_window_size(500, 900).await.unwrap();

    open(&client, &served, "/").await;
    choose(&client, "de").await;
    assert_eq!(text(&client, "h1").await, "Sitzungen, die nichts verlieren.");
    assert_eq!(text(&client, ".flash").await, "Diese Seiten sprechen jetzt Deutsch mit Ihnen.");
    picture(&client, "phone-de").await;
    choose(&client, "ar").await;
    served.terminate();
    let served = Served::start(folder.path());
    for path in ["/", "/notes", "/inspector", "/nowhere"] {
        open(&client, &served, path).await;
        let html = client.find(fantoccini::Locator::Css("html")).await.unwrap();
        assert_eq!(html.attr("dir").await.unwrap().as_deref(), Some("rtl"), "{path}");
        assert_eq!(html.attr("lang").await.unwrap().as_deref(), Some("ar"), "{path}");
        let wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(client.execute(wider, Vec::new()).await.unwrap(), 0, "{path} is wider than the screen");
        picture(&client, &format!("phone-ar{}", path.replace('/', "-"))).await;
    }
    fill_login(&client, &served).await;
    assert!(text(&client, "h1").await.contains("مرحبًا"));
    picture(&client, "phone-ar-logged-in").await;
    client.close().await.unwrap();
}

async fn fill_login(client: &Client, served: &Served) {
    open(client, served, "/").await;
    fill(client, "#name", "Ada").await;
    submit(client, "#login button").await;
}

/// With debug the page has the details; in production a number, which is also in the log.
#[tokio::test]
async fn errors_have_pages_in_a_browser() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;
    open(&client, &served, "/private").await;
    assert_eq!(text(&client, "h1").await, "Not for you, yet.");
    assert!(text(&client, "main").await.contains("Please log in first."));
    picture(&client, "error-403").await;
    fill_login(&client, &served).await;
    open(&client, &served, "/private").await;
    assert_eq!(text(&client, "h1").await, "Only for you, Ada.");
    open(&client, &served, "/nowhere").await;
    assert_eq!(text(&client, "h1").await, "Nothing is here.");
    assert!(text(&client, "footer").await.contains("Logged in as Ada."));
    picture(&client, "error-404").await;
    open(&client, &served, "/boom").await;
    let told = text(&client, "pre").await;
    assert!(told.contains("panic: this page always fails") && told.contains("home.rs"), "{told}");
    let own = text(&client, "h2 + pre").await;
    assert!(own.contains("demo::home::boom") && !own.contains("tokio::"), "the application's frames come first: {own}");
    picture(&client, "error-500-debug").await;
    served.terminate();

    std::fs::write(folder.path().join("site.ini"), production_ini()).unwrap();
    let served = Served::start(folder.path());
    open(&client, &served, "/boom").await;
    assert_eq!(text(&client, "h1").await, "Something went wrong here.");
    let page = text(&client, "main").await;
    let number: String = page.split("number ").nth(1).unwrap().chars().take(10).collect();
    assert!(!page.contains("this page always fails"), "{page}");
    picture(&client, "error-500").await;
    let log = served.terminate();
    let line = log.lines().find(|line| line.contains(&number)).unwrap_or_else(|| panic!("{number} is not in {log}"));
    assert!(line.contains("this page always fails") && line.contains("/boom"), "{line}");
    client.close().await.unwrap();
}

/// From a page's script, as from any program.
#[tokio::test]
async fn a_program_logs_in_with_json_and_uses_its_token() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;
    open(&client, &served, "/nowhere").await;
    let program = "const done = arguments[arguments.length - 1];
         const json = (path, options) => fetch('/api' + path, options).then(answer => answer.ok ? answer.text() : answer.status);
         (async () => {
             const login = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{\"name\":\"Ada\"}' };
             const { token } = JSON.parse(await json('/login', login));
             const bearer = { headers: { authorization: 'Bearer ' + token } };
             const said = [await json('/'), await json('/', bearer), await json('/', bearer)];
             await json('/logout', { method: 'POST', ...bearer });
             return [...said, await json('/', bearer), document.cookie].join('|');
         })().then(done)";
    let counted = r#"{"name":"Ada","visits":1}|{"name":"Ada","visits":2}"#;
    assert_eq!(script(&client, program).await, format!("401|{counted}|401|"));
    assert!(client.get_named_cookie("ampoule_demo_api").await.is_err());
    client.close().await.unwrap();
}

#[tokio::test]
async fn other_devices_are_listed_and_can_be_logged_out() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let phone = driver.browser(&folder.path().join("phone"), 500, false).await;
    fill_login(&phone, &served).await;
    phone.close().await.unwrap();
    let phone = driver.browser(&folder.path().join("other"), 500, false).await;
    fill_login(&phone, &served).await;
    let devices = text(&phone, "#devices").await;
    assert_eq!((devices.matches("this session").count(), devices.matches("last used").count()), (1, 1), "{devices}");
    assert_eq!(devices.matches("Chromium on Linux").count(), 2, "{devices}");
    assert_eq!(devices.matches("logged in ").count(), 2, "when each login was: {devices}");
    picture(&phone, "devices").await;
    submit(&phone, "#devices button").await;
    assert_eq!(text(&phone, ".flash").await, "One other session has ended.");
    submit(&phone, "#elsewhere button").await;
    assert_eq!(text(&phone, ".flash").await, "You were logged in nowhere else.");
    let devices = text(&phone, "#devices").await;
    assert_eq!((devices.matches("this session").count(), devices.matches("last used").count()), (1, 0), "{devices}");
    phone.close().await.unwrap();
}

#[tokio::test]
async fn a_slow_page_is_fast_the_second_time_until_it_is_cleared() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;
    let waited = async || text(&client, "#waited").await.parse::<u32>().unwrap();
    fill_login(&client, &served).await;
    open(&client, &served, "/slow").await;
    assert!(waited().await >= 2_000);
    assert_eq!(text(&client, "#by").await, "Ada");
    let made = text(&client, "#made").await;
    open(&client, &served, "/slow").await;
    assert!(waited().await < 1_000);
    assert_eq!(text(&client, "#made").await, made);
    picture(&client, "slow").await;
    // Kept over a restart, since it is in files too.
    served.terminate();
    let served = Served::start(folder.path());
    open(&client, &served, "/slow").await;
    assert!(waited().await < 1_000);
    assert_eq!(text(&client, "#made").await, made);
    // The response to the form redirects to the page, which is created again.
    submit(&client, "#clear button").await;
    assert!(waited().await >= 2_000);
    assert_ne!(text(&client, "#made").await, made);
    assert_eq!(text(&client, ".flash").await, "The report was cleared. The next visitor waits for a new one.");
    client.set_window_size(500, 900).await.unwrap();
    choose(&client, "ar").await;
    open(&client, &served, "/slow").await;
    picture(&client, "phone-slow-ar").await;
    client.close().await.unwrap();
}
