//! Names of projects and modules, as Rust can have them.

use crate::Failure;

/// Words that Rust keeps for itself (The Rust Reference, keywords; 2024 edition), and names that mean something else.
const TAKEN: [&str; 59] = [
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

/// A module's name: `-` becomes `_`, as Paste had it.
pub(super) fn module(name: &str) -> Result<String, Failure> {
    let module = name.replace('-', "_");
    let first = module.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = module.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !first || !rest || module.len() > 64 {
        let expected = "expected 1 to 64 small letters, digits and `_`, a letter first, such as shopping_cart";
        return Err(Failure(format!("`{name}` cannot name a module: {expected}")));
    }
    if TAKEN.contains(&module.as_str()) {
        return Err(Failure(format!("`{name}` cannot name a module: Rust or its crates have that name already")));
    }
    Ok(module)
}

/// A module within folders: `admin/users`.
pub(super) fn path(name: &str) -> Result<Vec<String>, Failure> {
    name.split('/').map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
