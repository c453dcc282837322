//! A page of a visitor with a session: its frame, the session, and what stands at its top.

use ampoule::{Error, Flash, Language, NextPage, Session};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use fluent_bundle::FluentValue;
use minijinja::context;
use minijinja::value::{Serde, Value, merge_maps};

use super::frame::{Frame, Site};
use super::lab::Lab;
use super::texts;

/// What goes wrong in the demo is the session's affair, and its error is a response.
pub(crate) type Answer = Result<Response, Error>;

/// What a handler needs to answer with a page.
pub(crate) struct Page {
    pub(crate) frame: Frame,
    pub(crate) session: Session,
    pub(crate) flash: Flash,
    /// What the rooms look through, if the session filter is the demo's.
    pub(crate) lab: Option<Lab>,
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
        let frame = Frame::new(parts, Site::from_ref(state), language);
        Ok(Page { frame, flash: Flash::of(&session), session, lab: parts.extensions.get().cloned() })
    }
}

impl Page {
    /// Back to an app's first page: the answer to every form, so that reloading sends nothing twice.
    pub(crate) fn back_to(&self, app: &str) -> Answer {
        Ok(Redirect::to(self.frame.site.place(app)).into_response())
    }

    /// Back to a page of the first app.
    pub(crate) fn back_to_page(&self, path: &str) -> Answer {
        Ok(Redirect::to(&self.frame.site.page(path)).into_response())
    }

    /// Back to the page that a form names, if it is one of this site; otherwise to the first.
    pub(crate) fn back_to_next(&self, next: Option<String>) -> Answer {
        let next = next.map(NextPage::new).unwrap_or_default();
        Ok(Redirect::to(next.or(self.frame.site.place("home"))).into_response())
    }

    /// Back to a page of the first app, whose room has too many visitors.
    pub(crate) async fn busy(&self, path: &str) -> Answer {
        self.flash.warning(self.text("flash-busy", []))?;
        self.session.save().await?;
        self.back_to_page(path)
    }

    /// A text in the visitor's language.
    pub(crate) fn text<'a>(&self, name: &str, values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>) -> String {
        self.frame.text(name, values)
    }

    /// A page with forms: its template with its values, and with what every page shows.
    pub(crate) async fn show(&self, name: &str, values: Value) -> Answer {
        let token = self.session.csrf_token().await?;
        self.show_plain(name, merge_maps([with_forms(&self.frame, token), values])).await
    }

    /// A page without forms, which makes no session.
    pub(crate) async fn show_plain(&self, name: &str, values: Value) -> Answer {
        let user: Option<String> = self.session.get("user").await?;
        let messages = Value::from(Serde(self.flash.pop_messages().await?));
        Ok(self.frame.render(name, merge_maps([context! { user, messages }, values])))
    }
}

/// What a page needs that has forms: the field that proves where they come from, and the languages to choose from.
pub(crate) fn with_forms(frame: &Frame, token: ampoule::CsrfToken) -> Value {
    let field = Value::from_function(move || Value::from(token.hidden_field()));
    let languages: Vec<_> =
        texts::names(&frame.language).into_iter().map(|(tag, name)| context! { tag, name }).collect();
    context! { token => field, languages }
}
