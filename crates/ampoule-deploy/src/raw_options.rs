//! The options of a session or a cache. The command line wins over the environment, and the environment over the file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::conf::Conf;
use crate::error::Fault;
use crate::family::{Family, is_ours};
use crate::setting::Setting;

/// The options without a prefix that sessions and caches read too.
const SHARED: [&str; 2] = ["debug", "cache_dir"];

/// The settings by name, as [`ampoule::Settings::parse`] receives them.
pub(crate) struct RawOptions(BTreeMap<String, Setting>);

impl RawOptions {
    pub(crate) fn of(conf: &Conf, family: &Family) -> RawOptions {
        conf.mark_read(SHARED);
        let of_file = |setting: &&Setting| !setting.location.is_environment() && !setting.location.is_command_line();
        // A `secret = …` without a prefix belongs to another program.
        let is_meant = |setting: &&Setting| {
            let name = setting.name.as_str();
            name.contains('.') || SHARED.contains(&name) || (family.option_of)(name).is_some()
        };
        // The section's own option wins over a global one, whichever prefixes they have.
        let is_own = |setting: &&Setting| {
            let same = |local: &Setting| local.name != setting.name && family.is_same(&local.name, &setting.name);
            conf.local.iter().any(same)
        };
        let global = conf.global.values().filter(of_file).filter(|setting| !is_own(setting));
        let settings = global.chain(&conf.local).filter(is_meant);
        let mut raw = RawOptions(settings.map(|setting| (setting.name.clone(), setting.clone())).collect());
        conf.global.values().filter(|setting| setting.location.is_environment()).for_each(|one| raw.put(one, family));
        conf.global.values().filter(|setting| setting.location.is_command_line()).for_each(|one| raw.put(one, family));
        raw
    }

    /// Adds a setting of the environment or the command line, in place of those of the same option.
    fn put(&mut self, setting: &Setting, family: &Family) {
        let Some(option) = (family.option_of)(&setting.name) else {
            let is_stray = setting.location.is_environment() && is_ours(&setting.name);
            if !is_stray {
                // `debug` replaces `beaker.session.debug` too.
                self.0.retain(|name, _| (family.option_of)(name).as_deref() != Some(&setting.name));
                self.0.insert(setting.name.clone(), setting.clone());
            }
            return;
        };
        self.0.retain(|name, _| !family.is_same(name, &setting.name));
        self.0.insert(format!("ampoule.{}.{option}", family.name), setting.clone());
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, setting)| (name.as_str(), setting.value.as_str()))
    }

    /// The fault of an option, with the line that sets it, or the section's first line if it is not set.
    pub(crate) fn fault(&self, conf: &Conf, name: &str, message: &str) -> Fault {
        match self.0.get(name) {
            Some(setting) => setting.fault(message),
            None => conf.missing(name, message),
        }
    }

    /// The fault of the first of these options that is set.
    pub(crate) fn fault_of_first(&self, conf: &Conf, family: &Family, options: &[&str], message: &str) -> Fault {
        let named = |option: &&str| {
            let is_it = |name: &str| name == *option || (family.option_of)(name).as_deref() == Some(*option);
            self.0.iter().find(|(name, _)| is_it(name)).map(|(_, setting)| setting)
        };
        match options.iter().find_map(named) {
            Some(setting) => setting.fault(message),
            None => conf.missing(family.name, message),
        }
    }

    /// The origin of each option, without its value, which may be secret.
    pub(crate) fn origins(&self, family: &Family) -> String {
        let ours = self.0.iter().filter_map(|(name, setting)| {
            let option = match name.as_str() {
                name if SHARED.contains(&name) => Some(Cow::Borrowed(name)),
                name => (family.option_of)(name),
            };
            Some(format!("{} from {}", option?, setting.location.origin(&setting.name)))
        });
        ours.collect::<Vec<_>>().join(", ")
    }
}
