//! The options of a session or a cache: those of the file, below those of the environment, below the command line's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::conf::Conf;
use crate::error::Fault;
use crate::family::{Family, is_ours};
use crate::setting::Setting;

/// The settings under the names by which they are handed on.
pub(crate) struct RawOptions(BTreeMap<String, Setting>);

impl RawOptions {
    pub(crate) fn of(conf: &Conf, family: &Family) -> RawOptions {
        let of_file = |setting: &&Setting| !setting.place.is_environment() && !setting.place.is_command_line();
        // A `secret = …` without a prefix belongs to another program.
        let is_meant = |setting: &&Setting| {
            let name = setting.name.as_str();
            name.contains('.') || ["debug", "cache_dir"].contains(&name) || (family.option_of)(name).is_some()
        };
        // The section's own option holds, whatever its prefix.
        let is_own = |setting: &&Setting| {
            let same = |local: &Setting| local.name != setting.name && family.is_same(&local.name, &setting.name);
            conf.local.iter().any(same)
        };
        let global = conf.global.values().filter(of_file).filter(|setting| !is_own(setting));
        let settings = global.chain(&conf.local).filter(is_meant);
        let mut raw = RawOptions(settings.map(|setting| (setting.name.clone(), setting.clone())).collect());
        conf.global.values().filter(|setting| setting.place.is_environment()).for_each(|one| raw.put(one, family));
        conf.global.values().filter(|setting| setting.place.is_command_line()).for_each(|one| raw.put(one, family));
        raw
    }

    /// In the place of what says the same.
    fn put(&mut self, setting: &Setting, family: &Family) {
        let Some(option) = (family.option_of)(&setting.name) else {
            let is_stray = setting.place.is_environment() && is_ours(&setting.name);
            if !is_stray {
                // `debug` has a name with a prefix too.
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

    /// The fault of an option where it stands, by the name under which it was handed on; of the section if it stands
    /// nowhere.
    pub(crate) fn fault(&self, conf: &Conf, name: &str, message: &str) -> Fault {
        match self.0.get(name) {
            Some(setting) => setting.fault(message),
            None => conf.missing(name, message),
        }
    }

    /// The fault of the first of these options that is there.
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

    /// Where each option comes from, without its value, which may be secret.
    pub(crate) fn origins(&self, family: &Family) -> String {
        let ours = self.0.iter().filter_map(|(name, setting)| {
            let option = match name.as_str() {
                "debug" | "cache_dir" => Some(Cow::Borrowed(name.as_str())),
                _ => (family.option_of)(name),
            };
            Some(format!("{} from {}", option?, setting.place.origin(&setting.name)))
        });
        ours.collect::<Vec<_>>().join(", ")
    }
}
