//! The main job in a real browser: log in, restart the server, still be logged in; log out, and the copied cookie is
//! dead.

mod support;

use fantoccini::Client;
use support::browser::{Driver, fill, open, picture, submit, text};
use support::{Served, development_ini};

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
    submit(&client, "#login button").await;
    assert_eq!(text(&client, ".flash.success").await, "Welcome, Ada.");
    assert_eq!(text(&client, "h1").await, "Hello, Ada.");
    assert_eq!(text(&client, "#visits").await, "2", "the visitor's data came along");
    let cookie = client.get_named_cookie("ampoule_demo").await.unwrap();
    assert_ne!(cookie.value(), before_login, "the login has a token of its own");
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
    submit(&client, "#logout button").await;
    assert_eq!(text(&client, "h1").await, "A session, kept well.");
    assert!(text(&client, ".flash.notice").await.starts_with("You are logged out"));
    client.delete_cookie("ampoule_demo").await.unwrap();
    let copied = format!("document.cookie = 'ampoule_demo={}; path=/'", cookie.value());
    client.execute(&copied, Vec::new()).await.unwrap();
    assert_eq!(client.get_named_cookie("ampoule_demo").await.unwrap().value(), cookie.value());
    open(&client, &served, "/private").await;
    assert_eq!(text(&client, "h1").await, "Not for you, yet.", "the copied cookie of before the logout is dead");
    // As for a request that is slower than the logout: what it would save is refused, and it gets no cookie.
    open(&client, &served, "/").await;
    let told = text(&client, "body").await;
    assert!(told.contains("Your session has ended") && !told.contains("Ada"), "{told}");
    assert_eq!(client.get_named_cookie("ampoule_demo").await.unwrap().value(), cookie.value());
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
    submit(client, "#add button").await;
    client.close_window().await.unwrap();
    let other = client.windows().await.unwrap().remove(0);
    client.switch_to_window(other).await.unwrap();
    assert!(text(client, "main").await.contains("No notes yet"), "this tab was opened before");
    fill(client, "#text", "from the other <b>").await;
    submit(client, "#add button").await;
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
