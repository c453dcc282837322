//! Checks the names of projects and modules.

use crate::Failure;

/// Rust's keywords (The Rust Reference, 2024 edition), and names with another meaning.
const RESERVED: [&str; 59] = [
    "_",
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "main",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "ampoule",
];

/// Returns the name of the module: `-` becomes `_`, as in Paste.
pub(super) fn module(name: &str) -> Result<String, Failure> {
    let module = name.replace('-', "_");
    let first = module.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = module.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !first || !rest || module.len() > 64 {
        let expected =
            "expected 1 to 64 lowercase letters, digits and `_`, starting with a letter, such as shopping_cart";
        return Err(Failure(format!("`{name}` cannot name a module: {expected}")));
    }
    if RESERVED.contains(&module.as_str()) {
        return Err(Failure(format!("`{name}` cannot name a module: Rust or one of its crates uses that name")));
    }
    Ok(module)
}

/// The dependencies of a new project.
const DEPENDENCIES: [&str; 9] =
    ["ampoule_cli", "ampoule_deploy", "argon2", "askama", "axum", "serde", "serde_json", "tokio", "tower"];

/// Checks the name of a project, and returns the name of its library, which is a module's name.
pub(super) fn project(name: &str) -> Result<String, Failure> {
    let module = module(name)?;
    match DEPENDENCIES.contains(&module.as_str()) {
        true => Err(Failure(format!("`{name}` cannot name a project: a new project depends on a crate of that name"))),
        false => Ok(module),
    }
}

/// Refuses the name of a dependency: in the module's folder, `use NAME::…` would be ambiguous.
pub(super) fn not_a_dependency(module: &str, manifest: &str) -> Result<(), Failure> {
    match dependencies(manifest).any(|name| name == module) {
        true => Err(Failure(format!("`{module}` cannot name a module: Cargo.toml depends on a crate of that name"))),
        false => Ok(()),
    }
}

/// The names of a manifest's dependencies: `name = …` in a section of dependencies, or a section `[dependencies.name]`.
fn dependencies(manifest: &str) -> impl Iterator<Item = String> {
    let mut is_section = false;
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        let name = match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(section) => {
                is_section = section.ends_with("dependencies");
                section.rsplit_once('.').filter(|(before, _)| before.ends_with("dependencies"))?.1
            }
            None if is_section && !line.starts_with('#') => line.split(['=', '.']).next()?,
            None => return None,
        };
        Some(name.trim().trim_matches('"').replace('-', "_"))
    })
}

/// The names of the modules in a path such as `admin/users`.
pub(super) fn path(name: &str) -> Result<Vec<String>, Failure> {
    name.split('/').map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_hides_a_crate_is_refused() {
        let manifest = "[package]\nname = \"shop\"\n[dependencies]\naxum = \"0.8\"\n#tower = \"1\"\nserde.workspace = true\n\
                        [target.'cfg(unix)'.dependencies.rustix]\nversion = \"1\"\n[dev-dependencies]\nserde-json = \"1\"\n";
        for name in ["axum", "serde", "rustix", "serde_json"] {
            assert!(not_a_dependency(name, manifest).is_err(), "{name}");
        }
        for name in ["tower", "version", "name", "shop"] {
            assert!(not_a_dependency(name, manifest).is_ok(), "{name}");
        }
        assert!(project("axum").is_err() && project("serde-json").is_err() && project("tea-shop").is_ok());
    }

    #[test]
    fn names_become_modules_or_are_refused() {
        assert_eq!(module("shopping-cart").ok().as_deref(), Some("shopping_cart"));
        assert_eq!(path("admin/users").ok(), Some(vec!["admin".to_owned(), "users".to_owned()]));
        for bad in [
            "",
            "Cart",
            "2nd",
            "_x",
            "a b",
            "a.b",
            "../x",
            "/etc",
            "a//b",
            "type",
            "self",
            "main",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
