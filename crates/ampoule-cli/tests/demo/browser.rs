//! The main scenario in a real browser: a login survives a restart of the server, and after the logout a copied cookie
//! is invalid.

use crate::support::browser::{Driver, assert_usable, fill, open, picture, submit, text};
use crate::support::{Served, development_ini};
use fantoccini::{Client, Locator};

#[tokio::test]
async fn log_in_restart_the_server_come_back_and_log_out() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser(&folder.path().join("profile"), 1000, false).await;

    open(&client, &served, "/inspector").await;
    assert!(text(&client, "main").await.contains("You have no session yet"));
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
    assert_eq!(text(&client, "h1").await, "Sessions that lose nothing.");
    assert!(text(&client, ".flash.notice").await.starts_with("You are logged out"));
    client.delete_cookie("ampoule_demo").await.unwrap();
    let copied = format!("document.cookie = 'ampoule_demo={}; path=/'", cookie.value());
    client.execute(&copied, Vec::new()).await.unwrap();
    assert_eq!(client.get_named_cookie("ampoule_demo").await.unwrap().value(), cookie.value());
    open(&client, &served, "/private").await;
    assert_eq!(text(&client, "h1").await, "Not for you, yet.", "the copied cookie of before the logout is dead");
    // As for a request that is slower than the logout: its save is refused, and it gets no cookie.
    open(&client, &served, "/").await;
    let told = text(&client, "body").await;
    assert!(told.contains("Your session ended") && !told.contains("Ada"), "{told}");
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

/// Every page on a phone, light and dark, in three languages: it fits and is accessible.
#[tokio::test]
async fn the_pages_can_be_read_and_used_on_a_phone() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    for dark in [false, true] {
        let client = driver.browser(&folder.path().join(format!("profile-{dark}")), 375, dark).await;
        open(&client, &served, "/").await;
        submit(&client, "#run button").await;
        for (language, direction) in [("en", "ltr"), ("de", "ltr"), ("ar", "rtl")] {
            open(&client, &served, "/thief").await;
            submit(&client, "#try button").await;
            submit(&client, &format!("#languages button[value={language}]")).await;
            let html = client.find(Locator::Css("html")).await.unwrap();
            assert_eq!(html.attr("dir").await.unwrap().as_deref(), Some(direction));
            let name = |page: &str| format!("phone-{}-{language}-{page}", if dark { "dark" } else { "light" });
            let look = async |page: &str| {
                assert_usable(&client, &name(page)).await;
                picture(&client, &name(page)).await;
            };
            look("thief").await;
            for (path, page) in [
                ("/", "home"),
                ("/outage", "outage"),
                ("/notes", "notes"),
                ("/inspector", "inspector"),
                ("/private", "403"),
                ("/nowhere", "404"),
                ("/login", "405"),
            ] {
                open(&client, &served, path).await;
                look(page).await;
            }
            open(&client, &served, "/").await;
            fill(&client, "#name", "Ada").await;
            submit(&client, "#login button").await;
            look("logged-in").await;
            for policy in ["error", "anonymous"] {
                open(&client, &served, "/outage").await;
                submit(&client, &format!("#begin button[value={policy}]")).await;
                look(&format!("outage-{policy}")).await;
                open(&client, &served, "/").await;
                look(&format!("home-{policy}")).await;
                client.delete_cookie("ampoule_demo_outage").await.unwrap();
            }
            open(&client, &served, "/").await;
            submit(&client, "#logout button").await;
        }
        client.close().await.unwrap();
    }
}

/// In forced colours, kept changes differ from lost ones, and the current page from others.
#[tokio::test]
async fn the_pages_can_be_read_in_forced_colours() {
    let Some(driver) = Driver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.ini"), development_ini()).unwrap();
    let served = Served::start(folder.path());
    let client = driver.browser_with(&folder.path().join("profile"), 375, &["--force-high-contrast"]).await;
    open(&client, &served, "/").await;
    submit(&client, "#run button").await;
    let looks = "const style = selector => getComputedStyle(document.querySelector(selector));
        return [matchMedia('(forced-colors: active)').matches,
            style('#overwritten circle.kept').fill !== style('#overwritten circle:not(.kept)').fill,
            style('nav [aria-current]').borderBottomColor !== style('nav a:not([aria-current])').borderBottomColor]";
    assert_eq!(client.execute(looks, Vec::new()).await.unwrap(), serde_json::json!([true, true, true]));
    for path in ["/", "/thief", "/inspector"] {
        open(&client, &served, path).await;
        assert_usable(&client, path).await;
        picture(&client, &format!("forced{}", path.replace('/', "-"))).await;
    }
    client.close().await.unwrap();
}
