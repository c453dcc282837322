//! HTML that a template must not escape.

use std::fmt;

use ampoule_core::{Error, ErrorKind};
use serde::{Serialize, Serializer};

/// HTML that is already escaped: a template must not escape it again.
///
/// With the feature `askama`, a template of askama writes it unescaped: `{{ form }}`. With the feature `minijinja` it
/// becomes a safe value of minijinja: `context! { form }`. In other engines write `{{ form|safe }}` or their
/// equivalent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeHtml(String);

impl SafeHtml {
    pub(super) fn new(html: String) -> SafeHtml {
        SafeHtml(html)
    }

    /// Returns the HTML.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = ampoule::Options { secrets: vec![ampoule::Secret::new(ampoule::Secret::generate())?], ..Default::default() };
    /// # let layer = ampoule::SessionLayer::new(ampoule::MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let field = session.csrf_token().await?.hidden_field();
    /// assert!(field.as_str().starts_with("<input type=\"hidden\""));
    /// # Ok(()) }
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SafeHtml {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(feature = "askama")]
impl askama::filters::HtmlSafe for SafeHtml {}

#[cfg(feature = "minijinja")]
impl From<SafeHtml> for minijinja::Value {
    fn from(html: SafeHtml) -> minijinja::Value {
        minijinja::Value::from_safe_string(html.0)
    }
}

/// `<name attribute="value" …>`.
pub(super) fn start_tag<'a>(
    name: &str,
    attributes: impl Iterator<Item = &'a (&'a str, &'a str)>,
) -> Result<String, Error> {
    let mut tag = format!("<{name}");
    for (attribute, value) in attributes {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        if attribute.is_empty() || !attribute.bytes().all(is_name) {
            return Err(Error::new(ErrorKind::Invalid, format!("invalid attribute name `{attribute}`")));
        }
        tag.extend([" ", attribute, "=\""]);
        escape(value, &mut tag);
        tag.push('"');
    }
    tag.push('>');
    Ok(tag)
}

/// Appends text, escaped for HTML attributes and for text between tags.
pub(crate) fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
    }
}
