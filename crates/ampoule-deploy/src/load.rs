//! From a file to what is served.

use std::path::Path;

use crate::app::{App, Apps, Filter};
use crate::around::around;
use crate::conf::Conf;
use crate::deployment::Deployment;
use crate::error::Faults;
use crate::files::Files;
use crate::find::{APPS, FILTERS, SERVERS, What, find_all};
use crate::made::Made;
use crate::registry::Registry;
use crate::rest;
use crate::section::{Resolved, Resolver, Step, check_circle};
use crate::server::Server;
use crate::setting::{Globals, Place, Setting};

/// Loads the app of this name from a file, and the server: that of the same name, or else `[server:main]`.
///
/// `overrides` are global options that beat those of `[DEFAULT]`: what `paster serve site.ini debug=true` sets. Those of a
/// session or cache beat all else.
///
/// # Errors
/// Everything that is wrong with the file, as far as it can be told at once, each with file and line: a section that
/// fails does not keep the others from being checked, save those that it alone names.
pub fn load(
    path: &Path,
    name: &str,
    overrides: &[(String, String)],
    registry: &Registry,
) -> Result<Deployment, Faults> {
    load_with_environment(path, name, overrides, [], registry)
}

/// As [`load`], with options of the environment, such as `std::env::vars()`: its `AMPOULE_SESSION_…` and `AMPOULE_CACHE_…`
/// hold for every session and every cache of the file, over what the file says and below what `overrides` say.
///
/// # Errors
/// As [`load`]; also a variable whose name is nearly one of ours.
pub fn load_with_environment(
    path: &Path,
    name: &str,
    overrides: &[(String, String)],
    environment: impl IntoIterator<Item = (String, String)>,
    registry: &Registry,
) -> Result<Deployment, Faults> {
    let resolver = Resolver::new(Files::new(overrides));
    let mut loader = Loader { registry, resolver, made: Made::default(), path: Vec::new() };
    let ini = loader.resolver.files.read(path)?;
    let asked = Setting { name: String::new(), value: name.to_owned(), place: Place::of_file(path) };
    let environment = variables(path, environment);
    let mut faults = Faults(rest::misspelt(&ini));
    faults.0.extend(rest::misspelt_variables(&environment));
    let globals = loader.resolver.files.names(&asked.place.path, &ini, &environment).globals(&environment);
    let globals = globals.unwrap_or_default();
    let app = faults.keep(loader.app(&asked, &environment));
    let server = faults.keep(loader.server(&asked));
    let (Some(app), Some((server, place)), true) = (app, server, faults.0.is_empty()) else {
        return Err(faults.in_order());
    };
    let Loader { resolver, mut made, .. } = loader;
    made.warnings.extend(rest::sections(&ini, path, &resolver));
    made.warnings.extend(rest::globals(&globals, &made));
    if server.as_ref().is_none_or(|server| server.proxies.is_empty()) {
        made.warnings.append(&mut made.believing);
    }
    let Made { notes, warnings, origins, sessions, secure, caches, is_https, .. } = made;
    let warnings = Faults(warnings).in_order().0;
    Ok(Deployment { app, server, notes, warnings, origins, sessions, caches, secure, is_https, place })
}

/// Those of the environment's variables that are ours, or nearly so.
fn variables(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Globals {
    let place = Place::environment(&path.into());
    let ours = environment.into_iter().filter(|(name, _)| name.starts_with("AMPOULE_"));
    ours.map(|(name, value)| (name.clone(), Setting { name, value, place: place.clone() })).collect()
}

struct Loader<'a> {
    registry: &'a Registry,
    resolver: Resolver,
    made: Made,
    /// The apps and filters that are being made, each inside the one before: none may come twice.
    path: Vec<Step>,
}

impl Loader<'_> {
    fn app(&mut self, asked: &Setting, global: &Globals) -> Result<App, Faults> {
        let resolved = self.resolver.resolve(&APPS, asked, global)?;
        self.inside(asked, resolved, Loader::make_app)
    }

    fn filter(&mut self, asked: &Setting, global: &Globals) -> Result<Filter, Faults> {
        let resolved = self.resolver.resolve(&FILTERS, asked, global)?;
        self.inside(asked, resolved, Loader::make_filter)
    }

    /// The server, and where its section stands.
    fn server(&mut self, asked: &Setting) -> Result<(Option<Server>, Place), Faults> {
        let ini = self.resolver.files.read(&asked.place.path)?;
        let there = |name: &&str| !find_all(&ini, &SERVERS, name).is_empty();
        let Some(name) = [asked.value.as_str(), "main"].into_iter().find(there) else {
            return Ok((None, asked.place.clone()));
        };
        let asked = Setting { value: name.to_owned(), ..asked.clone() };
        let resolved = self.resolver.resolve(&SERVERS, &asked, &Globals::new())?;
        self.take_made(&resolved.conf);
        let server = self.registry.make_server(factory(&resolved)?, &resolved.conf);
        self.take_made(&resolved.conf);
        server.map(|server| (Some(server), resolved.conf.place))
    }

    /// Makes what is there, unless it is already being made further out.
    fn inside<T>(
        &mut self,
        asked: &Setting,
        resolved: Resolved,
        make: impl FnOnce(&mut Self, Resolved) -> Result<T, Faults>,
    ) -> Result<T, Faults> {
        // A factory alone leads nowhere.
        let Some(step) = resolved.step.clone() else { return make(self, resolved) };
        check_circle(&self.path, &step, asked, "sections inside each other")?;
        self.path.push(step);
        let made = make(self, resolved);
        self.path.pop();
        made
    }

    fn make_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        self.take_made(&resolved.conf);
        let mut faults = Faults::default();
        let around = resolved.conf.take("filter-with");
        let around = around.map(|asked| faults.keep(self.filter(&asked, &resolved.below)));
        let app = faults.keep(match resolved.what {
            What::Pipeline => self.pipeline(resolved),
            What::FilterApp => self.filter_app(resolved),
            What::App | What::Filter | What::Server => self.plain_app(resolved),
        });
        match (app, around) {
            (Some(app), None) => Ok(app),
            (Some(app), Some(Some(filter))) => Ok(filter(app)),
            _ => Err(faults),
        }
    }

    fn make_filter(&mut self, mut resolved: Resolved) -> Result<Filter, Faults> {
        self.take_made(&resolved.conf);
        let mut faults = Faults::default();
        let around = resolved.conf.take("filter-with");
        let around = around.map(|asked| faults.keep(self.filter(&asked, &resolved.below)));
        let filter = faults.keep(self.plain_filter(&resolved));
        match (filter, around) {
            (Some(filter), None) => Ok(filter),
            (Some(filter), Some(Some(around))) => Ok(Box::new(move |app| around(filter(app)))),
            _ => Err(faults),
        }
    }

    /// An app or a composite, as its factory says.
    fn plain_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        resolved.conf.is_of_app = true;
        let (conf, registry) = (&resolved.conf, self.registry);
        let factory = factory(&resolved)?;
        let mut load = |asked: &Setting| self.app(asked, &conf.global);
        let app = registry.make_app(factory, conf, &mut Apps { conf, load: &mut load });
        let app = around(conf, app);
        self.take_made(conf);
        app
    }

    fn plain_filter(&mut self, resolved: &Resolved) -> Result<Filter, Faults> {
        let filter = self.registry.make_filter(factory(resolved)?, &resolved.conf);
        self.take_made(&resolved.conf);
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

    fn take_made(&mut self, conf: &Conf) {
        self.made.append(conf.made.take());
    }
}

/// The fault of an option that must be there; none if it may be one of those that could not be read.
fn expected(resolved: &Resolved, option: &str, message: &str) -> Faults {
    match resolved.faults.0.is_empty() {
        true => resolved.conf.missing(option, message).into(),
        false => resolved.faults.clone(),
    }
}

/// # Errors
/// What is wrong with the section, before any factory sees it.
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
        (None, None) => Err(conf.missing("use", "expected `use = egg:Dist#entry`, which says what makes it").into()),
    }
}
