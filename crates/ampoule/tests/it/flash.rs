//! Flash: what is pushed waits, and is shown once.

use std::collections::BTreeMap;

use crate::support::{Client, Place, Site};
use ampoule::{Error, ErrorKind, Flash, Session};
use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::{get, post};

on_each_place! {
    messages_survive_a_redirect_and_are_shown_once;
    popping_none_writes_nothing;
}
on_each_store! { each_message_goes_to_one_of_two_tabs; }

fn site(place: Place) -> Site {
    let mut site = Site::new(place);
    site.app = crate::support::site::routes().merge(routes()).layer(site.layer.clone());
    site
}

async fn pop(client: &mut Client) -> String {
    client.get("/pop").await.text
}

async fn messages_survive_a_redirect_and_are_shown_once(place: Place) {
    let site = site(place);
    let mut client = site.client();
    let answer = client.post("/push/success/saved").await;
    assert_eq!(answer.status, 303);
    client.post("/push/warning/full").await;
    assert_eq!(client.get("/peek").await.text, "success: saved; warning: full");
    assert_eq!(pop(&mut client).await, "success: saved; warning: full");
    assert_eq!(pop(&mut client).await, "");
}

async fn popping_none_writes_nothing(place: Place) {
    let site = site(place);
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
async fn each_message_goes_to_one_of_two_tabs(place: Place) {
    let site = site(place);
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
async fn several_flashes_do_not_meet() {
    let site = site(Place::Memory);
    let mut client = site.client();
    client.post("/toast/danger").await;
    client.post("/push/error/plain").await;
    assert_eq!(pop(&mut client).await, "error: plain");
    assert_eq!(client.get("/toasts").await.text, "danger: toast");
}

#[tokio::test]
async fn an_unknown_category_is_an_error_that_lists_the_known() {
    let site = site(Place::Memory);
    let mut client = site.client();
    let said = client.post("/push-error/sucess").await.text;
    assert_eq!(said, "unknown category `sucess` of flash messages; expected one of warning, notice, error, success");
    assert_eq!(pop(&mut client).await, "");
}

#[tokio::test]
async fn the_same_text_may_be_kept_once() {
    let site = site(Place::Memory);
    let mut client = site.client();
    for category in ["notice", "error", "notice", "warning"] {
        client.post(&format!("/push-once/{category}")).await;
    }
    client.post("/push/notice/other").await;
    assert_eq!(pop(&mut client).await, "warning: once; notice: other");
}

#[tokio::test]
async fn data_come_along_and_the_oldest_go_when_too_many_wait() {
    let site = site(Place::Memory);
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

/// What a failed pop did not show still waits, also when the same request saves later.
#[tokio::test]
async fn a_pop_that_fails_loses_no_message() {
    let site = site(Place::Memory);
    let mut client = site.client();
    client.post("/push/notice/kept").await;
    let refuse = site.spy.clone();
    let app = Router::new().route(
        "/",
        get(move |session: Session, flash: Flash| async move {
            session.insert("other", "value")?;
            session.len().await?;
            refuse.set_mood(crate::support::stores::Mood::Refuses);
            let failed = flash.pop_messages().await.unwrap_err();
            refuse.set_mood(crate::support::stores::Mood::Works);
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
