//! The language of a session: chosen, negotiated, kept, and read without a trace.

use crate::support::stores::StoreBehaviour;
use crate::support::{Answer, BackendKind, Client, Site};
use ampoule::{Error, Language, Languages, Session};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use http::Request;
use tower::ServiceExt;

on_each_place! {
    a_chosen_language_overrides_accept_language;
    reading_it_writes_nothing;
}

fn site(backend: BackendKind) -> Site {
    let mut site = Site::new(backend);
    let languages = Languages::new(["en", "de", "ar"]).unwrap();
    site.app = crate::support::site::routes().merge(routes()).layer(languages).layer(site.layer.clone());
    site
}

async fn ask(client: &Client, accept: &str) -> Answer {
    let request = Request::get("/lang").header("cookie", client.cookie_header()).header("accept-language", accept);
    crate::support::answer(client.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

async fn a_chosen_language_overrides_accept_language(backend: BackendKind) {
    let site = site(backend);
    let mut client = site.client();
    assert_eq!(ask(&client, "de, en;q=0.5").await.text, "de ltr [de en] -");
    assert_eq!(client.post("/lang/ar").await.text, "ar en", "from this request on");
    assert_eq!(ask(&client, "de").await.text, "ar rtl [ar de en] ar");
    let unknown = client.post("/lang/fr").await;
    assert_eq!(unknown.text, "unknown language `fr`; expected one of en, de, ar");
    assert_eq!(ask(&client, "de").await.text, "ar rtl [ar de en] ar");
}

async fn reading_it_writes_nothing(backend: BackendKind) {
    let site = site(backend);
    let stranger = site.client();
    let answer = ask(&stranger, "de").await;
    assert!(answer.set_cookies().is_empty());
    let mut client = site.client();
    client.post("/lang/de").await;
    site.clock.advance(crate::support::HOUR * 12);
    site.spy.calls();
    let answer = ask(&client, "en").await;
    assert!(answer.text.starts_with("de") && answer.set_cookies().is_empty());
    let [gets, writes @ ..] = site.spy.calls();
    assert_eq!((gets, writes), (usize::from(backend != BackendKind::Cookie), [0; 3]), "not even the time of its use");
}

#[tokio::test]
async fn the_response_has_vary() {
    let site = site(BackendKind::Memory);
    let vary = |answer: &Answer| {
        let values = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned());
        values.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(vary(&ask(&site.client(), "de").await), "Accept-Language, Cookie");
    assert_eq!(vary(&site.client().get("/").await), "");
}

#[tokio::test]
async fn without_the_store_accept_language_is_used() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/lang/ar").await;
    site.spy.set_behaviour(StoreBehaviour::Refuses);
    assert_eq!(ask(&client, "de").await.text, "de ltr [de en] ?");
}

#[tokio::test]
async fn a_removed_language_is_ignored() {
    let site = site(BackendKind::Memory);
    let mut client = site.client();
    client.post("/set/lang/de-AT").await;
    assert_eq!(ask(&client, "ar").await.text, "de ltr [de ar en] de-AT");
    client.post("/set/lang/fr").await;
    assert_eq!(ask(&client, "ar").await.text, "ar rtl [ar en] fr");
}

#[tokio::test]
async fn a_missing_layer_is_an_error() {
    let mut site = Site::new(BackendKind::Memory);
    site.app = routes().layer(site.layer.clone());
    let answer = site.client().get("/lang").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("no Languages are around its route"), "{}", answer.text);
}

fn routes() -> Router {
    Router::new().route("/lang", get(show)).route("/lang/{tag}", post(choose))
}

async fn show(session: Session, language: Language) -> String {
    let chain: Vec<String> = language.chain().collect();
    let chosen =
        session.get_lang().await.map_or_else(|_| "?".to_owned(), |lang| lang.unwrap_or_else(|| "-".to_owned()));
    format!("{language} {} [{}] {chosen}", language.direction(), chain.join(" "))
}

async fn choose(session: Session, mut language: Language, Path(tag): Path<String>) -> Result<String, Error> {
    if let Err(unknown) = language.set_lang(&session, &tag) {
        return Ok(unknown.to_string());
    }
    session.save().await?;
    Ok(language.chain().collect::<Vec<_>>().join(" "))
}
