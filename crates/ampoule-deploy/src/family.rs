//! The two families of options, of sessions and of caches, which sections mix with other options.

use std::borrow::Cow;

/// A family of options.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// The option that a name with a prefix means, if it belongs to the family.
    pub(crate) option_of: fn(&str) -> Option<Cow<'_, str>>,
}

pub(crate) const SESSION: Family = Family { name: "session", option_of: ampoule::Settings::option_of };
pub(crate) const CACHE: Family = Family { name: "cache", option_of: ampoule::cache::CacheSettings::option_of };

impl Family {
    /// Whether two names set the same option; `secret_file` is another way to set `secret`.
    pub(crate) fn is_same(&self, one: &str, other: &str) -> bool {
        let thing = |name: &str| {
            let option = (self.option_of)(name)?;
            Some(option.strip_suffix("_file").unwrap_or(&option).to_owned())
        };
        thing(one).is_some_and(|one| thing(other) == Some(one))
    }
}

/// Whether a name belongs to an option of sessions or caches.
pub(crate) fn is_ours(name: &str) -> bool {
    (SESSION.option_of)(name).is_some() || (CACHE.option_of)(name).is_some()
}
