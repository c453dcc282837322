//! Flash: messages that wait in the session for the next page.

use std::sync::Arc;

use ampoule_core::{Change, Error, ErrorKind, codec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::session::Session;

/// Beaker's four, and its default among them.
const CATEGORIES: &[&str] = &["warning", "notice", "error", "success"];
const DEFAULT: &str = "notice";

/// As many messages wait at most; the oldest go.
const MOST: usize = 50;

/// A message, as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashMessage {
    /// What kind of message it is: by default `warning`, `notice`, `error` or `success`.
    pub category: String,
    /// Plain text, which a template escapes.
    pub text: String,
    /// What belongs to it, such as the link that undoes what it tells of. `Null` for nothing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// Messages that wait in a session until a page shows them, each once: also if two pages ask at the same time.
///
/// Pushing changes the session, which the handler saves as ever; so they survive the redirect. Popping saves its
/// removal by itself, since only what was removed for good is shown. Where nothing waits it writes nothing, and makes no session.
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
/// As an extractor it is the one under the key `flash`. Others are independent of it:
///
/// ```
/// # fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
/// let toasts = ampoule::Flash::of(&session).with_key("toasts").with_categories(&["info", "danger"], "info");
/// toasts.push("danger", "The disk is nearly full.")?;
/// # Ok(()) }
/// ```
///
/// A session in its own cookie cannot keep the promise that each is shown once: the client holds it.
#[derive(Clone, Debug)]
pub struct Flash {
    session: Session,
    key: &'static str,
    categories: &'static [&'static str],
    default: &'static str,
}

impl Flash {
    /// The messages of this session under the key `flash`.
    pub fn of(session: &Session) -> Flash {
        Flash { session: session.clone(), key: "flash", categories: CATEGORIES, default: DEFAULT }
    }

    /// The messages under another key of the session.
    #[must_use]
    pub fn with_key(self, key: &'static str) -> Flash {
        Flash { key, ..self }
    }

    /// With categories of one's own, of which one is the default.
    #[must_use]
    pub fn with_categories(self, categories: &'static [&'static str], default: &'static str) -> Flash {
        Flash { categories, default, ..self }
    }

    /// Adds a message of the default category: `notice`.
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn message(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push(self.default, text)
    }

    /// Adds a message of the category `notice`.
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn notice(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("notice", text)
    }

    /// Adds a message of the category `success`.
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn success(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("success", text)
    }

    /// Adds a message of the category `warning`.
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn warning(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("warning", text)
    }

    /// Adds a message of the category `error`.
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn error(&self, text: impl Into<String>) -> Result<(), Error> {
        self.push("error", text)
    }

    /// Adds a message. Of more than 50 that wait the oldest go.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown category; it lists those there are.
    pub fn push(&self, category: &str, text: impl Into<String>) -> Result<(), Error> {
        self.push_with(category, text, Value::Null)
    }

    /// Adds a message with data that belong to it.
    ///
    /// ```
    /// # fn handler(flash: ampoule::Flash) -> Result<(), ampoule::Error> {
    /// flash.push_with("success", "The note is deleted.", serde_json::json!({ "undo": "/notes/7/restore" }))
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`push`](Flash::push).
    pub fn push_with(&self, category: &str, text: impl Into<String>, data: impl Into<Value>) -> Result<(), Error> {
        let message = self.checked(category, text.into(), data.into())?;
        self.change(move |waiting| waiting.push(message.clone()))
    }

    /// Adds a message unless one of the same text waits, which then gets this category and stays where it is: Beaker's
    /// `ignore_duplicate`.
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

    /// Takes all messages that wait, oldest first, and saves their removal at once; other changes of the request are not
    /// saved by it.
    ///
    /// Of several requests at once each message goes to one. A response that fails after this has taken them with it.
    ///
    /// # Errors
    /// Those of [`Session::take`]; the messages then still wait.
    pub async fn pop_messages(&self) -> Result<Vec<FlashMessage>, Error> {
        Ok(self.session.take(self.key).await?.unwrap_or_default())
    }

    /// The messages that wait, which stay.
    ///
    /// # Errors
    /// Those of loading.
    pub async fn peek_messages(&self) -> Result<Vec<FlashMessage>, Error> {
        Ok(self.session.get(self.key).await?.unwrap_or_default())
    }

    fn checked(&self, category: &str, text: String, data: Value) -> Result<FlashMessage, Error> {
        if !self.categories.contains(&category) {
            let known = self.categories.join(", ");
            let message = format!("there is no category `{category}` of flash messages; there are {known}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(FlashMessage { category: category.to_owned(), text, data })
    }

    fn change(&self, change: impl Fn(&mut Vec<FlashMessage>) + Send + Sync + 'static) -> Result<(), Error> {
        let run = move |old: Option<&[u8]>| {
            let mut waiting: Vec<FlashMessage> = old.map(codec::decode).transpose()?.unwrap_or_default();
            change(&mut waiting);
            waiting.drain(..waiting.len().saturating_sub(MOST));
            codec::encode(&waiting).map(Some)
        };
        self.session.change(Change::Update(self.key.to_owned(), Arc::new(run)))
    }
}
