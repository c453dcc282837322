//! Old input: the fields of a rejected form, kept until the form is shown again.

use std::fmt;

use ampoule_core::{Error, ErrorKind};
use serde::Serialize;
use serde_json::Value;

use super::Flash;

/// The most bytes of names and values that are kept of one form; a field that does not fit is left out. A session in
/// its cookie has less room.
const MAX_BYTES: usize = 16_384;
const MAX_BYTES_IN_COOKIE: usize = 2_048;

/// A field whose name contains one of these, in any case and with the signs between words removed, is never kept.
const SECRET_PARTS: [&str; 14] = [
    "passw",
    "passphrase",
    "passcode",
    "kennwort",
    "motdepasse",
    "contrase",
    "pwd",
    "secret",
    "token",
    "csrf",
    "credential",
    "cardnumber",
    "cvc",
    "cvv",
];

/// A field whose name has one of these as a word is not kept either.
const SECRET_WORDS: [&str; 7] = ["pin", "tan", "otp", "totp", "mfa", "iban", "ssn"];

/// What a user typed into a form: the fields that [`Flash::keep_input`] kept. Plain text, which a template escapes.
///
/// ```
/// # use ampoule::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
/// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
/// # let session = layer.begin(&http::HeaderMap::new());
/// let flash = Flash::of(&session);
/// flash.keep_input("signup", &[("name", "Ada"), ("topic", "looms"), ("topic", "engines"), ("password", "x")])?;
/// let old = flash.old_input("signup").await?;
/// assert_eq!(old.get("name"), Some("Ada"));
/// assert!(old.all("topic").eq(["looms", "engines"]));
/// assert_eq!(old.get("password"), None);
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OldInput(Vec<(String, String)>);

impl OldInput {
    /// Returns the value of a field; the first, if it has several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the values of a field: of check boxes, or of a list with several selected lines.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether nothing was kept, as when the form is opened for the first time.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// assert!(flash.old_input("signup").await?.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields and their values, in their order.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let flash = Flash::of(&session);
    /// flash.keep_input("signup", &[("name", "Ada"), ("topic", "looms")])?;
    /// let old = flash.old_input("signup").await?;
    /// assert!(old.iter().eq([("name", "Ada"), ("topic", "looms")]));
    /// # Ok(()) }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Shows no values.
impl fmt::Debug for OldInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OldInput({} fields)", self.0.len())
    }
}

impl Flash {
    /// Keeps what a user typed into a form that is rejected, so that the form can show it again after a redirect.
    /// `form` is the form's name on this site. It replaces what an earlier request kept of the same form. The handler
    /// saves the session as usual.
    ///
    /// `input` is what the handler took as `Form`: a list of pairs, a map, or a struct that implements `Serialize`.
    ///
    /// ```
    /// use ampoule::{Error, Flash, Session};
    /// use axum::Form;
    /// use axum::response::{Html, Redirect};
    ///
    /// async fn sign_up(session: Session, flash: Flash, Form(form): Form<Vec<(String, String)>>) -> Result<Redirect, Error> {
    ///     flash.error("This name is taken.")?;
    ///     flash.keep_input("signup", &form)?;
    ///     session.save().await?;
    ///     Ok(Redirect::to("/signup"))
    /// }
    ///
    /// async fn page(flash: Flash) -> Result<Html<String>, Error> {
    ///     let old = flash.old_input("signup").await?;
    ///     let name = old.get("name").unwrap_or_default().replace('&', "&amp;").replace('"', "&quot;");
    ///     Ok(Html(format!("<form method=post><input name=name value=\"{name}\"></form>")))
    /// }
    /// ```
    ///
    /// A field whose name indicates a secret is never kept, in any case and with or without signs between its words: a
    /// name that contains `passw`, `passphrase`, `passcode`, `kennwort`, `motdepasse`, `contrase`, `pwd`, `secret`,
    /// `token`, `csrf`, `credential`, `cardnumber`, `cvc` or `cvv`, or that has the word `pin`, `tan`, `otp`, `totp`,
    /// `mfa`, `iban` or `ssn`. [`keep_input_without`](Flash::keep_input_without) leaves out further fields, such as a
    /// password whose field has another name.
    ///
    /// The input waits until the form is shown, and at most as long as the session lives. At most 16 KiB of one form
    /// are kept, and 2 KiB if the session is in its cookie; a field that does not fit is left out whole. Files, and
    /// values that are neither a text, a number, a boolean nor a list of these, are left out too.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if `input` cannot be encoded; [`ErrorKind::Invalid`] if the form's name is longer than 200
    /// bytes.
    pub fn keep_input(&self, form: &str, input: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.keep_input_without(&[], form, input)
    }

    /// Keeps input as [`keep_input`](Flash::keep_input) does, without these fields, whose names are compared in any
    /// case.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let flash = Flash::of(&session);
    /// flash.keep_input_without(&["answer"], "login", &[("name", "Ada"), ("answer", "my first loom")])?;
    /// assert_eq!(flash.old_input("login").await?.get("answer"), None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`keep_input`](Flash::keep_input).
    pub fn keep_input_without(
        &self,
        without: &[&str],
        form: &str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        // serde's message is dropped, since it may quote a value.
        let input = serde_json::to_value(input).map_err(|_| {
            Error::new(ErrorKind::Value, "expected the input of a form as a list of pairs, a map or a struct")
        })?;
        let max = if self.session.is_in_cookie() { MAX_BYTES_IN_COOKIE } else { MAX_BYTES };
        let (mut kept, mut bytes) = (Vec::new(), 0);
        for (name, value) in pairs(input) {
            let is_left_out = is_secret(&name) || without.iter().any(|other| name.eq_ignore_ascii_case(other));
            let length = name.len() + value.len();
            if !is_left_out && bytes + length <= max {
                bytes += length;
                kept.push((name, value));
            }
        }
        self.session.insert(&self.input_key(form)?, kept)
    }

    /// Returns what was kept of a form, once: it is removed, and the removal is saved at once. If nothing was kept, it
    /// writes nothing and returns an empty result.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// let flash = Flash::of(&session);
    /// flash.keep_input("signup", &[("name", "Ada")])?;
    /// session.save().await?;
    /// assert_eq!(flash.old_input("signup").await?.get("name"), Some("Ada"));
    /// assert!(flash.old_input("signup").await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::take`](crate::Session::take); the input is then still kept.
    pub async fn old_input(&self, form: &str) -> Result<OldInput, Error> {
        Ok(OldInput(self.session.take(&self.input_key(form)?).await?.unwrap_or_default()))
    }

    fn input_key(&self, form: &str) -> Result<String, Error> {
        if form.len() > 200 {
            return Err(Error::new(ErrorKind::Invalid, "expected a form name of at most 200 bytes"));
        }
        Ok(format!("{}.input.{form}", self.key))
    }
}

/// The fields of a form: of a struct, a map, or a list of pairs.
fn pairs(input: Value) -> Vec<(String, String)> {
    let fields: Vec<(String, Value)> = match input {
        Value::Object(fields) => fields.into_iter().collect(),
        Value::Array(pairs) => pairs.into_iter().filter_map(pair).collect(),
        _ => Vec::new(),
    };
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let values = if let Value::Array(values) = value { values } else { vec![value] };
        pairs.extend(values.into_iter().filter_map(text).map(|value| (name.clone(), value)));
    }
    pairs
}

fn pair(value: Value) -> Option<(String, Value)> {
    let Value::Array(parts) = value else { return None };
    match <[Value; 2]>::try_from(parts) {
        Ok([Value::String(name), value]) => Some((name, value)),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let bare: String = name.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let mut words = name.split(|letter: char| !letter.is_alphanumeric());
    SECRET_PARTS.iter().any(|part| bare.contains(part)) || words.any(|word| SECRET_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_fields_are_recognized_by_their_names() {
        let secret = ["password", "Password_Confirmation", "user[pass_word]", "newPasswd", "PWD", "api-token", "PIN"];
        for name in secret.into_iter().chain(["_authentication_token", "card-number", "cvc", "user.otp", "Kennwort"]) {
            assert!(is_secret(name), "{name}");
        }
        for name in ["name", "shipping", "footprint", "email", "tango", "user[name]", "compass", "ibanez", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
