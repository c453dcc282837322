//! Loads a file into a deployment.

use std::path::Path;

use crate::app::{App, Apps, Filter};
use crate::app_filters::wrap;
use crate::artifacts::Artifacts;
use crate::conf::Conf;
use crate::deployment::Deployment;
use crate::error::Faults;
use crate::files::Files;
use crate::find::{APPS, FILTERS, SERVERS, SectionKind, find_all};
use crate::registry::Registry;
use crate::section::{Resolved, Resolver, SectionId, check_cycle};
use crate::server::Server;
use crate::setting::{Globals, Location, Setting};
use crate::unused;

/// Loads the app of this name from a file, and the server of the same name, or else `[server:main]`.
///
/// `overrides` are global options that win over those of `[DEFAULT]`, such as `debug=true` in
/// `paster serve site.ini debug=true`. Those of a session or cache win over the options of sections too.
///
/// The docs of the [crate](crate) have an example.
///
/// # Errors
/// All faults of the file, each with file and line. A section with a fault does not stop the check of the others,
/// except of those that only it refers to.
pub fn load(
    path: &Path,
    name: &str,
    overrides: &[(String, String)],
    registry: &Registry,
) -> Result<Deployment, Faults> {
    load_with_environment(path, name, overrides, [], registry)
}

/// Does what [`load`] does, with options from the environment, such as `std::env::vars()`: the variables
/// `AMPOULE_SESSION_…` and `AMPOULE_CACHE_…` apply to every session and every cache of the file. They win over the
/// file's options, and `overrides` win over them.
///
/// # Errors
/// The same as of [`load`]; also a variable whose name is a misspelt option.
pub fn load_with_environment(
    path: &Path,
    name: &str,
    overrides: &[(String, String)],
    environment: impl IntoIterator<Item = (String, String)>,
    registry: &Registry,
) -> Result<Deployment, Faults> {
    let resolver = Resolver::new(Files::new(overrides));
    let mut loader = Loader { registry, resolver, artifacts: Artifacts::default(), path: Vec::new() };
    let ini = loader.resolver.files.read(path)?;
    let reference = Setting { name: String::new(), value: name.to_owned(), location: Location::of_file(path) };
    let environment = environment_options(path, environment);
    let mut faults = Faults(unused::misspelt_sections(&ini));
    faults.0.extend(unused::misspelt_variables(&environment));
    let globals = loader.resolver.files.variables(&reference.location.path, &ini, &environment).globals(&environment);
    let globals = globals.unwrap_or_default();
    let app = faults.keep(loader.app(&reference, &environment));
    let server = faults.keep(loader.server(&reference));
    let (Some(app), Some((server, location)), true) = (app, server, faults.0.is_empty()) else {
        return Err(faults.in_order());
    };
    let Loader { resolver, artifacts: mut made, .. } = loader;
    made.warnings.extend(unused::sections(&ini, path, &resolver));
    made.warnings.extend(unused::globals(&globals, &resolver.files, &made));
    if server.as_ref().is_none_or(|server| server.proxies.is_empty()) {
        made.warnings.append(&mut made.trusting_filters);
    }
    let Artifacts { notes, warnings, origins, sessions, secure, caches, is_https, .. } = made;
    let warnings = Faults(warnings).in_order().0;
    Ok(Deployment { app, server, notes, warnings, origins, sessions, caches, secure, is_https, location })
}

/// The variables of the environment that start with `AMPOULE_`.
fn environment_options(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Globals {
    let location = Location::environment(&path.into());
    let ours = environment.into_iter().filter(|(name, _)| name.starts_with("AMPOULE_"));
    ours.map(|(name, value)| (name.clone(), Setting { name, value, location: location.clone() })).collect()
}

struct Loader<'a> {
    registry: &'a Registry,
    resolver: Resolver,
    artifacts: Artifacts,
    /// The apps and filters that are being made, each inside the previous one. A repetition is a cycle.
    path: Vec<SectionId>,
}

impl Loader<'_> {
    fn app(&mut self, reference: &Setting, global: &Globals) -> Result<App, Faults> {
        let resolved = self.resolver.resolve(&APPS, reference, global)?;
        self.without_cycle(reference, resolved, Loader::make_app)
    }

    fn filter(&mut self, reference: &Setting, global: &Globals) -> Result<Filter, Faults> {
        let resolved = self.resolver.resolve(&FILTERS, reference, global)?;
        self.without_cycle(reference, resolved, Loader::make_filter)
    }

    /// The server, and the first line of its section.
    fn server(&mut self, reference: &Setting) -> Result<(Option<Server>, Location), Faults> {
        let ini = self.resolver.files.read(&reference.location.path)?;
        let there = |name: &&str| !find_all(&ini, &SERVERS, name).is_empty();
        let Some(name) = [reference.value.as_str(), "main"].into_iter().find(there) else {
            return Ok((None, reference.location.clone()));
        };
        let reference = Setting { value: name.to_owned(), ..reference.clone() };
        let resolved = self.resolver.resolve(&SERVERS, &reference, &Globals::new())?;
        self.take_artifacts(&resolved.conf);
        let server = self.registry.make_server(factory(&resolved)?, &resolved.conf);
        self.take_artifacts(&resolved.conf);
        server.map(|server| (Some(server), resolved.conf.location))
    }

    /// Calls `make`, unless the section is already being made further out.
    fn without_cycle<T>(
        &mut self,
        reference: &Setting,
        resolved: Resolved,
        make: impl FnOnce(&mut Self, Resolved) -> Result<T, Faults>,
    ) -> Result<T, Faults> {
        // A factory without a section refers to no other.
        let Some(step) = resolved.step.clone() else { return make(self, resolved) };
        check_cycle(&self.path, &step, reference, "sections contain each other")?;
        self.path.push(step);
        let made = make(self, resolved);
        self.path.pop();
        made
    }

    fn make_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        self.take_artifacts(&resolved.conf);
        let mut faults = Faults::default();
        let around = resolved.conf.take("filter-with");
        let around = around.map(|reference| faults.keep(self.filter(&reference, &resolved.below)));
        let app = faults.keep(match resolved.what {
            SectionKind::Pipeline => self.pipeline(resolved),
            SectionKind::FilterApp => self.filter_app(resolved),
            SectionKind::App | SectionKind::Filter | SectionKind::Server => self.plain_app(resolved),
        });
        match (app, around) {
            (Some(app), None) => Ok(app),
            (Some(app), Some(Some(filter))) => Ok(filter(app)),
            _ => Err(faults),
        }
    }

    fn make_filter(&mut self, mut resolved: Resolved) -> Result<Filter, Faults> {
        self.take_artifacts(&resolved.conf);
        let mut faults = Faults::default();
        let around = resolved.conf.take("filter-with");
        let around = around.map(|reference| faults.keep(self.filter(&reference, &resolved.below)));
        let filter = faults.keep(self.plain_filter(&resolved));
        match (filter, around) {
            (Some(filter), None) => Ok(filter),
            (Some(filter), Some(Some(around))) => Ok(Box::new(move |app| around(filter(app)))),
            _ => Err(faults),
        }
    }

    /// Makes an app or a composite; the factory decides which.
    fn plain_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        resolved.conf.is_of_app = true;
        let (conf, registry) = (&resolved.conf, self.registry);
        let factory = factory(&resolved)?;
        let mut load = |reference: &Setting| self.app(reference, &conf.global);
        let app = registry.make_app(factory, conf, &mut Apps { conf, load: &mut load });
        let app = wrap(conf, app);
        self.take_artifacts(conf);
        app
    }

    fn plain_filter(&mut self, resolved: &Resolved) -> Result<Filter, Faults> {
        let filter = self.registry.make_filter(factory(resolved)?, &resolved.conf);
        self.take_artifacts(&resolved.conf);
        filter
    }

    fn filter_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let mut faults = Faults::default();
        let next = resolved.conf.take("next");
        let filter = faults.keep(self.plain_filter(&resolved));
        let app = match next {
            Some(next) => faults.keep(self.app(&next, &resolved.below)),
            None => faults.keep(Err(expected(&resolved, "next", "expected the name of the app that is filtered"))),
        };
        app.zip(filter).map(|(app, filter)| filter(app)).ok_or(faults)
    }

    fn pipeline(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let pipeline = resolved.conf.take("pipeline");
        let mut faults = resolved.faults.clone();
        faults.0.extend(resolved.conf.unknown(&[]));
        let Some(pipeline) = pipeline.filter(|names| !names.value.is_empty()) else {
            let message = "expected the names of filters and, last, of an app";
            faults.0.extend(expected(&resolved, "pipeline", message).0);
            return Err(faults);
        };
        let name = |name: &str| Setting { value: name.to_owned(), ..pipeline.clone() };
        let mut filters: Vec<Setting> = pipeline.value.split_whitespace().map(name).collect();
        let last = filters.pop().unwrap_or(pipeline);
        let filters: Vec<_> = filters.iter().map(|name| faults.keep(self.filter(name, &resolved.below))).collect();
        let app = faults.keep(self.app(&last, &resolved.below));
        let app = app.filter(|_| faults.0.is_empty()).ok_or(faults)?;
        Ok(filters.into_iter().rev().flatten().fold(app, |app, filter| filter(app)))
    }

    fn take_artifacts(&mut self, conf: &Conf) {
        self.artifacts.append(conf.artifacts.take());
    }
}

/// The fault of a required option; or the section's faults, if it has some, since one may be that option's.
fn expected(resolved: &Resolved, option: &str, message: &str) -> Faults {
    match resolved.faults.0.is_empty() {
        true => resolved.conf.missing(option, message).into(),
        false => resolved.faults.clone(),
    }
}

/// # Errors
/// The faults that the section has before a factory sees it.
fn factory(resolved: &Resolved) -> Result<&Setting, Faults> {
    let conf = &resolved.conf;
    let python = conf.local.iter().find(|local| local.name.starts_with("paste."));
    match (&conf.factory, python) {
        _ if !resolved.faults.0.is_empty() => Err(resolved.faults.clone()),
        (Some(factory), _) => Ok(factory),
        (None, Some(option)) => {
            let message = "a Python factory cannot be called; register one and name it with `use = egg:Dist#entry`";
            Err(option.fault(message).into())
        }
        (None, None) => Err(conf.missing("use", "expected `use = egg:Dist#entry`, the name of its factory").into()),
    }
}
