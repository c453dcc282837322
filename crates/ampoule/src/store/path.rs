//! The folder or file that a URL names.
//!
//! The path is the text after the scheme, unchanged and without any encoding. Libraries interpret two slashes
//! differently, so only unambiguous forms are accepted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ampoule_core::internal::ServerUrl;
use ampoule_core::{Error, ErrorKind};

use super::kind::Engine;

/// The drivers of SQLAlchemy in a scheme: `sqlite+pysqlite:///data.db`.
const DRIVERS: [&str; 3] = ["", "pysqlite", "aiosqlite"];

/// A URL of files or SQLite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileUrl {
    pub(crate) path: PathBuf,
    /// SQLAlchemy's `?timeout=`: how long to wait for a lock.
    pub(crate) lock_wait: Option<Duration>,
}

/// Returns the folder of a `file:` URL or the file of a `sqlite:` URL; `None` for a URL of another store.
///
/// | URL | path |
/// |---|---|
/// | `file:data`, `sqlite:data.db` | relative, as written |
/// | `file:/srv/data`, `sqlite:/srv/data.db` | absolute, as written |
/// | `file:///srv/data` | absolute, as everywhere |
/// | `sqlite:///data.db` | relative, as in SQLAlchemy |
/// | `sqlite:////srv/data.db` | absolute, as in SQLAlchemy |
/// | `file://data`, `sqlite://data.db` | an error: `data` would be a host |
///
/// ```
/// use ampoule::store::file_path;
///
/// assert_eq!(file_path("sqlite:////srv/data.db")?, Some("/srv/data.db".into()));
/// assert_eq!(file_path("redis://localhost")?, None);
/// # Ok::<(), ampoule::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if the URL names no path, or is ambiguous: `sqlite:///srv/data.db` is hardly meant to be
/// relative if there is a folder `/srv` and no folder `srv`.
pub fn file_path(url: &str) -> Result<Option<PathBuf>, Error> {
    Ok(FileUrl::parse(url)?.map(|url| url.path))
}

impl FileUrl {
    pub(crate) fn parse(url: &str) -> Result<Option<FileUrl>, Error> {
        let engine = Engine::of_url(url)?;
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = match engine {
            Engine::File => folder_of(place)?,
            Engine::Sqlite => {
                let driver = scheme.split_once('+').map_or("", |(_, driver)| driver);
                if !DRIVERS.contains(&driver.to_ascii_lowercase().as_str()) {
                    return Err(wrong(format!("`{scheme}` names a driver that is not SQLite's own; write sqlite:")));
                }
                database_of(place)?
            }
            _ => return Ok(None),
        };
        if path.as_os_str().is_empty() {
            return Err(wrong(format!("a path is missing: expected {}", engine.example())));
        }
        let lock_wait = parameters(engine, scheme, query)?;
        Ok(Some(FileUrl { path, lock_wait }))
    }
}

fn folder_of(place: &str) -> Result<PathBuf, Error> {
    match place.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => Err(two_slashes("file", path)),
        path => Ok(path.unwrap_or(place).into()),
    }
}

fn database_of(place: &str) -> Result<PathBuf, Error> {
    let path = match (place.strip_prefix("///"), place.strip_prefix("//")) {
        (Some(path), _) => unambiguous(path)?,
        (None, Some(path)) => return Err(two_slashes("sqlite", path)),
        (None, None) => place,
    };
    if path == ":memory:" {
        return Err(wrong("an SQLite database in memory is not shared by connections; write memory:".to_owned()));
    }
    Ok(path.into())
}

/// SQLAlchemy reads three slashes as a relative path, sqlx as an absolute one. If only the folder of sqlx's reading
/// exists, the path is refused.
fn unambiguous(path: &str) -> Result<&str, Error> {
    match path.split_once('/') {
        Some((first, _)) if !first.is_empty() && !Path::new(first).is_dir() && Path::new("/").join(first).is_dir() => {
            let message = format!(
                "`sqlite:///{path}` is relative, as in SQLAlchemy, and there is no folder `{first}` here but one at \
                 `/{first}`; write sqlite:/{path} for the absolute path, or sqlite:{path} for the relative one"
            );
            Err(wrong(message))
        }
        _ => Ok(path),
    }
}

fn two_slashes(scheme: &str, path: &str) -> Error {
    if path.is_empty() {
        return wrong(format!("a path is missing: expected {scheme}:data or {scheme}:/srv/data"));
    }
    wrong(format!(
        "after `{scheme}://` a host is expected, but files have none; write {scheme}:{path} for a relative path, {scheme}:/{path} \
         for an absolute one"
    ))
}

/// The part after `?` is never a part of the path.
fn parameters(engine: Engine, scheme: &str, query: &str) -> Result<Option<Duration>, Error> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (scheme, path) = (scheme.to_owned(), String::new());
    let mut url = ServerUrl { scheme, user: None, password: None, hosts: Vec::new(), path, parameters };
    if engine == Engine::File {
        return match url.parameters.first() {
            None => Ok(None),
            Some((name, _)) => Err(wrong(format!("a file: URL has no parameters, found `{name}`"))),
        };
    }
    url.reject_unknown(&["timeout", "mode", "check_same_thread"])?;
    // A parameter about Python's threads.
    url.take(&["check_same_thread"]);
    if let Some(mode) = url.take(&["mode"]).filter(|mode| mode != "rwc") {
        return Err(wrong(format!("expected mode=rwc in the URL, which is the default, found `{mode}`")));
    }
    let seconds = |text: String| {
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| wrong(format!("expected seconds in timeout of the URL, found `{text}`")))
    };
    url.take(&["timeout"]).map(seconds).transpose()
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> Result<String, String> {
        let path = file_path(url).map_err(|error| error.to_string())?;
        Ok(path.map_or_else(|| "none".to_owned(), |path| path.display().to_string()))
    }

    #[test]
    fn urls_name_paths_as_their_libraries_read_them() {
        let cases = [
            ("file:data/sessions", "data/sessions"),
            ("file:/srv/data", "/srv/data"),
            ("file:///srv/data", "/srv/data"),
            ("FILE:data%20x", "data%20x"),
            ("sqlite:data/x.db", "data/x.db"),
            ("sqlite:/srv/x.db", "/srv/x.db"),
            ("sqlite:///x.db", "x.db"),
            ("sqlite:///no-such-folder/x.db", "no-such-folder/x.db"),
            ("sqlite:////srv/x.db", "/srv/x.db"),
            ("sqlite+pysqlite:////srv/x.db?check_same_thread=false", "/srv/x.db"),
            ("sqlite:x.db?mode=rwc&timeout=2.5", "x.db"),
            ("memory:", "none"),
            ("postgres://h/d?x=y", "none"),
        ];
        for (url, expected) in cases {
            assert_eq!(path(url).as_deref(), Ok(expected), "{url}");
        }
        let parsed = FileUrl::parse("sqlite:x.db?timeout=2.5").unwrap().unwrap();
        assert_eq!(parsed.lock_wait, Some(Duration::from_millis(2_500)));
    }

    #[test]
    fn a_url_that_names_no_path_or_two_is_an_error_that_says_what_to_write() {
        let cases = [
            ("file:", "a path is missing: expected file:data/sessions"),
            ("file://", "a path is missing"),
            (
                "file://localhost/srv",
                "write file:localhost/srv for a relative path, file:/localhost/srv for an absolute",
            ),
            ("file:data?durability=power", "a file: URL has no parameters, found `durability`"),
            ("sqlite:", "a path is missing: expected sqlite:data/sessions.db"),
            ("sqlite://", "a path is missing"),
            ("sqlite:///", "a path is missing"),
            ("sqlite://x.db", "write sqlite:x.db for a relative path"),
            ("sqlite:///:memory:", "write memory:"),
            ("sqlite::memory:", "write memory:"),
            ("sqlite:x.db?timeut=3", "unknown parameter `timeut` in the URL: did you mean `timeout`?"),
            ("sqlite:x.db?timeout=soon", "expected seconds in timeout of the URL, found `soon`"),
            ("sqlite:x.db?mode=ro", "expected mode=rwc"),
            ("sqlite+pysqlcipher:///x.db", "names a driver that is not SQLite's own"),
        ];
        for (url, expected) in cases {
            let error = path(url).unwrap_err();
            assert!(error.contains(expected), "{url}: {expected:?} is not in {error:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn three_slashes_before_a_folder_that_exists_only_at_the_root_are_refused() {
        let error = path("sqlite:///usr/data/x.db").unwrap_err();
        assert!(
            error.contains("write sqlite:/usr/data/x.db for the absolute path, or sqlite:usr/data/x.db"),
            "{error}"
        );
        assert_eq!(path("sqlite:///src/x.db").as_deref(), Ok("src/x.db"), "tests run where there is a folder src");
    }
}
