//! The token of a session's forms.

use ampoule_core::{Change, Error, ErrorKind};

use super::html::{self, SafeHtml};
use crate::session::Session;

/// The name of the field that holds the token in a form: Pylons' name.
pub(crate) const TOKEN: &str = "_authentication_token";

/// The token by which a session knows its own forms: 256 bits from the operating system's generator.
///
/// Each time it is written it looks different, so that a compressed page tells nothing of it (the BREACH attack,
/// CVE-2013-3587). As an extractor it makes the session's token if there is none yet, which saves the session: so a login
/// form is protected before there is a user.
///
/// ```
/// use ampoule::{CsrfToken, Error};
///
/// async fn login_page(token: CsrfToken) -> Result<String, Error> {
///     let form = token.secure_form("/login", "post", &[("class", "narrow")])?;
///     Ok(format!("<!doctype html>{form}<input name=user><input name=password type=password><button>Log in</button></form>"))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct CsrfToken([u8; 32]);

impl CsrfToken {
    /// The name of the form's field.
    pub const FIELD: &'static str = TOKEN;
    /// The name of the header, for requests that a script makes.
    pub const HEADER: &'static str = "x-csrf-token";

    /// The token behind a fresh mask: 86 characters of base64url. For a script put it into a `<meta>`, to be sent as
    /// `X-CSRF-Token`.
    pub fn masked(&self) -> String {
        ampoule_seal::mask(&self.0)
    }

    /// The hidden field of a form: `<input type="hidden" name="_authentication_token" value="…">`.
    pub fn hidden_field(&self) -> SafeHtml {
        SafeHtml::new(format!(r#"<input type="hidden" name="{TOKEN}" value="{}">"#, self.masked()))
    }

    /// The start of a form, with its hidden field; you write the rest, and `</form>`. For uploads add the attribute
    /// `("enctype", "multipart/form-data")`. A form that gets has no token, since that would stand in the address then.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `url` leads to another site, which would learn the token; if the method is not `get` or
    /// `post`, since browsers know no others; if an attribute's name is invalid.
    pub fn secure_form(&self, url: &str, method: &str, attributes: &[(&str, &str)]) -> Result<SafeHtml, Error> {
        if !is_of_this_site(url) {
            let message =
                format!("a secure form sends its token to this site alone, to a path such as /login, not to `{url}`");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let method = method.to_ascii_lowercase();
        if method != "get" && method != "post" {
            return Err(Error::new(ErrorKind::Invalid, format!("a form has the method get or post, not `{method}`")));
        }
        let own = [("action", url), ("method", &method)];
        let mut form = html::start_tag("form", own.iter().chain(attributes))?;
        if method == "post" {
            form.push_str(self.hidden_field().as_str());
        }
        Ok(SafeHtml::new(form))
    }
}

/// Browsers take backslashes for slashes, and skip tabs and line ends (WHATWG URL, section 4.4).
fn is_of_this_site(url: &str) -> bool {
    let plain = url.bytes().all(|byte| byte != b'\\' && !byte.is_ascii_control() && byte != b' ');
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    plain && !url.starts_with("//") && !first.contains(':')
}

impl std::fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfToken(..)")
    }
}

impl Session {
    /// The token of this session's forms. If there is none yet it is made, and the session saved with it and with
    /// whatever else the request changed. It stays through [`regenerate_id`](Session::regenerate_id), and changes with
    /// a login and when the session is invalidated.
    ///
    /// A session that holds nothing else ends when it was not used for an hour
    /// ([`FORM_LIFETIME`](ampoule_core::FORM_LIFETIME)), or for the session's idle time if that is shorter, and may be
    /// removed by a memory store that is full: a client without cookies makes one with each form that it is shown. The
    /// first change of another kind gives the session its full lifetime.
    ///
    /// # Errors
    /// Those of loading, and of [`save`](Session::save) for a new one.
    pub async fn csrf_token(&self) -> Result<CsrfToken, Error> {
        if let Some(token) = self.form_token().await? {
            return Ok(CsrfToken(token));
        }
        // Where another request has made one first, that one stays: a page may have it.
        self.change(Change::FormToken(ampoule_seal::random_bytes()))?;
        self.save().await?;
        let token = self.form_token().await?;
        token.map(CsrfToken).ok_or_else(|| Error::new(ErrorKind::Gone, "the session has ended"))
    }

    /// Whether this text is this session's token, as a form or script sent it: in constant time, and without making one.
    /// [`CsrfLayer`](crate::CsrfLayer) asks it for you.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn verify_csrf_token(&self, text: &str) -> Result<bool, Error> {
        let token = self.form_token().await?;
        Ok(token.is_some_and(|token| ampoule_seal::verify_masked(&token, text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_stays_on_its_site() {
        for url in ["/login", "", "?page=2", "login", "./login", "/a:b", "/login?to=https://other.test", "#a:b"] {
            assert!(is_of_this_site(url), "{url}");
        }
        for url in [
            "https://other.test/",
            "//other.test",
            "/\\other.test",
            "\\\\other.test",
            "javascript:alert(1)",
            "/a\tb",
            " //x",
        ] {
            assert!(!is_of_this_site(url), "{url}");
        }
    }

    #[test]
    fn a_form_has_its_token_and_escapes_what_it_is_given() {
        let token = CsrfToken([7; 32]);
        let form = token.secure_form("/a?b=1&c=\"2\"", "POST", &[("class", "<x>")]).unwrap().to_string();
        let start = r#"<form action="/a?b=1&amp;c=&quot;2&quot;" method="post" class="&lt;x&gt;"><input type="hidden" name="_authentication_token" value=""#;
        assert!(form.starts_with(start), "{form}");
        assert!(!token.secure_form("/search", "get", &[]).unwrap().as_str().contains(TOKEN));
        for (url, method, attribute) in [("//x", "post", "class"), ("/", "put", "class"), ("/", "post", "on click")] {
            let error = token.secure_form(url, method, &[(attribute, "x")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url} {method} {attribute}");
        }
    }

    #[test]
    fn no_two_fields_are_alike() {
        let token = CsrfToken([7; 32]);
        assert_ne!(token.hidden_field(), token.hidden_field());
        assert_eq!(format!("{token:?}"), "CsrfToken(..)");
    }
}
