//! Single requests, which create sessions before a measurement and read their counters afterwards.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

/// A response with status 200.
pub struct Response {
    /// The cookies that the response sets, as the value of a header `Cookie`.
    pub cookie: String,
    pub body: String,
}

/// Sends a GET request on a new connection.
///
/// # Panics
/// If the status is not 200.
pub fn get(port: u16, path: &str, cookie: Option<&str>) -> Response {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the server answers");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: expected 200, not {head}");
    Response { cookie: cookies(head), body: body.to_owned() }
}

fn cookies(head: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let set = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let pairs = set.filter_map(|(_, value)| value.split(';').next());
    // A cookie with an empty value is being removed.
    pairs.filter(|pair| !pair.ends_with('=') || pair.contains("==")).collect::<Vec<_>>().join("; ")
}
