//! The site that shows what Ampoule's sessions do: three apps that one session filter stands around, and one for programs.
//!
//! | app | factory | what it shows |
//! |---|---|---|
//! | home | `egg:ampoule-demo` | 64 requests at once, of which none is lost; login and logout, with a session of its own for each login; a thief who comes with copied cookies; a store that goes away; the user's devices; the language; a slow page that is cached, under `egg:Beaker#beaker_cache` |
//! | notes | `egg:ampoule-demo#notes` | a list in the session, the same from every tab |
//! | inspector | `egg:ampoule-demo#inspector` | all that the session holds, and what lies under it: the record, its events, this request's trips to the store, the reasons of the cookie's attributes |
//! | api | `egg:ampoule-demo#api` | a session without a cookie, by bearer token, under a filter of its own |
//!
//! Each of the first three has secure forms, flash messages, three languages, and pages for what goes wrong.
//!
//! `egg:Beaker#beaker_session` of this program is [`lab::filter`]: with the same options, and with what those pages look
//! through. Under another session filter they say that it is not there.
//!
//! Those three take the options `home`, `notes` and `inspector`: the paths under which the three are mounted, for the
//! links between them.

mod api;
mod devices;
mod errors;
mod frame;
mod home;
mod inspector;
mod lab;
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
        registry.filter(name, lab::filter);
    }
    registry.app("egg:ampoule-demo", |conf| make(conf, first_app()));
    registry.app("egg:ampoule-demo#notes", |conf| make(conf, notes::routes()));
    registry.app("egg:ampoule-demo#inspector", |conf| make(conf, inspector::routes()));
    registry.app("egg:ampoule-demo#api", |conf| match conf.unknown(&[]) {
        faults if faults.is_empty() => Ok(app(api::routes())),
        faults => Err(Faults(faults)),
    });
}

/// The pages of the app that is mounted first.
fn first_app() -> Router<Site> {
    let rooms = race::routes().merge(thief::routes()).merge(outage::routes()).merge(slow::routes());
    home::routes().merge(devices::routes()).merge(rooms)
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
    let error_pages = StatusCodeRedirect::new(ERROR_PAGE).expect("a path of ours is one");
    let error_pages = error_pages.with_statuses(errors::STATUSES).with_debug(debug);
    Ok(app(error_pages.layer(ErrorHandler::new(debug).layer(routes))))
}
