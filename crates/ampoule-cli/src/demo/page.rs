//! What all pages share: the templates, the links, the language, and what stands at their top.

use std::sync::{Arc, LazyLock};

use ampoule::{Error, Flash, Language, Session, Time};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use fluent_bundle::FluentValue;
use minijinja::value::{Kwargs, Serde, Value, ValueKind, merge_maps};
use minijinja::{Environment, context};

use super::texts;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    for (name, text) in [
        ("base.html", include_str!("templates/base.html")),
        ("home.html", include_str!("templates/home.html")),
        ("notes.html", include_str!("templates/notes.html")),
        ("inspector.html", include_str!("templates/inspector.html")),
        ("slow.html", include_str!("templates/slow.html")),
        ("private.html", include_str!("templates/private.html")),
        ("error.html", include_str!("templates/error.html")),
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
}

/// What a handler needs to answer with a page.
pub(crate) struct Page {
    pub(crate) site: Site,
    pub(crate) session: Session,
    pub(crate) language: Language,
    pub(crate) flash: Flash,
}

impl<S> FromRequestParts<S> for Page
where
    S: Send + Sync,
    Site: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Page, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let language = Language::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        Ok(Page { site: Site::from_ref(state), flash: Flash::of(&session), session, language })
    }
}

impl Page {
    /// Back to an app's first page: the answer to every form, so that reloading sends nothing twice.
    pub(crate) fn back_to(&self, app: &str) -> Answer {
        Ok(Redirect::to(self.site.place(app)).into_response())
    }

    /// Back to a page of the first app.
    pub(crate) fn back_to_page(&self, path: &str) -> Answer {
        Ok(Redirect::to(&format!("{}{path}", self.site.place("home").trim_end_matches('/'))).into_response())
    }

    /// A text in the visitor's language.
    pub(crate) fn text<'a>(&self, name: &str, values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>) -> String {
        texts::text(&self.language, name, values)
    }

    /// A page with forms: its template with its values, and with what every page shows.
    pub(crate) async fn show(&self, name: &str, values: Value) -> Answer {
        let token = self.session.csrf_token().await?;
        let field = Value::from_function(move || Value::from(token.hidden_field()));
        let languages: Vec<_> =
            texts::names(&self.language).into_iter().map(|(tag, name)| context! { tag, name }).collect();
        self.show_plain(name, merge_maps([context! { token => field, languages }, values])).await
    }

    /// A page without forms, which makes no session.
    pub(crate) async fn show_plain(&self, name: &str, values: Value) -> Answer {
        let user: Option<String> = self.session.get("user").await?;
        let messages = Value::from(Serde(self.flash.pop_messages().await?));
        let link = |app: &str| self.site.place(app).trim_end_matches('/').to_owned();
        let places = context! { home => link("home"), notes => link("notes"), inspector => link("inspector") };
        let (lang, dir) = (self.language.tag(), self.language.direction());
        let shared = context! { page => name, user, places, messages, lang, dir, t => self.texts() };
        let template = TEMPLATES.get_template(&format!("{name}.html"));
        let html = template.and_then(|template| template.render(merge_maps([shared, values])));
        Ok(Html(html.expect("a template of ours gets all its values")).into_response())
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

/// `2026-11-23 05:44:51 UTC`
pub(crate) fn moment(time: Time) -> String {
    let seconds = i64::try_from(time.as_millis() / 1_000).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
