//! `egg:Paste#static`.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use tower::ServiceExt;

use crate::support::{load_all, load_text};

const SITE: &str = "[composite:main]\nuse = egg:Paste#urlmap\n/ = files\n/under = files\n\
                    [app:files]\nuse = egg:Paste#static\ndocument_root = %(here)s/public\ncache_max_age = 60\n";

#[tokio::test]
async fn the_files_of_a_folder_are_served_and_nothing_outside_it() {
    let files = [("site.ini", SITE), ("public/a.css", "a{}"), ("public/sub/index.html", "hi")];
    // The folder must outlive the requests.
    let (_dir, path) = crate::support::write(&files);
    let deployment = ampoule_deploy::load(&path, "main", &[], &crate::support::registry()).unwrap();
    let cases = [
        ("/a.css", 200, "text/css"),
        ("/under/a.css", 200, "text/css"),
        ("/under/sub/", 200, "text/html"),
        ("/under/sub", 307, "/under/sub/"),
        ("/sub", 307, "/sub/"),
        ("/nowhere", 404, ""),
        ("/../site.ini", 404, ""),
        ("/%2e%2e/site.ini", 404, ""),
    ];
    for (uri, status, expected) in cases {
        let request = http::Request::get(uri).body(Body::empty()).unwrap();
        let response = deployment.app.clone().oneshot(request).await.unwrap();
        let header = if status == 307 { LOCATION } else { CONTENT_TYPE };
        let found = response.headers().get(header).map_or("", |value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), found), (status, expected), "{uri}");
        let cached = response.headers().get(CACHE_CONTROL).map(|value| value.to_str().unwrap());
        assert_eq!(cached, (status == 200).then_some("max-age=60"), "{uri}");
    }
}

#[test]
fn a_missing_folder_is_a_fault() {
    let said = load_all(&[("site.ini", SITE)], &[]).unwrap_err();
    let expected = "site.ini:7: [app:files] document_root: expected an existing folder, such as %(here)s/public";
    assert_eq!(said, expected);
    let said = load_text("[app:main]\nuse = egg:Paste#static\n").unwrap_err();
    assert_eq!(said, expected.replace(":7: [app:files]", ":1: [app:main]"));
}
