//! The session as a filter of an ini file.

use ampoule::{Error, SessionLayer, Settings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::{Fault, Faults};
use crate::family::{Family, SESSION, is_ours};
use crate::raw_options::RawOptions;

/// Where a store that cannot be opened is named.
pub(crate) const PLACE: [&str; 5] = ["url", "data_dir", "cache_dir", "type", "tls_ca_file"];

/// The session layer that a section describes: of its options and the global ones, those of [`Settings`].
///
/// It notes for the operator where the sessions are kept, and is swept as long as the deployment is served.
///
/// # Errors
/// The faults of all options that are wrong, and of a store that cannot be opened.
pub fn session_layer(conf: &Conf) -> Result<SessionLayer, Faults> {
    make_of(conf, |settings| settings.layer().map(|layer| (layer.clone(), layer)))
}

/// The session filter of a section, as `make` makes it of its options: the layer, and what puts it around an app.
///
/// `egg:Beaker#beaker_session` is this with [`Settings::layer`]. A program that puts something of its own between a layer
/// and its store adds its filter to the [`Registry`](crate::Registry), under the same name or another.
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
/// As [`session_layer`]; also options without a prefix, which Beaker's filter passes over.
pub fn session_filter(
    conf: &Conf,
    make: impl FnOnce(&Settings) -> Result<(SessionLayer, Filter), Error>,
) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, &SESSION));
    let filter = faults.keep(make_of(conf, make));
    filter.filter(|_| faults.0.is_empty()).ok_or(faults)
}

/// What is made of a section's options, beside its layer.
fn make_of<T>(conf: &Conf, make: impl FnOnce(&Settings) -> Result<(SessionLayer, T), Error>) -> Result<T, Faults> {
    let raw = RawOptions::of(conf, &SESSION);
    let mut settings = Settings::parse(raw.pairs()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| raw.fault(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    // Said with their places here, and not once more in the log.
    for warning in std::mem::take(&mut settings.warnings) {
        let (name, message) = warning.split_once(": ").unwrap_or(("session", &warning));
        conf.warn(raw.fault(conf, name, message));
    }
    let unable = |error: Error| raw.fault_of_first(conf, &SESSION, &PLACE, &error.report());
    let (layer, made_of_it) = make(&settings).map_err(unable)?;
    conf.note(format!("session {}", layer.describe()));
    let mut made = conf.made.borrow_mut();
    made.origins.push(format!("session {}: {}", layer.name(), raw.origins(&SESSION)));
    if settings.options.cookie.secure && settings.options.transports.contains(&ampoule::Transport::Cookie) {
        made.secure.push(layer.name().to_owned());
    }
    made.sessions.push(layer);
    Ok(made_of_it)
}

/// The factory of `egg:Beaker#beaker_session`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    session_filter(conf, plain)
}

/// The filter of a section that may hold other options too.
pub(crate) fn around(conf: &Conf) -> Result<Filter, Faults> {
    make_of(conf, plain)
}

fn plain(settings: &Settings) -> Result<(SessionLayer, Filter), Error> {
    let layer = settings.layer()?;
    Ok((layer.clone(), Box::new(move |inner| app(layer.layer(inner)))))
}

/// Beaker passes over options of its filter that have no prefix, so a `secret = …` is no secret. Here they are faults.
pub(crate) fn without_prefix(conf: &Conf, family: &Family) -> Vec<Fault> {
    let is_known = |name: &str| name.contains('.') || ["cache_dir", "debug"].contains(&name) || is_ours(name);
    let stray = conf.local.iter().filter(|local| !is_known(&local.name));
    let family = family.name;
    let fault = |local: &crate::setting::Setting| {
        local.fault(format!("a {family}'s options have a prefix: beaker.{family}.{}", local.name))
    };
    stray.map(fault).collect()
}
