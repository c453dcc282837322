//! The user of a request, and the changes that end a login.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::stores::StoreBehaviour;
use crate::support::{BackendKind, Client, SECRET, Site};
use ampoule::{
    Error, ErrorKind, Event, EventHook, EventKind, Options, OutagePolicy, RequireLogin, Secret, Session, User,
    UserLayer, Users,
};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{BoxError, Router};
use http::StatusCode;

const NEW_SECRET: &str = "ANUiVxQnaEz6x9-5YJj2fwT7dTKUWXAsbWjhLBNIyt4";

#[derive(Clone, Debug)]
struct Account {
    name: String,
    hash: String,
    is_admin: bool,
}

/// A table of users.
#[derive(Clone, Default)]
struct Accounts(Arc<Table>);

#[derive(Default)]
struct Table {
    rows: Mutex<HashMap<String, Account>>,
    loads: AtomicUsize,
}

impl Accounts {
    fn of(&self, name: &str) -> Option<Account> {
        self.0.rows.lock().unwrap().get(name).cloned()
    }

    fn set(&self, name: &str, hash: &str) -> Account {
        let account = Account { name: name.into(), hash: hash.into(), is_admin: name == "admin" };
        self.0.rows.lock().unwrap().insert(name.into(), account.clone());
        account
    }

    /// The number of loads since the last call.
    fn loads(&self) -> usize {
        self.0.loads.swap(0, Ordering::SeqCst)
    }
}

impl Users for Accounts {
    type User = Account;

    fn principal(&self, account: &Account) -> String {
        account.name.clone()
    }

    async fn load(&self, principal: &str) -> Result<Option<Account>, BoxError> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        match principal {
            "outage" => Err("the database is away".into()),
            "conflict" => Err(Error::new(ErrorKind::Conflict, "try again").into()),
            name => Ok(self.of(name)),
        }
    }

    fn auth_hash(&self, account: &Account) -> impl AsRef<[u8]> {
        account.hash.clone()
    }
}

async fn log_in(session: Session, State(accounts): State<Accounts>, Path(name): Path<String>) -> Result<String, Error> {
    let account = accounts.of(&name).unwrap_or(Account { name, hash: String::new(), is_admin: false });
    session.login_user(&accounts, &account).await?;
    session.save().await?;
    Ok(account.name)
}

async fn change_password(
    user: User<Account>,
    session: Session,
    State(accounts): State<Accounts>,
    Path(hash): Path<String>,
) -> Result<String, Error> {
    let changed = accounts.set(&user.name, &hash);
    Ok(session.renew_login(&accounts, &changed).await?.to_string())
}

async fn me(user: Option<User<Account>>) -> String {
    user.map_or_else(|| "no user".to_owned(), |user| user.name.clone())
}

async fn after_logout(session: Session, before: User<Account>) -> Result<String, Error> {
    session.logout().await?;
    Ok(before.name.clone())
}

fn routes(accounts: &Accounts) -> Router {
    let only_admins = |user: User<Account>| async move { Ok(user.is_admin) };
    Router::new()
        .route("/admin", get(|| async { "admin" }).route_layer(RequireLogin::new("/login").permit(only_admins)))
        .route("/protected", get(|| async { "protected" }))
        .route("/twice", get(|one: User<Account>, two: User<Account>| async move { one.name.clone() + &two.name }))
        .route_layer(RequireLogin::new("/login"))
        .route("/in/{name}", post(log_in))
        .route("/password/{hash}", post(change_password))
        .route("/me", get(me))
        .route("/user", get(|user: User<Account>| async move { user.name.clone() }))
        .route("/out", post(after_logout))
        .route("/other", get(|_: User<u32>| async { "a user of another type" }))
        .layer(UserLayer::new(accounts.clone()))
        .with_state(accounts.clone())
}

fn dress(mut site: Site, accounts: &Accounts) -> Site {
    site.app = crate::support::site::routes().merge(routes(accounts)).layer(site.layer.clone());
    site
}

fn site_on(backend: BackendKind) -> (Site, Accounts) {
    let accounts = Accounts::default();
    for name in ["ada", "eve", "admin", "outage", "conflict"] {
        accounts.set(name, "first");
    }
    (dress(Site::new(backend), &accounts), accounts)
}

async fn logged_in(site: &Site, name: &str) -> Client {
    let mut client = site.client();
    assert_eq!(client.post(&format!("/in/{name}")).await.text, name);
    client
}

async fn name(client: &mut Client) -> String {
    client.get("/me").await.text
}

#[tokio::test]
async fn an_outage_is_not_a_missing_user() {
    let (site, accounts) = site_on(BackendKind::Memory);
    let site = dress(site.beside(|options| options.on_outage = OutagePolicy::Anonymous), &accounts);
    let mut ada = logged_in(&site, "ada").await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(ada.get("/user").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ada.get("/protected").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(name(&mut ada).await, "no user", "a page that visitors may see");
    site.spy.set_behaviour(StoreBehaviour::Works);
    assert_eq!(ada.get("/user").await.text, "ada");
}

#[tokio::test]
async fn a_user_is_loaded_once_per_request_and_only_if_needed() {
    let (site, accounts) = site_on(BackendKind::Memory);
    let mut ada = logged_in(&site, "ada").await;
    assert_eq!(accounts.loads(), 0, "a login has its user");
    assert_eq!((ada.get("/twice").await.text.as_str(), accounts.loads()), ("adaada", 1));
    site.spy.calls();
    assert_eq!((ada.get("/").await.text.as_str(), accounts.loads(), site.spy.calls()), ("untouched", 0, [0; 4]));
    let mut visitor = site.client();
    assert_eq!((name(&mut visitor).await.as_str(), accounts.loads()), ("no user", 0));
    assert_eq!(visitor.get("/user").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ada.post("/out").await.text, "ada");
    assert_eq!(name(&mut ada).await, "no user");
}

async fn a_changed_hash_ends_each_login_at_its_next_load(backend: BackendKind) {
    let (site, accounts) = site_on(backend);
    let (mut one, mut two, mut eve) =
        (logged_in(&site, "ada").await, logged_in(&site, "ada").await, logged_in(&site, "eve").await);
    for client in [&mut one, &mut two, &mut eve] {
        client.post("/set/cart/full").await;
        assert_eq!(client.get("/protected").await.text, "protected");
    }
    accounts.set("ada", "second");
    // Neither asks for the user itself: one by its extractor, one by the protected route.
    assert_eq!(name(&mut one).await, "no user");
    assert_eq!(two.get("/protected").await.status, StatusCode::FORBIDDEN);
    assert_eq!(name(&mut eve).await, "eve");
    for client in [&mut one, &mut two] {
        assert_eq!(client.get("/user").await.status, StatusCode::FORBIDDEN);
    }
    accounts.set("ada", "first");
    if backend != BackendKind::Cookie {
        assert_eq!(name(&mut one).await, "no user", "what has ended does not come back");
        assert_eq!(one.value("cart").await, "none");
    }
    assert_eq!(one.post("/in/ada").await.text, "ada");
    assert_eq!(name(&mut one).await, "ada");
}

async fn a_password_change_keeps_only_its_own_session(backend: BackendKind) {
    let (site, _) = site_on(backend);
    let (mut own, mut other, mut eve) =
        (logged_in(&site, "ada").await, logged_in(&site, "ada").await, logged_in(&site, "eve").await);
    for client in [&mut own, &mut other] {
        assert_eq!(client.get("/me").await.text, "ada");
        client.post("/set/cart/full").await;
    }
    let before = own.clone();
    let ended = own.post("/password/second").await;
    // Its own session from before the login, and the other.
    assert_eq!((ended.status, &*ended.text), (StatusCode::OK, if backend == BackendKind::Cookie { "0" } else { "2" }));
    assert_eq!((name(&mut own).await, own.value("cart").await), ("ada".into(), "full".into()));
    assert_ne!(own.jar, before.jar, "its client has a new token");
    assert_eq!(name(&mut other).await, "no user");
    let late = before.ask("GET", "/me", before.cookie_header()).await;
    assert_eq!((&*late.text, late.set_cookies()), ("no user", vec![]), "a late answer leaves the new cookie");
    assert_eq!((name(&mut own).await, name(&mut eve).await), ("ada".into(), "eve".into()));
}

on_backends! {
    a_changed_hash_ends_each_login_at_its_next_load on Memory File Sealed Redis Cookie;
    a_password_change_keeps_only_its_own_session on Memory File Sealed Redis Cookie;
}

#[tokio::test]
async fn an_unconfirmed_login_survives_a_late_request_of_the_previous_session() {
    let (site, accounts) = site_on(BackendKind::Memory);
    let mut ada = logged_in(&site, "ada").await;
    assert_eq!(name(&mut ada).await, "ada");
    let old = ada.clone();
    accounts.set("ada", "second");
    ada.post("/in/ada").await;
    let late = old.ask("GET", "/me", old.cookie_header()).await;
    assert_eq!((&*late.text, late.set_cookies()), ("no user", vec![]));
    assert_eq!(name(&mut ada).await, "ada");
}

#[tokio::test]
async fn the_store_does_not_contain_the_hash() {
    let (site, accounts) = site_on(BackendKind::Memory);
    accounts.set("ada", "a-hash-that-stands-for-itself");
    let mut ada = logged_in(&site, "ada").await;
    assert_eq!(name(&mut ada).await, "ada");
    let mut eve = logged_in(&site, "eve").await;
    accounts.set("eve", "a-hash-that-stands-for-itself");
    assert_eq!(name(&mut eve).await, "no user");
    let written = site.spy.written.lock().unwrap();
    let holds = |value: &[u8]| value.windows(6).any(|part| part == b"a-hash");
    assert!(written.len() > 1 && !written.iter().any(|(_, entry)| holds(&entry.value)));
}

#[tokio::test]
async fn secrets_rotate_without_ending_logins() {
    let (site, accounts) = site_on(BackendKind::Memory);
    let mut client = logged_in(&site, "ada").await;
    assert_eq!(name(&mut client).await, "ada");
    let secrets = |texts: &'static [&'static str]| {
        move |options: &mut Options| options.secrets = texts.iter().map(|text| Secret::new(*text).unwrap()).collect()
    };
    let both = dress(site.beside(secrets(&[NEW_SECRET, SECRET])), &accounts);
    let new = dress(site.beside(secrets(&[NEW_SECRET])), &accounts);
    client.app = both.app.clone();
    assert_eq!(name(&mut client).await, "ada");
    client.app = new.app.clone();
    assert_eq!(name(&mut client).await, "ada", "the digest was made again, as the token was signed again");
    accounts.set("ada", "second");
    assert_eq!(name(&mut client).await, "no user");
}

#[tokio::test]
async fn a_login_without_its_user_is_undone_but_a_step_up_is_not() {
    let (site, _) = site_on(BackendKind::Memory);
    let mut bare = site.client();
    bare.post("/login/ada").await;
    assert_eq!(name(&mut bare).await, "no user");
    let mut ada = logged_in(&site, "ada").await;
    ada.post("/login/ada").await;
    assert_eq!(name(&mut ada).await, "ada", "the hash goes along");
    ada.post("/login/eve").await;
    assert_eq!(name(&mut ada).await, "no user", "ada's hash is not eve's");
    let mut cleared = logged_in(&site, "ada").await;
    cleared.post("/clear").await;
    assert_eq!(name(&mut cleared).await, "ada", "the hash is no value of the session");
}

#[tokio::test]
async fn a_deleted_user_ends_the_session_but_an_outage_does_not() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let hook = EventHook::new(move |event: &Event<'_>| {
        count.fetch_add(usize::from(event.kind == EventKind::Destroyed), Ordering::SeqCst);
    });
    let (_, accounts) = site_on(BackendKind::Memory);
    let site = dress(Site::with(BackendKind::Memory, |options| options.on_event = Some(hook)), &accounts);
    let mut outage = logged_in(&site, "outage").await;
    for path in ["/me", "/user", "/protected"] {
        assert_eq!(outage.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    let mut conflict = logged_in(&site, "conflict").await;
    assert_eq!(conflict.get("/me").await.status, StatusCode::CONFLICT, "an error of ours stays as it is");
    assert_eq!((ended.load(Ordering::SeqCst), outage.get("/principal").await.text.as_str()), (0, "outage 0"));
    let mut ada = logged_in(&site, "ada").await;
    accounts.0.rows.lock().unwrap().remove("ada");
    assert_eq!(name(&mut ada).await, "no user");
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    site.clock.advance(Duration::from_secs(10));
    assert_eq!(ada.get("/principal").await.text, "none never");
}

#[tokio::test]
async fn permissions_are_those_of_the_user() {
    let (site, accounts) = site_on(BackendKind::Memory);
    let (mut ada, mut admin) = (logged_in(&site, "ada").await, logged_in(&site, "admin").await);
    accounts.loads();
    assert_eq!((ada.get("/admin").await.status, accounts.loads()), (StatusCode::FORBIDDEN, 1));
    assert_eq!((admin.get("/admin").await.text.as_str(), accounts.loads()), ("admin", 1));
}

#[tokio::test]
async fn the_error_names_the_missing_layer() {
    let (mut site, accounts) = site_on(BackendKind::Memory);
    let mut ada = logged_in(&site, "ada").await;
    let other = ada.get("/other").await;
    assert!(other.status == StatusCode::INTERNAL_SERVER_ERROR && other.text.contains("UserLayer"), "{other:?}");
    site.app = Router::new().route("/user", get(|_: User<Account>| async { "x" })).layer(site.layer.clone());
    assert!(site.client().get("/user").await.text.contains("UserLayer"));
    site.app = routes(&accounts);
    assert!(site.client().get("/user").await.text.contains("SessionLayer"));
}
