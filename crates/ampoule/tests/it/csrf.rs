//! Secure forms, sent by a browser, a script and an attacker.

use std::collections::BTreeSet;

use crate::support::{Answer, BackendKind, Client, Site};
use ampoule::{AuthenticateForm, CsrfLayer, CsrfToken, Error, Session, Transport};
use axum::body::Body;
use axum::extract::Multipart;
use axum::routing::{any, get, post};
use axum::{Form, Router};
use http::{Request, StatusCode};
use serde::Deserialize;
use tower::ServiceExt;

const FORM: &str = "application/x-www-form-urlencoded";

/// A site that checks every unsafe request.
fn site_with(layer: CsrfLayer) -> Site {
    let mut site = Site::new(BackendKind::Memory);
    site.app = crate::support::site::routes().merge(routes()).layer(layer).layer(site.layer.clone());
    site
}

fn site() -> Site {
    site_with(CsrfLayer::new())
}

/// A visitor who has seen a form, and its token.
async fn visitor(site: &Site) -> (Client, String) {
    let mut client = site.client();
    let token = client.get("/token").await.text;
    (client, token)
}

async fn send(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "site.test");
    request = request.header("cookie", client.cookie_header());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    crate::support::answer(client.app.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()).await
}

async fn form(client: &Client, path: &str, body: String) -> Answer {
    send(client, "POST", path, &[("content-type", FORM)], body).await
}

/// Every method with every combination of origin headers and tokens.
#[tokio::test]
async fn a_request_passes_if_origin_and_token_are_both_right() {
    const SITES: [&[&str]; 7] = [
        &["same-origin"],
        &["same-site"],
        &["cross-site"],
        &["none"],
        &[],
        &["garbage"],
        &["same-origin", "cross-site"],
    ];
    const ORIGINS: [Option<&str>; 5] =
        [Some("http://site.test"), Some("https://evil.test"), Some("null"), Some("http://site.test:8080"), None];
    let site = site();
    let (client, right) = visitor(&site).await;
    let (_, other) = visitor(&site).await;
    let tokens = [
        ("right", Some(right.clone())),
        ("wrong", Some("x".repeat(86))),
        ("another session's", Some(other)),
        ("truncated", Some(right[..85].to_owned())),
        ("absent", None),
    ];
    let (mut passed, mut all) = (0, 0);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "MADEUP"] {
        for fetch_site in SITES {
            for origin in ORIGINS {
                for (kind, token) in &tokens {
                    let mut headers: Vec<(&str, &str)> =
                        fetch_site.iter().map(|said| ("sec-fetch-site", *said)).collect();
                    headers.extend(origin.map(|origin| ("origin", origin)));
                    headers.extend(token.as_deref().map(|token| ("x-csrf-token", token)));
                    let answer = send(&client, method, "/echo", &headers, Body::empty()).await;
                    let from_here = match fetch_site {
                        ["same-origin" | "none"] => true,
                        [] => matches!(origin, None | Some("http://site.test")),
                        _ => false,
                    };
                    let safe = ["GET", "HEAD", "OPTIONS"].contains(&method);
                    let expected = if safe || (from_here && *kind == "right") { 200 } else { 403 };
                    assert_eq!(answer.status.as_u16(), expected, "{method} {headers:?} {kind}: {}", answer.text);
                    let vary = answer.headers.get_all("vary").iter().any(|vary| vary == "Sec-Fetch-Site, Origin");
                    assert_eq!(vary, !safe, "{method}");
                    (passed, all) = (passed + usize::from(expected == 200), all + 1);
                }
            }
        }
    }
    assert_eq!((passed, all), (3 * 175 + 5 * 12, 8 * 175));
}

/// Both forms of a handshake, with every combination of origin headers, and without a token.
#[tokio::test]
async fn a_websocket_of_another_site_is_refused() {
    const SAID: [(&[(&str, &str)], bool); 10] = [
        (&[], true),
        (&[("origin", "https://site.test")], true),
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://site.test")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("origin", "https://evil.test")], false),
        (&[("origin", "https://site.test.evil.test")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")], false),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://sub.site.test")], false),
        (&[("origin", "https://site.test"), ("origin", "https://evil.test")], false),
    ];
    let site = site();
    let (client, _) = visitor(&site).await;
    for (said, passes) in SAID {
        for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
            let headers = [&[("connection", "keep-alive, Upgrade"), ("upgrade", upgrade)], said].concat();
            let answer = send(&client, "GET", "/echo", &headers, Body::empty()).await;
            assert_eq!(answer.status.as_u16(), if passes { 200 } else { 403 }, "{headers:?}: {}", answer.text);
            assert_eq!(answer.text.contains("a page of another site made it"), !passes, "{}", answer.text);
        }
        let answer = connect(&client, "https://site.test/echo", said).await;
        assert_eq!(answer.status.as_u16(), if passes { 200 } else { 403 }, "{said:?}: {}", answer.text);
        let other = send(&client, "GET", "/echo", &[&[("upgrade", "h2c")], said].concat(), Body::empty()).await;
        assert_eq!(other.status, 200, "what opens no WebSocket is a GET as any other: {said:?}");
    }
    let tunnel = connect(&client, "site.test:443", &[]).await;
    assert_eq!(tunnel.status, 403, "a CONNECT that is no handshake needs a token, as every unsafe method");
}

/// The extended CONNECT of HTTP/2, as hyper passes it to a service: with an absolute URI, and the protocol in an
/// extension.
async fn connect(client: &Client, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method("CONNECT").uri(uri).version(http::Version::HTTP_2);
    request = request.header("cookie", client.cookie_header());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    crate::support::answer(client.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

#[tokio::test]
async fn a_websocket_is_accepted_from_a_trusted_origin_or_if_exempt_or_unchecked() {
    let handshake = [("upgrade", "websocket"), ("sec-fetch-site", "cross-site"), ("origin", "https://partner.test")];
    for (layer, expected) in [
        (CsrfLayer::new(), 403),
        (CsrfLayer::new().trusted_origin("https://partner.test").unwrap(), 200),
        (CsrfLayer::new().trusted_origin("https://other.test").unwrap(), 403),
        (CsrfLayer::new().exempt(|method, uri| method == "GET" && uri.path() == "/echo"), 200),
        (CsrfLayer::new().exempt(|method, _| method == "POST"), 403),
        (CsrfLayer::new().without_origin_check(), 200),
    ] {
        let site = site_with(layer.clone());
        let (client, _) = visitor(&site).await;
        let answer = send(&client, "GET", "/echo", &handshake, Body::empty()).await;
        assert_eq!(answer.status.as_u16(), expected, "{layer:?}");
    }
}

#[tokio::test]
async fn a_trusted_origin_with_the_token_is_accepted() {
    let site = site_with(CsrfLayer::new().trusted_origin("https://partner.test").unwrap());
    let (client, token) = visitor(&site).await;
    let trusted = [("origin", "https://partner.test"), ("sec-fetch-site", "cross-site"), ("x-csrf-token", &token)];
    assert_eq!(send(&client, "POST", "/echo", &trusted, Body::empty()).await.status, 200);
    assert_eq!(send(&client, "POST", "/echo", &trusted[..2], Body::empty()).await.status, 403);
    let error = CsrfLayer::new().trusted_origin("partner.test/").unwrap_err();
    let expected = "trusted_origin: expected an origin such as https://shop.example, found \"partner.test/\"";
    assert_eq!(error.to_string(), expected);
    assert!(CsrfLayer::new().without_origin_check().trusted_origin("partner.test/").is_err());
}

#[tokio::test]
async fn the_form_field_is_checked_and_removed() {
    let site = site();
    let (client, token) = visitor(&site).await;
    let passed = form(&client, "/strict", format!("name=a%26b&_authentication_token={token}")).await;
    assert_eq!((passed.status, passed.text.as_str()), (StatusCode::OK, "a&b"));
    let passed = form(&client, "/echo", format!("a=1&%5Fauthentication_token={token}&b=&a=2&c")).await;
    assert_eq!(passed.text, "POST a=1&b=&a=2&c");
    for body in ["", "name=x", "_authentication_token=", "authentication_token=x"] {
        assert_eq!(form(&client, "/echo", body.to_owned()).await.status, 403, "{body}");
    }
    let twice = format!("_authentication_token={token}&_authentication_token=wrong");
    assert_eq!(form(&client, "/echo", twice).await.status, 403, "one of them is wrong");
    let query = form(&client, &format!("/echo?_authentication_token={token}"), "a=1".into()).await;
    assert_eq!(query.status, 403, "an address is no place for it");
}

#[tokio::test]
async fn the_query_may_contain_the_token_by_option() {
    let site = site_with(CsrfLayer::new().token_from_query());
    let (client, token) = visitor(&site).await;
    let passed = form(&client, &format!("/echo?_authentication_token={token}"), "a=1".into()).await;
    assert_eq!(passed.text, "POST a=1");
}

fn multipart(parts: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"x.bin\"" } else { "" };
        format!("--limit\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--limit--\r\n"
}

#[tokio::test]
async fn an_upload_is_passed_on_whole_and_read_only_up_to_its_token() {
    let site = site_with(CsrfLayer::new().max_body(10_000));
    let (client, token) = visitor(&site).await;
    let kind = [("content-type", "multipart/form-data; boundary=limit")];
    let long = "y".repeat(1_000_000);
    let body = multipart(&[("_authentication_token", &token), ("file", &long)]);
    // As it arrives over a network: in pieces, of which the search takes the first alone.
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        body.as_bytes().chunks(4_000).map(|piece| Ok(piece.to_vec())).collect();
    let passed = send(&client, "POST", "/upload", &kind, Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!(passed.text, "_authentication_token: 86, file: 1000000");
    let late = multipart(&[("file", &long), ("_authentication_token", &token)]);
    let refused = send(&client, "POST", "/upload", &kind, late).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text.contains("put the hidden field first"), "{}", refused.text);
    let none = send(&client, "POST", "/upload", &kind, multipart(&[("file", "x")])).await;
    assert_eq!(none.status, 403);
    let broken = send(&client, "POST", "/upload", &kind, "--limit\r\nnonsense").await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn a_body_without_the_token_in_its_first_part_is_refused() {
    let site = site_with(CsrfLayer::new().max_body(100));
    let (client, token) = visitor(&site).await;
    let refused = form(&client, "/echo", format!("a={}&_authentication_token={token}", "x".repeat(100))).await;
    assert_eq!(refused.status, 413);
}

#[tokio::test]
async fn the_rejection_names_the_remedy() {
    let site = site();
    let (client, _) = visitor(&site).await;
    let missing = form(&client, "/echo", String::new()).await.text;
    assert!(missing.contains("no token in the field _authentication_token or the header X-CSRF-Token"), "{missing}");
    let wrong = form(&client, "/echo", "_authentication_token=x".into()).await.text;
    for text in [missing, wrong] {
        assert!(text.contains("Go back, reload the page, and send the form again."), "{text}");
    }
    let cross = send(&client, "POST", "/echo", &[("sec-fetch-site", "cross-site")], Body::empty()).await.text;
    assert!(cross.contains("a page of another site made it"), "{cross}");
}

#[tokio::test]
async fn a_token_survives_rotation_but_not_the_end_of_its_session() {
    let site = site();
    let (mut client, token) = visitor(&site).await;
    let headers = [("x-csrf-token", token.as_str())];
    let rotated = send(&client, "POST", "/rotate", &headers, Body::empty()).await;
    client.keep(&rotated);
    assert_eq!(send(&client, "POST", "/echo", &headers, Body::empty()).await.status, 200);
    let restarted = send(&client, "POST", "/restart-saved", &headers, Body::empty()).await;
    assert_eq!(restarted.status, 200);
    client.keep(&restarted);
    assert_eq!(send(&client, "POST", "/echo", &headers, Body::empty()).await.status, 403);
}

/// The login form is shown to a visitor; the token proves that the form was ours.
#[tokio::test]
async fn a_login_form_is_protected_before_there_is_a_user() {
    let site = site();
    let stranger = site.client();
    assert_eq!(form(&stranger, "/echo", "user=evil".into()).await.status, 403);
    let (client, token) = visitor(&site).await;
    assert_eq!(form(&client, "/echo", format!("user=ada&_authentication_token={token}")).await.status, 200);
}

/// BREACH: a thousand forms show a thousand different tokens, all valid.
#[tokio::test]
async fn the_same_token_never_appears_twice_in_the_same_form() {
    let site = site();
    let (mut client, _) = visitor(&site).await;
    let mut seen = BTreeSet::new();
    for _ in 0..1_000 {
        let page = client.get("/form").await.text;
        let token = page.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        for start in (0..token.len() - 21).step_by(21) {
            assert!(seen.insert(token[start..start + 21].to_owned()), "a piece of a token came again");
        }
        assert_eq!(form(&client, "/echo", format!("_authentication_token={token}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_single_handler_can_require_the_token() {
    let mut site = Site::new(BackendKind::Memory);
    site.app = routes().layer(site.layer.clone());
    let (client, token) = visitor(&site).await;
    assert_eq!(form(&client, "/one", "name=x".into()).await.status, 403);
    assert_eq!(form(&client, "/one", format!("name=x&_authentication_token={token}")).await.text, "x");
    assert_eq!(form(&client, "/echo", "name=x".into()).await.status, 200, "the others do not ask");
    // Also behind the layer, which has taken the token out.
    let site = self::site();
    let (client, token) = visitor(&site).await;
    assert_eq!(form(&client, "/one", format!("name=x&_authentication_token={token}")).await.text, "x");
}

#[tokio::test]
async fn a_bearer_session_needs_no_form_token() {
    let mut site =
        Site::with(BackendKind::Memory, |options| options.transports = vec![Transport::Cookie, Transport::Bearer]);
    site.app = crate::support::site::routes().merge(routes()).layer(CsrfLayer::new()).layer(site.layer.clone());
    let (client, _) = visitor(&site).await;
    let bearer = format!("Bearer {}", client.jar["sid"]);
    let program = site.client();
    assert_eq!(send(&program, "POST", "/echo", &[("authorization", &bearer)], Body::empty()).await.status, 200);
    assert_eq!(send(&client, "POST", "/echo", &[], Body::empty()).await.status, 403);
    let both = send(&client, "POST", "/echo", &[("authorization", &bearer)], Body::empty()).await;
    assert_eq!(both.status, 403, "the cookie came first");
}

#[tokio::test]
async fn exempt_requests_pass_and_a_missing_layer_is_an_error() {
    let site = site_with(CsrfLayer::new().exempt(|_, uri| uri.path() == "/echo"));
    let stranger = site.client();
    assert_eq!(send(&stranger, "POST", "/echo", &[("sec-fetch-site", "cross-site")], Body::empty()).await.status, 200);
    let mut site = Site::new(BackendKind::Memory);
    site.app = routes().layer(CsrfLayer::new());
    let answer = form(&site.client(), "/echo", String::new()).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("no SessionLayer is around its route"), "{}", answer.text);
}

#[tokio::test]
async fn a_token_can_be_required_without_an_origin_check() {
    let site = site_with(CsrfLayer::new().without_origin_check());
    let (client, token) = visitor(&site).await;
    let headers = [("sec-fetch-site", "cross-site"), ("x-csrf-token", token.as_str())];
    assert_eq!(send(&client, "POST", "/echo", &headers, Body::empty()).await.status, 200);
    assert_eq!(send(&client, "POST", "/echo", &headers[..1], Body::empty()).await.status, 403);
}

/// Two pages that are opened at once agree on one token.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_opened_at_once_share_a_token() {
    let site = site();
    let mut client = site.client();
    client.get("/fresh").await;
    let pages: Vec<_> = (0..16)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/token").await.text })
        })
        .collect();
    for page in pages {
        let token = page.await.unwrap();
        assert_eq!(send(&client, "POST", "/echo", &[("x-csrf-token", &token)], Body::empty()).await.status, 200);
    }
}

#[test]
fn forms_are_safe_html_for_template_engines() {
    #[derive(askama::Template)]
    #[template(source = "{{ form }}<i>{{ name }}</i>", ext = "html")]
    struct Page {
        form: ampoule::SafeHtml,
        name: &'static str,
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let token = runtime.block_on(async {
        let site = site();
        let session = site.layer.begin(&http::HeaderMap::new());
        session.csrf_token().await.unwrap()
    });
    let form = token.secure_form("/login", "post", &[]).unwrap();
    let html = askama::Template::render(&Page { form: form.clone(), name: "<b>" }).unwrap();
    assert!(
        html.starts_with("<form action=\"/login\" method=\"post\"><input type=\"hidden\"")
            && html.ends_with("<i>&#60;b&#62;</i>"),
        "{html}"
    );
    let mut engine = minijinja::Environment::new();
    engine.add_template("page.html", "{{ form }}{{ name }}").unwrap();
    let values = minijinja::context! { form => form.clone(), name => "<b>" };
    let html = engine.get_template("page.html").unwrap().render(values).unwrap();
    assert_eq!(html, format!("{form}&lt;b&gt;"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    name: String,
}

fn routes() -> Router {
    Router::new()
        .route("/echo", any(|method: http::Method, body: String| async move { format!("{method} {body}") }))
        .route("/strict", post(|Form(Strict { name }): Form<Strict>| async move { name }))
        .route(
            "/one",
            post(|AuthenticateForm(Form(Strict { name })): AuthenticateForm<Form<Strict>>| async move { name }),
        )
        .route("/upload", post(upload).layer(axum::extract::DefaultBodyLimit::disable()))
        .route("/token", get(|token: CsrfToken| async move { token.masked() }))
        .route("/form", get(|token: CsrfToken| async move { token.hidden_field().to_string() }))
        .route("/fresh", get(|session: Session| async move { session.save().await }))
        .route("/rotate", post(rotate))
        .route("/restart-saved", post(restart))
}

async fn upload(mut form: Multipart) -> String {
    let mut sizes = Vec::new();
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap_or_default().to_owned();
        sizes.push(format!("{name}: {}", field.bytes().await.unwrap().len()));
    }
    sizes.join(", ")
}

async fn rotate(session: Session) -> Result<(), Error> {
    session.regenerate_id();
    session.save().await
}

async fn restart(session: Session) -> Result<(), Error> {
    session.invalidate().await?;
    session.save().await
}
