//! The language of a session: what its user chose, or else what the browser asks for, among what the application has.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use ampoule_core::{Error, ErrorKind, Key};
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use fluent_langneg::{NegotiationStrategy, negotiate_languages};
use http::header::{ACCEPT_LANGUAGE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tower_layer::Layer;
use tower_service::Service;
use unic_langid::{CharacterDirection, LanguageIdentifier};

use crate::session::Session;

/// Where the choice is in the session: the seed's name.
const LANG: Key<String> = Key::new("lang");

/// A header longer than this asks for no language that matters.
const MOST_ASKED: usize = 32;

/// The bytes of the longest language tag that is looked at. RFC 5646 section 4.4.1 finds 35 to be enough.
const MAX_TAG: usize = 64;

/// The languages that an application speaks, as a layer that lets handlers ask for a [`Language`].
///
/// ```
/// use ampoule::{Error, Language, Languages, Session};
/// use axum::{Router, extract::Path, routing::{get, post}};
///
/// async fn home(language: Language) -> &'static str {
///     if language.tag() == "de" { "Willkommen" } else { "Welcome" }
/// }
///
/// async fn choose(session: Session, mut language: Language, Path(tag): Path<String>) -> Result<(), Error> {
///     language.set_lang(&session, &tag)?;
///     session.save().await
/// }
///
/// # fn main() -> Result<(), Error> {
/// let languages = Languages::new(["en", "de", "ar"])?;
/// let app: Router = Router::new().route("/", get(home)).route("/lang/{tag}", post(choose)).layer(languages);
/// # Ok(()) }
/// ```
///
/// Responses whose language was negotiated from the browser's header get `Vary: Accept-Language`.
#[derive(Clone, Debug)]
pub struct Languages(Arc<[LanguageIdentifier]>);

impl Languages {
    /// These languages, by their tags of BCP 47; the first is the default.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is empty, or one is not a language tag.
    pub fn new<'a>(tags: impl IntoIterator<Item = &'a str>) -> Result<Languages, Error> {
        let read = |tag: &str| {
            let bad =
                |_| Error::new(ErrorKind::Config, format!("`{tag}` is no language tag of BCP 47, such as en or pt-BR"));
            tag.parse().map_err(bad)
        };
        let known: Arc<[LanguageIdentifier]> = tags.into_iter().map(read).collect::<Result<_, _>>()?;
        if known.is_empty() {
            return Err(Error::new(ErrorKind::Config, "an application speaks one language at least"));
        }
        Ok(Languages(known))
    }

    /// Their tags, in the order in which they were given.
    pub fn tags(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// The best first, the default last.
    fn negotiate(&self, wanted: &[LanguageIdentifier]) -> Vec<LanguageIdentifier> {
        let found = negotiate_languages(wanted, &self.0, self.0.first(), NegotiationStrategy::Filtering);
        found.into_iter().cloned().collect()
    }
}

/// The language of a request, negotiated against [`Languages`]: what the session says, else what the browser asks for
/// (RFC 9110 section 12.5.4, by weight; matched as RFC 4647 and Fluent have it), else the default. An extractor, which
/// writes nothing and keeps no session alive; where the session's store is down, it goes by the browser.
#[derive(Clone, Debug)]
pub struct Language {
    chain: Vec<LanguageIdentifier>,
    known: Languages,
}

impl Language {
    /// Its tag, for `<html lang="…">`.
    pub fn tag(&self) -> String {
        self.chain.first().map(ToString::to_string).unwrap_or_default()
    }

    /// The tags to look a text up in, one after the other: this one, others that the user understands, the default.
    pub fn chain(&self) -> impl Iterator<Item = String> {
        self.chain.iter().map(ToString::to_string)
    }

    /// `rtl` where it is written from right to left, else `ltr`: for `<html dir="…">`.
    pub fn direction(&self) -> &'static str {
        let direction = self.chain.first().map(LanguageIdentifier::character_direction);
        if direction == Some(CharacterDirection::RTL) { "rtl" } else { "ltr" }
    }

    /// All languages of the application, for a menu.
    pub fn known(&self) -> impl Iterator<Item = String> {
        self.known.tags()
    }

    /// Makes this the language of the session, and of this request from here on; [`save`](Session::save) the session then.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the application does not have it; the message lists those it has.
    pub fn set_lang(&mut self, session: &Session, tag: &str) -> Result<(), Error> {
        let chosen = tag.parse::<LanguageIdentifier>().ok().filter(|chosen| self.known.0.contains(chosen));
        let Some(chosen) = chosen else {
            let known: Vec<String> = self.known().collect();
            let message = format!("there is no language `{tag}` here; there are {}", known.join(", "));
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        session.insert(LANG, chosen.to_string())?;
        self.chain.retain(|other| *other != chosen);
        self.chain.insert(0, chosen);
        Ok(())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag())
    }
}

impl Session {
    /// The language that was chosen for this session, by [`Language::set_lang`]. Writes nothing, and does not count as a
    /// use.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn get_lang(&self) -> Result<Option<String>, Error> {
        self.read_only().get(LANG).await
    }
}

/// A handler asked for the language where no layer says which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingLanguages;

impl fmt::Display for MissingLanguages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this handler takes a Language, but no Languages are around its route: add .layer(languages) after the route")
    }
}

impl std::error::Error for MissingLanguages {}

impl IntoResponse for MissingLanguages {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = MissingLanguages;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Language, MissingLanguages> {
        let offer: Offer = parts.extensions.get().cloned().ok_or(MissingLanguages)?;
        let chosen = match parts.extensions.get::<Session>() {
            Some(session) => session.get_lang().await.unwrap_or_else(|error| {
                tracing::warn!(error = %error.report(), "a session's language is not known");
                None
            }),
            None => None,
        };
        let mut wanted: Vec<LanguageIdentifier> = chosen.iter().filter_map(|tag| tag.parse().ok()).collect();
        wanted.extend(asked(&parts.headers));
        offer.negotiated.store(true, Ordering::Relaxed);
        Ok(Language { chain: offer.known.negotiate(&wanted), known: offer.known })
    }
}

/// What the browser asks for, the most wanted first; what it refuses (`q=0`) and `*` left out.
fn asked(headers: &HeaderMap) -> Vec<LanguageIdentifier> {
    let values = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let read = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().filter(|tag| tag.len() <= MAX_TAG)?.parse().ok()?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
        (weight > 0.0).then_some((tag, weight))
    };
    let ranges = values.flat_map(|value| value.split(',')).take(MOST_ASKED);
    let mut wanted: Vec<(LanguageIdentifier, f32)> = ranges.filter_map(read).collect();
    wanted.sort_by(|one, other| other.1.total_cmp(&one.1));
    wanted.into_iter().map(|(tag, _)| tag).collect()
}

/// What a request is offered, and whether it took it.
#[derive(Clone)]
struct Offer {
    known: Languages,
    negotiated: Arc<AtomicBool>,
}

impl Language {
    /// Where it is noted that a request's language was negotiated, which its response then depends on.
    #[cfg(feature = "cache")]
    pub(crate) fn negotiation(extensions: &http::Extensions) -> Option<Arc<AtomicBool>> {
        extensions.get::<Offer>().map(|offer| Arc::clone(&offer.negotiated))
    }
}

impl<S> Layer<S> for Languages {
    type Service = LanguageService<S>;

    fn layer(&self, inner: S) -> LanguageService<S> {
        LanguageService { known: self.clone(), inner }
    }
}

/// A service whose handlers can ask for a [`Language`]. Made by [`Languages`].
#[derive(Clone, Debug)]
pub struct LanguageService<S> {
    known: Languages,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for LanguageService<S>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let negotiated = Arc::new(AtomicBool::new(false));
        request.extensions_mut().insert(Offer { known: self.known.clone(), negotiated: Arc::clone(&negotiated) });
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            if negotiated.load(Ordering::Relaxed) {
                response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Language"));
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(known: &[&str], accept: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
        let chain = Languages::new(known.iter().copied()).unwrap().negotiate(&asked(&headers));
        chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_browser_s_wish_is_met_by_weight_and_by_kinship() {
        let known = ["en", "de", "pt-BR", "ar"];
        for (accept, expected) in [
            ("de", "de en"),
            ("de-CH, en;q=0.5", "de en"),
            ("en;q=0.5, de-AT;q=0.9", "de en"),
            ("fr, ar;q=0.1", "ar en"),
            ("pt", "pt-BR en"),
            ("ja", "en"),
            ("", "en"),
            ("*", "en"),
            ("de;q=0, ar", "ar en"),
            ("de;q=garbage, ;;, ar", "ar en"),
            ("AR-eg", "ar en"),
            (&format!("de{}, ar", "-variant1".repeat(1_000)), "ar en"),
        ] {
            assert_eq!(chain(&known, accept), expected, "{accept}");
        }
    }

    #[test]
    fn directions_are_those_of_the_scripts() {
        for (tag, direction) in
            [("en", "ltr"), ("ar", "rtl"), ("he", "rtl"), ("fa-IR", "rtl"), ("az", "ltr"), ("az-Arab", "rtl")]
        {
            let known = Languages::new([tag]).unwrap();
            let language = Language { chain: known.negotiate(&[]), known };
            assert_eq!(language.direction(), direction, "{tag}");
        }
    }

    #[test]
    fn what_is_no_language_is_refused() {
        for tags in [vec![], vec!["en", "not a tag"], vec![""]] {
            assert_eq!(Languages::new(tags.clone()).unwrap_err().kind(), ErrorKind::Config, "{tags:?}");
        }
    }
}
