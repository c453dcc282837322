//! Which headers of which proxies determine the client, the scheme and the host.

use std::net::IpAddr;

use ampoule_deploy::{Client, TrustedProxies};
use http::Request;
use proptest::prelude::*;

use crate::support::load_text;

fn proxies(options: &str) -> TrustedProxies {
    let text = format!("[app:main]\nuse = egg:echo\n[server:main]\nuse = egg:Paste#http\n{options}\n");
    load_text(&text).unwrap().server.unwrap().proxies
}

/// The client's address, and the URI and host that the app sees.
fn seen(options: &str, peer: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::get("/x").header("host", "inner:5000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    let peer = (peer != "unix").then(|| peer.parse::<IpAddr>().unwrap());
    let client = proxies(options).apply(&mut request, peer);
    assert_eq!(request.extensions().get::<Client>(), Some(&client));
    let ip = client.ip.map_or("hidden".to_owned(), |ip| ip.to_string());
    format!("{ip} {} {}", request.uri(), request.headers()["host"].to_str().unwrap())
}

const ALL: &[(&str, &str)] =
    &[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.test")];

#[test]
fn only_headers_of_a_trusted_proxy_apply() {
    let unbelieved = "127.0.0.1 /x inner:5000";
    assert_eq!(seen("", "127.0.0.1", ALL), unbelieved, "none is trusted");
    assert_eq!(seen("trusted_proxies = 10.0.0.0/8", "127.0.0.1", ALL), unbelieved, "another is trusted");
    let believed = "9.9.9.9 https://shop.test/x shop.test";
    for (trusted, peer) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("localhost", "::1"),
        ("10.0.0.0/8, fd00::/8", "10.1.2.3"),
        ("10.0.0.0/8 fd00::/8", "fd00::1"),
        ("*", "192.0.2.7"),
        ("unix", "unix"),
    ] {
        assert_eq!(seen(&format!("trusted_proxies = {trusted}"), peer, ALL), believed, "{trusted} {peer}");
    }
    assert_eq!(seen("trusted_proxies = 127.0.0.1", "unix", ALL), "hidden /x inner:5000");
}

/// Behind two trusted proxies, the elements that a client sends are ignored.
#[test]
fn the_first_address_that_is_not_a_proxy_is_the_client() {
    let trusted = "trusted_proxies = 10.0.0.0/8";
    for (headers, expected) in [
        (&[("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.2")][..], "9.9.9.9 /x inner:5000"),
        (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "9.9.9.9")], "9.9.9.9 /x inner:5000"),
        (&[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3 /x inner:5000"),
        (&[("x-forwarded-for", "9.9.9.9:4711, 10.0.0.2")], "9.9.9.9 /x inner:5000"),
        (&[("x-forwarded-for", "\"[2001:db8::1]:4711\"")], "2001:db8::1 /x inner:5000"),
        (&[("x-forwarded-for", "6.6.6.6, rubbish")], "hidden /x inner:5000"),
        (&[("x-forwarded-for", "")], "10.0.0.1 /x inner:5000"),
        (&[("x-forwarded-proto", "http, https")], "10.0.0.1 https://inner:5000/x inner:5000"),
        (
            &[
                ("x-forwarded-for", "9.9.9.9, 10.0.0.2"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "a, b"),
            ],
            "9.9.9.9 https://a/x a",
        ),
        (
            &[
                ("x-forwarded-for", "6.6.6.6, 9.9.9.9"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "a, b"),
            ],
            "9.9.9.9 http://b/x b",
        ),
        (
            &[("x-forwarded-for", "9.9.9.9, 10.0.0.2"), ("x-forwarded-proto", "https")],
            "9.9.9.9 https://inner:5000/x inner:5000",
        ),
        (&[("x-forwarded-proto", "javascript"), ("x-forwarded-host", "user@evil")], "10.0.0.1 /x inner:5000"),
    ] {
        assert_eq!(seen(trusted, "10.0.0.1", headers), expected, "{headers:?}");
    }
}

#[test]
fn forwarded_applies_only_if_listed_and_then_alone() {
    let trusted = "trusted_proxies = 10.0.0.0/8\ntrusted_proxy_headers = forwarded";
    for (value, expected) in [
        ("for=9.9.9.9;proto=https;host=shop.test", "9.9.9.9 https://shop.test/x shop.test"),
        ("For=\"[2001:db8::1]:4711\" ; Proto=HTTPS", "2001:db8::1 https://inner:5000/x inner:5000"),
        (
            "for=6.6.6.6;host=evil, for=9.9.9.9;host=shop.test;proto=https, for=10.0.0.2",
            "9.9.9.9 https://shop.test/x shop.test",
        ),
        ("for=_hidden;proto=https", "hidden https://inner:5000/x inner:5000"),
        ("for=unknown", "hidden /x inner:5000"),
        ("for=\"a,b;c\\\"d\";proto=https", "hidden https://inner:5000/x inner:5000"),
        ("for=\"x, for=9.9.9.9;proto=https", "9.9.9.9 https://inner:5000/x inner:5000"),
        ("for=\"x\\\", for=\"[2001:db8::1]\";proto=https", "2001:db8::1 https://inner:5000/x inner:5000"),
        (";;,,=,", "10.0.0.1 /x inner:5000"),
    ] {
        let headers = [("forwarded", value), ("x-forwarded-for", "6.6.6.6"), ("x-forwarded-host", "evil")];
        assert_eq!(seen(trusted, "10.0.0.1", &headers), expected, "{value}");
    }
    let both = [("forwarded", "for=6.6.6.6;host=evil"), ("x-forwarded-for", "9.9.9.9")];
    assert_eq!(seen("trusted_proxies = 10.0.0.1", "10.0.0.1", &both), "9.9.9.9 /x inner:5000");
}

/// With waitress's option only the scheme is trusted, unless headers are listed.
#[test]
fn the_options_of_waitress_have_their_meaning_there() {
    assert_eq!(seen("trusted_proxy = 127.0.0.1", "127.0.0.1", ALL), "127.0.0.1 https://inner:5000/x inner:5000");
    let named = "trusted_proxy = *\ntrusted_proxy_headers = x-forwarded-for x-forwarded-port";
    assert_eq!(seen(named, "127.0.0.1", ALL), "9.9.9.9 /x inner:5000");
}

/// Otherwise an app that trusts them could be deceived.
#[test]
fn untrusted_headers_are_removed_if_any_proxy_is_trusted() {
    let left = |options: &str, peer: &str| {
        let mut request = Request::get("/").header("host", "a");
        for name in ["x-forwarded-for", "forwarded", "x-forwarded-server", "x-forwarded-port", "x-other"] {
            request = request.header(name, "1.1.1.1");
        }
        let mut request = request.body(()).unwrap();
        proxies(options).apply(&mut request, Some(peer.parse().unwrap()));
        let mut names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(left("trusted_proxies = 10.0.0.1", "9.9.9.9"), "host x-other");
    assert_eq!(left("trusted_proxies = 10.0.0.1", "10.0.0.1"), "host x-forwarded-for x-other");
    let all = "forwarded host x-forwarded-for x-forwarded-port x-forwarded-server x-other";
    assert_eq!(left("trusted_proxies = 10.0.0.1\nclear_untrusted_proxy_headers = false", "9.9.9.9"), all);
    assert_eq!(left("", "9.9.9.9"), all, "the app may have its own rules");
}

proptest! {
    /// Behind one trusted proxy, the text that a client sends before the proxy's own element has no effect.
    #[test]
    fn a_client_cannot_forge_its_address(text in "[ -~]{0,40}") {
        let headers = [("x-forwarded-for", format!("{text}, 9.9.9.9")), ("x-forwarded-proto", format!("{text}, https"))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let seen = seen("trusted_proxies = 10.0.0.1", "10.0.0.1", &headers);
        prop_assert_eq!(seen, "9.9.9.9 https://inner:5000/x inner:5000");
        let headers = [("forwarded", format!("{text}, for=9.9.9.9;proto=https"))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let options = "trusted_proxies = 10.0.0.1\ntrusted_proxy_headers = forwarded";
        prop_assert_eq!(self::seen(options, "10.0.0.1", &headers), "9.9.9.9 https://inner:5000/x inner:5000");
    }
}
