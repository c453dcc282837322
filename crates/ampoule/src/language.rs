//! The language of a session: the user's choice, else the browser's preference, among the application's languages.

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

/// The session's key of the user's choice.
const LANG_KEY: Key<String> = Key::new("lang");

/// The most ranges of a header that are read.
const MAX_RANGES: usize = 32;

/// The longest tag, in bytes; longer ones are skipped. RFC 5646 section 4.4.1 finds 35 to be enough.
const MAX_TAG_LEN: usize = 64;

/// The languages of an application, as a layer. Handlers inside it can take a [`Language`].
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
/// A response whose handler took a [`Language`] gets `Vary: Accept-Language`.
#[derive(Clone, Debug)]
pub struct Languages(Arc<[LanguageIdentifier]>);

impl Languages {
    /// Creates the layer for these languages, by their BCP 47 tags. The first is the default.
    ///
    /// ```
    /// use ampoule::Languages;
    ///
    /// let languages = Languages::new(["en", "pt-BR"])?;
    /// assert!(Languages::new(["not a tag"]).is_err());
    /// # Ok::<(), ampoule::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there are no tags, or one is invalid.
    pub fn new<'a>(tags: impl IntoIterator<Item = &'a str>) -> Result<Languages, Error> {
        let read = |tag: &str| {
            let bad = |_| {
                Error::new(
                    ErrorKind::Config,
                    format!("invalid language tag `{tag}`: expected one of BCP 47, such as en or pt-BR"),
                )
            };
            tag.parse().map_err(bad)
        };
        let known: Arc<[LanguageIdentifier]> = tags.into_iter().map(read).collect::<Result<_, _>>()?;
        if known.is_empty() {
            return Err(Error::new(ErrorKind::Config, "expected at least one language tag"));
        }
        Ok(Languages(known))
    }

    /// Returns the tags, in the order in which they were given.
    ///
    /// ```
    /// use ampoule::Languages;
    ///
    /// assert!(Languages::new(["en", "pt-BR"])?.tags().eq(["en", "pt-BR"]));
    /// # Ok::<(), ampoule::Error>(())
    /// ```
    pub fn tags(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// The languages for a request, the best first, the default last.
    fn negotiate(&self, wanted: &[LanguageIdentifier]) -> Vec<LanguageIdentifier> {
        let found = negotiate_languages(wanted, &self.0, self.0.first(), NegotiationStrategy::Filtering);
        found.into_iter().cloned().collect()
    }
}

/// The language of a request, chosen among [`Languages`]: the session's choice, or else what the browser asks for (RFC
/// 9110 section 12.5.4, by weight; matched as in RFC 4647 and Fluent), or else the default.
///
/// It is an extractor. It writes nothing and does not keep the session alive. If the session's store cannot be reached,
/// the browser's header decides.
///
/// ```
/// use ampoule::{Language, Languages};
/// use axum::{Router, routing::get};
///
/// async fn hello(language: Language) -> &'static str {
///     match language.tag().as_str() {
///         "de" => "Guten Tag!",
///         _ => "Hello!",
///     }
/// }
///
/// let app: Router = Router::new().route("/", get(hello)).layer(Languages::new(["en", "de"])?);
/// # Ok::<(), ampoule::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Language {
    chain: Vec<LanguageIdentifier>,
    known: Languages,
}

impl Language {
    /// Returns the BCP 47 tag, for `<html lang="…">`.
    ///
    /// ```
    /// use ampoule::Language;
    ///
    /// async fn page(language: Language) -> String {
    ///     format!("<html lang={} dir={}>", language.tag(), language.direction())
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {ampoule::{Languages, MemoryStore, Options, Secret, SessionLayer}, axum::{Router, body::{Body, to_bytes}, routing::get}};
    /// # use tower::ServiceExt;
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let app = Router::new().route("/", get(page)).layer(Languages::new(["en", "de", "ar"])?);
    /// # let app = app.layer(SessionLayer::new(MemoryStore::default(), options)?);
    /// # let request = http::Request::get("/").header("accept-language", "de, ar;q=0.5").body(Body::empty())?;
    /// # let body = to_bytes(app.oneshot(request).await?.into_body(), 1_000).await?;
    /// # assert_eq!(body, "<html lang=de dir=ltr>");
    /// # Ok(()) }
    /// ```
    pub fn tag(&self) -> String {
        self.chain.first().map(ToString::to_string).unwrap_or_default()
    }

    /// Returns the tags in which to look for a text, the best first: this language, others that the user understands,
    /// the default.
    ///
    /// ```
    /// use ampoule::Language;
    ///
    /// async fn page(language: Language) -> String {
    ///     language.chain().collect::<Vec<_>>().join(", then ")
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {ampoule::{Languages, MemoryStore, Options, Secret, SessionLayer}, axum::{Router, body::{Body, to_bytes}, routing::get}};
    /// # use tower::ServiceExt;
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let app = Router::new().route("/", get(page)).layer(Languages::new(["en", "de", "ar"])?);
    /// # let app = app.layer(SessionLayer::new(MemoryStore::default(), options)?);
    /// # let request = http::Request::get("/").header("accept-language", "de, ar;q=0.5").body(Body::empty())?;
    /// # let body = to_bytes(app.oneshot(request).await?.into_body(), 1_000).await?;
    /// # assert_eq!(body, "de, then ar, then en");
    /// # Ok(()) }
    /// ```
    pub fn chain(&self) -> impl Iterator<Item = String> {
        self.chain.iter().map(ToString::to_string)
    }

    /// Returns `rtl` for a language that is written from right to left, else `ltr`: for `<html dir="…">`.
    ///
    /// ```
    /// use ampoule::Language;
    ///
    /// async fn page(language: Language) -> String {
    ///     format!("<html dir={}>", language.direction())
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {ampoule::{Languages, MemoryStore, Options, Secret, SessionLayer}, axum::{Router, body::{Body, to_bytes}, routing::get}};
    /// # use tower::ServiceExt;
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let app = Router::new().route("/", get(page)).layer(Languages::new(["en", "de", "ar"])?);
    /// # let app = app.layer(SessionLayer::new(MemoryStore::default(), options)?);
    /// # let request = http::Request::get("/").header("accept-language", "de, ar;q=0.5").body(Body::empty())?;
    /// # let body = to_bytes(app.oneshot(request).await?.into_body(), 1_000).await?;
    /// # assert_eq!(body, "<html dir=ltr>");
    /// # Ok(()) }
    /// ```
    pub fn direction(&self) -> &'static str {
        let direction = self.chain.first().map(LanguageIdentifier::character_direction);
        if direction == Some(CharacterDirection::RTL) { "rtl" } else { "ltr" }
    }

    /// Returns the tags of all languages of the application, for a menu.
    ///
    /// ```
    /// use ampoule::Language;
    ///
    /// async fn menu(language: Language) -> String {
    ///     language.known().map(|tag| format!("<a href=/lang/{tag}>{tag}</a>")).collect()
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {ampoule::{Languages, MemoryStore, Options, Secret, SessionLayer}, axum::{Router, body::{Body, to_bytes}, routing::get}};
    /// # use tower::ServiceExt;
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let app = Router::new().route("/", get(menu)).layer(Languages::new(["en", "de", "ar"])?);
    /// # let app = app.layer(SessionLayer::new(MemoryStore::default(), options)?);
    /// # let request = http::Request::get("/").header("accept-language", "de, ar;q=0.5").body(Body::empty())?;
    /// # let body = to_bytes(app.oneshot(request).await?.into_body(), 1_000).await?;
    /// # assert_eq!(body, "<a href=/lang/en>en</a><a href=/lang/de>de</a><a href=/lang/ar>ar</a>");
    /// # Ok(()) }
    /// ```
    pub fn known(&self) -> impl Iterator<Item = String> {
        self.known.tags()
    }

    /// Sets the language of the session and, from here on, of this request. [`save`](Session::save) the session
    /// afterwards.
    ///
    /// ```
    /// use ampoule::{Error, Language, Session};
    ///
    /// async fn choose(session: Session, mut language: Language) -> Result<String, Error> {
    ///     language.set_lang(&session, "ar")?;
    ///     session.save().await?;
    ///     Ok(language.tag())
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use {ampoule::{Languages, MemoryStore, Options, Secret, SessionLayer}, axum::{Router, body::{Body, to_bytes}, routing::get}};
    /// # use tower::ServiceExt;
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let app = Router::new().route("/", get(choose)).layer(Languages::new(["en", "de", "ar"])?);
    /// # let app = app.layer(SessionLayer::new(MemoryStore::default(), options)?);
    /// # let request = http::Request::get("/").header("accept-language", "de, ar;q=0.5").body(Body::empty())?;
    /// # let body = to_bytes(app.oneshot(request).await?.into_body(), 1_000).await?;
    /// # assert_eq!(body, "ar");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the application does not have the language; the message lists those that it has.
    /// [`ErrorKind::Config`] if an outer layer has the session's cookie.
    pub fn set_lang(&mut self, session: &Session, tag: &str) -> Result<(), Error> {
        let chosen = tag.parse::<LanguageIdentifier>().ok().filter(|chosen| self.known.0.contains(chosen));
        let Some(chosen) = chosen else {
            let known: Vec<String> = self.known().collect();
            let message = format!("unknown language `{tag}`; expected one of {}", known.join(", "));
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        session.insert(LANG_KEY, chosen.to_string())?;
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
    /// Returns the language that [`Language::set_lang`] chose for this session. Reading it writes nothing and does not
    /// keep the session alive.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert_eq!(session.get_lang().await?, None, "the browser's header decides");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn get_lang(&self) -> Result<Option<String>, Error> {
        self.read_only().get(LANG_KEY).await
    }
}

/// A handler takes a [`Language`], but no [`Languages`] layer is around its route.
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

/// The languages that the browser prefers, the most preferred first, without those that it refuses (`q=0`) and `*`.
fn asked(headers: &HeaderMap) -> Vec<LanguageIdentifier> {
    let values = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let read = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().filter(|tag| tag.len() <= MAX_TAG_LEN)?.parse().ok()?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
        (weight > 0.0).then_some((tag, weight))
    };
    let ranges = values.flat_map(|value| value.split(',')).take(MAX_RANGES);
    let mut wanted: Vec<(LanguageIdentifier, f32)> = ranges.filter_map(read).collect();
    wanted.sort_by(|one, other| other.1.total_cmp(&one.1));
    wanted.into_iter().map(|(tag, _)| tag).collect()
}

/// The languages that a request can negotiate, and whether its handler did.
#[derive(Clone)]
struct Offer {
    known: Languages,
    negotiated: Arc<AtomicBool>,
}

impl Language {
    /// The flag that a request's language was negotiated, so that its response depends on it.
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

/// A service whose handlers can take a [`Language`]. Created by [`Languages`].
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
    fn languages_are_negotiated_by_weight_and_similarity() {
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
    fn directions_follow_the_scripts() {
        for (tag, direction) in
            [("en", "ltr"), ("ar", "rtl"), ("he", "rtl"), ("fa-IR", "rtl"), ("az", "ltr"), ("az-Arab", "rtl")]
        {
            let known = Languages::new([tag]).unwrap();
            let language = Language { chain: known.negotiate(&[]), known };
            assert_eq!(language.direction(), direction, "{tag}");
        }
    }

    #[test]
    fn invalid_languages_are_refused() {
        for tags in [vec![], vec!["en", "not a tag"], vec![""]] {
            assert_eq!(Languages::new(tags.clone()).unwrap_err().kind(), ErrorKind::Config, "{tags:?}");
        }
    }
}
