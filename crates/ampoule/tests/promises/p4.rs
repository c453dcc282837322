//! Zero cost until used: no store call, no signature check, no Set-Cookie.

use crate::on_each_place;
use crate::support::{BackendKind, Site};

on_each_place! {
    p4_an_untouched_session_costs_nothing;
    p4_reading_a_new_session_stores_nothing;
}

async fn p4_an_untouched_session_costs_nothing(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.spy.calls();
    for cookie in [client.cookie_header(), String::new(), "sid=garbage".into()] {
        let answer = client.ask("GET", "/", &cookie).await;
        assert_eq!(answer.text, "untouched");
        assert_eq!(site.spy.calls(), [0; 4]);
        let headers: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
        assert!(!headers.contains(&"set-cookie") && !headers.contains(&"vary"), "{headers:?}");
    }
}

async fn p4_reading_a_new_session_stores_nothing(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    for path in ["/get/a", "/info", "/peek/a", "/id"] {
        let answer = client.get(path).await;
        assert_eq!(answer.set_cookies(), [""; 0], "{path}");
        assert_eq!(answer.headers["vary"], "Cookie");
    }
    assert_eq!(site.spy.calls(), [0; 4]);
}
