//! What a cached page is found by.

use http::HeaderMap;
use http::header::{
    self, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;

use crate::session::Session;

/// What the pages of a layer depend on, besides host and path.
#[derive(Clone, Default)]
pub(super) struct Keys {
    /// These parameters; or the query as it was sent.
    pub(super) query: Option<Vec<String>>,
    pub(super) headers: Vec<HeaderName>,
    pub(super) per_session: bool,
}

impl Keys {
    /// The key of a request's page: lines, which no part of a request can break. `None` if the session that it depends on
    /// is not to be had.
    pub(super) async fn of(&self, parts: &Parts) -> Option<String> {
        let host = parts.uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| parts.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
        let mut key = format!("{}\n{}\n", host.to_ascii_lowercase(), parts.uri.path());
        let query = parts.uri.query().unwrap_or_default();
        match &self.query {
            None => key.push_str(query),
            Some(wanted) => key.push_str(&chosen(query, wanted)),
        }
        append_headers(&mut key, &self.headers, &parts.headers);
        if self.per_session
            && let Some(session) = parts.extensions.get::<Session>()
        {
            let edition = session.edition().await.ok()?;
            key.push_str("\nsession ");
            key.push_str(edition.as_deref().unwrap_or("none"));
        }
        Some(key)
    }
}

/// The key of the page that varies by these headers too.
pub(super) fn varied(key: &str, names: &[String], headers: &HeaderMap) -> String {
    let mut key = format!("{key}\nvaries");
    let names: Vec<HeaderName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    append_headers(&mut key, &names, headers);
    key
}

/// Every value of each header, as bytes: none has a line's end, and what is not ASCII is escaped.
fn append_headers(key: &mut String, names: &[HeaderName], headers: &HeaderMap) {
    for name in names {
        for value in headers.get_all(name) {
            key.push_str(&format!("\n{name}: {}", value.as_bytes().escape_ascii()));
        }
    }
}

/// The parameters of these names, in the order of the names and, of one name, of the query; as they were sent, percent
/// signs and all.
fn chosen(query: &str, wanted: &[String]) -> String {
    let mut found = Vec::new();
    for name in wanted {
        found.extend(query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() == Some(name)));
    }
    found.join("&")
}

/// The head of a request for the whole page, whatever the client has of it already.
pub(super) fn unconditional(parts: &Parts) -> Parts {
    let mut parts = parts.clone();
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        parts.headers.remove(name);
    }
    parts
}

/// Headers that speak of one connection, not of the page (RFC 9110 section 7.6.1).
pub(super) fn is_of_the_connection(name: &HeaderName) -> bool {
    let names = [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];
    names.contains(name) || name == "keep-alive" || name == "proxy-connection"
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    async fn key(keys: &Keys, request: http::request::Builder) -> String {
        keys.of(&request.body(()).unwrap().into_parts().0).await.unwrap()
    }

    #[tokio::test]
    async fn parts_do_not_run_into_each_other() {
        let keys = Keys { headers: vec![header::ACCEPT, header::ACCEPT_ENCODING], ..Keys::default() };
        let one = key(&keys, Request::get("http://a.test/x?q").header("accept", "a\taccept-encoding: b")).await;
        let other =
            key(&keys, Request::get("http://a.test/x?q").header("accept", "a").header("accept-encoding", "b")).await;
        assert_ne!(one, other);
        assert_ne!(
            key(&keys, Request::get("/x").header("accept", "a, b")).await,
            key(&keys, Request::get("/x").header("accept", "a").header("accept", "b")).await
        );
        assert_eq!(
            key(&keys, Request::get("http://A.test/x")).await,
            key(&keys, Request::get("/x").header("host", "a.TEST")).await
        );
        assert_ne!(
            key(&keys, Request::get("http://a.test/x")).await,
            key(&keys, Request::get("http://b.test/x")).await
        );
    }

    #[tokio::test]
    async fn only_chosen_parameters_count() {
        let keys = Keys { query: Some(vec!["page".into(), "q".into()]), ..Keys::default() };
        let key = async |uri: &'static str| key(&keys, Request::get(uri)).await;
        assert_eq!(key("/x?q=1&utm=5&page=2").await, key("/x?page=2&q=1").await);
        assert_ne!(key("/x?page=2&page=3").await, key("/x?page=3&page=2").await);
        assert_ne!(key("/x?page").await, key("/x?page=").await);
        assert_ne!(key("/x?q=1").await, key("/x?page=1").await);
    }
}
