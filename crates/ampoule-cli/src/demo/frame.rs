//! Renders pages: templates, links, language. It needs no session, so that the error page of a failed session can be
//! rendered.

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
        templates.add_template(name, text).expect("the template is well formed");
    }
    templates
});

/// The path of the error page in each app.
pub(crate) const ERROR_PAGE: &str = "/error/document";

/// The mount paths of the three apps, and the debug option.
#[derive(Clone)]
pub(crate) struct Site {
    places: Arc<[(&'static str, String); 3]>,
    /// The global option `debug`: the site runs on a developer's machine.
    pub(crate) debug: bool,
}

impl Site {
    pub(crate) fn new(home: String, notes: String, inspector: String, debug: bool) -> Site {
        Site { places: Arc::new([("home", home), ("notes", notes), ("inspector", inspector)]), debug }
    }

    /// The path of an app's first page.
    pub(crate) fn mount_path(&self, app: &str) -> &str {
        self.places.iter().find(|(name, _)| *name == app).map_or("/", |(_, place)| place)
    }

    /// The path of a page of the first app.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.mount_path("home").trim_end_matches('/'))
    }
}

/// The context of a page: site, language, path.
pub(crate) struct Frame {
    pub(crate) site: Site,
    pub(crate) language: Language,
    /// The path of this page, to return to after a form; empty if the request was not a GET.
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

    /// A time relative to now.
    pub(crate) fn ago(&self, time: Time) -> Value {
        times::element(time, &times::relative(&self.language, time))
    }

    /// A time in UTC, to the second: without a script, the server does not know the visitor's time zone.
    pub(crate) fn at(&self, time: Time) -> Value {
        times::element(time, &times::utc(time))
    }

    /// Renders the page's template with these values.
    pub(crate) fn render(&self, name: &str, values: Value) -> Response {
        let link = |app: &str| self.site.mount_path(app).trim_end_matches('/').to_owned();
        let places = context! { home => link("home"), notes => link("notes"), inspector => link("inspector") };
        let (lang, dir) = (self.language.tag(), self.language.direction());
        let shared = context! { page => name, places, lang, dir, here => self.here.clone(), t => self.texts() };
        let template = TEMPLATES.get_template(&format!("{name}.html"));
        let html = template.and_then(|template| template.render(merge_maps([shared, values])));
        Html(html.expect("the template has all its values")).into_response()
    }

    /// The function `t("name", value=1)` of the templates.
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
