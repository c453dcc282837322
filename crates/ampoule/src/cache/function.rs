//! The run-time parts of `cached`: a function's cache, and the start of its keys.

use ampoule_cache::{Cache, CacheManager, Cacheable, KeyWriter};

/// The cache of a function. A function cannot return the error of a missing region, so the error is logged, and the
/// function runs as if there were no cache.
pub fn region<T: Cacheable>(manager: &CacheManager, region: Option<&str>, namespace: &str) -> Option<Cache<T>> {
    let Some(region) = region else { return Some(manager.cache(namespace)) };
    manager
        .cache_in(region, namespace)
        .inspect_err(|error| tracing::error!(error = %error.report(), namespace, "the cache region of a function is missing, so the function is not cached"))
        .ok()
}

/// The start of a function's keys. `closure` is the type name of a closure in the function `own`, which is `function`
/// or the one that invalidates it: `shop::Users<Db>::user<u8>::{{closure}}`.
pub fn key(closure: &str, own: &str, function: &str) -> KeyWriter {
    let (path, generics) = split(closure, own).unwrap_or((closure, ""));
    KeyWriter::key_of(&(path, function, generics))
}

/// The path before a function's name, and the types after it: `shop::Users<Db>::` and `<u8>`.
fn split<'a>(closure: &'a str, own: &str) -> Option<(&'a str, &'a str)> {
    let name = closure.trim_end_matches("::{{closure}}");
    let (path, generics) = name.split_at(start_of_generics(name)?);
    Some((path.strip_suffix(own)?, generics))
}

/// The position of the brackets at the end of the name, or its length.
fn start_of_generics(name: &str) -> Option<usize> {
    if !name.ends_with('>') {
        return Some(name.len());
    }
    let mut depth = 0_usize;
    for (at, letter) in name.char_indices().rev() {
        match letter {
            // The arrow of a function's type is not a bracket.
            '>' if !name[..at].ends_with('-') => depth += 1,
            '<' if depth == 1 => return Some(at),
            '<' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_and_the_one_that_invalidates_it_have_one_key() {
        for (path, generics) in [
            ("shop::users::", ""),
            ("shop::Users<alloc::string::String>::", "<3, fn(u8) -> alloc::vec::Vec<u8>>"),
            ("<shop::Users<u8> as shop::Load>::", "<shop::user, shop::invalidate_user<u8>::{{closure}}>"),
            ("shop::far::<impl shop::Users<i32>>::", ""),
        ] {
            let name = |own: &str| format!("{path}{own}{generics}::{{{{closure}}}}::{{{{closure}}}}");
            assert_eq!(split(&name("user"), "user"), Some((path, generics)));
            assert_eq!(key(&name("user"), "user", "user"), key(&name("invalidate_user"), "invalidate_user", "user"));
            assert_ne!(key(&name("user"), "user", "user"), key(&name("order"), "order", "order"));
        }
        assert_eq!(split("shop::other::{{closure}}", "user"), None);
        assert_eq!(split("shop::user<>>::{{closure}}", "user"), None);
    }
}
