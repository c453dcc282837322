//! What all pages share: the templates, the links, and what stands at their top.

use std::sync::{Arc, LazyLock};

use ampoule::{Error, Session};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::value::{Value, merge_maps};
use minijinja::{Environment, context};

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    for (name, text) in [
        ("base.html", include_str!("../templates/base.html")),
        ("home.html", include_str!("../templates/home.html")),
        ("notes.html", include_str!("../templates/notes.html")),
        ("inspector.html", include_str!("../templates/inspector.html")),
        ("not_found.html", include_str!("../templates/not_found.html")),
    ] {
        templates.add_template(name, text).expect("a template of ours is well formed");
    }
    templates
});

/// Where the three apps are mounted.
#[derive(Clone)]
pub(crate) struct Site {
    places: Arc<[(&'static str, String); 3]>,
}

/// What goes wrong in the demo is the session's affair, and its error is a response.
pub(crate) type Answer = Result<Response, Error>;

impl Site {
    pub(crate) fn new(home: String, notes: String, inspector: String) -> Site {
        Site { places: Arc::new([("home", home), ("notes", notes), ("inspector", inspector)]) }
    }

    fn place(&self, app: &str) -> &str {
        self.places.iter().find(|(name, _)| *name == app).map_or("/", |(_, place)| place)
    }

    /// Back to an app's first page: the answer to every form, so that reloading sends nothing twice.
    pub(crate) fn back_to(&self, app: &str) -> Response {
        Redirect::to(self.place(app)).into_response()
    }

    /// A page: its template with its values, and with what every page shows.
    pub(crate) async fn page(&self, session: &Session, name: &str, values: Value) -> Answer {
        let user: Option<String> = session.get("user").await?;
        let link = |app: &str| self.place(app).trim_end_matches('/').to_owned();
        let places = context! { home => link("home"), notes => link("notes"), inspector => link("inspector") };
        let shared = context! { page => name, user, places };
        let template = TEMPLATES.get_template(&format!("{name}.html"));
        let html = template.and_then(|template| template.render(merge_maps([shared, values])));
        Ok(Html(html.expect("a template of ours gets all its values")).into_response())
    }
}

pub(crate) async fn not_found(State(site): State<Site>, session: Session) -> Answer {
    let page = site.page(&session, "not_found", context! {}).await?;
    Ok((StatusCode::NOT_FOUND, page).into_response())
}
