//! Tests of the examples that need a browser, in Chromium.

#[allow(dead_code, reason = "a part of it is for the pages of the demo")]
#[path = "../crates/ampoule-cli/tests/support/browser.rs"]
mod driver;
#[allow(dead_code, reason = "the test serves it by itself")]
#[path = "web_socket.rs"]
mod web_socket;

use std::time::Duration;

use self::driver::{Driver, open, submit, text};

/// A node and its address.
struct Served {
    base: String,
}

impl Served {
    async fn start(app: axum::Router) -> Served {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Served { base }
    }
}

/// Waits until the page shows this.
async fn says(client: &fantoccini::Client, expected: &str) {
    let mut said = String::new();
    for _ in 0..300 {
        said = text(client, "#log").await;
        if said.contains(expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the page never said {expected:?}, but {said:?}");
}

#[tokio::test]
async fn a_logout_on_one_node_closes_the_socket_of_another() {
    let Some(driver) = Driver::start() else { return };
    let (folder, secret) = (tempfile::tempdir().unwrap(), ampoule::Secret::generate());
    let node = || web_socket::node(&folder.path().join("sessions"), secret.as_str()).unwrap();
    let (here, there) = (Served::start(node()).await, Served::start(node()).await);
    let client = driver.browser(&folder.path().join("profile"), 800, false).await;

    open(&client, &here, "/").await;
    says(&client, "closed: 1006").await; // Refused: there is no login yet.
    submit(&client, "#login").await;
    says(&client, "echo: hello").await;
    assert!(!text(&client, "#log").await.contains("closed"));

    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    open(&client, &there, "/").await;
    says(&client, "echo: hello").await;
    submit(&client, "#logout").await;
    client.switch_to_window(first).await.unwrap();
    says(&client, "closed: 1008 logged out").await;
    client.close().await.unwrap();
}
