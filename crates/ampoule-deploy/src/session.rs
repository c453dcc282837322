//! The session as a filter of an ini file.

use ampoule::{SessionLayer, Settings};
use tower::Layer;

use crate::app::{Filter, app};
use crate::conf::Conf;
use crate::error::{Fault, Faults};

/// The session layer that a section describes: of its options and the global ones, those of [`Settings`].
///
/// It notes for the operator where the sessions are kept, and is swept as long as the deployment is served.
///
/// # Errors
/// The faults of all options that are wrong, and of a store that cannot be opened.
pub fn session_layer(conf: &Conf) -> Result<SessionLayer, Faults> {
    let settings = Settings::parse(conf.merged()).map_err(|bad| {
        let faults = bad.0.iter().map(|option| fault_of(conf, &option.name, &option.message));
        Faults(faults.collect())
    })?;
    let layer = settings.layer().map_err(|error| conf.missing("session", error.report()))?;
    conf.note(format!("session {}", layer.describe()));
    settings.warnings.iter().for_each(|warning| conf.note(format!("warning: {warning}")));
    conf.sessions.borrow_mut().push(layer.clone());
    Ok(layer)
}

/// The factory of `egg:Beaker#beaker_session`.
pub(crate) fn filter(conf: &Conf) -> Result<Filter, Faults> {
    let mut faults = Faults(without_prefix(conf, "session"));
    let layer = faults.keep(session_layer(conf));
    layer
        .filter(|_| faults.0.is_empty())
        .map_or(Err(faults), |layer| Ok(Box::new(move |inner| app(layer.layer(inner)))))
}

/// Settings name an option as it was given; one that is missing they call by its name without a prefix.
pub(crate) fn fault_of(conf: &Conf, option: &str, message: &str) -> Fault {
    if is_ours(option) { conf.fault(option, message) } else { conf.missing(option, message) }
}

fn is_ours(option: &str) -> bool {
    option.contains('.') || ["cache_dir", "debug"].contains(&option)
}

/// Beaker passes over options of its filter that have no prefix, so a `secret = …` is no secret. Here they are faults.
pub(crate) fn without_prefix(conf: &Conf, family: &str) -> Vec<Fault> {
    let stray = conf.options().map(|(name, _)| name).filter(|name| !is_ours(name));
    let fault = |name| conf.fault(name, format!("a {family}'s options have a prefix: beaker.{family}.{name}"));
    stray.map(fault).collect()
}
