//! The scopes in which a cookie of one name may have been set: stale or planted ones are expired there.
//!
//! A browser distinguishes cookies of one name by domain and path, and sends all that match without their scopes (RFC
//! 6265 section 5.4). So each scope that can have matched the request is expired.

use std::net::IpAddr;

use super::set_cookie::{self, CookieOptions, CookieScope};

/// The most scopes of one request.
const MAX_SCOPES: usize = 16;

/// The most cookies in these scopes: each scope may have a partitioned and an unpartitioned one.
const MAX_COOKIES: usize = 20;

/// A cookie to expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) scope: CookieScope,
    pub(crate) partitioned: bool,
}

/// The cookies of these scopes, partitioned and not: a browser keeps both, and a removal applies to one of them.
/// Partitioned cookies need `secure`. In the scope that holds the session only the other form is expired, unless it is
/// listed as `own`.
pub(crate) fn in_both_forms(
    cookie: &CookieOptions,
    own: Option<CookieScope>,
    counts: CookieScope,
    scopes: Vec<CookieScope>,
) -> Vec<Expired> {
    let form = |partitioned| move |scope| Expired { scope, partitioned };
    let others = if cookie.secure { scopes.clone() } else { Vec::new() };
    let counts = cookie.secure.then_some(counts);
    let present = own.into_iter().chain(scopes).map(form(cookie.partitioned));
    let other = counts.into_iter().chain(others).map(form(!cookie.partitioned));
    present.chain(other).take(MAX_COOKIES).collect()
}

/// Every scope that a cookie of this request may have, except the one that counts: each domain that the host belongs
/// to, with each part of the path, at most 16. Those that the application lists come first.
pub(crate) fn besides(
    counts: &CookieScope,
    former: &[CookieScope],
    host: Option<&str>,
    path: &str,
) -> Vec<CookieScope> {
    let mut scopes: Vec<CookieScope> = Vec::new();
    let paths = paths(&counts.path, path);
    let of_hosts = paths.iter().flat_map(|path| {
        let scope = |domain| CookieScope { domain, path: path.clone() };
        domains(counts, host).into_iter().map(scope)
    });
    for scope in former.iter().cloned().chain(of_hosts) {
        if scopes.len() < MAX_SCOPES && scope != *counts && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

/// No domain, the configured domain, and each domain above the host that contains a dot.
fn domains(counts: &CookieScope, host: Option<&str>) -> Vec<Option<String>> {
    let mut domains = vec![None];
    domains.extend(counts.domain.clone().map(Some));
    let is_name = |host: &&str| host.parse::<IpAddr>().is_err() && set_cookie::domain(host).is_ok();
    let mut name = host.filter(is_name);
    while let Some(domain) = name.filter(|name| name.contains('.')) {
        domains.push(Some(domain.to_owned()));
        name = domain.split_once('.').map(|(_, above)| above);
    }
    domains
}

/// The configured path, `/`, and each folder above the request's path.
fn paths(configured: &str, path: &str) -> Vec<String> {
    let mut paths = vec![configured.to_owned(), "/".to_owned()];
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    paths.extend(ends.map(|at| path[..at].to_owned()).filter(|path| set_cookie::path(path).is_ok()));
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(domain: Option<&str>, path: &str) -> CookieScope {
        CookieScope { domain: domain.map(str::to_owned), path: path.to_owned() }
    }

    #[test]
    fn every_matching_scope_is_listed_except_the_sessions() {
        let counts = scope(Some("example.com"), "/");
        let others = besides(&counts, &[], Some("a.example.com"), "/shop/cart");
        for expected in [
            scope(None, "/"),
            scope(Some("a.example.com"), "/"),
            scope(None, "/shop"),
            scope(Some("a.example.com"), "/shop"),
            scope(Some("example.com"), "/shop"),
        ] {
            assert!(others.contains(&expected), "{expected:?} of {others:?}");
        }
        assert_eq!(others.len(), 5);
    }

    #[test]
    fn addresses_and_single_names_have_no_domain_above() {
        for host in [Some("127.0.0.1"), Some("localhost"), Some("[::1]"), None] {
            assert_eq!(besides(&scope(None, "/"), &[], host, "/"), [], "{host:?}");
        }
    }

    #[test]
    fn at_most_sixteen_scopes_are_listed_the_applications_first() {
        let former = scope(Some("old.example"), "/");
        let path = "/a".repeat(40);
        let others = besides(&scope(None, "/"), std::slice::from_ref(&former), Some("a.b.c.example.com"), &path);
        assert_eq!((others.len(), &others[0]), (MAX_SCOPES, &former));
    }

    #[test]
    fn text_that_is_invalid_in_a_header_is_left_out() {
        let others = besides(&scope(None, "/"), &[], Some("a;b.example.com"), "/a;b/c");
        assert_eq!(others, []);
    }
}
