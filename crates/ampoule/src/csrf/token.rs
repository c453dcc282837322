//! The token of a session's forms.

use ampoule_core::internal::Change;
use ampoule_core::{Error, ErrorKind};

use super::html::{self, SafeHtml};
use crate::session::Session;

/// The name of the field that holds the token in a form: Pylons' name.
pub(crate) const TOKEN: &str = "_authentication_token";

/// The token of a session's forms: 256 random bits, which a page of this site can read and a page of another site
/// cannot.
///
/// Each time it is written it looks different, so that the size of a compressed page reveals nothing of it (the BREACH
/// attack, CVE-2013-3587). As an extractor it creates the session's token if it is missing, which saves the
/// session; so a login form is protected before there is a user.
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

    /// Returns the token behind a fresh mask: 86 characters of base64url. For a script, put it into a `<meta>` element,
    /// and send it as the header `X-CSRF-Token`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let token = session.csrf_token().await?;
    /// assert_ne!(token.masked(), token.masked(), "each page gets another text");
    /// # Ok(()) }
    /// ```
    pub fn masked(&self) -> String {
        ampoule_seal::internal::mask(&self.0)
    }

    /// Returns the hidden field of a form: `<input type="hidden" name="_authentication_token" value="…">`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let field = session.csrf_token().await?.hidden_field();
    /// assert!(field.as_str().starts_with("<input type=\"hidden\""));
    /// # Ok(()) }
    /// ```
    pub fn hidden_field(&self) -> SafeHtml {
        SafeHtml::new(format!(r#"<input type="hidden" name="{TOKEN}" value="{}">"#, self.masked()))
    }

    /// Returns the start tag of a form and its hidden field; you write the rest, and `</form>`. For uploads add the
    /// attribute `("enctype", "multipart/form-data")`. A form with the method `get` has no token, since the token would
    /// be a part of the address.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let token = session.csrf_token().await?;
    /// let form = token.secure_form("/login", "post", &[("class", "narrow")])?;
    /// let page = format!("{form}<input name=user><button>Log in</button></form>");
    /// assert!(page.starts_with("<form action=\"/login\" method=\"post\" class=\"narrow\">"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `url` leads to another site, which would learn the token; if the method is not `get`
    /// or `post`, since browsers know no others; if an attribute's name is invalid.
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
    /// Returns the token of this session's forms. If there is none yet, it is created, and the session is saved with it
    /// and with all other changes of the request. [`regenerate_id`](Session::regenerate_id) keeps the token; a login
    /// and the end of the session replace it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let token = session.csrf_token().await?;
    /// let page = format!("<form method=post action=/note>{}</form>", token.hidden_field());
    /// assert!(page.contains("_authentication_token"));
    /// # Ok(()) }
    /// ```
    ///
    /// A session that holds nothing but this token ends after an hour without use, or after the session's idle timeout
    /// if that is shorter, and a full memory store may remove it: a client without cookies creates one with each form
    /// that it is shown. The first other change gives the session its full lifetime.
    ///
    /// # Errors
    /// Errors of loading the session, and of [`save`](Session::save) for a new token.
    pub async fn csrf_token(&self) -> Result<CsrfToken, Error> {
        if let Some(token) = self.form_token().await? {
            return Ok(CsrfToken(token));
        }
        // If another request created one first, that one stays: a page may have it.
        self.change(Change::FormToken(ampoule_seal::internal::random_bytes()))?;
        self.save().await?;
        let token = self.form_token().await?;
        token.map(CsrfToken).ok_or_else(|| Error::new(ErrorKind::Gone, "the session has ended"))
    }

    /// Returns whether this text, as a form or a script sent it, is this session's token. The comparison takes constant
    /// time and creates no token. `CsrfLayer` calls it for you.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let sent = session.csrf_token().await?.masked();
    /// assert!(session.verify_csrf_token(&sent).await?);
    /// assert!(!session.verify_csrf_token("forged").await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn verify_csrf_token(&self, text: &str) -> Result<bool, Error> {
        let token = self.form_token().await?;
        Ok(token.is_some_and(|token| ampoule_seal::internal::verify_masked(&token, text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_for_another_site_is_refused() {
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
    fn a_form_has_its_token_and_escapes_its_attributes() {
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
    fn hidden_fields_differ_each_time() {
        let token = CsrfToken([7; 32]);
        assert_ne!(token.hidden_field(), token.hidden_field());
        assert_eq!(format!("{token:?}"), "CsrfToken(..)");
    }
}
