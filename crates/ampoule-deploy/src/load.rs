//! From a file to what is served.

use std::path::Path;

use ampoule::SessionLayer;
use ampoule::cache::CacheManager;

use crate::app::{App, Apps, Filter};
use crate::conf::Conf;
use crate::error::Faults;
use crate::files::Files;
use crate::find::{APPS, FILTERS, SERVERS, What, find_all};
use crate::registry::Registry;
use crate::section::{Resolved, Resolver, Step, check_circle};
use crate::server::Server;
use crate::setting::{Globals, Place, Setting};

/// What a file describes.
#[derive(Debug)]
pub struct Deployment {
    /// The app, with all filters and apps below it.
    pub app: App,
    /// Where to serve it, if the file says so.
    pub server: Option<Server>,
    /// What the factories had to tell the operator, from the outermost section inwards, each line once.
    pub notes: Vec<String>,
    /// The session layers that were made, to be swept.
    pub sessions: Vec<SessionLayer>,
    /// The caches that were made, to be swept.
    pub caches: Vec<CacheManager>,
}

/// Loads the app of this name from a file, and the server: that of the same name, or else `[server:main]`.
///
/// `overrides` are global options that beat those of `[DEFAULT]`: what `paster serve site.ini debug=true` sets.
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
    let resolver = Resolver::new(Files::new(overrides));
    let (notes, sessions, caches) = Default::default();
    let mut loader = Loader { registry, resolver, notes, sessions, caches, path: Vec::new() };
    loader.resolver.files.read(path)?;
    let asked = Setting { name: String::new(), value: name.to_owned(), place: Place::of_file(path) };
    let mut faults = Faults::default();
    let app = faults.keep(loader.app(&asked, &Globals::new()));
    let server = faults.keep(loader.server(&asked));
    match (app, server) {
        (Some(app), Some(server)) => {
            let Loader { notes, sessions, caches, .. } = loader;
            Ok(Deployment { app, server, notes, sessions, caches })
        }
        _ => Err(faults.each_once()),
    }
}

struct Loader<'a> {
    registry: &'a Registry,
    resolver: Resolver,
    notes: Vec<String>,
    sessions: Vec<SessionLayer>,
    caches: Vec<CacheManager>,
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

    fn server(&mut self, asked: &Setting) -> Result<Option<Server>, Faults> {
        let ini = self.resolver.files.read(&asked.place.path)?;
        let there = |name: &&str| !find_all(&ini, &SERVERS, name).is_empty();
        let Some(name) = [asked.value.as_str(), "main"].into_iter().find(there) else { return Ok(None) };
        let asked = Setting { value: name.to_owned(), ..asked.clone() };
        let resolved = self.resolver.resolve(&SERVERS, &asked, &Globals::new())?;
        self.take_notes(&resolved.conf);
        let server = self.registry.make_server(factory(&resolved)?, &resolved.conf);
        self.take_notes(&resolved.conf);
        server.map(Some)
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
        self.take_notes(&resolved.conf);
        let mut faults = Faults::default();
        let around = resolved.conf.take("filter-with");
        let around = around.map(|asked| faults.keep(self.filter(&asked, &resolved.below)));
        let app = faults.keep(match resolved.what {
            What::Pipeline => self.pipeline(resolved),
            What::FilterApp => self.filter_app(resolved),
            What::App | What::Filter | What::Server => self.plain_app(&resolved),
        });
        match (app, around) {
            (Some(app), None) => Ok(app),
            (Some(app), Some(Some(filter))) => Ok(filter(app)),
            _ => Err(faults),
        }
    }

    fn make_filter(&mut self, mut resolved: Resolved) -> Result<Filter, Faults> {
        self.take_notes(&resolved.conf);
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
    fn plain_app(&mut self, resolved: &Resolved) -> Result<App, Faults> {
        let (conf, registry) = (&resolved.conf, self.registry);
        let factory = factory(resolved)?;
        let mut load = |asked: &Setting| self.app(asked, &conf.global);
        let app = registry.make_app(factory, conf, &mut Apps { conf, load: &mut load });
        self.take_notes(conf);
        app
    }

    fn plain_filter(&mut self, resolved: &Resolved) -> Result<Filter, Faults> {
        let filter = self.registry.make_filter(factory(resolved)?, &resolved.conf);
        self.take_notes(&resolved.conf);
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

    fn take_notes(&mut self, conf: &Conf) {
        for note in conf.notes.take() {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.sessions.append(&mut conf.sessions.borrow_mut());
        self.caches.append(&mut conf.caches.borrow_mut());
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
    match (&resolved.factory, python) {
        _ if !resolved.faults.0.is_empty() => Err(resolved.faults.clone()),
        (Some(factory), _) => Ok(factory),
        (None, Some(option)) => {
            let message = "a Python factory cannot be called; register one and name it with `use = egg:Dist#entry`";
            Err(option.fault(message).into())
        }
        (None, None) => Err(conf.missing("use", "expected `use = egg:Dist#entry`, which says what makes it").into()),
    }
}
