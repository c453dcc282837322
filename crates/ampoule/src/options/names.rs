//! The names of options in ini files, and the messages for unknown names.

use std::borrow::Cow;

/// The names of a kind of options: the session's, or the cache's.
pub(crate) struct Names {
    /// The prefixes of an option. Beaker knows the first two.
    pub(crate) prefixes: [&'static str; 3],
    /// The prefix in the environment, where names are in capitals without dots.
    pub(crate) environment: &'static str,
    /// Beaker's deprecated prefix. Other programs' options start with it too: a name counts only if it is close to a
    /// known one.
    pub(crate) underscore: &'static str,
    /// Every option, by Beaker's name if Beaker has it.
    pub(crate) options: &'static [&'static str],
    /// Options of Beaker's that have no meaning here, with advice. To accept and ignore them would mislead.
    pub(crate) foreign: &'static [(&'static str, &'static str)],
}

/// The options of sessions.
pub(crate) const SESSION: Names = Names {
    prefixes: ["beaker.session.", "session.", "ampoule.session."],
    environment: "AMPOULE_SESSION_",
    underscore: "session_",
    options: &OPTIONS,
    foreign: &FOREIGN,
};

const OPTIONS: [&str; 52] = [
    "type",
    "key",
    "secret",
    "secret_file",
    "debug",
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
    "cookie_priority",
    "host_prefix",
    "cookie_max_pieces",
    "use_cookies",
    "transports",
    "rotation_grace",
    "store_timeout",
    "sweep_interval",
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
    "prepared_statements",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "prefix",
    "replicas",
    "max_connections",
    "connect_timeout",
    "pool_timeout",
    "command_timeout",
    "encrypt_key",
    "encrypt_key_file",
    "on_outage",
    "fail_fast_after",
    "sessions_per_principal",
    "at_session_limit",
    "trace_fingerprints",
];

const FOREIGN: [(&str, &str); 18] = [
    ("validate_key", "remove it: the key that signs cookies is derived from `secret`"),
    ("encrypt_nonce_bits", "remove it: nonces have the length that their cipher asks for"),
    ("crypto_type", "remove it: there is one cipher, and its format says which"),
    ("data_serializer", "remove it: values are stored as MessagePack"),
    ("lock_dir", "remove it: locks are in the store's own folder"),
    ("file_dir", "use data_dir"),
    ("dbm_dir", "use type = file and data_dir"),
    ("id", "remove it: an id is never chosen by configuration"),
    ("session_class", "remove it: it named a Python class"),
    ("namespace_class", "remove it: it named a Python class"),
    ("webtest_varname", "remove it: it was for Python's WebTest"),
    ("memcache_module", "remove it: it named a Python module"),
    ("sa_opts", "remove it: they were SQLAlchemy's; ours are max_connections, pool_timeout and their like"),
    ("urls", "use url: redis+cluster://host,host"),
    ("bind", "remove it: it was an object of SQLAlchemy's; use url"),
    ("table", "remove it: it was an object of SQLAlchemy's; use url and table_name"),
    ("optimistic", "remove it: every save compares versions, and loses nothing"),
    ("log_file", "remove it: logging is set up by the program (tracing)"),
];

/// The prefixes of the options of sessions and caches, which are in one file.
const FAMILIES: [&str; 6] =
    ["beaker.session.", "session.", "ampoule.session.", "beaker.cache.", "cache.", "ampoule.cache."];

impl Names {
    /// The option that a full name stands for, if it is of this kind.
    pub(crate) fn option_of<'a>(&self, name: &'a str) -> Option<Cow<'a, str>> {
        let in_environment = || name.strip_prefix(self.environment).map(|option| option.to_ascii_lowercase().into());
        let with_underscore = || name.strip_prefix(self.underscore).filter(|option| self.is_near(option));
        let dotted = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).map(Cow::Borrowed);
        dotted.or_else(in_environment).or_else(|| with_underscore().map(Cow::Borrowed))
    }

    fn is_near(&self, option: &str) -> bool {
        nearest(option, self.options).is_some() || self.foreign.iter().any(|(foreign, _)| *foreign == option)
    }

    /// The message for a line of a secret that looks like an option: `timeout = 60`, which is indented by mistake. The
    /// name is shown only if it is a known one, since it may be a part of a secret otherwise.
    pub(crate) fn misplaced(&self, line: &str) -> Option<String> {
        let (before, after) = line.split_once(['=', ':'])?;
        let name = before.trim_end();
        let is_known = self.options.contains(&name)
            || ["debug", "cache_dir"].contains(&name)
            || self.foreign.iter().any(|(foreign, _)| *foreign == name)
            || FAMILIES.iter().any(|family| name.starts_with(family));
        let is_spaced = name.len() < before.len() || after.starts_with(char::is_whitespace);
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let option = match (is_known, is_spaced && is_word && !name.is_empty()) {
            (true, _) => format!("the option `{name}`"),
            (false, true) => "an option".to_owned(),
            (false, false) => return None,
        };
        let why = "since it is indented, it would be another secret; remove the white space before it";
        Some(format!("a line below it looks like {option}: {why}"))
    }

    /// The message for an unknown option.
    pub(crate) fn unknown(&self, option: &str) -> String {
        if let Some((_, advice)) = self.foreign.iter().find(|(name, _)| *name == option) {
            return format!("an option of Beaker's that Ampoule does not have: {advice}");
        }
        if option.starts_with("sa.") {
            return "an option of SQLAlchemy's: use url, max_connections, pool_timeout and their like".to_owned();
        }
        match nearest(option, self.options) {
            Some(name) => format!("there is no such option; did you mean `{name}`?"),
            None => "there is no such option; `From Beaker` in the guide lists them".to_owned(),
        }
    }
}

/// Removes names that may belong to another program: if one name has the environment's prefix, all names without a
/// prefix. Returns messages about those that look like ours.
pub(crate) fn remove_unprefixed(pairs: &mut Vec<(String, String)>) -> Vec<String> {
    const STRAYS: [(&str, &str); 2] = [("debug", "AMPOULE_SESSION_DEBUG"), ("cache_dir", "AMPOULE_SESSION_DATA_DIR")];
    let has_prefix =
        |name: &str| [&SESSION.environment, &"AMPOULE_CACHE_"].iter().any(|known| name.starts_with(**known));
    if !pairs.iter().any(|(name, _)| has_prefix(name)) {
        return Vec::new();
    }
    let is_there = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
    let strays = STRAYS.iter().filter(|(name, _)| is_there(name)).map(|(name, instead)| {
        format!("{name}: ignored, since the environment's options have a prefix; write {instead}")
    });
    let warnings = strays.collect();
    pairs.retain(|(name, _)| name.contains('.') || name.starts_with("AMPOULE_"));
    warnings
}

/// The message for a name outside our prefixes that looks like a misspelt one: `beaker.sesion.key`,
/// `AMPOULE_SESION_KEY`. Names of caches are accepted among those of sessions.
pub(crate) fn misspelt_prefix(name: &str) -> Option<String> {
    if let Some((family, _)) = name.strip_prefix("AMPOULE_").and_then(|rest| rest.split_once('_')) {
        let is_misspelt = !["SESSION", "CACHE"].contains(&family) && nearest(family, &["session", "cache"]).is_some();
        return is_misspelt.then(|| "expected a name that starts with AMPOULE_SESSION_ or AMPOULE_CACHE_".to_owned());
    }
    let (beaker, ampoule) = (name.strip_prefix("beaker."), name.strip_prefix("ampoule."));
    let family = beaker.or(ampoule)?;
    let is_known = ["session.", "cache."].iter().any(|known| family.starts_with(known));
    let owner = if beaker.is_some() { "beaker" } else { "ampoule" };
    (!is_known).then(|| format!("expected a name that starts with {owner}.session. or {owner}.cache."))
}

/// The known word that is closest to a misspelt one, if it is close.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&word.to_ascii_lowercase(), name);
    let best = known.iter().copied().min_by_key(distance)?;
    (distance(&best) <= 1 + word.len() / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_suggested() {
        assert_eq!(SESSION.unknown("timout"), "there is no such option; did you mean `timeout`?");
        assert_eq!(SESSION.unknown("http_only"), "there is no such option; did you mean `httponly`?");
        assert_eq!(SESSION.unknown("colour"), "there is no such option; `From Beaker` in the guide lists them");
        assert!(SESSION.unknown("sa.url").contains("use url"));
        assert!(SESSION.unknown("validate_key").contains("derived from `secret`"));
    }

    #[test]
    fn an_option_among_the_lines_of_a_secret_is_recognized() {
        let named = ["timeout = 60", "timeout=60", "key: shop", "beaker.session.cookie_domain=x.example", "debug=true"];
        for line in named.into_iter().chain(["cache.type = file", "lock_dir=/tmp", "session.timout=5"]) {
            let name = line.split([' ', '=', ':']).next().unwrap_or_default();
            let message = SESSION.misplaced(line).unwrap_or_else(|| panic!("{line}"));
            assert!(message.starts_with(&format!("a line below it looks like the option `{name}`: ")), "{message}");
        }
        let message = SESSION.misplaced("dGhpcyBpcyBh = hush").unwrap();
        assert!(
            message.starts_with("a line below it looks like an option: ") && !message.contains("dGhp"),
            "{message}"
        );
        for line in ["q8Zx1Yw7TbKd3Lm5Nv9Rs2Jc6Hf4Gp0==", "Kd9:Lm4=Xq7", "=== x", "timeouts=1", "a b = c", ""] {
            assert_eq!(SESSION.misplaced(line), None, "{line}");
        }
    }

    #[test]
    fn misspelt_prefixes_are_reported() {
        for name in ["beaker.session.key", "session.key", "ampoule.session.key", "AMPOULE_SESSION_KEY"] {
            assert_eq!(SESSION.option_of(name).as_deref(), Some("key"));
        }
        assert_eq!(SESSION.option_of("key"), None);
        assert!(misspelt_prefix("beaker.sesion.key").is_some());
        assert!(misspelt_prefix("beaker.cache.type").is_none());
        assert!(misspelt_prefix("full_stack").is_none());
    }
}
