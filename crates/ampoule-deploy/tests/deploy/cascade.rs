//! `egg:Paste#cascade`.

use ampoule_deploy::{Deployment, app, load};
use axum::Router;
use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{load_text, registry, write};

/// `egg:count` answers with the length of the body, and with its option `status`.
fn cascade(text: &str) -> (tempfile::TempDir, Deployment) {
    let mut registry = registry();
    registry.app("egg:count", |conf| {
        let status = StatusCode::from_u16(conf.number("status", 200, 100..=599)? as u16).unwrap();
        let name = conf.get("name").unwrap_or_default().to_owned();
        let count = move |body: Bytes| async move { (status, format!("{name} {}", body.len())) };
        Ok(app(Router::new().fallback(count).layer(axum::extract::DefaultBodyLimit::disable())))
    });
    let (dir, path) = write(&[("site.ini", text), ("public/a.css", "a{}"), ("public/sub/index.html", "hi")]);
    let deployment = load(&path, "main", &[], &registry).unwrap();
    (dir, deployment)
}

async fn ask(deployment: &Deployment, method: &str, uri: &str, body: Body) -> (u16, String) {
    let request = http::Request::builder().method(method).uri(uri).header("host", "a").body(body).unwrap();
    let response = deployment.app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// As in Pylons' project templates: the files of a folder, and the app for all other paths and for POST.
#[cfg(feature = "static")]
#[tokio::test]
async fn files_come_before_the_app() {
    let text = "[composite:main]\nuse = egg:Paste#cascade\napp2 = shop\napp1 = public\n[app:shop]\nuse = egg:count\nname = shop\n\
                [app:public]\nuse = egg:Paste#static\ndocument_root = %(here)s/public\n";
    let (_dir, deployment) = cascade(text);
    assert_eq!(ask(&deployment, "GET", "/a.css", Body::empty()).await, (200, "a{}".to_owned()));
    assert_eq!(ask(&deployment, "GET", "/basket", Body::empty()).await, (200, "shop 0".to_owned()));
    assert_eq!(ask(&deployment, "POST", "/basket", Body::from("12345")).await, (200, "shop 5".to_owned()));
    assert_eq!(ask(&deployment, "POST", "/a.css", Body::from("12345")).await, (405, String::new()));
    assert_eq!(ask(&deployment, "GET", "http://a/sub/", Body::empty()).await, (200, "hi".to_owned()));
}

#[tokio::test]
async fn each_app_reads_the_whole_body_and_the_last_answer_is_final() {
    let apps = |statuses: [u16; 3], catch: &str| {
        let apps = statuses.iter().zip(["a", "b", "c"]);
        let apps =
            apps.map(|(status, name)| format!("[app:{name}]\nuse = egg:count\nname = {name}\nstatus = {status}\n"));
        format!(
            "[composite:main]\nuse = egg:Paste#cascade\napp_1 = a\napp_2 = b\napp_3 = c\n{catch}{}",
            apps.collect::<String>()
        )
    };
    for (statuses, catch, expected) in [
        ([404, 404, 200], "", (200, "c 6")),
        ([404, 200, 200], "", (200, "b 6")),
        ([404, 500, 200], "", (500, "b 6")),
        ([404, 500, 200], "catch = 404 500\n", (200, "c 6")),
        ([404, 404, 404], "", (404, "c 6")),
        ([405, 200, 200], "", (405, "a 6")),
    ] {
        let (_dir, deployment) = cascade(&apps(statuses, catch));
        let pieces = chunked_body(&["12", "34", "56"]);
        assert_eq!(
            ask(&deployment, "POST", "/", pieces).await,
            (expected.0, expected.1.to_owned()),
            "{statuses:?} {catch}"
        );
    }
    // Larger than the buffer: the answer of the app that read it is final.
    let (_dir, deployment) = cascade(&apps([404, 200, 200], ""));
    let (status, _) = ask(&deployment, "POST", "/", Body::from(vec![b'x'; 5 << 20])).await;
    assert_eq!(status, 404);
}

/// A body of several chunks.
fn chunked_body(pieces: &[&'static str]) -> Body {
    let pieces: Vec<Body> = pieces.iter().map(|piece| Body::from(*piece)).collect();
    Body::new(Pieces(pieces.into_iter().collect()))
}

struct Pieces(std::collections::VecDeque<Body>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        while let Some(first) = self.0.front_mut() {
            match std::pin::Pin::new(first).poll_frame(context) {
                std::task::Poll::Ready(None) => drop(self.0.pop_front()),
                other => return other,
            }
        }
        std::task::Poll::Ready(None)
    }
}

#[test]
fn the_faults_of_a_cascade_have_lines() {
    for (text, fault) in [
        (
            "ap1 = e\n",
            "site.ini:3: [composite:main] ap1: expected the apps as `app1 = …`, `app2 = …`, or `catch = 404`",
        ),
        ("", "site.ini:1: [composite:main] app1: expected the name of an app"),
        ("app1 = e\ncatch = all\n", "site.ini:4: [composite:main] catch: expected statuses such as 404 405"),
    ] {
        let text = format!("[composite:main]\nuse = egg:Paste#cascade\n{text}[app:e]\nuse = egg:echo\n");
        assert_eq!(load_text(&text).unwrap_err(), fault);
    }
}
