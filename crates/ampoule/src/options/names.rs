//! The names of options in ini files, and what is said of a name that is none of them.

use std::borrow::Cow;

/// The names of a kind of options: the session's, or the cache's.
pub(crate) struct Names {
    /// Before an option. Beaker knows the first two.
    pub(crate) prefixes: [&'static str; 3],
    /// Before an option in the environment, where names are capitals without dots.
    pub(crate) environment: &'static str,
    /// Every option, as Beaker calls it where Beaker has it.
    pub(crate) options: &'static [&'static str],
    /// Options of Beaker's that mean nothing here, with what to do instead. To accept and ignore them would mislead.
    pub(crate) foreign: &'static [(&'static str, &'static str)],
}

/// The session's.
pub(crate) const SESSION: Names = Names {
    prefixes: ["beaker.session.", "session.", "ampoule.session."],
    environment: "AMPOULE_SESSION_",
    options: &OPTIONS,
    foreign: &FOREIGN,
};

const OPTIONS: [&str; 42] = [
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

impl Names {
    /// The option that a full name speaks of, if it is of this kind.
    pub(crate) fn option_of<'a>(&self, name: &'a str) -> Option<Cow<'a, str>> {
        let in_environment = || name.strip_prefix(self.environment).map(|option| option.to_ascii_lowercase().into());
        self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(Cow::Borrowed).or_else(in_environment)
    }

    /// What to say of an option that is none of ours.
    pub(crate) fn unknown(&self, option: &str) -> String {
        if let Some((_, advice)) = self.foreign.iter().find(|(name, _)| *name == option) {
            return format!("an option of Beaker's that Ampoule has not: {advice}");
        }
        match nearest(option, self.options) {
            Some(name) => format!("there is no such option; did you mean `{name}`?"),
            None => format!("there is no such option; known are {}", self.options.join(", ")),
        }
    }
}

/// What is wrong with a name that is outside our prefixes but looks as if it meant them: `beaker.sesion.key`. The
/// cache's may stand beside the session's.
pub(crate) fn misspelt_prefix(name: &str) -> Option<String> {
    let (beaker, ampoule) = (name.strip_prefix("beaker."), name.strip_prefix("ampoule."));
    let family = beaker.or(ampoule)?;
    let is_known = ["session.", "cache."].iter().any(|known| family.starts_with(known));
    let owner = if beaker.is_some() { "beaker" } else { "ampoule" };
    (!is_known).then(|| format!("expected a name that starts with {owner}.session. or {owner}.cache."))
}

/// The known word that a misspelt one is closest to, if it is close.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), name);
    let best = known.iter().copied().min_by_key(distance)?;
    (distance(&best) <= 1 + word.len() / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_where_it_is_near() {
        assert_eq!(SESSION.unknown("timout"), "there is no such option; did you mean `timeout`?");
        assert_eq!(SESSION.unknown("http_only"), "there is no such option; did you mean `httponly`?");
        assert!(SESSION.unknown("colour").starts_with("there is no such option; known are type, key,"));
        assert!(SESSION.unknown("validate_key").contains("derived from `secret`"));
    }

    #[test]
    fn prefixes_of_our_family_are_checked() {
        for name in ["beaker.session.key", "session.key", "ampoule.session.key", "AMPOULE_SESSION_KEY"] {
            assert_eq!(SESSION.option_of(name).as_deref(), Some("key"));
        }
        assert_eq!(SESSION.option_of("key"), None);
        assert!(misspelt_prefix("beaker.sesion.key").is_some());
        assert!(misspelt_prefix("beaker.cache.type").is_none());
        assert!(misspelt_prefix("full_stack").is_none());
    }
}
