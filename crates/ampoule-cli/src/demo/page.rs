//! The extractor of a page with a session, and its helpers.

use ampoule::{Error, Flash, Language, NextPage, Session};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use fluent_bundle::FluentValue;
use minijinja::context;
use minijinja::value::{Serde, Value, merge_maps};

use super::frame::{Frame, Site};
use super::instruments::Instruments;
use super::texts;

/// The result of a handler. Its errors are the session's, which are responses.
pub(crate) type PageResult = Result<Response, Error>;

/// The parts of a request that a handler needs to answer with a page.
pub(crate) struct Page {
    pub(crate) frame: Frame,
    pub(crate) session: Session,
    pub(crate) flash: Flash,
    /// The instruments, if the session filter is the demo's.
    pub(crate) instruments: Option<Instruments>,
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
        Ok(Page { frame, flash: Flash::of(&session), session, instruments: parts.extensions.get().cloned() })
    }
}

impl Page {
    /// Redirects to an app's first page. Every form is answered with a redirect, so that reloading does not submit it
    /// again.
    pub(crate) fn back_to(&self, app: &str) -> PageResult {
        Ok(Redirect::to(self.frame.site.mount_path(app)).into_response())
    }

    /// Redirects to a page of the first app.
    pub(crate) fn back_to_page(&self, path: &str) -> PageResult {
        Ok(Redirect::to(&self.frame.site.page(path)).into_response())
    }

    /// Redirects to the page that a form names, if it is one of this site, otherwise to the home page.
    pub(crate) fn back_to_next(&self, next: Option<String>) -> PageResult {
        let next = next.map(NextPage::new).unwrap_or_default();
        Ok(Redirect::to(next.or(self.frame.site.mount_path("home"))).into_response())
    }

    /// Redirects to a page of the first app with the message that too many simulations are running.
    pub(crate) async fn busy(&self, path: &str) -> PageResult {
        self.flash.warning(self.text("flash-busy", []))?;
        self.session.save().await?;
        self.back_to_page(path)
    }

    /// A text in the visitor's language.
    pub(crate) fn text<'a>(&self, name: &str, values: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>) -> String {
        self.frame.text(name, values)
    }

    /// Renders a page with forms.
    pub(crate) async fn show(&self, name: &str, values: Value) -> PageResult {
        let token = self.session.csrf_token().await?;
        self.show_plain(name, merge_maps([with_forms(&self.frame, token), values])).await
    }

    /// Renders a page without forms, which creates no session.
    pub(crate) async fn show_plain(&self, name: &str, values: Value) -> PageResult {
        let user: Option<String> = self.session.get("user").await?;
        let messages = Value::from(Serde(self.flash.pop_messages().await?));
        Ok(self.frame.render(name, merge_maps([context! { user, messages }, values])))
    }
}

/// The values for a page with forms: the hidden field against cross-site requests, and the languages to choose from.
pub(crate) fn with_forms(frame: &Frame, token: ampoule::CsrfToken) -> Value {
    let field = Value::from_function(move || Value::from(token.hidden_field()));
    let languages: Vec<_> =
        texts::names(&frame.language).into_iter().map(|(tag, name)| context! { tag, name }).collect();
    context! { token => field, languages }
}
