//! The names of options in ini files, and what is said of a name that is none of them.

use std::borrow::Cow;

/// Before an option of the session's. Beaker knows the first two.
const PREFIXES: [&str; 3] = ["beaker.session.", "session.", "ampoule.session."];

/// Every option, as Beaker calls it where Beaker has it.
pub(super) const OPTIONS: [&str; 42] = [
    "type",
    "key",
    "secret",
    "timeout",
    "absolute_timeout",
    "auto",
    "save_accessed_time",
    "invalidate_corrupt",
    "cookie_expires",
    "cookie_domain",
    "cookie_path",
    "secure",
    "httponly",
    "samesite",
    "partitioned",
    "host_prefix",
    "cookie_max_pieces",
    "use_cookies",
    "transports",
    "rotation_grace",
    "store_timeout",
    "max_size",
    "data_dir",
    "durability",
    "max_entries",
    "max_bytes",
    "insecure_weak_secret",
    "url",
    "table_name",
    "schema_name",
    "migrate",
    "prefix",
    "replicas",
    "max_connections",
    "connect_timeout",
    "pool_timeout",
    "command_timeout",
    "encrypt_key",
    "on_outage",
    "fail_fast_after",
    "sessions_per_principal",
    "at_session_limit",
];

/// Options of Beaker's that mean nothing here, with what to do instead. To accept and ignore them would mislead.
const FOREIGN: [(&str, &str); 15] = [
    ("validate_key", "remove it: the key that proves a cookie is derived from `secret`"),
    ("encrypt_nonce_bits", "remove it: nonces have the length that their cipher asks for"),
    ("crypto_type", "remove it: there is one cipher, and its format says which"),
    ("data_serializer", "remove it: values are stored as MessagePack"),
    ("lock_dir", "remove it: locks lie in the store's own folder"),
    ("file_dir", "use data_dir"),
    ("dbm_dir", "use type = file and data_dir"),
    ("id", "remove it: an id is never chosen by configuration"),
    ("session_class", "remove it: it named a Python class"),
    ("namespace_class", "remove it: it named a Python class"),
    ("webtest_varname", "remove it: it was for Python's WebTest"),
    ("memcache_module", "remove it: it named a Python module"),
    ("sa_opts", "remove it: they were SQLAlchemy's; ours are max_connections, pool_timeout and their like"),
    ("optimistic", "remove it: every save compares versions, and loses nothing"),
    ("log_file", "remove it: logging is set up by the program (tracing)"),
];

/// Before an option in the environment, where names are capitals without dots.
const ENVIRONMENT: &str = "AMPOULE_SESSION_";

/// The option that a full name speaks of, if it is the session's.
pub(super) fn option_of(name: &str) -> Option<Cow<'_, str>> {
    let in_environment = || name.strip_prefix(ENVIRONMENT).map(|option| option.to_ascii_lowercase().into());
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).map(Cow::Borrowed).or_else(in_environment)
}

/// What is wrong with a name that is outside our prefixes but looks as if it meant them: `beaker.sesion.key`.
pub(super) fn misspelt_prefix(name: &str) -> Option<String> {
    let family = name.strip_prefix("beaker.").or_else(|| name.strip_prefix("ampoule."))?;
    if family.starts_with("cache.") {
        return None;
    }
    Some(format!("expected a name that starts with one of {}", PREFIXES.join(", ")))
}

/// What to say of an option that is none of ours.
pub(super) fn unknown(option: &str) -> String {
    if let Some((_, advice)) = FOREIGN.iter().find(|(name, _)| *name == option) {
        return format!("an option of Beaker's that Ampoule has not: {advice}");
    }
    match nearest(option, &OPTIONS) {
        Some(name) => format!("there is no such option; did you mean `{name}`?"),
        None => format!("there is no such option; known are {}", OPTIONS.join(", ")),
    }
}

/// The known word that a misspelt one is closest to, if it is close.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), name);
    let best = known.iter().copied().min_by_key(distance)?;
    (distance(&best) <= 1 + word.len() / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_where_it_is_near() {
        assert_eq!(unknown("timout"), "there is no such option; did you mean `timeout`?");
        assert_eq!(unknown("http_only"), "there is no such option; did you mean `httponly`?");
        assert!(unknown("colour").starts_with("there is no such option; known are type, key,"));
        assert!(unknown("validate_key").contains("derived from `secret`"));
    }

    #[test]
    fn prefixes_of_our_family_are_checked() {
        for name in ["beaker.session.key", "session.key", "ampoule.session.key", "AMPOULE_SESSION_KEY"] {
            assert_eq!(option_of(name).as_deref(), Some("key"));
        }
        assert_eq!(option_of("key"), None);
        assert!(misspelt_prefix("beaker.sesion.key").is_some());
        assert!(misspelt_prefix("beaker.cache.type").is_none());
        assert!(misspelt_prefix("full_stack").is_none());
    }
}
