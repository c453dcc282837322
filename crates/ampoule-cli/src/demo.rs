//! The demo site: three apps that share one session filter, and a JSON API.
//!
//! | app | factory | what it shows |
//! |---|---|---|
//! | home | `egg:ampoule-demo` | 64 concurrent requests that lose no change; login and logout, with a session of its own for each login; a thief with copied cookies; an outage of the store; the user's devices; the language; a slow page that is cached, under `egg:Beaker#beaker_cache` |
//! | notes | `egg:ampoule-demo#notes` | a list in the session, shared by all tabs |
//! | inspector | `egg:ampoule-demo#inspector` | the content of the session, the record in the store, its events, this request's trips to the store, the reasons for the cookie's attributes |
//! | api | `egg:ampoule-demo#api` | a session without a cookie, by bearer token, under a filter of its own |
//!
//! Each of the first three has secure forms, flash messages, three languages and error pages.
//!
//! In this program `egg:Beaker#beaker_session` is [`instruments::filter`], which has the same options and provides what
//! some pages show. Under another session filter those pages say that it is missing.
//!
//! They have the options `home`, `notes` and `inspector`: the paths at which the three are mounted, for the links
//! between them.

mod api;
mod devices;
mod errors;
mod frame;
mod home;
mod inspector;
mod instruments;
mod notes;
mod outage;
mod page;
mod race;
mod slow;
mod texts;
mod thief;
mod times;
mod xray;

use ampoule::{CsrfLayer, ErrorHandler, StatusCodeRedirect};
use ampoule_deploy::{App, Conf, Faults, Registry, app};
use axum::Router;
use axum::routing::get;
use tower::Layer;

use self::frame::{ERROR_PAGE, Site};

/// Adds the demo's apps to a registry.
pub(crate) fn register(registry: &mut Registry) {
    for name in ["egg:Beaker#beaker_session", "egg:ampoule#session"] {
        registry.filter(name, instruments::filter);
    }
    registry.app("egg:ampoule-demo", |conf| make(conf, first_app()));
    registry.app("egg:ampoule-demo#notes", |conf| make(conf, notes::routes()));
    registry.app("egg:ampoule-demo#inspector", |conf| make(conf, inspector::routes()));
    registry.app("egg:ampoule-demo#api", |conf| match conf.unknown(&[]) {
        faults if faults.is_empty() => Ok(app(api::routes())),
        faults => Err(Faults(faults)),
    });
}

/// The routes of the first app.
fn first_app() -> Router<Site> {
    let experiments = race::routes().merge(thief::routes()).merge(outage::routes()).merge(slow::routes());
    home::routes().merge(devices::routes()).merge(experiments)
}

fn make(conf: &Conf, routes: Router<Site>) -> Result<App, Faults> {
    let faults = conf.unknown(&["home", "notes", "inspector"]);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let place = |option: &str, default: &str| conf.get(option).unwrap_or(default).to_owned();
    let debug = conf.debug()?;
    let site = Site::new(place("home", "/"), place("notes", "/notes"), place("inspector", "/inspector"), debug);
    let routes = routes.route(ERROR_PAGE, get(errors::show)).with_state(site);
    let routes = routes.layer(CsrfLayer::new()).layer(texts::languages());
    let error_pages = StatusCodeRedirect::new(ERROR_PAGE).expect("the path is valid");
    let error_pages = error_pages.with_statuses(errors::STATUSES).with_debug(debug);
    Ok(app(error_pages.layer(ErrorHandler::new(debug).layer(routes))))
}
