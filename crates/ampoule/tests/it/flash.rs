//! Flash messages: each is kept until it is shown, once.

use std::collections::BTreeMap;

use crate::support::{BackendKind, Client, Site};
use ampoule::{Error, ErrorKind, Flash, Session};
use axum::body::Body;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Router};
use http::{Request, StatusCode};
use tower::ServiceExt;

on_each_place! {
    messages_survive_a_redirect_and_are_shown_once;
    popping_no_messages_writes_nothing;
}
on_backends! {
    old_input_is_shown_once_and_without_secrets on Memory Cookie;
    old_input_is_bounded on Memory Cookie;
}
on_each_store! { each_message_goes_to_one_of_two_tabs; }

fn site(backend: BackendKind) -> Site {
    let mut site = Site::new(backend);
    site.app = crate::support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

async fn pop(client: &mut Client) -> String {
    client.get("/pop").await.text
}

async fn messages_survive_a_redirect_and_are_shown_once(backend: BackendKind) {
    let site = site(backend);
    let mut client = site.client();
    let answer = client.post("/push/success/saved").await;
    assert_eq!(answer.status, 303);
    client.post("/push/warning/full").await;
    assert_eq!(client.get("/peek").await.text, "success: saved; warning: full");
    assert_eq!(pop(&mut client).await, "success: saved; warning: full");
    assert_eq!(pop(&mut client).await, "");
}

async fn popping_no_messages_writes_nothing(backend: BackendKind) {
    let site = site(backend);
    let mut stranger = site.client();
    let answer = stranger.get("/pop").await;
    assert!(answer.text.is_empty() && answer.set_cookies().is_empty());
    stranger.post("/set/a/1").await;
    site.spy.calls();
    let answer = stranger.get("/pop").await;
    assert!(answer.text.is_empty() && answer.set_cookies().is_empty());
    assert_eq!(site.spy.calls()[1..], [0; 3]);
}

/// A thousand messages, popped by two tabs as fast as they can: each is shown once.
async fn each_message_goes_to_one_of_two_tabs(backend: BackendKind) {
    let site = site(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..100 {
        for message in 0..10 {
            client.post(&format!("/push/notice/{round}-{message}")).await;
        }
        let (mut one, mut two) = (client.clone(), client.clone());
        let (one, two) = tokio::join!(
            tokio::spawn(async move { pop(&mut one).await }),
            tokio::spawn(async move { pop(&mut two).await })
        );
        for text in
            [one.unwrap(), two.unwrap()].iter().flat_map(|text| text.split("; ")).filter(|text| !text.is_empty())
        {
            *shown.entry(text.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(shown.len(), 1_000);
    assert!(shown.values().all(|times| *times == 1), "shown twice");
}

#[tokio::test]
async fn flash_queues_are_separate() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/toast/danger").await;
    client.post("/push/error/plain").await;
    assert_eq!(pop(&mut client).await, "error: plain");
    assert_eq!(client.get("/toasts").await.text, "danger: toast");
}

#[tokio::test]
async fn an_unknown_category_is_an_error_that_lists_the_known() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    let said = client.post("/push-error/sucess").await.text;
    assert_eq!(said, "unknown category `sucess` of flash messages; expected one of warning, notice, error, success");
    assert_eq!(pop(&mut client).await, "");
}

#[tokio::test]
async fn the_same_text_may_be_kept_once() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    for category in ["notice", "error", "notice", "warning"] {
        client.post(&format!("/push-once/{category}")).await;
    }
    client.post("/push/notice/other").await;
    assert_eq!(pop(&mut client).await, "warning: once; notice: other");
}

#[tokio::test]
async fn messages_carry_data_and_the_oldest_are_dropped_above_the_limit() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/undo").await;
    assert_eq!(
        client.get("/undone").await.text,
        r#"[{"category":"success","text":"deleted","data":{"undo":"/notes/7"}}]"#
    );
    for number in 0..60 {
        client.post(&format!("/push/notice/{number}")).await;
    }
    let shown = pop(&mut client).await;
    assert!(shown.starts_with("notice: 10; ") && shown.ends_with("; notice: 59"), "{shown}");
}

/// Messages that a failed pop did not return are kept, also if the same request saves later.
#[tokio::test]
async fn a_pop_that_fails_loses_no_message() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/push/notice/kept").await;
    let refuse = site.spy.clone();
    let app = Router::new().route(
        "/",
        get(move |session: Session, flash: Flash| async move {
            session.insert("other", "value")?;
            session.len().await?;
            refuse.set_behaviour(crate::support::stores::StoreBehaviour::Refuses);
            let failed = flash.pop_messages().await.unwrap_err();
            refuse.set_behaviour(crate::support::stores::StoreBehaviour::Works);
            session.save().await?;
            Ok::<_, Error>(failed.kind().name())
        }),
    );
    let mut other = client.clone();
    other.app = app.layer(site.layer.clone());
    assert_eq!(other.get("/").await.text, ErrorKind::Unavailable.name());
    assert_eq!(client.value("other").await, "value");
    assert_eq!(pop(&mut client).await, "notice: kept");
}

async fn lines(flash: Flash, pop: bool) -> Result<String, Error> {
    let messages = if pop { flash.pop_messages().await? } else { flash.peek_messages().await? };
    let lines: Vec<_> = messages.iter().map(|message| format!("{}: {}", message.category, message.text)).collect();
    Ok(lines.join("; "))
}

fn toasts(session: &Session) -> Flash {
    Flash::of(session).with_key("toasts").with_categories(&["info", "danger"], "info")
}

fn routes() -> Router {
    Router::new()
        .route("/pop", get(|flash: Flash| lines(flash, true)))
        .route("/peek", get(|flash: Flash| lines(flash, false)))
        .route("/push/{category}/{text}", post(push))
        .route("/push-error/{category}", post(push_error))
        .route("/push-once/{category}", post(push_once))
        .route("/toast/{category}", post(toast))
        .route("/toasts", get(|session: Session| async move { lines(toasts(&session), true).await }))
        .route("/undo", post(undo))
        .route("/undone", get(undone))
}

async fn push(
    session: Session,
    flash: Flash,
    Path((category, text)): Path<(String, String)>,
) -> Result<Redirect, Error> {
    flash.push(&category, text)?;
    session.save().await?;
    Ok(Redirect::to("/pop"))
}

async fn push_error(flash: Flash, Path(category): Path<String>) -> String {
    flash.push(&category, "text").unwrap_err().to_string()
}

async fn push_once(session: Session, flash: Flash, Path(category): Path<String>) -> Result<(), Error> {
    flash.push_once(&category, "once")?;
    session.save().await
}

async fn toast(session: Session, Path(category): Path<String>) -> Result<(), Error> {
    toasts(&session).push(&category, "toast")?;
    session.save().await
}

async fn undo(session: Session, flash: Flash) -> Result<(), Error> {
    flash.push_with("success", "deleted", serde_json::json!({ "undo": "/notes/7" }))?;
    session.save().await
}

async fn undone(flash: Flash) -> Result<String, Error> {
    Ok(serde_json::to_string(&flash.pop_messages().await?).unwrap())
}

type Pairs = Vec<(String, String)>;

async fn reject(
    session: Session,
    flash: Flash,
    Path(form): Path<String>,
    Form(input): Form<Pairs>,
) -> Result<Redirect, Error> {
    flash.keep_input_without(&["hint"], &form, &input)?;
    session.save().await?;
    Ok(Redirect::to("/form"))
}

async fn show(flash: Flash, Path(form): Path<String>) -> Result<String, Error> {
    let old = flash.old_input(&form).await?;
    Ok(old.iter().map(|(name, value)| format!("{name}={value};")).collect())
}

fn forms(backend: BackendKind) -> Site {
    let mut site = Site::new(backend);
    let routes = Router::new().route("/form/{form}", get(show).post(reject));
    site.app = crate::support::site::routes().merge(routes).layer(site.layer.clone());
    site
}

async fn submit(client: &mut Client, form: &str, body: String) -> StatusCode {
    let request = Request::post(format!("/form/{form}"))
        .header("cookie", client.cookie_header())
        .header("content-type", "application/x-www-form-urlencoded");
    let response = client.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let answer = crate::support::answer(response).await;
    client.keep(&answer);
    answer.status
}

async fn old_input_is_shown_once_and_without_secrets(backend: BackendKind) {
    let site = forms(backend);
    let mut client = site.client();
    assert_eq!(client.get("/form/signup").await.text, "");
    assert!(client.jar.is_empty(), "an empty form makes no session");
    let secret = "Password=p1&password_confirmation=p2&card-number=p3&_authentication_token=p4&HINT=p5";
    let typed = format!("name=Ada+L.&topic=looms&{secret}&topic=%3Cb%3E");
    assert_eq!(submit(&mut client, "signup", typed).await, 303);
    submit(&mut client, "search", "q=looms".into()).await;
    let old = client.clone();
    assert_eq!(client.get("/form/signup").await.text, "name=Ada L.;topic=looms;topic=<b>;");
    assert_eq!(client.get("/form/signup").await.text, "", "once");
    assert_eq!(client.get("/form/search").await.text, "q=looms;", "each form has its own");
    if backend != BackendKind::Cookie {
        assert_eq!(old.ask("GET", "/form/signup", old.cookie_header()).await.text, "");
        let holds = |value: &[u8]| value.windows(2).any(|part| part[0] == b'p' && part[1].is_ascii_digit());
        assert!(!site.spy.written.lock().unwrap().iter().any(|(_, entry)| holds(&entry.value)), "stored nowhere");
    }
    submit(&mut client, "signup", "name=Ada".into()).await;
    submit(&mut client, "signup", "name=Eve".into()).await;
    assert_eq!(client.get("/form/signup").await.text, "name=Eve;");
}

async fn old_input_is_bounded(backend: BackendKind) {
    let site = forms(backend);
    let mut client = site.client();
    let long = "x".repeat(100_000);
    assert_eq!(submit(&mut client, "post", format!("title=Looms&text={long}&tag=a")).await, 303);
    assert_eq!(client.get("/form/post").await.text, "title=Looms;tag=a;", "a field that has no room is left out");
    let many: String = (0..3_000).map(|n| format!("f{n}=0123456789&")).collect();
    assert_eq!(submit(&mut client, "post", many).await, 303, "no error in place of the form");
    let shown = client.get("/form/post").await.text;
    let most = if backend == BackendKind::Cookie { 2_048 } else { 16_384 };
    assert!((most - 100..most * 2).contains(&shown.len()), "{}", shown.len());
}

#[tokio::test]
async fn input_may_be_a_struct() {
    #[derive(serde::Serialize)]
    struct Form {
        name: &'static str,
        age: u32,
        news: bool,
        topics: [&'static str; 2],
        middle: Option<String>,
        password: &'static str,
    }
    let session = Site::new(BackendKind::Memory).layer.begin(&http::HeaderMap::new());
    let flash = Flash::of(&session);
    let form = Form { name: "Ada", age: 36, news: true, topics: ["a", "b"], middle: None, password: "secret!" };
    flash.keep_input("f", &form).unwrap();
    let old = flash.old_input("f").await.unwrap();
    assert_eq!((old.get("name"), old.get("age"), old.get("news")), (Some("Ada"), Some("36"), Some("true")));
    assert!(old.all("topics").eq(["a", "b"]) && old.get("middle").is_none() && old.get("password").is_none());
    assert_eq!(format!("{old:?}"), "OldInput(5 fields)");
    assert_eq!(flash.keep_input(&"f".repeat(201), &form).unwrap_err().kind(), ErrorKind::Invalid);
    let unfit = std::collections::HashMap::from([([1, 2], 3)]);
    assert_eq!(flash.keep_input("f", &unfit).unwrap_err().kind(), ErrorKind::Value);
}
