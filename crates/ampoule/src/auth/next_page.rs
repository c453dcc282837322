//! The page to continue with after a login: always one of this site.

use std::borrow::Cow;
use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;

const PARAMETER: &str = "next";

/// The longest page that is kept, in bytes. Percent-encoded, it may be three times as long in a header.
const MAX_LEN: usize = 2_048;

/// How many times a path may have been percent-encoded.
const MAX_ENCODINGS: usize = 4;

/// The page that a client requested before it was sent to the login page: the parameter `next` of the request's query,
/// if it is a path of this site.
///
/// ```
/// use ampoule::{Error, NextPage, Session};
/// use axum::response::{Html, Redirect};
///
/// async fn login_page(next: NextPage) -> Html<String> {
///     Html(format!("<form method=post action=\"{}\">…</form>", next.on("/login")))
/// }
///
/// async fn login(session: Session, next: NextPage) -> Result<Redirect, Error> {
///     session.login("user:42").await?; // Check the password first.
///     session.save().await?;
///     Ok(Redirect::to(next.or("/")))
/// }
/// ```
///
/// A link with `?next=https://evil.example/` would lead a user from your login page to a copy of it (an open redirect,
/// CWE-601). So the page is only accepted if the text is a path, with or without a query, that
///
/// - starts with one `/`, and has no space, control character, non-ASCII character, or one of `\ " < > #` and the
///   backtick;
/// - has no segment that is empty, blank, `.` or `..`, except an empty one at the end, and no backslash or control
///   character: neither as it is written nor after any number of percent-decodings, since proxies and servers decode
///   and normalize paths;
/// - has at most 2,048 bytes.
///
/// If there are several parameters `next`, none is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextPage(Option<String>);

impl NextPage {
    /// Creates the page from a text, such as the value of a form's hidden field. A text that is not safe results in no
    /// page.
    ///
    /// ```
    /// use ampoule::NextPage;
    ///
    /// assert_eq!(NextPage::new("/orders?open=1").or("/"), "/orders?open=1");
    /// assert_eq!(NextPage::new("//evil.example").or("/"), "/");
    /// ```
    pub fn new(text: impl Into<String>) -> NextPage {
        NextPage(Some(text.into()).filter(|text| is_local(text)))
    }

    /// Returns the page's path and query, if there is a page.
    ///
    /// ```
    /// use ampoule::NextPage;
    ///
    /// assert_eq!(NextPage::new("/orders").path(), Some("/orders"));
    /// assert_eq!(NextPage::new("https://evil.example/").path(), None);
    /// ```
    pub fn path(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the page's path and query, or `otherwise`.
    ///
    /// ```
    /// use ampoule::NextPage;
    ///
    /// assert_eq!(NextPage::new("/orders").or("/account"), "/orders");
    /// assert_eq!(NextPage::default().or("/account"), "/account");
    /// ```
    pub fn or<'a>(&'a self, otherwise: &'a str) -> &'a str {
        self.path().unwrap_or(otherwise)
    }

    /// Returns the address of the login page `login` with this page as its parameter `next`: for the action of its
    /// form.
    ///
    /// ```
    /// use ampoule::NextPage;
    ///
    /// assert_eq!(NextPage::new("/orders?open=1").on("/login"), "/login?next=%2Forders%3Fopen%3D1");
    /// assert_eq!(NextPage::new("https://evil.example").on("/login"), "/login");
    /// ```
    pub fn on(&self, login: &str) -> String {
        let Some(path) = self.path() else { return login.to_owned() };
        let separator = if login.contains('?') { '&' } else { '?' };
        let encoded: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        format!("{login}{separator}{PARAMETER}={encoded}")
    }

    fn of_query(query: &str) -> NextPage {
        let mut pages = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == PARAMETER);
        match (pages.next(), pages.next()) {
            (Some((_, page)), None) => NextPage::new(page),
            _ => NextPage::default(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for NextPage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<NextPage, Infallible> {
        Ok(NextPage::of_query(parts.uri.query().unwrap_or_default()))
    }
}

/// Whether a browser, and every proxy before this server, takes the text for a path of the same site.
fn is_local(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>`#".contains(&byte);
    text.len() <= MAX_LEN && text.bytes().all(is_plain) && is_normalized(text.split('?').next().unwrap_or_default())
}

/// Whether a path has only plain segments, also after any number of percent-decodings, so that no normalization leads
/// elsewhere.
fn is_normalized(path: &str) -> bool {
    let mut path = Cow::Borrowed(path);
    for _ in 0..=MAX_ENCODINGS {
        if !has_plain_segments(&path) {
            return false;
        }
        // Invalid UTF-8 may be a slash to a lenient decoder.
        let Ok(decoded) = percent_decode_str(&path).decode_utf8() else { return false };
        if decoded == path {
            return true;
        }
        path = Cow::Owned(decoded.into_owned());
    }
    false
}

fn has_plain_segments(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Some servers drop the part after a semicolon.
        let name = segment.split(';').next().unwrap_or_default().trim();
        let is_trailing_slash = segment.is_empty() && segments.peek().is_none();
        if matches!(name, "." | "..") || (name.is_empty() && !is_trailing_slash) {
            return false;
        }
    }
    !path.contains(is_forbidden)
}

/// Control characters, line separators, and characters that some programs take for a slash.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character, '\\' | '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' | '\u{fe68}' | '\u{ff3c}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The path on the same site that a browser resolves the text to; `None` for another site, or another scheme. By
    /// WHATWG's URL standard: surrounding white space, and tabs and line ends inside, are dropped; a backslash is a
    /// slash; two slashes begin a host; dot segments are resolved, encoded ones too.
    fn resolve(text: &str) -> Option<String> {
        let text = text.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
        let path = text.split(['?', '#']).next().unwrap_or_default().replace('\\', "/");
        let path = path.strip_prefix('/').filter(|path| !path.starts_with('/'))?;
        let mut resolved: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match &*segment.to_ascii_lowercase().replace("%2e", ".") {
                "." => {}
                ".." => _ = resolved.pop(),
                _ => resolved.push(segment),
            }
        }
        Some(format!("/{}", resolved.join("/")))
    }

    #[test]
    fn the_browser_of_these_tests_follows_the_tricks() {
        for (trick, leads_to) in [
            ("//evil", None),
            ("/\\evil", None),
            ("/\t/evil", None),
            ("https:evil", None),
            ("/..//evil", Some("//evil")),
        ] {
            assert_eq!(resolve(trick).as_deref(), leads_to, "{trick:?}");
        }
    }

    const TRICKS: &[&str] = &[
        "",
        "evil",
        "?next=/a",
        "#a",
        "evil.example",
        "//evil.example",
        "///evil.example",
        "////evil",
        "/\\evil",
        "\\/evil",
        "\\\\evil",
        "/\\/evil",
        "\\evil",
        "https:evil",
        "https:/evil",
        "https://evil",
        "HTTPS://evil",
        "http:evil",
        "https:\\\\evil",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:x",
        "mailto:x",
        "\t//evil",
        "\n//evil",
        " //evil",
        "/\t/evil",
        "/\n/evil",
        "/\r/evil",
        "/\r\n/evil",
        "/a\r\nSet-Cookie: a=b",
        "/\0/evil",
        "/a\u{7f}",
        "/\u{b}/evil",
        "/\u{a0}/evil",
        "/\u{85}/evil",
        "/\u{2028}/evil",
        "\u{feff}//evil",
        "\u{200b}//evil",
        "//site.example@evil",
        "https://site.example@evil",
        "https://site.example:pass@evil",
        "//site.example%40evil",
        "/\\site.example@evil",
        "//evil\u{3002}example",
        "/\u{ff0f}evil",
        "\u{ff0f}\u{ff0f}evil",
        "/\u{2044}evil",
        "/\u{2215}evil",
        "/%EF%BC%8Fevil",
        "/%ef%bc%bcevil",
        "/%5cevil",
        "/%5Cevil",
        "/%5c%5cevil",
        "%2f%2fevil",
        "/%2fevil",
        "/%2Fevil",
        "/%2f%2fevil",
        "/%252fevil",
        "/%25252fevil",
        "/%255cevil",
        "/%2525252525252fevil",
        "/%%35cevil",
        "/%09/evil",
        "/%0a/evil",
        "/%0d%0aSet-Cookie:a=b",
        "/%00/evil",
        "/%20/evil",
        "/%c0%afevil",
        "/%ff",
        "/..//evil",
        "/.//evil",
        "/../evil",
        "/a/../..//evil",
        "/a/..",
        "/.",
        "/a/./b",
        "/%2e%2e//evil",
        "/%2e//evil",
        "/.%2e/evil",
        "/..%2f/evil",
        "/%252e%252e//evil",
        "/..;//evil",
        "/.;/evil",
        "/;/evil",
        "/a//evil",
        "/a/..;/b",
        "/a%2f%2fevil",
        "/%3f/..//evil",
        "/a#b",
        "/a\"b",
        "/<b>",
    ];

    #[test]
    fn tricks_of_open_redirects_are_refused() {
        for trick in TRICKS {
            assert_eq!(NextPage::new(*trick).path(), None, "{trick:?}");
        }
        assert_eq!(NextPage::new(format!("/{}", "a".repeat(MAX_LEN))).path(), None, "too long");
    }

    #[test]
    fn pages_of_a_site_are_kept_as_they_are() {
        let pages = [
            "/",
            "/a",
            "/a/",
            "/a/b?c=d&e=f",
            "/?a",
            "/a?next=//evil.example",
            "/a?url=https://b.example/c%0d%0a",
            "/a%20b",
            "/100%25",
            "/%C3%BCber",
            "/a;v=1/b",
            "/@ada",
            "/a:b",
            "/..a",
            "/.well-known/x",
            "/a...",
            "/javascript:alert(1)",
            "/a?b=..//c",
            "/a'b",
            "/a/b.c~d_e!$&'()*+,=",
        ];
        for page in pages {
            assert_eq!(NextPage::new(page).path(), Some(page));
            let address = NextPage::new(page).on("/login?lang=de");
            assert_eq!(NextPage::of_query(address.split_once('?').unwrap().1).path(), Some(page), "{address}");
        }
    }

    #[test]
    fn two_pages_count_as_none() {
        assert_eq!(NextPage::of_query("a=b&next=%2Fc"), NextPage::new("/c"));
        for query in ["next=/a&next=/b", "next=/a&next=//evil", "NEXT=/a", "next", "next[]=/a", ""] {
            assert_eq!(NextPage::of_query(query).path(), None, "{query}");
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/"),
            Just("\\"),
            Just("."),
            Just(".."),
            Just("%2f"),
            Just("%5c"),
            Just("%2e"),
            Just("%25"),
            Just("2f"),
            Just("5c"),
            Just("\t"),
            Just("\n"),
            Just("\r"),
            Just(" "),
            Just("@"),
            Just(":"),
            Just("https:"),
            Just("javascript:"),
            Just("evil.example"),
            Just("?"),
            Just("#"),
            Just(";"),
            Just("\u{3002}"),
            Just("\u{ff0f}"),
            Just("%ef%bc%8f"),
            Just("%0a"),
            Just("%00"),
            Just("a"),
            Just("%"),
            Just("0"),
            Just("\u{0}"),
        ];
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn accepted_pages_stay_on_the_site(lead in prop_oneof![Just(""), Just("/"), Just("/a")], rest in prop_oneof![pieces(), any::<String>()]) {
            let page = NextPage::new(format!("{lead}{rest}"));
            let Some(path) = page.path() else { return Ok(()) };
            // As a browser resolves it, and as one would after proxies and servers have decoded and normalized it.
            let mut path = path.to_owned();
            for _ in 0..6 {
                let leads_to = resolve(&path);
                prop_assert!(leads_to.as_ref().is_some_and(|path| !path.starts_with("//")), "{:?}: {:?}", path, leads_to);
                path = percent_decode_str(path.split('?').next().unwrap_or_default()).decode_utf8_lossy().into_owned();
            }
            prop_assert!(http::HeaderValue::from_str(page.or("/")).is_ok());
        }
    }
}
