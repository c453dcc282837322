//! Login and logout: the principal, the fork and the time of authentication.

use std::time::Duration;

use ampoule_core::internal::Change;
use ampoule_core::{Error, ErrorKind, Time};

use super::Session;
use super::state::unreachable;
#[cfg(feature = "auth")]
use crate::http::transport::Transport;

impl Session {
    /// Logs `principal` in: a name in the application's own terms ("user:42"). Call it after the password, the key or
    /// the code was checked, and then call [`save`](Session::save). Also call it for a step-up, when a logged-in user
    /// has passed a stronger check.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// # let remember_me = true;
    /// session.login("user:42").await?;
    /// if remember_me {
    ///     session.set_timeout(std::time::Duration::from_secs(30 * 24 * 3_600))?;
    /// }
    /// session.save().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The save creates a **new session** for the login, with another id and token; a token that was issued before the
    /// login cannot read or write it (promise P3). The session before the login is frozen: requests that are still
    /// running can read it, and a save of theirs returns [`ErrorKind::Superseded`]. It ends when the client first sends
    /// the new token. If the response never arrives, it becomes usable again after
    /// [`Options::rotation_grace`](crate::Options::rotation_grace), and nothing is lost (promise P6).
    ///
    /// Values that an anonymous visitor put into the session, such as a cart, are copied, unless they do not fit into
    /// [`Options::max_record_size`](crate::Options::max_record_size): an attacker may have planted them, and they must
    /// not prevent a login. Values of another user's session are not copied. The token of forms is replaced, and the
    /// absolute timeout starts again.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the principal is empty or longer than 255 bytes; errors of loading the session. A
    /// damaged session does not prevent a login: it is ended, and the login begins a new one.
    pub async fn login(&self, principal: &str) -> Result<(), Error> {
        match self.load().await.map(drop) {
            Err(error) if error.kind() == ErrorKind::Corrupt => self.invalidate().await?,
            loaded => loaded?,
        }
        self.set_principal(Some(principal))?;
        self.change(Change::Login(self.now()))
    }

    /// Ends the session at once, as [`invalidate`](Session::invalidate) does. The response removes the cookie, unless
    /// this request saves something afterwards, such as a flash message that says goodbye; that is saved in a new
    /// session. A request with a token from before a login ends the session before the login, never the login's.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.login("user:42").await?;
    /// session.save().await?;
    /// session.logout().await?;
    /// assert_eq!(session.principal().await?, None);
    /// assert!(layer.sessions_of("user:42").await?.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store; the session may then still live.
    pub async fn logout(&self) -> Result<(), Error> {
        self.invalidate().await
    }

    /// Asks the browser to delete what else it stores for this site: the response gets `Clear-Site-Data: "cache",
    /// "storage"` (a W3C working draft; browsers obey it over TLS only). For the response to a logout on shared
    /// computers. The session's own cookie is removed without it.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.logout().await?;
    /// session.clear_site_data();
    /// # Ok(()) }
    /// ```
    pub fn clear_site_data(&self) {
        self.note_use();
        self.chosen().clear_site_data = true;
    }

    /// Returns when the user of this session last logged in, by [`login`](Session::login); `None` if no user has.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// assert!(session.authenticated_at().await?.is_none());
    /// session.login("user:42").await?;
    /// assert!(session.authenticated_at().await?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of loading the session.
    pub async fn authenticated_at(&self) -> Result<Option<Time>, Error> {
        self.read(|record| record.authenticated_at.filter(|_| record.principal().is_some())).await
    }

    /// Returns the principal, for a handler that only users may call.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use ampoule::ErrorKind;
    ///
    /// let error = session.require_login().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::LoginRequired);
    /// session.login("user:42").await?;
    /// assert_eq!(session.require_login().await?, "user:42");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] for a visitor, which becomes a 403 response; [`ErrorKind::Unavailable`], a 503, if
    /// the store could not be reached and the session continues as anonymous (`on_outage`), since its user may have
    /// logged in; errors of loading the session.
    pub async fn require_login(&self) -> Result<String, Error> {
        match self.principal().await? {
            Some(principal) => Ok(principal),
            None => Err(self.missing_login().await),
        }
    }

    /// Returns the error for a request without a login. If the store could not be reached, its user may have logged in.
    pub(crate) async fn missing_login(&self) -> Error {
        match self.is_unreachable().await {
            Ok(true) => unreachable(),
            Ok(false) => Error::new(ErrorKind::LoginRequired, "no user has logged in to this session"),
            Err(error) => error,
        }
    }

    /// Returns the principal if the login is not older than `at_most`: for actions that a stolen or forgotten session
    /// must not be able to do, such as changing the password. On [`ErrorKind::LoginRequired`], redirect the user to a
    /// page that asks for the password again, and call [`login`](Session::login) there.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// use std::time::Duration;
    ///
    /// session.login("user:42").await?;
    /// assert_eq!(session.require_fresh(Duration::from_secs(300)).await?, "user:42");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] for a visitor, and for an older login; otherwise as
    /// [`require_login`](Session::require_login).
    pub async fn require_fresh(&self, at_most: Duration) -> Result<String, Error> {
        let user = self.require_login().await?;
        let age = self.authenticated_at().await?.map(|proved| self.now().since(proved));
        if age.is_some_and(|age| age <= at_most) {
            return Ok(user);
        }
        Err(Error::new(
            ErrorKind::LoginRequired,
            format!("expected a login within the last {} seconds", at_most.as_secs()),
        ))
    }

    /// Whether a client without a login may be asked for a `Bearer` token.
    #[cfg(feature = "auth")]
    pub(crate) fn takes_bearer(&self) -> bool {
        self.0.shared.options.transports.contains(&Transport::Bearer)
    }
}
