//! How a URL is shown where its login must not be.

use crate::store::scheme_of;

/// A store's URL for logs: that of a server by its scheme alone, since its login may stand anywhere behind that.
pub(crate) fn shown(url: &str) -> String {
    match url.split_once(':') {
        Some(("memory" | "file" | "sqlite", _)) => url.to_owned(),
        _ => scheme_of(url).map_or_else(|| "..".to_owned(), |scheme| format!("{scheme}:..")),
    }
}
