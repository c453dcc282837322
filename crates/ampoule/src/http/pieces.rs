//! A value larger than one cookie, spread over several: `name`, `name.1`, `name.2`, …
//!
//! The first piece says how many there are, as `count.text`; base64url has no dot, so a value in one piece needs none.
//! The value is authenticated as a whole, so pieces that do not belong together are rejected.
//!
//! A client may send several cookies of one name: a subdomain can set one, and so can a page below another path. Only
//! decryption shows which of them belong together, so combinations are tried, within bounds: of the first 16 different
//! cookies of the plain name, and the first 4 of each further piece, at most 16 combinations. A value in one piece is
//! found among 16, and one in two pieces (the default of `max_pieces`) among any 4 of each. With more pieces,
//! combinations in which all pieces have the same position among the cookies of their names come first, since a browser
//! sends values that were set one after the other in that order; then others, up to the bound. The work is linear in
//! the length of the header, with one pass over it, and at most 16 times the largest value is decrypted.

use std::borrow::Cow;

use super::cookies::Cookies;

/// Browsers take 4096 bytes for name and value together (RFC 6265bis section 5.6).
const MAX_COOKIE: usize = 4_096;

/// The most pieces a value may have. Servers and proxies commonly refuse headers of over 16 KiB.
pub(crate) const MAX_PIECES: usize = 9;

/// The most values that are tried, and the most different cookies of the plain name.
const MAX_COMBINATIONS: usize = 16;

/// The most different cookies of each further piece.
const MAX_COOKIES_PER_PIECE: usize = 4;

/// The name of a piece: the first has the plain name.
pub(crate) fn name_of(name: &str, index: usize) -> Cow<'_, str> {
    if index == 0 { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}.{index}")) }
}

/// How many characters fit into this number of pieces under this name.
pub(crate) fn capacity(name: &str, pieces: usize) -> usize {
    pieces * room(name) - if pieces > 1 { 2 } else { 0 }
}

/// How many characters of text fit into a piece: name, dot and digit are the longest name of a piece.
pub(crate) fn room(name: &str) -> usize {
    MAX_COOKIE.saturating_sub(name.len() + 2)
}

/// The text that is cut into pieces, each of [`room`] characters but the last.
pub(crate) fn text<'a>(name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    if value.len() <= room(name) {
        return Cow::Borrowed(value);
    }
    let count = (value.len() + 2).div_ceil(room(name));
    Cow::Owned([count.to_string().as_bytes(), b".", value].concat())
}

/// How many pieces the client holds, live or stale: if fewer are needed, the others are expired.
pub(crate) fn held(cookies: &Cookies, name: &str) -> usize {
    cookies.pieces(name).map(|(index, _)| index).filter(|index| *index < MAX_PIECES).max().map_or(0, |last| last + 1)
}

/// The values that the client's pieces can be joined to, at most [`MAX_COMBINATIONS`]. One combination of each first
/// piece comes before the second of any, so that a planted piece does not use up the bound.
pub(crate) fn joined<'a>(cookies: &'a Cookies, name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let held = SentPieces::of(cookies, name);
    let mut turns = 0..held.firsts.len * MAX_COMBINATIONS;
    let next = move || turns.find_map(|turn| held.combination(turn % held.firsts.len, turn / held.firsts.len));
    std::iter::from_fn(next).take(MAX_COMBINATIONS)
}

/// The pieces that a client sent, within the bounds.
struct SentPieces<'a> {
    firsts: DistinctCookies<'a, MAX_COMBINATIONS>,
    others: [DistinctCookies<'a, MAX_COOKIES_PER_PIECE>; MAX_PIECES - 1],
}

impl<'a> SentPieces<'a> {
    fn of(cookies: &'a Cookies, name: &'a str) -> SentPieces<'a> {
        let mut held = SentPieces { firsts: DistinctCookies::NONE, others: [DistinctCookies::NONE; MAX_PIECES - 1] };
        for (index, piece) in cookies.pieces(name) {
            match index.checked_sub(1) {
                None => held.firsts.add(piece),
                Some(other) if other < held.others.len() => held.others[other].add(piece),
                Some(_) => {}
            }
        }
        held
    }

    /// The value that starts with this piece, joined in the given combination; `None` if there are fewer.
    fn combination(&self, first: usize, combination: usize) -> Option<Cow<'a, [u8]>> {
        let first = self.firsts.pieces[first];
        let [count @ b'2'..=b'9', b'.', start @ ..] = first else {
            return (combination == 0).then_some(Cow::Borrowed(first));
        };
        let others = &self.others[..usize::from(count - b'1')];
        let places = places(others.iter().map(|alike| alike.len), combination)?;
        let mut value = start.to_vec();
        others.iter().zip(places).for_each(|(alike, place)| value.extend_from_slice(alike.pieces[place]));
        #[cfg(test)]
        super::cookies::steps::add(value.len());
        Some(Cow::Owned(value))
    }
}

/// The first different cookies of one name.
#[derive(Clone, Copy)]
struct DistinctCookies<'a, const N: usize> {
    pieces: [&'a [u8]; N],
    len: usize,
}

impl<'a, const N: usize> DistinctCookies<'a, N> {
    const NONE: Self = DistinctCookies { pieces: [&[]; N], len: 0 };

    /// Ignores pieces that are empty or longer than a browser's cookie.
    fn add(&mut self, piece: &'a [u8]) {
        if self.len == N || piece.is_empty() || piece.len() > MAX_COOKIE {
            return;
        }
        #[cfg(test)]
        super::cookies::steps::add(self.len * piece.len());
        if !self.pieces[..self.len].contains(&piece) {
            self.pieces[self.len] = piece;
            self.len += 1;
        }
    }
}

/// The position of the cookie to take for each name: first the same position for all names, then the mixed
/// combinations.
fn places(counts: impl Iterator<Item = usize> + Clone, combination: usize) -> Option<[usize; MAX_PIECES - 1]> {
    let most = counts.clone().max()?;
    let all: usize = counts.clone().product();
    let of = |place: &dyn Fn(usize) -> usize| {
        let mut places = [0; MAX_PIECES - 1];
        places.iter_mut().zip(counts.clone()).for_each(|(at, count)| *at = place(count));
        places
    };
    let same = |place: usize| of(&|count| place.min(count - 1));
    let mix = |number: usize| {
        let left = std::cell::Cell::new(number);
        of(&|count| left.replace(left.get() / count) % count)
    };
    match combination.checked_sub(most) {
        _ if all == 0 => None,
        None => Some(same(combination)),
        Some(combination) => {
            (0..all).map(mix).filter(|places| (0..most).all(|place| same(place) != *places)).nth(combination)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::cookies::steps;
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
    fn a_split_value_is_joined() {
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
    fn a_planted_piece_adds_combinations_up_to_the_bound() {
        assert_eq!(all(&cookies("s=2.a; s.1=b; s.1=c"), "s"), [b"ab", b"ac"]);
        assert_eq!(all(&cookies("s=3.a; s.1=b"), "s"), [[0_u8; 0]; 0]);
        assert_eq!(all(&cookies("s=2.a; s=2.a; s.1=b; s.1=b; s=; s.1="), "s"), [b"ab"], "the same one twice is one");
        assert_eq!(all(&cookies("s=2.a; s=c; s=3.b; s.1=d; s.1=e"), "s"), [&b"ad"[..], b"c", b"ae"]);
        let long = "x".repeat(MAX_COOKIE + 1);
        assert_eq!(all(&cookies(&format!("s={long}; s=2.a; s.1={long}; s.1=b")), "s"), [b"ab"]);
        let many = format!("s=9.a; {}", (1..9).map(|i| format!("s.{i}=b; s.{i}=c")).collect::<Vec<_>>().join("; "));
        assert_eq!(all(&cookies(&many), "s").len(), MAX_COMBINATIONS);
    }

    /// Tests the bounds that this module documents, with each of the true pieces behind three planted ones.
    #[test]
    fn planted_pieces_within_the_bounds_do_not_lock_a_client_out() {
        let one = (1..MAX_COMBINATIONS).map(|number| format!("s=planted{number}; ")).collect::<String>() + "s=true";
        assert!(all(&cookies(&one), "s").contains(&b"true".to_vec()));
        for (first, second) in (0..4).flat_map(|first| (0..4).map(move |second| (first, second))) {
            let piece = |name: &str, text: &str, number: usize, place: usize| match number == place {
                true => format!("{name}={text}true; "),
                false => format!("{name}={text}{number}; "),
            };
            let firsts = (0..4).map(|number| piece("s", "2.", number, first));
            let header: String = firsts.chain((0..4).map(|number| piece("s.1", "", number, second))).collect();
            assert!(all(&cookies(&header), "s").contains(&b"truetrue".to_vec()), "{header}");
        }
        // Nine pieces after or before whole planted values, and after single planted pieces.
        let value = |text: &str| (1..9).fold(format!("s=9.{text}"), |all, index| format!("{all}; s.{index}={text}"));
        let expected = "true".repeat(9).into_bytes();
        for place in 0..4 {
            let values =
                (0..4).map(|number| value(if number == place { "true".into() } else { format!("{number}") }.as_str()));
            let header = values.collect::<Vec<_>>().join("; ");
            assert!(all(&cookies(&header), "s").contains(&expected), "{header}");
        }
        for planted in ["s.3=x", "s.1=x; s.5=x", "s=9.x; s.8=x", "s.1=x; s.2=x; s.3=x; s.4=x; s.5=x; s.6=x; s.7=x"] {
            for header in [format!("{planted}; {}", value("true")), format!("{}; {planted}", value("true"))] {
                assert!(all(&cookies(&header), "s").contains(&expected), "{header}");
            }
        }
    }

    /// Counts the bytes that are compared, copied and decrypted, for headers that are built to be expensive.
    #[test]
    fn work_per_byte_does_not_grow_with_the_header() {
        let long = "A".repeat(1_000);
        let all_pieces = |text: &str| (1..9).map(|index| format!("s.{index}={text};")).collect::<String>();
        let nasty = [
            "s=9.x;".to_owned(),
            "s=2.x;s.1=y;".to_owned(),
            format!("s=9.x;{}", all_pieces("y")),
            format!("s=9.{long};{}", all_pieces(&long)),
            format!("{}s=9.x;", all_pieces("")),
            ";".to_owned(),
            "s=;".to_owned(),
            "s=\";".to_owned(),
            "s=\"\"\"\";".to_owned(),
            "\"".to_owned(),
            "=".to_owned(),
            " ".to_owned(),
            "s \t".to_owned(),
            "s.1".to_owned(),
            "ssssssssssssssss=1;".to_owned(),
            format!("s{long};"),
            format!("s={long};"),
            format!("s.9={long};"),
        ];
        let work = |pattern: &str, len: usize, numbered: bool| {
            let mut header = String::new();
            for number in 0.. {
                if header.len() + pattern.len() + 8 > len {
                    break;
                }
                // With a number each cookie differs from all before it.
                let pattern = if numbered { pattern.replace(';', &format!("{number};")) } else { pattern.to_owned() };
                header.push_str(&pattern);
            }
            let cookies = cookies(&header);
            let mut decrypted = 0;
            let steps = steps::of(|| {
                decrypted = joined(&cookies, "s").map(|value| value.len()).sum();
                held(&cookies, "s");
            });
            let most = MAX_COMBINATIONS * MAX_PIECES * MAX_COOKIE;
            assert!(decrypted <= most, "{decrypted} bytes are decrypted for {pattern:.20}");
            (steps + decrypted, header.len(), 2 * most)
        };
        for pattern in nasty {
            for numbered in [false, true] {
                let (small, len, most) = work(&pattern, 32 << 10, numbered);
                let (large, long, _) = work(&pattern, 64 << 10, numbered);
                assert!(
                    large * len <= (small + 1_000) * long,
                    "{pattern:.20} costs {small} steps for {len} bytes, and {large} for {long}"
                );
                assert!(small <= 6 * len + most, "{pattern:.20} costs {small} steps for {len} bytes");
            }
        }
    }
}
