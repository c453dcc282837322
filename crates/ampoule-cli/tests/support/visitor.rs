//! A client with a cookie jar.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Keeps cookies as a browser does, and does not follow redirects by itself.
#[derive(Clone)]
pub(crate) struct Visitor {
    base: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Sent with each request, each with its line end.
    pub(crate) headers: String,
    last: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// The text between the first occurrences of these.
    pub(crate) fn between(&self, start: &str, end: &str) -> &str {
        let rest = self.body.split_once(start).unwrap_or_else(|| panic!("no {start} in {}", self.body)).1;
        rest.split_once(end).unwrap_or_else(|| panic!("no {end} in {rest}")).0
    }
}

impl Visitor {
    pub(crate) fn new(base: &str) -> Visitor {
        let headers = "Accept: text/html\r\n".to_owned();
        Visitor { base: base.to_owned(), cookies: BTreeMap::new(), headers, last: String::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    /// Sends the home page's form of the login.
    pub(crate) fn login(&mut self, fields: &str) -> Answer {
        self.get("/");
        self.submit("/login", fields)
    }

    /// Sends a form of the page that was opened last, and opens the page that follows.
    pub(crate) fn submit(&mut self, path: &str, fields: &str) -> Answer {
        let token =
            self.last.split("name=\"_authentication_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let body = format!("_authentication_token={}&{fields}", token.expect("the last page has a form"));
        let answer = self.ask("POST", path, "application/x-www-form-urlencoded", &body);
        assert_eq!(answer.status, 303, "{path}: {}{}", answer.head, answer.body);
        let next = answer.header("location").unwrap().split('#').next().unwrap().to_owned();
        self.get(&next)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        let host = self.base.strip_prefix("http://").unwrap();
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}", self.headers);
        if !cookies.is_empty() {
            request += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        if !kind.is_empty() {
            request += &format!("Content-Type: {kind}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = String::new();
        stream.read_to_string(&mut bytes).unwrap();
        // As a browser reads it.
        let bytes = bytes.replace("&#x2f;", "/");
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap_or((&bytes, ""));
        self.keep_cookies(head);
        body.clone_into(&mut self.last);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn keep_cookies(&mut self, head: &str) {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        for (_, cookie) in lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
