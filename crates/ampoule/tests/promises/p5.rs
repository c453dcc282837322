//! One trip: at most one round trip to load and one to save, and what a login costs beyond that.

use std::time::Duration;

use crate::support::{BackendKind, HOUR, Site};
use crate::{assert_ok, on_each_store};

on_each_store! {
    p5_one_trip_to_load_and_one_to_save;
    p5_trips_of_a_rotation_and_a_login;
}

async fn p5_one_trip_to_load_and_one_to_save(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    assert_eq!(site.spy.calls(), [0, 1, 0, 0], "a new session is one put");
    client.get("/info").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "reading is one get, however much is read");
    client.post("/set/a/2").await;
    assert_eq!(site.spy.calls(), [1, 1, 0, 0], "reading and writing is a get and a put");
    client.post("/same/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "saving what did not change writes nothing");
    client.post("/count/n").await;
    assert_eq!(site.spy.calls(), [1, 1, 0, 0]);
    let tenth = 24 * HOUR / 10;
    site.clock.advance(tenth - Duration::from_millis(1));
    client.get("/get/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "less than a tenth of the idle time, which is a day, has gone");
    site.clock.advance(Duration::from_millis(1));
    client.get("/get/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 1, 0], "a tenth of the idle time has gone: its end moves");
    client.get("/get/a").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0], "and not again at once");
}

async fn p5_trips_of_a_rotation_and_a_login(backend: BackendKind) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    site.spy.calls();
    for (method, path, calls, why) in [
        ("POST", "/regenerate", [1, 1, 1, 0], "the new secret, and the proof that it is still current when it is sent"),
        ("GET", "/get/a", [1, 1, 0, 0], "that the client has it is noted once"),
        ("GET", "/get/a", [1, 0, 0, 0], "and not again"),
        ("POST", "/login/ada", [1, 2, 0, 0], "the fork, and the session before it frozen"),
        ("GET", "/get/user", [2, 2, 0, 0], "the session before it, its tombstone, and that the fork is confirmed"),
        ("GET", "/get/user", [1, 0, 0, 0], "and not again"),
        ("POST", "/set/a/2", [1, 1, 0, 0], "then it is a session like any other"),
        ("POST", "/login/ada", [1, 2, 0, 0], "a step-up is a login"),
        ("POST", "/set/a/3", [2, 3, 0, 0], "a request that saves confirms at its end"),
        ("POST", "/set/a/4", [1, 1, 0, 0], "and not again"),
    ] {
        assert_ok(&client.send(method, path).await);
        assert_eq!(site.spy.calls(), calls, "{method} {path}: {why}");
    }
    let mut first = site.client();
    assert_ok(&first.post("/login/bob").await);
    assert_eq!(site.spy.calls(), [0, 1, 0, 0], "a login without a session before it is one put");
    first.get("/get/user").await;
    assert_eq!(site.spy.calls(), [1, 1, 0, 0], "and its confirmation another");
    first.get("/peek/user").await;
    assert_eq!(site.spy.calls(), [1, 0, 0, 0]);
}
