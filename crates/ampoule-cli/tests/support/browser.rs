//! A real browser, driven: Debian's packages chromium and chromium-driver. Without them a test prints that and passes,
//! unless `AMPOULE_TEST_REQUIRE_ALL` is set. With `AMPOULE_SCREENSHOTS=folder` it leaves pictures there.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;

use super::Served;

/// The minimum width of a window; narrower screens of phones are emulated.
const NARROWEST: u32 = 500;

pub(crate) struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts the driver on a free port. Prints what is missing if it is not installed.
    pub(crate) fn start() -> Option<Driver> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Driver { child, port }),
            Err(error) if std::env::var_os("AMPOULE_TEST_REQUIRE_ALL").is_some() => panic!("chromedriver: {error}"),
            Err(error) => {
                // Past the capture of tests that pass, so that it is seen in every run.
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: no chromedriver ({error}); install chromium and chromium-driver"
                );
                None
            }
        }
    }

    pub(crate) async fn browser(&self, profile: &Path, width: u32, dark: bool) -> Client {
        let dark: &[&str] = if dark { &["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] } else { &[] };
        self.browser_with(profile, width, dark).await
    }

    /// With further arguments of the command line.
    pub(crate) async fn browser_with(&self, profile: &Path, width: u32, more: &[&str]) -> Client {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            // Names of hosts for tests of domains.
            "--host-resolver-rules=MAP *.test 127.0.0.1".to_owned(),
            format!("--user-data-dir={}", profile.display()),
            format!("--window-size={width},900"),
        ];
        if width < NARROWEST {
            arguments.push("--hide-scrollbars".to_owned());
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let mut chrome = serde_json::json!({ "args": arguments });
        if width < NARROWEST {
            let metrics = serde_json::json!({ "width": width, "height": 812, "pixelRatio": 2 });
            chrome["mobileEmulation"] = serde_json::json!({ "deviceMetrics": metrics });
        }
        let options = serde_json::json!({ "goog:chromeOptions": chrome });
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

pub(crate) async fn text(client: &Client, css: &str) -> String {
    client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
}

pub(crate) async fn open(client: &Client, served: &Served, path: &str) {
    client.goto(&format!("{}{path}", served.base)).await.unwrap();
}

/// Clicks, and waits until the page that the click was on is gone.
pub(crate) async fn submit(client: &Client, css: &str) {
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

pub(crate) async fn fill(client: &Client, css: &str, value: &str) {
    client.find(Locator::Css(css)).await.unwrap().send_keys(value).await.unwrap();
}

/// Asserts that the open page is accessible. With `AMPOULE_AXE`, the path of a copy of axe.min.js, also by the rules of
/// axe-core.
pub(crate) async fn assert_usable(client: &Client, what: &str) {
    let found = client.execute(include_str!("findings.js"), Vec::new()).await.unwrap();
    assert_eq!(found.as_str(), Some(""), "{what}: {}", found.as_str().unwrap_or_default());
    let Some(axe) = std::env::var_os("AMPOULE_AXE") else { return };
    client.execute(&std::fs::read_to_string(axe).unwrap(), Vec::new()).await.unwrap();
    let run = "const done = arguments[arguments.length - 1];
        const nodes = rule => rule.nodes.map(node => node.html.slice(0, 200) + ' ' + node.failureSummary).join('\\n');
        axe.run(document).then(found => done(found.violations.map(rule => rule.id + ': ' + nodes(rule)).join('\\n')))";
    let found = client.execute_async(run, Vec::new()).await.unwrap();
    assert_eq!(found.as_str(), Some(""), "{what}: {}", found.as_str().unwrap_or_default());
}

pub(crate) async fn picture(client: &Client, name: &str) {
    if let Some(folder) = std::env::var_os("AMPOULE_SCREENSHOTS") {
        let png = client.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), png).unwrap();
    }
}
