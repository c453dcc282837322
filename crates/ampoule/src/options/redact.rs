//! Shows a URL without its login.

use crate::store::scheme_of;

/// A store's URL for logs: only the scheme of a server's URL, since its login may be anywhere after that.
pub(crate) fn without_login(url: &str) -> String {
    match url.split_once(':') {
        Some(("memory" | "file" | "sqlite", _)) => url.to_owned(),
        _ => scheme_of(url).map_or_else(|| "..".to_owned(), |scheme| format!("{scheme}:..")),
    }
}
