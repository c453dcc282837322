//! Edits of a response's headers.

use http::header::{CACHE_CONTROL, Entry, HeaderMap, HeaderValue, VARY};

/// Adds a header name to `Vary`, unless it is there already (RFC 9110 section 12.5.5).
pub(crate) fn add_vary(headers: &mut HeaderMap, name: HeaderValue) {
    match headers.entry(VARY) {
        Entry::Vacant(place) => _ = place.insert(name),
        Entry::Occupied(mut place) => {
            let mut names =
                place.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
            if !names.any(|known| known == b"*" || known.eq_ignore_ascii_case(name.as_bytes())) {
                place.append(name);
            }
        }
    }
}

/// Keeps shared caches from storing the response: sets `no-store`, unless the handler has set `private` or `no-store`.
/// Other directives, such as `public`, are replaced (RFC 9111 section 5.2.2).
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    let is_strict = |directive: &[u8]| {
        // `private="field"` restricts that field alone.
        directive.eq_ignore_ascii_case(b"private") || directive.eq_ignore_ascii_case(b"no-store")
    };
    let said = headers.get_all(CACHE_CONTROL);
    let mut directives =
        said.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if !directives.any(is_strict) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_cache_control_is_kept_if_it_is_as_strict() {
        for (said, kept) in [
            ("private", true),
            ("private, max-age=60", true),
            ("no-store", true),
            ("max-age=5, Private", true),
            ("public", false),
            ("public, max-age=31536000", false),
            ("no-cache", false),
            ("private=\"set-cookie\"", false),
            ("max-age=60", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(said));
            forbid_storing(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], if kept { said } else { "no-store" }, "{said}");
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
        }
        let mut headers = HeaderMap::new();
        forbid_storing(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
    }
}
