//! Flash: messages that wait in the session for the next page.

pub(crate) mod old_input;

use std::sync::Arc;

use ampoule_core::internal::{Change, codec};
use ampoule_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::session::Session;

/// Beaker's four categories, and its default.
const CATEGORIES: &[&str] = &["warning", "notice", "error", "success"];
const DEFAULT_CATEGORY: &str = "notice";

/// The most messages that wait; beyond it the oldest are dropped.
const MAX_MESSAGES: usize = 50;

/// A message that a page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashMessage {
    /// The kind of message: by default `warning`, `notice`, `error` or `success`.
    pub category: String,
    /// Plain text, which a template escapes.
    pub text: String,
    /// Data of the message, such as a link that undoes the action; `Null` for a message without data.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// Messages that wait in a session until a page shows them. Each is shown once, even if two pages ask at the same time.
///
/// Pushing changes the session; the handler saves it as usual, so messages survive a redirect. Popping saves the
/// removal by itself, since a message may only be shown once its removal is stored. If no message waits, popping writes
/// nothing and creates no session.
///
/// ```
/// use ampoule::{Error, Flash, Session};
///
/// async fn delete_note(session: Session, flash: Flash) -> Result<(), Error> {
///     flash.success("The note is deleted.")?;
///     session.save().await
/// }
///
/// async fn page(flash: Flash) -> Result<String, Error> {
///     let lines = flash.pop_messages().await?;
///     Ok(lines.iter().map(|message| format!("{}: {}\n", message.category, message.text)).collect())
/// }
/// ```
///
/// The extractor uses the key `flash` of the session. [`with_key`](Flash::with_key) gives a second, independent list.
///
/// A session that is kept in its own cookie cannot promise that each message is shown once, since the client may send
/// an old cookie.
#[derive(Clone, Debug)]
pub struct Flash {
    session: Session,
    key: &'static str,
    categories: &'static [&'static str],
    default: &'static str,
}

impl Flash {
    /// Returns the messages of this session under the key `flash`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let flash = Flash::of(&session);
    /// flash.notice("You have mail.")?;
    /// assert_eq!(flash.peek_messages().await?.len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn of(session: &Session) -> Flash {
        Flash { session: session.clone(), key: "flash", categories: CATEGORIES, default: DEFAULT_CATEGORY }
    }

    /// Uses another key of the session, for a second list of messages.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let toasts = Flash::of(&session).with_key("toasts");
    /// toasts.notice("Saved.")?;
    /// assert!(Flash::of(&session).peek_messages().await?.is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_key(self, key: &'static str) -> Flash {
        Flash { key, ..self }
    }

    /// Replaces the four categories by the application's own; `default` is the category of [`message`](Flash::message).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let flash = Flash::of(&session).with_categories(&["info", "danger"], "info");
    /// flash.push("danger", "The disk is nearly full.")?;
    /// assert!(flash.warning("…").is_err(), "`warning` is not one of them");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_categories(self, categories: &'static [&'static str], default: &'static str) -> Flash {
        Flash { categories, default, ..self }
    }

    /// Adds a message of the default category, `notice`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.message("You have mail.")?;
    /// assert_eq!(flash.peek_messages().await?[0].category, "notice");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn message(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(self.default, text)
    }

    /// Adds a message of the category `notice`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.notice("You have mail.")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn notice(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("notice", text)
    }

    /// Adds a message of the category `success`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.success("The note is saved.")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn success(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("success", text)
    }

    /// Adds a message of the category `warning`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.warning("Your password expires in three days.")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn warning(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("warning", text)
    }

    /// Adds a message of the category `error`.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.error("The payment was declined.")?;
    /// assert_eq!(flash.peek_messages().await?[0].category, "error");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn error(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("error", text)
    }

    /// Adds a message. At most 50 messages wait; beyond that the oldest are dropped.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.push("warning", "The disk is nearly full.")?;
    /// assert!(flash.push("danger", "…").is_err(), "there is no such category");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown category; the message lists the known ones. [`ErrorKind::Config`] if an
    /// outer layer has the same cookie.
    pub fn push(&self, category: &str, text: impl Into<String>) -> Result<(), Error> {
        self.push_with(category, text, Value::Null)
    }

    /// Adds a message with data.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.push_with("success", "The note is deleted.", serde_json::json!({ "undo": "/notes/7/restore" }))?;
    /// assert_eq!(flash.peek_messages().await?[0].data["undo"], "/notes/7/restore");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn push_with(&self, category: &str, text: impl Into<String>, data: impl Into<Value>) -> Result<(), Error> {
        let message = self.checked(category, text.into(), data.into())?;
        self.change(move |waiting| waiting.push(message.clone()))
    }

    /// Adds a message unless one with the same text waits. That one then gets this category and keeps its position
    /// (Beaker's `ignore_duplicate`).
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.push_once("notice", "You have mail.")?;
    /// flash.push_once("warning", "You have mail.")?;
    /// assert_eq!(flash.peek_messages().await?.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn push_once(&self, category: &str, text: impl Into<String>) -> Result<(), Error> {
        let message = self.checked(category, text.into(), Value::Null)?;
        self.change(move |waiting| match waiting.iter_mut().find(|other| other.text == message.text) {
            Some(other) => other.category.clone_from(&message.category),
            None => waiting.push(message.clone()),
        })
    }

    /// Removes all messages, returns them oldest first, and saves the removal at once. Other changes of the request are
    /// not saved by it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.success("The note is saved.")?;
    /// session.save().await?;
    /// for message in flash.pop_messages().await? {
    ///     println!("{}: {}", message.category, message.text);
    /// }
    /// assert!(flash.pop_messages().await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// Of several concurrent requests, each message goes to one. If the response fails afterwards, its messages are
    /// lost.
    ///
    /// # Errors
    /// Errors of [`Session::take`]; the messages then still wait.
    pub async fn pop_messages(&self) -> Result<Vec<FlashMessage>, Error> {
        Ok(self.session.take(self.key).await?.unwrap_or_default())
    }

    /// Returns the messages that wait, and keeps them.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.notice("You have mail.")?;
    /// assert_eq!(flash.peek_messages().await?[0].text, "You have mail.");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn peek_messages(&self) -> Result<Vec<FlashMessage>, Error> {
        Ok(self.session.get(self.key).await?.unwrap_or_default())
    }

    fn checked(&self, category: &str, text: String, data: Value) -> Result<FlashMessage, Error> {
        if !self.categories.contains(&category) {
            let known = self.categories.join(", ");
            let message = format!("unknown category `{category}` of flash messages; expected one of {known}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(FlashMessage { category: category.to_owned(), text, data })
    }

    fn change(&self, change: impl Fn(&mut Vec<FlashMessage>) + Send + Sync + 'static) -> Result<(), Error> {
        let run = move |old: Option<&[u8]>| {
            let mut waiting: Vec<FlashMessage> = old.map(codec::decode).transpose()?.unwrap_or_default();
            change(&mut waiting);
            waiting.drain(..waiting.len().saturating_sub(MAX_MESSAGES));
            codec::encode(&waiting).map(Some)
        };
        self.session.change(Change::Update(self.key.to_owned(), Arc::new(run)))
    }
}
