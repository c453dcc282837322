//! A cookie's attributes: their validation, and the Set-Cookie header.
//!
//! The crate `cookie` is not used, since it has no `Priority`, depends on the crate `time`, and formats all attributes
//! for each response; a layer formats its attributes once.

use std::time::{Duration, SystemTime};

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Error, ErrorKind, Lifetime};
use http::HeaderValue;

/// Browsers cap a cookie's age at 400 days (RFC 6265bis section 5.5).
pub(crate) const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 3600);

/// How the session's cookie is sent.
///
/// The defaults are for production: the cookie is sent only over TLS, is hidden from scripts, is not sent with requests
/// that other sites start, and is removed when the browser closes.
///
/// ```
/// use std::time::Duration;
/// use ampoule::{CookieExpires, CookieOptions, SameSite};
///
/// let cookie = CookieOptions {
///     name: "shop".into(),
///     expires: CookieExpires::After(Duration::from_secs(30 * 24 * 3_600)),
///     samesite: SameSite::Strict,
///     ..CookieOptions::default()
/// };
/// ```
///
/// End a literal with `..CookieOptions::default()`: a later version may add options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOptions {
    /// The cookie's name, without the prefix that [`host_prefix`](CookieOptions::host_prefix) may add. `session` by
    /// default. With the prefix, it has 1 to 128 ASCII letters, digits or signs of ``!#$%&'*+-.^_`|~``.
    pub name: String,
    /// When the cookie expires; [`CookieExpires::Session`] by default, as in Beaker.
    pub expires: CookieExpires,
    /// The domain that gets the cookie, with its subdomains. `None`, the default, is this host alone: a subdomain often
    /// belongs to another application.
    pub domain: Option<String>,
    /// The path below which the cookie is sent, which starts with `/`. `/` by default.
    pub path: String,
    /// Whether the cookie is sent only over TLS, and to loopback. `true` by default; Beaker's is false.
    pub secure: bool,
    /// Whether the cookie is hidden from scripts. `true` by default; Beaker's is false.
    pub httponly: bool,
    /// Whether requests that other sites start carry the cookie. [`SameSite::Lax`] by default.
    pub samesite: SameSite,
    /// Whether the cookie belongs to the top-level site in whose frame it was set (CHIPS). `false` by default. A
    /// browser that still holds an unpartitioned cookie of the name sends both; they are handled like cookies of two
    /// scopes.
    pub partitioned: bool,
    /// Which cookies Chromium removes last if a site has more than it keeps, 180 for each domain. Other browsers ignore
    /// the attribute. `None`, the default, sends none, which equals [`CookiePriority::Medium`].
    pub priority: Option<CookiePriority>,
    /// Whether the name is sent with the prefix `__Host-`: a browser then accepts the cookie only over TLS, from this
    /// host, for the path `/`, so that no sibling domain can plant one (RFC 6265bis section 4.1.3.2). By default, if
    /// `secure`, `path` and `domain` allow it. With the prefix, choosing a domain or path at run time is an error.
    pub host_prefix: HostPrefix,
    /// Earlier scopes of the cookie, by domain and path: if a client still sends such a cookie together with the
    /// present one, it is expired. Scopes above the host and path of a request are found without being listed. None by
    /// default.
    pub former_scopes: Vec<CookieScope>,
    /// How many cookies a session in its cookie may fill, 1 to 9. 2 by default, about 8000 characters: servers and
    /// proxies commonly refuse more than 8 to 16 KiB of headers.
    pub max_pieces: usize,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

impl Default for CookieOptions {
    fn default() -> CookieOptions {
        CookieOptions {
            name: "session".to_owned(),
            expires: CookieExpires::Session,
            domain: None,
            path: "/".to_owned(),
            secure: true,
            httponly: true,
            samesite: SameSite::Lax,
            partitioned: false,
            priority: None,
            host_prefix: HostPrefix::WherePossible,
            former_scopes: Vec::new(),
            max_pieces: 2,
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

/// Whether a cookie's name starts with `__Host-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostPrefix {
    /// If the attributes allow it: with `secure`, for the path `/`, without a domain.
    WherePossible,
    /// Always; attributes that forbid it are an error.
    Always,
    /// Never: the name is sent as it is. The default of an ini file, where Beaker's `key` is the cookie's name.
    Never,
}

/// The domain and path that a cookie is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieScope {
    /// The domain that gets the cookie, with its subdomains; `None` for only the host that set it.
    pub domain: Option<String>,
    /// The path below which the cookie is sent.
    pub path: String,
}

/// When a session's cookie expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieExpires {
    /// When the browser is closed, in browsers that still do so.
    Session,
    /// As late as browsers allow: after 400 days without use.
    Never,
    /// This long after it was sent, at least a second; more than 400 days count as 400, the most that browsers allow.
    /// It is sent again when a tenth of the time has passed and the session is used.
    After(Duration),
}

/// Whether requests that other sites start carry the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// Never: a user who follows a link to the site arrives logged out.
    Strict,
    /// With links that are followed, not with forms, frames or scripts of other sites.
    Lax,
    /// Always; browsers then require `secure`.
    None,
}

/// Which of a site's cookies Chromium removes if there are too many: those of low priority first, and those of high
/// priority last.
///
/// ```
/// use ampoule::{CookieOptions, CookiePriority};
///
/// let cookie = CookieOptions { priority: Some(CookiePriority::High), ..CookieOptions::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookiePriority {
    /// Removed first.
    Low,
    /// As a cookie without the attribute.
    Medium,
    /// Removed last.
    High,
}

impl CookieOptions {
    /// Whether the name gets the prefix.
    pub(crate) fn has_host_prefix(&self) -> bool {
        match self.host_prefix {
            HostPrefix::WherePossible => self.is_host_only(),
            HostPrefix::Always => true,
            HostPrefix::Never => false,
        }
    }

    /// Converts domains to the form in which they are compared: lower case, without a leading dot. Call it after
    /// validation.
    pub(crate) fn normalize(&mut self) {
        let former = self.former_scopes.iter_mut().map(|scope| &mut scope.domain);
        for text in former.chain([&mut self.domain]).flatten() {
            *text = domain(text).unwrap_or_else(|_| text.clone());
        }
    }

    fn is_host_only(&self) -> bool {
        self.secure && self.path == "/" && self.domain.is_none()
    }

    /// The cookie's maximum age. A lifetime of the session's own ("remember me") is also the cookie's.
    pub(crate) fn max_age(&self, lifetime: &Lifetime) -> Option<Duration> {
        let age = match (lifetime.own, lifetime.idle, self.expires) {
            (true, Some(idle), _) => idle,
            (_, _, CookieExpires::Session) => return None,
            (_, _, CookieExpires::Never) => MAX_AGE,
            (_, _, CookieExpires::After(age)) => age,
        };
        Some(age.min(MAX_AGE))
    }

    /// The name that is sent.
    pub(crate) fn sent_name(&self) -> String {
        if self.has_host_prefix() { format!("__Host-{}", self.name) } else { self.name.clone() }
    }

    /// Returns what is wrong with these options, each with the option's name in settings.
    pub(crate) fn validate(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |option, result: Result<(), Error>| {
            if let Err(error) = result {
                faults.push((option, error.report()));
            }
        };
        let is_unbound = matches!(self.host_prefix, HostPrefix::Always) && !self.is_host_only();
        check("host_prefix", if is_unbound { Err(invalid(HOST_PREFIX_NEEDS)) } else { Ok(()) });
        let name = if is_unbound { self.name.clone() } else { self.sent_name() };
        check("key", self.check_name(&name));
        check("cookie_domain", self.domain.as_deref().map_or(Ok(()), |text| domain(text).map(drop)));
        check("cookie_path", path(&self.path).map(drop));
        let needs_secure = self.samesite == SameSite::None || self.partitioned;
        let insecure = invalid("samesite = none and partitioned need secure: browsers drop the cookie otherwise");
        check("secure", if needs_secure && !self.secure { Err(insecure) } else { Ok(()) });
        let bounded = (1..=crate::http::pieces::MAX_PIECES).contains(&self.max_pieces);
        check("cookie_max_pieces", if bounded { Ok(()) } else { Err(invalid("expected 1 to 9")) });
        let ends_at_once = matches!(self.expires, CookieExpires::After(age) if age < Duration::from_secs(1));
        check("cookie_expires", if ends_at_once { Err(invalid("expected at least a second")) } else { Ok(()) });
        faults
    }

    /// A name is a token (RFC 6265 section 4.1.1), and its prefix binds the attributes (RFC 6265bis section 4.1.3).
    fn check_name(&self, name: &str) -> Result<(), Error> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_token) {
            return Err(invalid("a cookie's name has 1 to 128 letters, digits or signs of !#$%&'*+-.^_`|~"));
        }
        if has_prefix(name, "__Host-") && !self.is_host_only() {
            return Err(invalid(HOST_PREFIX_NEEDS));
        }
        if has_prefix(name, "__Secure-") && !self.secure {
            return Err(invalid("a name that starts with __Secure- needs secure"));
        }
        Ok(())
    }
}

const HOST_PREFIX_NEEDS: &str = "a name that starts with __Host- needs secure, the path / and no domain";

/// Browsers compare the prefixes of names without regard to case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Checks a domain. A leading dot, which old browsers wanted, is dropped (RFC 6265 section 5.2.3).
pub(crate) fn domain(text: &str) -> Result<String, Error> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        !edges
            && (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(invalid("a cookie's domain is a host name such as example.com, of letters, digits, - and dots"))
}

/// Checks a path: it is written into the header unchanged, so it must have no `;` and no control character.
pub(crate) fn path(text: &str) -> Result<String, Error> {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
    if text.starts_with('/') && text.len() <= 1_024 && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(invalid("a cookie's path starts with / and has at most 1024 printable ASCII characters, no ;"))
}

/// All attributes of the cookie but its expiry, with the domain and the path that a request chose. The options were
/// validated before.
pub(crate) fn attributes(options: &CookieOptions, domain: Option<&str>, path: Option<&str>) -> String {
    let domain = domain.or(options.domain.as_deref());
    let parts = [
        if options.httponly { "; HttpOnly" } else { "" },
        match options.samesite {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        },
        if options.partitioned { "; Partitioned" } else { "" },
        match options.priority {
            None => "",
            Some(CookiePriority::Low) => "; Priority=Low",
            Some(CookiePriority::Medium) => "; Priority=Medium",
            Some(CookiePriority::High) => "; Priority=High",
        },
        if options.secure { "; Secure" } else { "" },
        "; Path=",
        path.unwrap_or(&options.path),
        if domain.is_some() { "; Domain=" } else { "" },
        domain.unwrap_or_default(),
    ];
    parts.concat()
}

/// The Set-Cookie header of a cookie (RFC 6265 section 4.1.1) with these [`attributes`], or of its removal if there is
/// no value. It is marked as sensitive, so that logging layers hide its value, and HTTP/2 does not index it.
pub(crate) fn set_cookie(
    name: &str,
    value: Option<&[u8]>,
    attributes: &str,
    max_age: Option<Duration>,
) -> Result<HeaderValue, Error> {
    let expiry = match (value, max_age) {
        (None, _) => expiry(Duration::ZERO, SystemTime::UNIX_EPOCH),
        (Some(_), Some(age)) => expiry(age.min(MAX_AGE), SystemTime::now() + age.min(MAX_AGE)),
        (Some(_), None) => String::new(),
    };
    let parts = [name.as_bytes(), b"=", value.unwrap_or_default(), attributes.as_bytes(), expiry.as_bytes()];
    let mut header = HeaderValue::try_from(parts.concat())
        .map_err(|_| invalid("a cookie's attributes hold a forbidden character"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Max-Age does not depend on the client's clock; Expires is for clients that do not know Max-Age.
fn expiry(age: Duration, at: SystemTime) -> String {
    format!("; Max-Age={}; Expires={}", age.as_secs(), httpdate::fmt_http_date(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_inject_attributes_is_refused() {
        for bad in ["\r", "\n", ";", "\0", "\x7f", "\u{e9}", " "] {
            assert!(domain(&format!("exa{bad}mple.com")).is_err(), "{bad:?}");
            let named = CookieOptions::default().check_name(&format!("s{bad}id"));
            assert_eq!(named.unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        for bad in ["\r", "\n", ";", "\0", "\x7f", "\u{e9}"] {
            assert!(path(&format!("/a{bad}b")).is_err(), "{bad:?}");
        }
        assert!(path("").is_err() && path("a").is_err() && domain("").is_err() && domain("a..b").is_err());
        assert_eq!(domain(".Example.COM").unwrap(), "example.com");
    }

    #[test]
    fn name_prefixes_restrict_the_attributes() {
        let named = |name: &str| CookieOptions {
            name: name.into(),
            host_prefix: HostPrefix::Never,
            ..CookieOptions::default()
        };
        assert!(named("__Host-sid").validate().is_empty());
        let with_domain = |name| CookieOptions { domain: Some("example.com".into()), ..named(name) };
        assert_eq!(with_domain("__hOST-sid").validate()[0].0, "key");
        assert!(with_domain("__Secure-sid").validate().is_empty());
        let insecure = CookieOptions { secure: false, samesite: SameSite::None, ..named("__Secure-sid") };
        let options_of = |options: CookieOptions| options.validate().iter().map(|fault| fault.0).collect::<Vec<_>>();
        assert_eq!(options_of(insecure), ["key", "secure"]);
        let always = |path: &str| CookieOptions {
            host_prefix: HostPrefix::Always,
            path: path.into(),
            ..CookieOptions::default()
        };
        assert_eq!(options_of(always("/")), [""; 0]);
        assert_eq!(options_of(always("/shop")), ["host_prefix"], "the name itself is valid");
        let of_length = |length| CookieOptions { name: "n".repeat(length), ..CookieOptions::default() };
        assert_eq!(options_of(of_length(121)), [""; 0], "128 with the prefix");
        assert_eq!(options_of(of_length(122)), ["key"]);
    }

    #[test]
    fn the_header_has_the_attributes_of_the_options() {
        let options = CookieOptions { domain: Some("example.com".into()), ..CookieOptions::default() };
        let usual = attributes(&options, None, None);
        let set = set_cookie("sid", Some(b"v"), &usual, None).unwrap();
        assert_eq!(set, "sid=v; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com");
        assert_eq!(format!("{set:?}"), "Sensitive");
        let removal = set_cookie("sid", None, &usual, None).unwrap();
        let expected = "sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(removal, expected);
        let options =
            CookieOptions { samesite: SameSite::None, httponly: false, partitioned: true, ..CookieOptions::default() };
        let set = set_cookie("sid", Some(b"v"), &attributes(&options, None, Some("/a")), Some(Duration::MAX)).unwrap();
        let start = "sid=v; SameSite=None; Partitioned; Secure; Path=/a; Max-Age=34560000; Expires=";
        assert!(set.to_str().unwrap().starts_with(start) && set.to_str().unwrap().ends_with(" GMT"), "{set:?}");
    }
}
