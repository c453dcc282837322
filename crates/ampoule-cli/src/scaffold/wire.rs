//! Adds a new module to a project: its `mod` line and its route.

use std::fs;
use std::path::{Path, PathBuf};

use super::template::write_new;
use crate::Failure;

/// The line of `src/lib.rs` after which routes are added.
const ROUTES_MARKER: &str = "// `ampoule controller` and `restcontroller` add routes here.";

/// The file of the routes.
const ROUTES: &str = "src/lib.rs";

/// Declares the module of this path, such as `admin/users`, and its parents. Returns the files that were changed or
/// written.
pub(super) fn declare(folder: &Path, path: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut changed = Vec::new();
    for (depth, module) in path.iter().enumerate() {
        let parents = &path[..depth];
        let file = file_of(folder, parents);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("//! The pages under `/{}`.\n", parents.join("/"));
                write_new(&file, &text)?;
                text
            }
            Err(error) => return Err(Failure(format!("{} cannot be read: {error}", file.display()))),
        };
        if let Some(text) = with_module(&text, module) {
            write(&file, &text)?;
            changed.push(file);
        }
    }
    Ok(changed)
}

/// Adds the route after the marker. Returns false if the file has no marker.
pub(super) fn route(path: &[String]) -> Result<bool, Failure> {
    let file = Path::new(ROUTES);
    let Ok(text) = fs::read_to_string(file) else { return Ok(false) };
    match with_route(&text, path) {
        Some(text) => write(file, &text).map(|()| true),
        None => Ok(false),
    }
}

/// `.nest("/admin/users", controllers::admin::users::routes())`
pub(super) fn nest(path: &[String]) -> String {
    let (path, routes) = arguments(path);
    format!(".nest({path}, {routes})")
}

fn arguments(path: &[String]) -> (String, String) {
    (format!("\"/{}\"", path.join("/")), format!("controllers::{}::routes()", path.join("::")))
}

/// The width of a call's arguments beyond which rustfmt gives each a line (`fn_call_width`).
const CALL_WIDTH: usize = 60;

/// The file of a module with submodules: `admin.rs`, or `admin/mod.rs` if that exists.
fn file_of(folder: &Path, path: &[String]) -> PathBuf {
    let folder = path.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
    let inner = folder.join("mod.rs");
    if inner.exists() { inner } else { folder.with_extension("rs") }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure(format!("{} cannot be written: {error}", file.display())))
}

/// The text with the module added in alphabetical order; `None` if it is declared already.
fn with_module(text: &str, module: &str) -> Option<String> {
    let name = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ").and_then(|line| line.strip_suffix(';')).map(str::to_owned)
    };
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| name(line).as_deref() == Some(module)) {
        return None;
    }
    let line = format!("pub mod {module};");
    let first = lines.iter().position(|line| name(line).is_some());
    let mut lines: Vec<&str> = lines;
    match first {
        Some(first) => {
            let behind = lines[first..].iter().position(|line| name(line).is_none_or(|name| *name > *module));
            lines.insert(first + behind.unwrap_or(lines.len() - first), &line);
        }
        None => {
            let header = lines.iter().position(|line| !line.starts_with("//!")).unwrap_or(lines.len());
            lines.splice(header..header, ["", &line]);
        }
    }
    Some(lines.join("\n") + "\n")
}

fn with_route(text: &str, path: &[String]) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let marker = lines.iter().position(|line| line.trim() == ROUTES_MARKER)?;
    let indent = &lines[marker][..lines[marker].len() - lines[marker].trim_start().len()];
    let (path_text, routes) = arguments(path);
    let line = if path_text.len() + 2 + routes.len() > CALL_WIDTH {
        format!("{indent}.nest(\n{indent}    {path_text},\n{indent}    {routes},\n{indent})")
    } else {
        format!("{indent}{}", nest(path))
    };
    lines.insert(marker + 1, &line);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_declared_once_and_in_order() {
        let text = "//! Pages.\n\npub mod account;\npub mod home;\n\nfn f() {}\n";
        let with = |module| with_module(text, module).unwrap();
        assert!(with("about").starts_with("//! Pages.\n\npub mod about;\npub mod account;\n"));
        assert!(with("cart").contains("account;\npub mod cart;\npub mod home;\n\nfn"));
        assert!(with("notes").contains("home;\npub mod notes;\n\nfn"));
        assert_eq!(with_module(text, "home"), None);
        assert_eq!(with_module("//! Pages.\n", "a").unwrap(), "//! Pages.\n\npub mod a;\n");
        assert_eq!(with_module("//! Pages.\n\nuse x;\n", "a").unwrap(), "//! Pages.\n\npub mod a;\n\nuse x;\n");
        assert_eq!(with_module("pub mod b;\n", "c").unwrap(), "pub mod b;\npub mod c;\n");
    }

    #[test]
    fn a_route_is_added_after_the_marker() {
        let text = format!("    Router::new()\n        {ROUTES_MARKER}\n        .merge(x)\n");
        let path = ["admin".to_owned(), "users".to_owned()];
        let nest = ".nest(\"/admin/users\", controllers::admin::users::routes())";
        let expected = format!("    Router::new()\n        {ROUTES_MARKER}\n        {nest}\n        .merge(x)\n");
        assert_eq!(with_route(&text, &path), Some(expected));
        assert_eq!(with_route("fn routes() {}", &path), None);
    }
}
