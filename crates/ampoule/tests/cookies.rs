//! Cookies as enemies and neighbours send them.

mod support;

use support::{Answer, Client, Place, Site};

const NAMES: [&str; 1] = ["sid"];

async fn with_session(place: Place) -> (Site, Client, String) {
    let site = Site::new(place);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let value = client.jar[NAMES[0]].clone();
    (site, client, value)
}

on_places! {
    every_flipped_bit_and_every_truncation_is_rejected_alike on Memory File Cookie;
    neighbours_do_no_harm on Memory File Cookie;
    one_that_verifies_counts_and_two_different_ones_do_not on Memory File Cookie;
    a_header_of_any_size_is_read_in_linear_time on Memory Cookie;
}

/// All that a client can tell two answers apart by.
fn visible(answer: &Answer) -> String {
    format!("{} {:?} {}", answer.status, answer.headers, answer.text)
}

async fn every_flipped_bit_and_every_truncation_is_rejected_alike(place: Place) {
    let (_site, client, value) = with_session(place).await;
    let none = visible(&client.ask("GET", "/get/a", "").await);
    assert_ne!(visible(&client.ask("GET", "/get/a", format!("sid={value}")).await), none);
    let bytes = value.as_bytes();
    let mut tried = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // What no header can hold never reaches us; a space at an end is trimmed, and a `;` ends the value.
        if http::HeaderValue::from_bytes(&flipped).is_err() {
            continue;
        }
        let header = [b"sid=", &flipped[..]].concat();
        assert_eq!(visible(&client.ask("GET", "/get/a", header).await), none, "bit {bit}");
        tried += 1;
    }
    assert!(tried > bytes.len() * 6, "only {tried} of {} bits", bytes.len() * 8);
    for len in 0..bytes.len() {
        assert_eq!(visible(&client.ask("GET", "/get/a", format!("sid={}", &value[..len])).await), none, "{len} bytes");
    }
    for more in ["A", "=", "AAAA", ".", "%3D"] {
        assert_eq!(visible(&client.ask("GET", "/get/a", format!("sid={value}{more}")).await), none, "{more}");
    }
}

async fn neighbours_do_no_harm(place: Place) {
    let (_site, client, value) = with_session(place).await;
    let neighbours: &[&[u8]] = &[
        b"pref={\"a\":1, \"b\":[2,\"c;d\"]}",
        b"null",
        b"$Version=1",
        b"\xe2\x80\x80__Host-sid=x",
        b"\xe2\x80\x80sid=x",
        b"\xe9\xff=\xfe",
        b"a=\"open",
        b"a=b c, d",
        b"",
        b"=",
        b"path=/; domain=x; expires=y; secure; httponly; max-age=0",
        b"SID=x; Sid=y",
        b"sid.1=x; sid.2=y; sid1=z",
        b"a[b]=c",
    ];
    for neighbour in neighbours {
        for header in [
            [neighbour, &b"; sid="[..], value.as_bytes()].concat(),
            [b"sid=", value.as_bytes(), b"; ", neighbour].concat(),
        ] {
            let answer = client.ask("GET", "/get/a", &header).await;
            assert_eq!(answer.text, "1", "{}", String::from_utf8_lossy(&header));
        }
    }
}

async fn one_that_verifies_counts_and_two_different_ones_do_not(place: Place) {
    let (site, client, value) = with_session(place).await;
    let mut other = site.client();
    other.post("/set/a/2").await;
    let planted = other.jar["sid"].clone();
    let text = async |header: String| client.ask("GET", "/get/a", header).await.text;
    assert_eq!(text(format!("sid=garbage; sid={value}")).await, "1");
    assert_eq!(text(format!("sid={value}; sid=garbage; sid=")).await, "1");
    assert_eq!(text(format!("sid={value}; sid={value}")).await, "1", "the same one twice is one");
    assert_eq!(text(format!("sid={value}; sid={planted}")).await, "none");
    assert_eq!(text(format!("sid={planted}; sid={value}")).await, "none", "in any order");
    let saved = client.ask("POST", "/set/b/3", format!("sid={value}; sid={planted}")).await;
    assert_eq!(saved.set_cookies().len(), 1, "a new session");
    assert_eq!(client.ask("GET", "/get/b", format!("sid={planted}")).await.text, "none");
}

/// Not timed: were it quadratic, or did each cookie of our name cost a signature, this would not end.
async fn a_header_of_any_size_is_read_in_linear_time(place: Place) {
    let (_site, client, value) = with_session(place).await;
    let padding = "p".repeat(64 * 1024);
    assert_eq!(client.ask("GET", "/get/a", format!("a={padding}; sid={value}")).await.text, "1");
    let pairs = "a=b; ".repeat(10_000);
    assert_eq!(client.ask("GET", "/get/a", format!("{pairs}sid={value}")).await.text, "1");
    let ours = format!("sid={}; ", "A".repeat(64)).repeat(10_000);
    assert_eq!(client.ask("GET", "/get/a", format!("sid={value}; {ours}")).await.text, "1");
    let answer = client.ask("GET", "/get/a", format!("{ours}sid={value}")).await;
    assert_eq!(answer.text, "none", "behind more cookies of its name than any browser sends, it is not looked for");
    for spaces in [" ".repeat(64 * 1024), "\t".repeat(64 * 1024), ";".repeat(64 * 1024), "=".repeat(64 * 1024)] {
        assert_eq!(client.ask("GET", "/get/a", format!("{spaces}; sid={value}")).await.text, "1");
    }
    let pieces = "sid=9.a; sid.1=b; sid.1=c; sid.2=d; sid.2=e; sid.3=f; sid.3=g; ".repeat(200);
    assert_eq!(client.ask("GET", "/get/a", format!("sid={value}; {pieces}")).await.status, 200);
}
