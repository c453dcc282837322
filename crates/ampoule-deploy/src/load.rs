//! From a file to what is served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ampoule::SessionLayer;

use crate::conf::{Conf, Local};
use crate::error::{Fault, Faults};
use crate::registry::{App, Registry, full_name, unknown};
use crate::section::{APPS, FILTERS, Files, Resolved, SERVERS, What};
use crate::urlmap::UrlMap;

/// What a file describes.
#[derive(Debug)]
pub struct Deployment {
    /// The app, with all filters and apps below it.
    pub app: App,
    /// Where to serve it, if the file says so.
    pub server: Option<Server>,
    /// What the operator should know: what is served where, and what the factories had to say, in the order in which
    /// they ran.
    pub notes: Vec<String>,
    /// The session layers that were made, to be swept.
    pub sessions: Vec<SessionLayer>,
}

/// Where to listen: the section `[server:NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address or host name; `127.0.0.1` by default. `0.0.0.0` is all of IPv4.
    pub host: String,
    /// The port; 8080 by default, as in Paste. 0 lets the system choose.
    pub port: u16,
}

/// Loads the app and the server of this name from a file.
///
/// `overrides` are global options that beat those of `[DEFAULT]`: what `paster serve site.ini debug=true` sets.
///
/// # Errors
/// Everything that is wrong with the file, as far as it can be told at once, each with file and line.
pub fn load(
    path: &Path,
    name: &str,
    overrides: &[(String, String)],
    registry: &Registry,
) -> Result<Deployment, Faults> {
    let mut loader =
        Loader { registry, files: Files::new(overrides), notes: Vec::new(), sessions: Vec::new(), path: Vec::new() };
    let asked = Local { name: name.to_owned(), value: String::new(), file: path.display().to_string().into(), line: 0 };
    loader.files.read(path)?;
    let app = loader.app(path, name, &asked, &BTreeMap::new());
    let server = loader.server(path, name, &asked);
    match (app, server) {
        (Ok(app), Ok(server)) => Ok(Deployment { app, server, notes: loader.notes, sessions: loader.sessions }),
        (app, server) => {
            Err(Faults([app.err(), server.err()].into_iter().flatten().flat_map(|faults| faults.0).collect()))
        }
    }
}

struct Loader<'a> {
    registry: &'a Registry,
    files: Files,
    notes: Vec<String>,
    sessions: Vec<SessionLayer>,
    /// The apps that are being made, each inside the one before: none may come twice.
    path: Vec<(PathBuf, String)>,
}

impl Loader<'_> {
    fn app(
        &mut self,
        file: &Path,
        name: &str,
        asked: &Local,
        global: &BTreeMap<String, String>,
    ) -> Result<App, Faults> {
        let step = (file.to_owned(), name.to_owned());
        if self.path.contains(&step) {
            let names: Vec<&str> = self.path.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            return Err(
                Fault::new(&asked.file, asked.line, format!("apps inside each other: {}", names.join(" -> "))).into()
            );
        }
        self.path.push(step);
        let app = self.files.resolve(file, APPS, name, asked, global).map_err(Faults::from);
        let app = app.and_then(|resolved| self.make_app(resolved));
        self.path.pop();
        app
    }

    fn make_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let around = take(&mut resolved.conf, "filter-with");
        let (file, global) = (resolved.file.clone(), resolved.conf.global.clone());
        let app = match resolved.what {
            What::Composite => self.composite(resolved),
            What::Pipeline => self.pipeline(resolved),
            What::FilterApp => self.filter_app(resolved),
            What::App | What::Filter | What::Server => self.plain_app(resolved),
        };
        match around {
            Some(name) => self.filter(&file, &name, &global, app?),
            None => app,
        }
    }

    fn plain_app(&mut self, resolved: Resolved) -> Result<App, Faults> {
        let factory = factory_of(&resolved)?;
        let app = self.registry.make_app(&factory, &resolved.conf);
        self.take_notes(&resolved.conf);
        self.notes.push(format!("[{}] is {factory}", resolved.conf.section));
        app
    }

    fn filter_app(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let Some(next) = take(&mut resolved.conf, "next") else {
            return Err(resolved
                .conf
                .fault("next", "a filter-app needs `next`, the name of the app that it filters")
                .into());
        };
        let filter = factory_of(&resolved).and_then(|factory| self.registry.make_filter(&factory, &resolved.conf));
        self.take_notes(&resolved.conf);
        let app = self.app(&resolved.file, &next.value, &next, &resolved.conf.global);
        both(filter, app).map(|(filter, app)| filter(app))
    }

    fn filter(
        &mut self,
        file: &Path,
        name: &Local,
        global: &BTreeMap<String, String>,
        app: App,
    ) -> Result<App, Faults> {
        let mut resolved = self.files.resolve(file, FILTERS, &name.value, name, global)?;
        let around = take(&mut resolved.conf, "filter-with");
        let filter = factory_of(&resolved).and_then(|factory| self.registry.make_filter(&factory, &resolved.conf));
        self.take_notes(&resolved.conf);
        let app = filter?(app);
        match around {
            Some(next) => self.filter(&resolved.file, &next, &resolved.conf.global, app),
            None => Ok(app),
        }
    }

    fn pipeline(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let Some(pipeline) = take(&mut resolved.conf, "pipeline") else {
            return Err(resolved.conf.fault("pipeline", "expected the names of filters and, last, of an app").into());
        };
        let mut faults = resolved.conf.unknown(&[]);
        let names: Vec<Local> = pipeline
            .value
            .split_whitespace()
            .map(|name| Local { value: name.to_owned(), ..pipeline.clone() })
            .collect();
        let Some((last, filters)) = names.split_last() else {
            return Err(resolved.conf.fault("pipeline", "it is empty").into());
        };
        let mut app = self.app(&resolved.file, &last.value, last, &resolved.conf.global);
        for filter in filters.iter().rev() {
            app = app.and_then(|app| self.filter(&resolved.file, filter, &resolved.conf.global, app));
        }
        faults.extend(app.as_ref().err().into_iter().flat_map(|faults| faults.0.clone()));
        if faults.is_empty() { app } else { Err(Faults(faults)) }
    }

    fn composite(&mut self, mut resolved: Resolved) -> Result<App, Faults> {
        let factory = factory_of(&resolved)?;
        const URLMAPS: [&str; 2] = ["egg:Paste#urlmap", "egg:ampoule#urlmap"];
        if !URLMAPS.contains(&factory.as_str()) {
            return Err(resolved.conf.fault("use", unknown("composite", &factory, URLMAPS.into_iter())).into());
        }
        let places: Vec<String> = resolved.conf.options().map(|(place, app)| format!("{place} = {app}")).collect();
        self.notes.push(format!("[{}] serves {}", resolved.conf.section, places.join(", ")));
        let mut map = UrlMap::default();
        let mut faults = Vec::new();
        if let Some(name) = take(&mut resolved.conf, "not_found_app") {
            match self.app(&resolved.file, &name.value, &name, &resolved.conf.global) {
                Ok(app) => map.not_found = Some(app),
                Err(more) => faults.extend(more.0),
            }
        }
        for option in &resolved.conf.local {
            let app = self.app(&resolved.file, &option.value, option, &resolved.conf.global);
            let added = app.and_then(|app| {
                map.add(&option.name, app).map_err(|text| resolved.conf.fault(&option.name, text).into())
            });
            faults.extend(added.err().into_iter().flat_map(|more| more.0));
        }
        if faults.is_empty() { Ok(map.into_app()) } else { Err(Faults(faults)) }
    }

    fn server(&mut self, file: &Path, name: &str, asked: &Local) -> Result<Option<Server>, Faults> {
        let ini = self.files.read(file)?;
        let is_server = |section: &str| {
            section.split_once(':').is_some_and(|(kind, rest)| kind.trim() == "server" && rest.trim() == name)
        };
        if !ini.sections().any(is_server) {
            return Ok(None);
        }
        let resolved = self.files.resolve(file, SERVERS, name, asked, &BTreeMap::new())?;
        let factory = factory_of(&resolved)?;
        const SERVERS_OF_OURS: [&str; 2] = ["egg:Paste#http", "egg:ampoule#http"];
        if !SERVERS_OF_OURS.contains(&factory.as_str()) {
            return Err(resolved.conf.fault("use", unknown("server", &factory, SERVERS_OF_OURS.into_iter())).into());
        }
        read_server(&resolved.conf).map(Some)
    }

    fn take_notes(&mut self, conf: &Conf) {
        self.notes.append(&mut conf.notes.borrow_mut());
        self.sessions.append(&mut conf.sessions.borrow_mut());
    }
}

fn read_server(conf: &Conf) -> Result<Server, Faults> {
    let mut faults = conf.unknown(&["host", "port"]);
    let port = conf.get("port").map_or(Ok(8080), |text| {
        text.parse().map_err(|_| conf.fault("port", format!("expected a number from 0 to 65535, found `{text}`")))
    });
    let host = conf.get("host").unwrap_or("127.0.0.1").to_owned();
    match port {
        Ok(port) if faults.is_empty() => Ok(Server { host, port }),
        port => {
            faults.extend(port.err());
            Err(Faults(faults))
        }
    }
}

fn take(conf: &mut Conf, option: &str) -> Option<Local> {
    let index = conf.local.iter().position(|local| local.name == option)?;
    Some(conf.local.remove(index))
}

fn factory_of(resolved: &Resolved) -> Result<String, Faults> {
    let missing = || resolved.conf.fault("use", "expected `use = egg:Dist#entry`, which says what makes it");
    resolved.factory.as_deref().map(full_name).ok_or_else(|| missing().into())
}

/// Both, or the faults of both.
fn both<A, B>(first: Result<A, Faults>, second: Result<B, Faults>) -> Result<(A, B), Faults> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (first, second) => {
            Err(Faults([first.err(), second.err()].into_iter().flatten().flat_map(|faults| faults.0).collect()))
        }
    }
}
