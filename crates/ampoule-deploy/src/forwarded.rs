//! Parses `Forwarded` and `X-Forwarded-…`: one element for each proxy (RFC 7239, section 4).

use std::net::{IpAddr, SocketAddr};

use http::uri::{Authority, Scheme};

/// What one proxy reports about the request that it received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// The address of the proxy's client.
    pub(crate) ip: Option<IpAddr>,
    /// Whether the proxy hides its client: `unknown`, `_hidden`, or any other text that is not an address.
    pub(crate) is_hidden: bool,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: Option<Authority>,
}

/// The elements of `Forwarded`: `for=192.0.2.1;proto=https;host=shop.example, for="[2001:db8::1]:4711"`.
pub(crate) fn parse(text: &str) -> Vec<Element> {
    split(text, ',').into_iter().map(element).collect()
}

fn element(text: &str) -> Element {
    let mut element = Element::default();
    for pair in split(text, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquote(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => (element.ip, element.is_hidden) = client(&value),
            "proto" => element.scheme = scheme(&value),
            "host" => element.host = host(&value),
            _ => {}
        }
    }
    element
}

/// The elements of the three `X-Forwarded-…` lists, aligned at their ends: the last entry of each is the last proxy's.
/// A list that is shorter than the others lacks the entries of the first proxies.
pub(crate) fn from_lists(clients: &str, schemes: &str, hosts: &str) -> Vec<Element> {
    let (clients, schemes, hosts) = (plain(clients, ','), plain(schemes, ','), plain(hosts, ','));
    let length = clients.len().max(schemes.len()).max(hosts.len());
    let from_end =
        |list: &[&str], back: usize| list.len().checked_sub(back).and_then(|at| list.get(at).map(|text| unquote(text)));
    let element = |back: usize| {
        let client = from_end(&clients, back).map_or((None, false), |text| client(&text));
        Element {
            ip: client.0,
            is_hidden: client.1,
            scheme: from_end(&schemes, back).and_then(|text| scheme(&text)),
            host: from_end(&hosts, back).and_then(|text| host(&text)),
        }
    };
    (1..=length).rev().map(element).collect()
}

/// The address, with or without a port in the text; or that it is hidden.
fn client(text: &str) -> (Option<IpAddr>, bool) {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok();
    (ip.map(|ip: IpAddr| ip.to_canonical()), ip.is_none())
}

fn scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(Scheme::HTTPS),
        "http" => Some(Scheme::HTTP),
        _ => None,
    }
}

fn host(text: &str) -> Option<Authority> {
    Authority::try_from(text).ok().filter(|host| !host.host().is_empty() && !host.as_str().contains('@'))
}

/// The parts between separators, trimmed, without empty ones.
fn plain(text: &str, separator: char) -> Vec<&str> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The parts between separators outside quotes. If a quote is still open at the end, all quotes are ignored: otherwise
/// a client could send an open quote to hide the element that a proxy appends.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if letter == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return plain(text, separator);
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace('\\', ""))
}
