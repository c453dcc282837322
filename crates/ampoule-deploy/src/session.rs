//! The session as a filter of an ini file.

use ampoule::{Error, SessionLayer, Settings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::family::{Family, SESSION, is_ours};
use crate::raw_options::RawOptions;

/// The options whose line a store's error refers to: the first that is set.
pub(crate) const STORE_OPTIONS: [&str; 5] = ["url", "data_dir", "cache_dir", "type", "tls_ca_file"];

/// Creates the session layer that a section's options and the global ones describe, as in [`Settings`].
///
/// Adds a note for the operator: where the sessions are stored. The program that serves the deployment sweeps them.
///
/// ```
/// use ampoule_deploy::{Registry, app, session_layer};
/// use axum::Router;
///
/// let mut registry = Registry::new();
/// registry.app("egg:my_project", |conf| {
///     let sessions = session_layer(conf)?;
///     Ok(app(Router::new().layer(sessions)))
/// });
/// ```
///
/// # Errors
/// The faults of all invalid options, or that of a store that cannot be opened.
pub fn session_layer(conf: &Conf) -> Result<SessionLayer, Faults> {
    build_session(conf, |settings| settings.layer().map(|layer| (layer.clone(), layer)))
}

/// Creates the session filter of a section. `make` gets the section's settings, and returns the layer and a filter that
/// applies it.
///
/// `egg:Beaker#beaker_session` calls this with [`Settings::layer`]. A program that puts a store of its own between a
/// layer and its store adds its filter to the [`Registry`](crate::Registry), under the same name or another.
///
/// ```
/// use ampoule_deploy::{Registry, app, session_filter};
/// use tower::Layer;
///
/// let mut registry = Registry::new();
/// registry.filter("egg:my_project#session", |conf| {
///     session_filter(conf, |settings| {
///         let layer = settings.layer()?;
///         Ok((layer.clone(), Box::new(move |inner| app(layer.layer(inner)))))
///     })
/// });
/// ```
///
/// # Errors
/// The same as of [`session_layer`]; also options without a prefix, which Beaker's filter ignores.
pub fn session_filter(
    conf: &Conf,
    make: impl FnOnce(&Settings) -> Result<(SessionLayer, Filter), Error>,
) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, &SESSION));
    let filter = faults.keep(build_session(conf, make));
    filter.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// Builds the layer with `make`, registers it, and returns what `make` returns beside it.
fn build_session<T>(
    conf: &Conf,
    make: impl FnOnce(&Settings) -> Result<(SessionLayer, T), Error>,
) -> Result<T, Faults> {
    let raw = RawOptions::of(conf, &SESSION);
    let mut settings = Settings::parse(raw.pairs()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| raw.fault(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    // Taken out, so that they are reported here with their lines and not again in the log.
    for warning in std::mem::take(&mut settings.warnings) {
        let (name, message) = warning.split_once(": ").unwrap_or(("session", &warning));
        conf.warn(raw.fault(conf, name, message));
    }
    let unable = |error: Error| raw.fault_of_first(conf, &SESSION, &STORE_OPTIONS, &error.report());
    let (layer, built) = make(&settings).map_err(unable)?;
    conf.note(format!("session {}", layer.describe()));
    let mut made = conf.artifacts.borrow_mut();
    made.origins.push(format!("session {}: {}", layer.name(), raw.origins(&SESSION)));
    if settings.options.cookie.secure && settings.options.transports.contains(&ampoule::Transport::Cookie) {
        made.secure.push(layer.name().to_owned());
    }
    made.sessions.push(layer);
    Ok(built)
}

/// The factory of `egg:Beaker#beaker_session`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    session_filter(conf, plain)
}

/// The filter around an app whose section has session options among its own.
pub(crate) fn app_filter(conf: &Conf) -> Result<Filter, Faults> {
    build_session(conf, plain)
}

fn plain(settings: &Settings) -> Result<(SessionLayer, Filter), Error> {
    let layer = settings.layer()?;
    Ok((layer.clone(), Box::new(move |inner| app(layer.layer(inner)))))
}

/// The faults of options without a prefix. Beaker's filter ignores them, so `secret = …` sets no secret there.
pub(crate) fn without_prefix(conf: &Conf, family: &Family) -> Vec<Fault> {
    let is_known = |name: &str| name.contains('.') || ["cache_dir", "debug"].contains(&name) || is_ours(name);
    let stray = conf.local.iter().filter(|local| !is_known(&local.name));
    let family = family.name;
    let fault = |local: &crate::setting::Setting| {
        local.fault(format!("the options of a {family} have a prefix: write beaker.{family}.{}", local.name))
    };
    stray.map(fault).collect()
}
