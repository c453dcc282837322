//! Finds the session's cookies in a request's headers.
//!
//! The header is scanned, not parsed into a jar: it has the cookies of every application on the domain, and a malformed
//! one must not cost the user the session (in Python's parser, and so in Beaker, a JSON value before the session's
//! cookie does). RFC 6265 section 5.4 specifies the header's form; no specification limits the values.

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// The `Cookie` headers of a request: one, or several over HTTP/2 (RFC 9113 section 8.2.3). Cloning one is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cookies {
    first: Option<HeaderValue>,
    more: Vec<HeaderValue>,
}

impl Cookies {
    pub(crate) fn of(headers: &HeaderMap) -> Cookies {
        let mut values = headers.get_all(COOKIE).iter();
        let first = values.next().cloned();
        let more = values.next().map(|second| std::iter::once(second).chain(values).cloned().collect());
        Cookies { first, more: more.unwrap_or_default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The values of all cookies with exactly this name, in the order in which they were sent.
    ///
    /// Names are compared as bytes, case-sensitively; only spaces and tabs are trimmed: with a Unicode space before the
    /// name, `__Host-` could be forged past a server that trims more. One pair of double quotes around a value is
    /// removed.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.pairs().filter_map(move |pair| value_of(after_name(pair, name.as_bytes())?))
    }

    /// The cookies that may be pieces of one value, each with its index: 0 for the plain name, and 1 to 9 for `name.1`
    /// to `name.9`. One pass over the header finds all of them.
    pub(crate) fn pieces<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.pairs().filter_map(move |pair| {
            let rest = after_name(pair, name.as_bytes())?;
            let (index, rest) = match rest {
                [b'.', digit @ b'1'..=b'9', rest @ ..] => (usize::from(digit - b'0'), rest),
                rest => (0, rest),
            };
            Some((index, value_of(rest)?))
        })
    }

    fn pairs(&self) -> impl Iterator<Item = &[u8]> {
        self.first.iter().chain(&self.more).flat_map(|header| Pairs(Some(header.as_bytes())))
    }
}

/// The parts between semicolons. A sealed cookie is long, and `memchr` compares many bytes at once.
struct Pairs<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let end = memchr::memchr(b';', rest);
        self.0 = end.map(|end| &rest[end + 1..]);
        #[cfg(test)]
        steps::add(end.map_or(rest.len(), |end| end + 1));
        Some(&rest[..end.unwrap_or(rest.len())])
    }
}

/// The rest of a pair after the name; `None` if it does not start with the name.
fn after_name<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let pair = trim_start(pair);
    // Most other cookies differ in their first letter.
    if pair.first() != name.first() {
        return None;
    }
    pair.strip_prefix(name)
}

/// The value after an equals sign, without the white space and the quotes around it.
fn value_of(rest: &[u8]) -> Option<&[u8]> {
    let value = trim(trim_start(rest).strip_prefix(b"=")?);
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_space(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = trim_start(bytes);
    let end = bytes.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Counts the bytes that are compared, copied or verified, for tests that relate them to the header's length.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub(crate) fn add(bytes: usize) {
        STEPS.set(STEPS.get() + bytes);
    }

    /// The number of bytes that `work` counts.
    pub(crate) fn of(work: impl FnOnce()) -> usize {
        let before = STEPS.get();
        work();
        STEPS.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &[u8]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(header).unwrap());
        Cookies::of(&headers).named("sid").map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn other_cookies_do_not_hide_the_sessions_cookie() {
        let headers: &[&[u8]] = &[
            b"sid=ours",
            b"a=b; sid=ours",
            b"a=b;sid=ours",
            b"a=b;\tsid \t= ours \t; c=d",
            b"pref={\"a\":1, \"b\":[2]}; sid=ours",
            b"null; sid=ours",
            b"sid=ours; null",
            b"$Version=1; sid=ours; $Path=/",
            b"path=/; expires=never; secure; sid=ours",
            b"a=a value with spaces, and commas; sid=ours",
            b"a=\xe9\xff; sid=ours",
            b"a[0]=1; sid=ours",
            b"; ;; sid=ours;;",
            b"a=\"unterminated; sid=ours",
            b"sid=\"ours\"",
            b"=; ==; sid=ours",
            b"SID=other; Sid=other; sid=ours",
            b"xsid=other; sidx=other; sid=ours",
        ];
        for header in headers {
            assert_eq!(found(header), ["ours"], "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn similar_names_are_not_the_sessions_cookie() {
        for header in ["\u{2000}sid=x", "\u{a0}sid=x", "sid", "s id=x", "sid\u{2000}=x", "\"sid\"=x", "sid;=x"] {
            assert_eq!(found(header.as_bytes()), [""; 0], "{header:?}");
        }
    }

    #[test]
    fn all_of_one_name_are_found_in_order_in_all_headers() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("sid=1; a=b; sid=2"));
        headers.append(COOKIE, HeaderValue::from_static("sid="));
        let cookies = Cookies::of(&headers);
        assert_eq!(cookies.named("sid").collect::<Vec<_>>(), [&b"1"[..], b"2", b""]);
    }
}
