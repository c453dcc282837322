//! The site that shows what Ampoule's sessions do: three apps that one session filter stands around, and one for programs.
//!
//! | app | factory | what it shows |
//! |---|---|---|
//! | home | `egg:ampoule-demo` | login and logout, with a session of its own for each login; a counter that parallel visits cannot lose; the user's sessions; the language; a slow page that is cached, under `egg:Beaker#beaker_cache` |
//! | notes | `egg:ampoule-demo#notes` | a list in the session, the same from every tab |
//! | inspector | `egg:ampoule-demo#inspector` | all that the session holds, since when and until when |
//! | api | `egg:ampoule-demo#api` | a session without a cookie, by bearer token, under a filter of its own |
//!
//! Each of the first three has secure forms, flash messages, three languages, and pages for what goes wrong.
//!
//! Those three take the options `home`, `notes` and `inspector`: the paths under which the three are mounted, for the
//! links between them.

mod api;
mod errors;
mod home;
mod inspector;
mod notes;
mod page;
mod slow;
mod texts;

use ampoule::{CsrfLayer, ErrorHandler, StatusCodeRedirect};
use ampoule_deploy::{App, Conf, Faults, Registry, app};
use axum::Router;
use axum::routing::get;
use tower::Layer;

use self::page::Site;

/// Adds the demo's apps to a registry.
pub(crate) fn register(registry: &mut Registry) {
    registry.app("egg:ampoule-demo", |conf| make(conf, home::routes().merge(slow::routes())));
    registry.app("egg:ampoule-demo#notes", |conf| make(conf, notes::routes()));
    registry.app("egg:ampoule-demo#inspector", |conf| make(conf, inspector::routes()));
    registry.app("egg:ampoule-demo#api", |conf| match conf.unknown(&[]) {
        faults if faults.is_empty() => Ok(app(api::routes())),
        faults => Err(Faults(faults)),
    });
}

fn make(conf: &Conf, routes: Router<Site>) -> Result<App, Faults> {
    let faults = conf.unknown(&["home", "notes", "inspector"]);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let place = |option: &str, default: &str| conf.get(option).unwrap_or(default).to_owned();
    let site = Site::new(place("home", "/"), place("notes", "/notes"), place("inspector", "/inspector"));
    let routes = routes.route(errors::PAGE, get(errors::show)).with_state(site);
    let routes = routes.layer(CsrfLayer::new()).layer(texts::languages());
    let debug = conf.debug()?;
    let error_pages = StatusCodeRedirect::new(errors::PAGE).expect("a path of ours is one").with_debug(debug);
    Ok(app(error_pages.layer(ErrorHandler::new(debug).layer(routes))))
}
