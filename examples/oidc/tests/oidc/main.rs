//! The login by OpenID Connect, with the test's own provider: in a simulated browser that applies `SameSite`, and in
//! Chromium.

#[allow(dead_code, reason = "a part of it is for the pages of the demo")]
#[path = "../../../../crates/ampoule-cli/tests/support/browser.rs"]
mod driver;
mod provider;

use std::collections::BTreeMap;
use std::sync::Arc;

use ampoule::{MemoryStore, Secret};
use ampoule_oidc_example::{Provider, site};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use openidconnect::reqwest;
use tower::ServiceExt;

use self::driver::{Driver, open, text};
use self::provider::{CLIENT, Fault, OpenIdProvider};

/// A site and its address.
struct Served {
    base: String,
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

async fn shop(provider: &OpenIdProvider, origin: &str) -> Router {
    let callback = format!("{origin}/callback");
    let known = Provider::discover(http(), &provider.issuer, CLIENT, &callback).await.unwrap();
    site(known, Arc::new(MemoryStore::default()), &Secret::new(Secret::generate()).unwrap()).unwrap()
}

/// A client with a browser's cookie rules.
#[derive(Clone)]
struct Browser {
    app: Router,
    /// The cookies by name: the value, and whether it is sent with a POST from another site.
    cookies: BTreeMap<String, (String, bool)>,
}

struct Answer {
    status: StatusCode,
    location: String,
    text: String,
}

impl Browser {
    fn new(app: &Router) -> Browser {
        Browser { app: app.clone(), cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: &str, path: &str, is_cross_site: bool, form: String) -> Answer {
        let sent = self.cookies.iter().filter(|(_, (_, is_none))| *is_none || !is_cross_site || method == "GET");
        let cookies: Vec<String> = sent.map(|(name, (value, _))| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookies.join("; "));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = self.app.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
        for set in response.headers().get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            assert!(set.contains("; Secure") && set.contains("; HttpOnly") && name.starts_with("__Host-"), "{set}");
            match set.contains("Max-Age=0;") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.into(), (value.into(), set.contains("SameSite=None")))),
            }
        }
        let (parts, body) = response.into_parts();
        let location = parts.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap()).to_owned();
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, location, text }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, false, String::new()).await
    }

    /// Goes to the provider, and returns the form that its page sends.
    async fn ask_provider(&mut self, login: &str) -> String {
        let asked = self.get(login).await;
        assert_eq!(asked.status, StatusCode::SEE_OTHER);
        let page = http().get(asked.location).send().await.unwrap().text().await.unwrap();
        let fields = page.split("<input type=hidden name=").skip(1).map(|field| {
            let (name, rest) = field.split_once(" value=\"").unwrap();
            format!("{name}={}", rest.split('"').next().unwrap())
        });
        fields.collect::<Vec<_>>().join("&")
    }

    async fn answer(&mut self, form: &str) -> Answer {
        self.send("POST", "/callback", true, form.to_owned()).await
    }

    async fn who(&mut self) -> String {
        self.get("/").await.text
    }
}

const ORIGIN: &str = "https://shop.test";

#[tokio::test]
async fn a_visitor_logs_in_by_form_post_and_keeps_the_cart() {
    let provider = OpenIdProvider::start().await;
    let mut browser = Browser::new(&shop(&provider, ORIGIN).await);
    browser.get("/cart/tea").await;
    let before = browser.cookies.clone();
    let form = browser.ask_provider("/login?next=%2F%3Forders").await;
    let answered = browser.answer(&form).await;
    assert_eq!((answered.status, &*answered.location), (StatusCode::SEE_OTHER, "/login/done"), "{}", answered.text);
    assert_eq!(browser.who().await, "Hello, stranger. Cart: tea.", "the POST had no session, and took none away");
    let done = browser.get("/login/done").await;
    assert_eq!((done.status, &*done.location), (StatusCode::SEE_OTHER, "/?orders"));
    assert_eq!(browser.who().await, "Hello, ada. Cart: tea.");
    let mut planted = Browser { cookies: before, ..browser.clone() };
    assert!(!planted.who().await.contains("ada"), "a cookie from before the login opens nothing");
}

#[tokio::test]
async fn an_answer_works_once_and_only_in_its_own_browser() {
    let provider = OpenIdProvider::start().await;
    let app = shop(&provider, ORIGIN).await;
    let (mut ada, mut eve) = (Browser::new(&app), Browser::new(&app));
    // Eve makes ada's browser send eve's answer (login CSRF), with and without a login of ada's under way.
    let of_eve = eve.ask_provider("/login").await;
    for _ in 0..2 {
        assert_eq!(ada.answer(&of_eve).await.status, StatusCode::FORBIDDEN);
        ada.ask_provider("/login").await;
    }
    let (first, second) = (ada.ask_provider("/login").await, ada.ask_provider("/login").await);
    assert_eq!(ada.answer(&first).await.location, "/login/done", "two tabs do not disturb each other");
    let again = ada.answer(&first).await;
    assert!(again.status == StatusCode::FORBIDDEN && again.text.contains("has been used"), "{}", again.text);
    assert_eq!(ada.get("/login/done").await.status, StatusCode::SEE_OTHER);
    assert_eq!(ada.get("/login/done").await.status, StatusCode::FORBIDDEN, "once");
    assert_eq!(ada.who().await, "Hello, ada. Cart: .");
    assert_eq!(ada.answer(&second).await.location, "/login/done");
    for state in ["", "identity", &"x".repeat(5_000)] {
        assert_eq!(ada.answer(&format!("state={state}&code=x")).await.status, StatusCode::FORBIDDEN, "{state}");
    }
    let (one, two) = (ada.ask_provider("/login").await, eve.ask_provider("/login").await);
    let (state, code) = (one.split('&').next().unwrap(), two.split('&').nth(1).unwrap());
    let mixed = ada.answer(&format!("{state}&{code}")).await;
    assert!(mixed.text.contains("does not verify"), "a code of another login has another verifier: {}", mixed.text);
}

#[tokio::test]
async fn an_invalid_answer_is_not_a_login() {
    let provider = OpenIdProvider::start().await;
    let app = shop(&provider, ORIGIN).await;
    for (fault, expected) in [
        (Fault::Denies, "did not log you in"),
        (Fault::Nonce, "does not verify"),
        (Fault::Audience, "does not verify"),
        (Fault::Issuer, "does not verify"),
        (Fault::Key, "does not verify"),
        (Fault::Expired, "does not verify"),
        (Fault::AccessToken, "does not verify"),
    ] {
        *provider.fault.lock().unwrap() = fault;
        let mut browser = Browser::new(&app);
        let form = browser.ask_provider("/login").await;
        let refused = browser.answer(&form).await;
        assert!(
            refused.status == StatusCode::FORBIDDEN && refused.text.contains(expected),
            "{fault:?}: {}",
            refused.text
        );
        assert_eq!(browser.get("/login/done").await.status, StatusCode::FORBIDDEN, "{fault:?}");
        assert_eq!(browser.who().await, "Hello, stranger. Cart: .", "{fault:?}");
    }
}

/// Two sites for the browser: `localhost` and `127.0.0.1`.
#[tokio::test]
async fn chromium_logs_in_although_it_withholds_the_lax_cookie() {
    let Some(driver) = Driver::start() else { return };
    let provider = OpenIdProvider::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = Served { base: format!("http://localhost:{}", listener.local_addr().unwrap().port()) };
    let app = shop(&provider, &served.base).await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let profile = tempfile::tempdir().unwrap();
    let client = driver.browser(profile.path(), 800, false).await;
    open(&client, &served, "/cart/tea").await;
    assert_eq!(text(&client, "body").await, "Hello, stranger. Cart: tea.");
    open(&client, &served, "/login").await;
    let mut said = String::new();
    for _ in 0..100 {
        // Between two pages there is no body.
        said = client.source().await.unwrap_or_default();
        if said.contains("Hello, ada. Cart: tea.") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(said.contains("Hello, ada. Cart: tea."), "{said}");
    client.close().await.unwrap();
}
