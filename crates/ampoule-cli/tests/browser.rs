//! The main job in a real browser: log in, restart the server, still be logged in; log out, and the copied cookie is
//! dead. Needs Debian's packages chromium and chromium-driver; without them it says so and passes, unless
//! `AMPOULE_TEST_REQUIRE_ALL` is set. With `AMPOULE_SCREENSHOTS=folder` it leaves pictures there.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use support::{Served, development_ini};

struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts the driver on a free port, or says what is missing.
    fn start() -> Option<Driver> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Driver { child, port }),
            Err(error) if std::env::var_os("AMPOULE_TEST_REQUIRE_ALL").is_some() => panic!("chromedriver: {error}"),
            Err(error) => {
                // Past the capture of tests that pass, so that whoever runs them sees it.
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: no chromedriver ({error}); install chromium and chromium-driver"
                );
                None
            }
        }
    }

    async fn browser(&self, profile: &Path, width: u32, dark: bool) -> Client {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            format!("--window-size={width},900"),
        ];
        if dark {
            arguments.push("--force-dark-mode".to_owned());
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let options = serde_json::json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(options.as_object().unwrap().clone());
        for _ in 0..100 {
            if let Ok(client) = builder.connect(&format!("http://127.0.0.1:{}", self.port)).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the browser did not start within ten seconds");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn text(client: &Client, css: &str) -> String {
    client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
}

async fn open(client: &Client, served: &Served, path: &str) {
    client.goto(&format!("{}{path}", served.base)).await.unwrap();
}

/// Clicks, and waits until the page that the click was on is gone.
async fn submit(client: &Client, css: &str) {
    let button = client.find(Locator::Css(css)).await.unwrap();
    button.click().await.unwrap();
    for _ in 0..100 {
        if button.tag_name().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing followed a click on {css}");
}

async fn fill(client: &Client, css: &str, value: &str) {
    client.find(Locator::Css(css)).await.unwrap().send_keys(value).await.unwrap();
}

async fn picture(client: &Client, name: &str) {
    if let Some(folder) = std::env::var_os("AMPOULE_SCREENSHOTS") {
        let png = client.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}

#[tokio::test]
async fn log_in_restart_the_server_come_back_and_log_out() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;

    open(&client, &served, "/inspector").await;
    assert!(text(&client, "main").await.contains("There is none yet"));
    open(&client, &served, "/").await;
    assert_eq!(text(&client, "#visits").await, "1");
    picture(&client, "home-anonymous").await;
    let before_login = client.get_named_cookie("ampoule_demo").await.unwrap().value().to_owned();
    fill(&client, "#name", "Ada").await;
    submit(&client, "form button").await;
    assert_eq!(text(&client, "h1").await, "Hello, Ada.");
    assert_eq!(text(&client, "#visits").await, "2", "the visitor's data came along");
    let cookie = client.get_named_cookie("ampoule_demo").await.unwrap();
    assert_ne!(cookie.value(), before_login, "the login changed the id");
    assert_eq!((cookie.http_only(), cookie.same_site().map(|site| site.to_string())), (Some(true), Some("Lax".into())));
    picture(&client, "home").await;

    notes_in_two_tabs(&client, &served).await;

    served.terminate();
    let served = Served::start(folder.path());
    open(&client, &served, "/").await;
    assert_eq!(text(&client, "h1").await, "Hello, Ada.", "still logged in after a restart of the server");
    open(&client, &served, "/inspector").await;
    assert!(text(&client, "#entries").await.contains("[\"from one tab\",\"from the other <b>\"]"));
    picture(&client, "inspector").await;

    open(&client, &served, "/").await;
    submit(&client, "form button").await;
    assert_eq!(text(&client, "h1").await, "A session, kept well.");
    client.delete_cookie("ampoule_demo").await.unwrap();
    let copied = format!("document.cookie = 'ampoule_demo={}; path=/'", cookie.value());
    client.execute(&copied, Vec::new()).await.unwrap();
    assert_eq!(client.get_named_cookie("ampoule_demo").await.unwrap().value(), cookie.value());
    open(&client, &served, "/").await;
    assert_eq!(text(&client, "h1").await, "A session, kept well.", "the copied cookie of before the logout is dead");
    client.close().await.unwrap();
}

async fn notes_in_two_tabs(client: &Client, served: &Served) {
    let first = client.window().await.unwrap();
    open(client, served, "/notes").await;
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    open(client, served, "/notes").await;
    client.switch_to_window(first.clone()).await.unwrap();
    fill(client, "#text", "from one tab").await;
    submit(client, "form button").await;
    client.close_window().await.unwrap();
    let other = client.windows().await.unwrap().remove(0);
    client.switch_to_window(other).await.unwrap();
    assert!(text(client, "main").await.contains("No notes yet"), "this tab was opened before");
    fill(client, "#text", "from the other <b>").await;
    submit(client, "form button").await;
    assert_eq!(text(client, "#notes").await.replace("\nRemove", ""), "from one tab\nfrom the other <b>");
    picture(client, "notes").await;
}

/// The pages fit a phone: nothing is wider than the screen.
#[tokio::test]
async fn the_pages_fit_a_phone_in_light_and_dark() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    for dark in [false, true] {
        let client = driver.browser(&folder.path().join(format!("profile-{dark}")), 500, dark).await;
        client.set_window_size(500, 900).await.unwrap();
        for path in ["/", "/notes", "/inspector", "/nowhere"] {
            open(&client, &served, path).await;
            let wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(client.execute(wider, Vec::new()).await.unwrap(), 0, "{path} is wider than the screen");
            picture(&client, &format!("phone-{dark}{}", path.replace('/', "-"))).await;
        }
        client.close().await.unwrap();
    }
}
