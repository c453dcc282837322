//! A value larger than one cookie, spread over several: `name`, `name.1`, `name.2`, …
//!
//! The first piece says how many there are, as `count.text`; base64url has no dot, so a value in one piece needs none.
//! The value is authenticated as a whole, so pieces that do not belong together are no session.

use std::borrow::Cow;

use super::scan::Cookies;

/// Browsers take 4096 bytes for name and value together (RFC 6265bis section 5.6).
const MAX_COOKIE: usize = 4_096;

/// The most pieces a value may have. Servers and proxies commonly refuse headers of over 16 KiB.
pub(crate) const MAX_PIECES: usize = 9;

/// How many ways of joining pieces are tried when a client sends several cookies of one name.
const MAX_WAYS: usize = 16;

/// The name of a piece: the first has the plain name.
pub(crate) fn name_of(name: &str, index: usize) -> Cow<'_, str> {
    if index == 0 { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}.{index}")) }
}

/// How many characters fit into so many pieces under this name.
pub(crate) fn capacity(name: &str, pieces: usize) -> usize {
    pieces * room(name) - if pieces > 1 { 2 } else { 0 }
}

/// Room for text in a piece: name, dot and digit are the longest name of a piece.
pub(crate) fn room(name: &str) -> usize {
    MAX_COOKIE.saturating_sub(name.len() + 2)
}

/// The text that is cut into pieces, each as long as there is [`room`] for but the last.
pub(crate) fn text<'a>(name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    if value.len() <= room(name) {
        return Cow::Borrowed(value);
    }
    let count = (value.len() + 2).div_ceil(room(name));
    Cow::Owned([count.to_string().as_bytes(), b".", value].concat())
}

/// How many pieces the client holds, live or stale: those to expire when fewer are needed.
pub(crate) fn held(cookies: &Cookies, name: &str) -> usize {
    cookies.pieces(name).filter(|index| *index < MAX_PIECES).max().map_or(0, |last| last + 1)
}

/// Every value that the client's pieces can be joined to, within bounds.
pub(crate) fn joined<'a>(cookies: &'a Cookies, name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    cookies.named(name).flat_map(move |first| {
        let several = join(cookies, name, first);
        let one = several.is_none().then_some(Cow::Borrowed(first));
        one.into_iter().chain(several.into_iter().flatten().map(Cow::Owned))
    })
}

/// The ways to join what starts with this piece; `None` if it is no piece of several.
fn join(cookies: &Cookies, name: &str, first: &[u8]) -> Option<Vec<Vec<u8>>> {
    let [count @ b'2'..=b'9', b'.', start @ ..] = first else { return None };
    let count = usize::from(count - b'0');
    let mut ways = vec![start.to_vec()];
    for index in 1..count {
        let piece_name = name_of(name, index);
        let pieces: Vec<&[u8]> = cookies.named(&piece_name).collect();
        let longer = ways.iter().flat_map(|way| pieces.iter().map(move |piece| [way, *piece].concat()));
        ways = longer.take(MAX_WAYS).collect();
    }
    Some(ways)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{COOKIE, HeaderMap, HeaderValue};

    fn cookies(header: &str) -> Cookies {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(header).unwrap());
        Cookies::of(&headers)
    }

    fn all(cookies: &Cookies, name: &str) -> Vec<Vec<u8>> {
        joined(cookies, name).map(Cow::into_owned).collect()
    }

    #[test]
    fn what_is_split_is_joined() {
        for len in [1, room("sid"), room("sid") + 1, 2 * room("sid") - 2, capacity("sid", 9)] {
            let value: String = ('a'..='z').cycle().take(len).collect();
            let text = text("sid", value.as_bytes());
            let pieces = text.chunks(room("sid"));
            let cookie = |(i, piece)| format!("{}={}", name_of("sid", i), str::from_utf8(piece).unwrap());
            let header: Vec<_> = pieces.clone().enumerate().map(cookie).collect();
            assert!(pieces.len() <= MAX_PIECES && header.iter().all(|cookie| cookie.len() <= MAX_COOKIE + 1));
            let cookies = cookies(&format!("{}; sid.9=stale", header.join("; ")));
            assert_eq!(all(&cookies, "sid"), [value.as_bytes()]);
            assert_eq!(held(&cookies, "sid"), pieces.len());
        }
    }

    #[test]
    fn a_planted_piece_is_one_way_of_several_and_ways_are_bounded() {
        assert_eq!(all(&cookies("s=2.a; s.1=b; s.1=c"), "s"), [b"ab", b"ac"]);
        assert_eq!(all(&cookies("s=3.a; s.1=b"), "s"), [[0_u8; 0]; 0]);
        let many = format!("s=9.a; {}", (1..9).map(|i| format!("s.{i}=b; s.{i}=c")).collect::<Vec<_>>().join("; "));
        assert_eq!(all(&cookies(&many), "s").len(), MAX_WAYS);
    }
}
