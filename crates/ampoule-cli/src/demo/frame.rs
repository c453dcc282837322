//! What every page is drawn in: the templates, the links, the language. It needs no session, so that a page about a broken
//! one can be drawn too.

use std::sync::{Arc, LazyLock};

use ampoule::{Language, Time};
use ampoule_deploy::MountPath;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use fluent_bundle::FluentValue;
use minijinja::value::{Kwargs, Value, ValueKind, merge_maps};
use minijinja::{Environment, context};

use super::{texts, times};

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    for (name, text) in [
        ("base.html", include_str!("templates/base.html")),
        ("style.css", include_str!("templates/style.css")),
        ("macros.html", include_str!("templates/macros.html")),
        ("login.html", include_str!("templates/login.html")),
        ("home.html", include_str!("templates/home.html")),
        ("notes.html", include_str!("templates/notes.html")),
        ("inspector.html", include_str!("templates/inspector.html")),
        ("slow.html", include_str!("templates/slow.html")),
        ("thief.html", include_str!("templates/thief.html")),
        ("outage.html", include_str!("templates/outage.html")),
        ("private.html", include_str!("templates/private.html")),
        ("error.html", include_str!("templates/error.html")),
    ] {
        templates.add_template(name, text).expect("a template of ours is well formed");
    }
    templates
});

/// Where each app has the page for what went wrong.
pub(crate) const ERROR_PAGE: &str = "/error/document";

/// Where the three apps are mounted, and who may come.
#[derive(Clone)]
pub(crate) struct Site {
    places: Arc<[(&'static str, String); 3]>,
    /// Whether the site is on its developer's own machine.
    pub(crate) debug: bool,
}

impl Site {
    pub(crate) fn new(home: String, notes: String, inspector: String, debug: bool) -> Site {
        Site { places: Arc::new([("home", home), ("notes", notes), ("inspector", inspector)]), debug }
    }

    /// The address of an app's first page.
    pub(crate) fn place(&self, app: &str) -> &str {
        self.places.iter().find(|(name, _)| *name == app).map_or("/", |(_, place)| place)
    }

    /// The address of a page of the first app.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.place("home").trim_end_matches('/'))
    }
}

/// A page's surroundings.
pub(crate) struct Frame {
    pub(crate) site: Site,
    pub(crate) language: Language,
    /// The address of this page, to come back to; empty if it was not asked for by GET.
    pub(crate) here: String,
}

impl Frame {
    pub(crate) fn new(parts: &Parts, site: Site, language: Language) -> Frame {
        let mount = parts.extensions.get::<MountPath>().cloned().unwrap_or_default().0;
        let page = parts.uri.path_and_query().map_or("/", |page| page.as_str());
        let here = if page == "/" && !mount.is_empty() { mount } else { mount + page };
        let here = if matches!(parts.method, Method::GET | Method::HEAD) { here } else { String::new() };
        Frame { site, language, here }
    }

    /// A text in the visitor's language.
    pub(crate) fn text<'a>(&self, name: &str, values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>) -> String {
        texts::text(&self.language, name, values)
    }

    /// How long ago a moment was, or how soon it comes: true in every time zone.
    pub(crate) fn ago(&self, time: Time) -> Value {
        times::element(time, &times::relative(&self.language, time))
    }

    /// A moment to the second, in UTC: the server does not know the visitor's time zone, and no script asks for it.
    pub(crate) fn at(&self, time: Time) -> Value {
        times::element(time, &times::utc(time))
    }

    /// A page: its template with its values.
    pub(crate) fn render(&self, name: &str, values: Value) -> Response {
        let link = |app: &str| self.site.place(app).trim_end_matches('/').to_owned();
        let places = context! { home => link("home"), notes => link("notes"), inspector => link("inspector") };
        let (lang, dir) = (self.language.tag(), self.language.direction());
        let shared = context! { page => name, places, lang, dir, here => self.here.clone(), t => self.texts() };
        let template = TEMPLATES.get_template(&format!("{name}.html"));
        let html = template.and_then(|template| template.render(merge_maps([shared, values])));
        Html(html.expect("a template of ours gets all its values")).into_response()
    }

    /// `t("name", value=1)` in a template.
    fn texts(&self) -> Value {
        let language = self.language.clone();
        Value::from_function(move |name: &str, values: Kwargs| -> Result<String, minijinja::Error> {
            let mut given = Vec::new();
            for key in values.args() {
                let value: Value = values.get(key)?;
                let is_number = value.kind() == ValueKind::Number;
                let number = i64::try_from(value.clone()).ok().filter(|_| is_number);
                given.push((key, number.map_or_else(|| FluentValue::from(value.to_string()), FluentValue::from)));
            }
            Ok(texts::text(&language, name, given))
        })
    }
}
