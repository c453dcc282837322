//! Checks what an answer may contain.

use http::HeaderMap;

use crate::request::RequestSpec;
use crate::site::{Answer, SEEN, World};

/// Returns whether the answer was made for another request, or the violation.
pub(crate) async fn verdict(asked: &RequestSpec, answer: &Answer, world: &World) -> Result<bool, String> {
    let Some(told) = answer.headers.get("x-echo") else { return no_echo(answer) };
    let told = told.to_str().unwrap();
    if !answer.body.is_empty() && answer.body != told {
        return Err("the body is another response's than the header".to_owned());
    }
    let is_hit = joined(&answer.headers, "cache-status").contains("; hit");
    if line(told, "nonce") == Some(&asked.nonce) {
        return if is_hit { Err("what was made for this request is said to be stored".to_owned()) } else { Ok(false) };
    }
    may_be_reused(asked, answer)?;
    let own = world.own_view(asked).await;
    let own = own.headers["x-echo"].to_str().unwrap();
    for (name, value) in lines(told) {
        let is_own = line(own, name) == Some(value);
        // HEAD is answered as GET.
        let is_head = name == "method" && asked.method == "HEAD" && value == "GET";
        // The response has allowed to be given to requests that say something else here.
        let is_allowed = SEEN.contains(&name) && !names(&answer.headers, "vary").contains(&name.to_owned());
        if name == "session" || !(is_own || is_head || is_allowed || name == "nonce") {
            return Err(format!("{name}={value} is not of this request, which has {:?}", line(own, name)));
        }
        if name == "cookie" && asked.header("cookie").is_empty() && !value.is_empty() {
            return Err("a client without cookies got what cookies made".to_owned());
        }
    }
    Ok(true)
}

/// Answers that no handler made: 403 of the CSRF check, 504 without a stored response.
fn no_echo(answer: &Answer) -> Result<bool, String> {
    match answer.status.as_u16() {
        403 | 404 | 504 | 500 => Ok(false),
        status => Err(format!("an answer with {status} that no handler made")),
    }
}

/// The rules for an answer that was made for another request.
fn may_be_reused(asked: &RequestSpec, answer: &Answer) -> Result<(), String> {
    let broken = |what: &str| Err(format!("stored and reused, {what}"));
    let said = names(&answer.headers, "cache-control");
    let vary = names(&answer.headers, "vary");
    if !said.iter().any(|word| word == "public" || word.starts_with("s-maxage")) {
        return broken("though the response did not say so");
    }
    if said.iter().any(|word| ["private", "no-store", "no-cache"].iter().any(|strict| word.starts_with(strict))) {
        return broken("against what the response said");
    }
    if answer.headers.contains_key("set-cookie") {
        return broken("with a cookie");
    }
    if vary.iter().any(|name| name == "*" || name == "cookie") {
        return broken("though it depends on cookies or more");
    }
    if ![200, 404, 301, 304].contains(&answer.status.as_u16()) {
        return broken("with a status that is not to be stored");
    }
    if !["GET", "HEAD"].contains(&asked.method) || !asked.body.is_empty() {
        return broken("for a request that is more than a GET");
    }
    let bypassing: [&str; 9] = [
        "authorization",
        "range",
        "if-range",
        "if-match",
        "if-unmodified-since",
        "upgrade",
        "expect",
        "x-method-override",
        "x-http-method-override",
    ];
    if let Some(name) = bypassing.iter().find(|name| !asked.header(name).is_empty()) {
        return broken(&format!("for a request with {name}"));
    }
    match asked.header("cache-control")[..] {
        ["no-cache" | "no-store", ..] => broken("for a request that did not take it"),
        _ => Ok(()),
    }
}

fn lines(told: &str) -> impl Iterator<Item = (&str, &str)> {
    told.split(" | ").filter_map(|line| line.split_once('='))
}

fn line<'a>(told: &'a str, wanted: &str) -> Option<&'a str> {
    lines(told).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

fn joined(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",")
}

fn names(headers: &HeaderMap, name: &str) -> Vec<String> {
    joined(headers, name).to_ascii_lowercase().split(',').map(|word| word.trim().to_owned()).collect()
}
