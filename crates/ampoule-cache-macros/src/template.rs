//! `key = "articles of {user.id} in {language}"`: text, and expressions in braces.

use syn::{Error, Expr, LitStr};

/// A part of a key.
pub(crate) enum Part {
    Text(String),
    /// Boxed, since an expression is large.
    Expression(Box<Expr>),
}

/// Parses the parts. Braces are doubled to be text, as in `format!`.
///
/// # Errors
/// For unpaired braces, and for braces without an expression, such as `id:04` and `id:?`: a key is made of values, not
/// of their formatting.
pub(crate) fn parse_template(template: &LitStr) -> syn::Result<Vec<Part>> {
    let (mut parts, mut text) = (Vec::new(), String::new());
    let whole = template.value();
    let mut rest = whole.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            text.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let end = closing(from).ok_or_else(|| Error::new(template.span(), "expected `{` and `}` in pairs"))?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Expression(Box::new(expression(&from[1..end], template)?)));
        rest = &from[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// The position of the brace that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth <= 1 => return (depth == 1).then_some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn expression(text: &str, template: &LitStr) -> syn::Result<Expr> {
    LitStr::new(text, template.span()).parse().map_err(|_| {
        let message = format!("expected an expression in the braces of `key`, such as `user.id`; found `{text}`");
        Error::new(template.span(), message)
    })
}
