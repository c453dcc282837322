//! Cookies of attackers and of other applications.

use crate::support::{Answer, BackendKind, Client, Site};

const NAMES: [&str; 1] = ["sid"];

async fn with_session(backend: BackendKind) -> (Site, Client, String) {
    let site = Site::new(backend);
    let mut client = site.client();
    client.post("/set/a/1").await;
    let value = client.jar[NAMES[0]].clone();
    (site, client, value)
}

on_backends! {
    p8_flipped_bits_and_truncations_are_rejected_identically on Memory File Cookie;
    malformed_neighbours_do_not_hide_the_cookie on Memory File Cookie;
    one_verified_cookie_is_used_and_two_different_ones_are_ignored on Memory File Cookie;
    p9_a_header_of_any_size_is_read_in_linear_time on Memory Cookie;
}

/// Everything by which a client can distinguish two responses.
fn visible(answer: &Answer) -> String {
    // `Debug` of a header hides the value of a cookie.
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name, value.as_bytes().escape_ascii())).collect();
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
    format!("{} {headers} {}", answer.status, answer.text)
}

async fn p8_flipped_bits_and_truncations_are_rejected_identically(backend: BackendKind) {
    let (_site, client, value) = with_session(backend).await;
    let none = visible(&client.ask("GET", "/get/a", "").await);
    assert_ne!(visible(&client.ask("GET", "/get/a", format!("sid={value}")).await), none);
    let bytes = value.as_bytes();
    let mut tried = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Skips bytes that a header cannot contain, spaces at an end, which are trimmed, and `;`, which ends the value.
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

async fn malformed_neighbours_do_not_hide_the_cookie(backend: BackendKind) {
    let (_site, client, value) = with_session(backend).await;
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

async fn one_verified_cookie_is_used_and_two_different_ones_are_ignored(backend: BackendKind) {
    let (site, client, value) = with_session(backend).await;
    let mut other = site.client();
    other.post("/set/a/2").await;
    let planted = other.jar["sid"].clone();
    let text = async |header: String| client.ask("GET", "/get/a", header).await.text;
    assert_eq!(text(format!("sid=garbage; sid={value}")).await, "1");
    assert_eq!(text(format!("sid={value}; sid=garbage; sid=")).await, "1");
    assert_eq!(text(format!("sid={value}; sid={value}")).await, "1", "the same one twice is one");
    assert_eq!(text(format!("sid={value}; sid={planted}")).await, "none");
    assert_eq!(text(format!("sid={planted}; sid={value}")).await, "none", "in any order");
    let mut saved = site.client();
    let answer = client.ask("POST", "/set/b/3", format!("sid={value}; sid={planted}")).await;
    let (made, expired): (Vec<String>, Vec<String>) =
        answer.set_cookies().into_iter().partition(|cookie| !cookie.contains("Max-Age=0"));
    assert_eq!(made.len(), 1, "a new session");
    // The host and domains above it that have a dot, the configured path and those of the request: `/set`, `/set/b`.
    let scopes = [
        "; Path=/; Domain=site.test",
        "; Path=/set",
        "; Path=/set; Domain=site.test",
        "; Path=/set/b",
        "; Path=/set/b; Domain=site.test",
    ];
    // Those with a partition lie beside the others, also in the scope of the session's own.
    let (partitioned, expired): (Vec<String>, Vec<String>) =
        expired.into_iter().partition(|cookie| cookie.contains("; Partitioned"));
    assert_eq!((expired.len(), partitioned.len()), (scopes.len(), scopes.len() + 1), "{expired:?} {partitioned:?}");
    for scope in scopes {
        let is_of_scope = |cookie: &String| cookie.contains(&format!("{scope}; Max-Age=0"));
        assert!(expired.iter().any(is_of_scope) && partitioned.iter().any(is_of_scope), "{scope}: {expired:?}");
    }
    saved.jar.insert("sid".into(), made[0].split(';').next().unwrap().strip_prefix("sid=").unwrap().to_owned());
    assert_eq!((saved.value("a").await, saved.value("b").await), ("none".into(), "3".into()));
    for (known, kept) in [(&value, "1"), (&planted, "2")] {
        assert_eq!(text(format!("sid={known}")).await, kept, "both are as they were");
        assert_eq!(client.ask("GET", "/get/b", format!("sid={known}")).await.text, "none");
    }
}

/// Not timed: were it quadratic, or did each cookie of our name cost a signature, this would not end.
async fn p9_a_header_of_any_size_is_read_in_linear_time(backend: BackendKind) {
    let (_site, client, value) = with_session(backend).await;
    let padding = "p".repeat(64 * 1024);
    assert_eq!(client.ask("GET", "/get/a", format!("a={padding}; sid={value}")).await.text, "1");
    let pairs = "a=b; ".repeat(10_000);
    assert_eq!(client.ask("GET", "/get/a", format!("{pairs}sid={value}")).await.text, "1");
    let ours: String = (0..10_000).map(|number| format!("sid={number:064}; ")).collect();
    assert_eq!(client.ask("GET", "/get/a", format!("sid={value}; {ours}")).await.text, "1");
    let answer = client.ask("GET", "/get/a", format!("{ours}sid={value}")).await;
    // A signature costs little, so all are checked; a cipher costs more, so few sealed cookies are opened.
    let found = if backend == BackendKind::Cookie { "none" } else { "1" };
    assert_eq!(answer.text, found, "behind more cookies of its name than any browser sends");
    for spaces in [" ".repeat(64 * 1024), "\t".repeat(64 * 1024), ";".repeat(64 * 1024), "=".repeat(64 * 1024)] {
        assert_eq!(client.ask("GET", "/get/a", format!("{spaces}; sid={value}")).await.text, "1");
    }
    let others = (1..9).map(|index| format!("sid.{index}=b; sid.{index}=c; ")).collect::<String>();
    for pieces in ["sid=9.a; ", "sid=2.a; sid.1=b; ", &format!("sid=9.a; {others}"), &others] {
        let pieces = pieces.repeat((256 << 10) / pieces.len());
        assert_eq!(client.ask("GET", "/get/a", format!("sid={value}; {pieces}")).await.text, "1", "{pieces:.50}");
    }
}
