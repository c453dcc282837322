//! Two cookies of one name in a real browser: of the host and of a domain, of two paths, partitioned and not. With each
//! pair the browser reaches its session again, and the obstructing cookie is expired (promise P11).

mod support;

use std::sync::Arc;

use ampoule::{CookieOptions, HostPrefix, MemoryStore, Options, Secret, Session, SessionLayer};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use fantoccini::{Client, Locator};
use support::browser::Driver;

/// The same store and secret behind several servers: a site before and after its cookie was given other attributes.
/// Browsers do not tell cookies apart by port.
struct Site {
    store: Arc<MemoryStore>,
    secret: String,
}

impl Site {
    fn new() -> Site {
        Site { store: Arc::default(), secret: Secret::generate().as_str().to_owned() }
    }

    /// Serves the site with these attributes, and returns the port.
    async fn serve(&self, change: impl FnOnce(&mut CookieOptions)) -> u16 {
        let mut options = Options { secrets: vec![Secret::new(&self.secret).unwrap()], ..Options::default() };
        options.cookie.name = "sid".into();
        options.cookie.secure = false;
        options.cookie.host_prefix = HostPrefix::Never;
        change(&mut options.cookie);
        let layer = SessionLayer::new(Arc::clone(&self.store), options).unwrap();
        let pages = Router::new()
            .route("/set/{value}", get(set))
            .route("/get", get(value))
            .route("/login/{user}", get(login))
            .route("/logout", get(logout));
        let app = Router::new().nest("/shop", pages.clone()).merge(pages).layer(layer);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, app).await });
        port
    }
}

async fn set(session: Session, Path(value): Path<String>) -> Result<String, ampoule::Error> {
    session.insert("value", &value)?;
    session.save().await?;
    Ok(value)
}

async fn value(session: Session) -> Result<String, ampoule::Error> {
    let user = session.principal().await?.unwrap_or_else(|| "none".into());
    let value = session.get::<String>("value").await?;
    Ok(format!("{} of {user}", value.as_deref().unwrap_or("nothing")))
}

async fn login(session: Session, Path(user): Path<String>) -> Result<&'static str, ampoule::Error> {
    session.login(&user).await?;
    session.save().await?;
    Ok("welcome")
}

async fn logout(session: Session) -> Result<&'static str, ampoule::Error> {
    session.logout().await?;
    Ok("goodbye")
}

async fn page(client: &Client, origin: &str, path: &str) -> String {
    client.goto(&format!("http://{origin}{path}")).await.unwrap();
    client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
}

/// The values of the site's cookies that the browser would send here.
async fn cookies(client: &Client) -> Vec<String> {
    let cookies = client.get_all_cookies().await.unwrap();
    cookies.iter().filter(|cookie| cookie.name() == "sid").map(|cookie| cookie.value().to_owned()).collect()
}

struct Case {
    name: &'static str,
    host: &'static str,
    /// The host at which the first cookie is set.
    folder: &'static str,
    before: fn(&mut CookieOptions),
    after: fn(&mut CookieOptions),
}

fn unchanged(_: &mut CookieOptions) {}

fn of_domain(cookie: &mut CookieOptions) {
    cookie.domain = Some("site.test".into());
}

fn of_shop(cookie: &mut CookieOptions) {
    cookie.path = "/shop".into();
}

fn secure(cookie: &mut CookieOptions) {
    cookie.secure = true;
}

fn partitioned(cookie: &mut CookieOptions) {
    cookie.secure = true;
    cookie.partitioned = true;
}

const CASES: [Case; 6] = [
    Case { name: "host to domain", host: "www.site.test", folder: "", before: unchanged, after: of_domain },
    Case { name: "domain to host", host: "www.site.test", folder: "", before: of_domain, after: unchanged },
    Case { name: "path to root", host: "www.site.test", folder: "/shop", before: of_shop, after: unchanged },
    Case { name: "root to path", host: "www.site.test", folder: "/shop", before: unchanged, after: of_shop },
    // Chromium takes secure cookies from localhost without TLS.
    Case { name: "to partitioned", host: "localhost", folder: "", before: secure, after: partitioned },
    Case { name: "from partitioned", host: "localhost", folder: "", before: partitioned, after: secure },
];

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_browser_with_two_cookies_keeps_its_session() {
    let Some(driver) = Driver::start() else { return };
    let profile = tempfile::tempdir().unwrap();
    let client = driver.browser(profile.path(), 800, false).await;
    for (number, Case { name, host, folder, before, after }) in CASES.into_iter().enumerate() {
        for (click, first) in ["/set/new", "/login/ada"].into_iter().enumerate() {
            // The driver deletes no cookie with a partition, so each has a host of its own.
            let host = format!("case{number}-{click}.{host}");
            let site = Site::new();
            let (old, new) = (site.serve(before).await, site.serve(after).await);
            let [old, new] = [old, new].map(|port| format!("{host}:{port}{folder}"));
            page(&client, &old, "/set/tea").await;
            assert_eq!(page(&client, &new, "/get").await, "tea of none", "{name}: the session continues");
            assert_eq!(cookies(&client).await.len(), 1, "{name}");
            page(&client, &new, first).await;
            let expected = if first == "/set/new" { "new of none" } else { "tea of ada" };
            assert_eq!(page(&client, &new, "/get").await, expected, "{name}, {first}");
            assert_eq!(page(&client, &new, "/get").await, expected, "{name}, {first}: and again");
            assert_eq!(cookies(&client).await.len(), 1, "{name}, {first}: one cookie is left");
            // A cookie of the former scope that is sent alone stays and opens nothing; the next login expires it.
            page(&client, &new, "/logout").await;
            assert_eq!(page(&client, &new, "/get").await, "nothing of none", "{name}, {first}");
            page(&client, &new, "/login/eve").await;
            assert_eq!(page(&client, &new, "/get").await, "nothing of eve", "{name}, {first}");
            assert_eq!(cookies(&client).await.len(), 1, "{name}, {first}: one cookie is left");
            client.delete_all_cookies().await.unwrap();
        }
    }
    client.close().await.unwrap();
}

/// The last case's cookie has a partition, and the driver neither deletes nor adds one.
const PLANTABLE: usize = CASES.len() - 1;

/// With another session's cookie in each other scope, both are ignored, and the next request has neither.
#[tokio::test(flavor = "multi_thread")]
async fn p11_cookies_of_two_sessions_are_expired() {
    let Some(driver) = Driver::start() else { return };
    let profile = tempfile::tempdir().unwrap();
    let client = driver.browser(profile.path(), 800, false).await;
    for (number, Case { name, host, folder, before, after }) in CASES.into_iter().enumerate().take(PLANTABLE) {
        let host = format!("case{number}.{host}");
        let site = Site::new();
        let (old, new) = (site.serve(before).await, site.serve(after).await);
        let [old, new] = [old, new].map(|port| format!("{host}:{port}{folder}"));
        page(&client, &old, "/set/mallory").await;
        let planted = client.get_all_cookies().await.unwrap().remove(0);
        client.delete_all_cookies().await.unwrap();
        page(&client, &new, "/login/ada").await;
        client.add_cookie(planted.into_owned()).await.unwrap();
        assert_eq!(cookies(&client).await.len(), 2, "{name}");
        assert_eq!(page(&client, &new, "/get").await, "nothing of none", "{name}: neither counts");
        assert_eq!(cookies(&client).await.len(), 0, "{name}: both go");
        page(&client, &new, "/login/ada").await;
        assert_eq!(page(&client, &new, "/get").await, "nothing of ada", "{name}: a login succeeds");
        client.delete_all_cookies().await.unwrap();
    }
    client.close().await.unwrap();
}
