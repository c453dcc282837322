//! Which app receives a request, and the path that it sees.

use axum::body::Body;
use tower::ServiceExt;

use crate::support::{ask, load_text, text_at};

/// A urlmap of these entries, each with an app that answers with the entry's number.
fn map(entries: &[&str]) -> ampoule_deploy::Deployment {
    let mut text = "[composite:main]\nuse = egg:Paste#urlmap\n".to_owned();
    let apps = entries.iter().enumerate().map(|(n, entry)| {
        text += &format!("{entry} = {n}\n");
        format!("[app:{n}]\nuse = egg:echo\nn = {n}\n")
    });
    let apps: String = apps.collect();
    load_text(&(text + &apps)).unwrap()
}

#[tokio::test]
async fn the_longest_path_wins_and_becomes_the_mount_path() {
    let deployment = map(&["/", "/a", "/a/b", "//x//y/"]);
    let cases = [
        ("/", 0, "", "/"),
        ("/a", 1, "/a", "/"),
        ("/a/", 1, "/a", "/"),
        ("/a?q=1", 1, "/a", "/?q=1"),
        ("/ab", 0, "", "/ab"),
        ("/a/b/c?q=1&r", 2, "/a/b", "/c?q=1&r"),
        ("//a//b", 2, "/a/b", "/"),
        ("/x/y/z//w", 3, "/x/y", "/z/w"),
        ("/A", 0, "", "/A"),
        ("/%61", 0, "", "/%61"),
    ];
    for (uri, n, mount, sees) in cases {
        assert_eq!(text_at(&deployment, uri).await, format!("egg:echo[n={n}|] at '{mount}' sees {sees}"), "{uri}");
    }
}

#[tokio::test]
async fn host_and_port_win_over_host_and_host_over_path() {
    let deployment = map(&[
        "/",
        "/a/b",
        "domain Other.test /a",
        "domain other.test",
        "domain other.test port 81 /",
        "domain p.test port 80 /",
    ]);
    let cases = [
        ("site.test", "/a/b", 1),
        ("other.test", "/a/b", 2),
        ("OTHER.test:80", "/a/b", 2),
        ("other.test:8080", "/z", 3),
        ("other.test:81", "/a/b", 4),
        ("sub.other.test", "/", 0),
        ("p.test", "/", 5),
        ("p.test:80", "/", 5),
        ("p.test:81", "/", 0),
        ("[::1]:81", "/", 0),
        ("not a host", "/", 0),
        ("", "/", 0),
    ];
    for (host, uri, n) in cases {
        let text = ask(&deployment, host, uri).await.text;
        assert!(text.starts_with(&format!("egg:echo[n={n}|]")), "{host} {uri}: {text}");
    }
}

#[tokio::test]
async fn the_host_of_an_absolute_uri_is_used_as_in_http_2() {
    let deployment = map(&["/", "domain other.test /", "domain other.test port 443 /"]);
    for (uri, n) in [("http://other.test/x", 1), ("https://other.test/x", 2), ("https://other.test:444/x", 1)] {
        let answer = ask(&deployment, "site.test", uri).await.text;
        assert_eq!(answer, format!("egg:echo[n={n}|] at '' sees {uri}"));
    }
}

#[tokio::test]
async fn nested_urlmaps_join_their_mount_paths() {
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/out = inner\n[composite:inner]\nuse = egg:ampoule#urlmap\n/in = e\n\
                [app:e]\nuse = egg:echo\n";
    let deployment = load_text(text).unwrap();
    assert_eq!(text_at(&deployment, "/out/in/x").await, "egg:echo[|] at '/out/in' sees /x");
    assert_eq!(ask(&deployment, "x", "/out/nowhere").await.status, 404);
}

#[tokio::test]
async fn an_unknown_path_is_a_404_without_details_or_goes_to_not_found_app() {
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/hidden = e\n[app:e]\nuse = egg:echo\n";
    let answer = ask(&load_text(text).unwrap(), "x", "/nowhere").await;
    assert_eq!((answer.status, answer.text.as_str()), (404, "404: no app is mounted at this address.\n"));
    for with_page in [
        text.replacen("/hidden = e", "not_found_app = e\n/hidden = e", 1),
        format!("[DEFAULT]\nnot_found_app = e\n{text}"),
    ] {
        let answer = text_at(&load_text(&with_page).unwrap(), "/nowhere").await;
        assert!(answer.ends_with(" at '' sees /nowhere"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_without_a_path_gets_an_answer() {
    let deployment = map(&["/"]);
    for (method, uri, status) in [("OPTIONS", "*", 404), ("CONNECT", "site.test:80", 200)] {
        let request = http::Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = deployment.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method}");
    }
}

#[tokio::test]
async fn apps_at_different_paths_do_not_share_stored_responses() {
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/a = e\n/b = e\n/ = e\n[app:e]\nuse = egg:cached\n";
    let deployment = load_text(text).unwrap();
    for _ in 0..2 {
        for (uri, expected) in [("/a/x", "/x at '/a'"), ("/b/x", "/x at '/b'"), ("/x", "/x at ''")] {
            assert_eq!(text_at(&deployment, uri).await, expected);
        }
    }
}
