//! Login and logout: where principal, fork and the time of authentication meet.

use std::time::Duration;

use ampoule_core::{Change, Error, ErrorKind, Time};

use super::Session;

impl Session {
    /// Notes that this client has proved to be `principal`, in the application's own terms ("user:42"). Call it after the
    /// password, the key or the code was checked, and [`save`](Session::save) then. Also for a step-up, where a user who
    /// is logged in proves more.
    ///
    /// The save keeps the login in a **session of its own**, with another id and token, which no token from before the
    /// login reads or writes (promise P3). The session before it is frozen: requests that are still under way read it, and
    /// learn by [`ErrorKind::Superseded`] that they save too late. It ends when the client first comes with the new
    /// token; if the response never arrives, it goes on after [`Options::rotation_grace`](crate::Options::rotation_grace),
    /// and nothing is lost (promise P6).
    ///
    /// What an anonymous visitor put into the session, such as a cart, goes along, unless there is no room for it
    /// ([`Options::max_record_size`](crate::Options::max_record_size)): it may be planted, and prevents no login. A session of
    /// another user does not. The token of secure forms is made anew, and the absolute timeout starts again.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session, remember_me: bool) -> Result<(), ampoule::Error> {
    /// session.login("user:42").await?;
    /// if remember_me {
    ///     session.set_timeout(std::time::Duration::from_secs(30 * 24 * 3_600))?;
    /// }
    /// session.save().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the principal is empty or longer than 255 bytes; those of loading. A damaged session is no
    /// obstacle: it is ended, and the login begins a new one.
    pub async fn login(&self, principal: &str) -> Result<(), Error> {
        match self.load().await.map(drop) {
            Err(error) if error.kind() == ErrorKind::Corrupt => self.invalidate().await?,
            loaded => loaded?,
        }
        self.set_principal(Some(principal))?;
        self.change(Change::Login(self.now()))
    }

    /// Ends the session at once, as [`invalidate`](Session::invalidate) does: the cookie is removed, unless something is
    /// saved in this request, such as a flash message that says goodbye. That goes into a new session. With a token from
    /// before a login it ends the session before the login, never the login.
    ///
    /// # Errors
    /// Those of the store; the session then still lives.
    pub async fn logout(&self) -> Result<(), Error> {
        self.invalidate().await
    }

    /// Asks the browser to forget what else it keeps of this site: the response gets `Clear-Site-Data: "cache", "storage"`
    /// (a W3C working draft; browsers heed it over TLS alone). For the response to a logout on shared computers. Our own
    /// cookie needs no such help.
    pub fn clear_site_data(&self) {
        self.note_use();
        self.chosen().clear_site_data = true;
    }

    /// When the user of this session last logged in, by [`login`](Session::login).
    ///
    /// # Errors
    /// Those of loading.
    pub async fn authenticated_at(&self) -> Result<Option<Time>, Error> {
        self.read(|record| record.authenticated_at.filter(|_| record.principal().is_some())).await
    }

    /// Whose session it is, for a handler that only users may call.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<String, ampoule::Error> {
    /// let user = session.require_login().await?;
    /// Ok(format!("Hello, {user}."))
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] for a visitor, a 403 as a response; those of loading.
    pub async fn require_login(&self) -> Result<String, Error> {
        let anonymous = || Error::new(ErrorKind::LoginRequired, "no user has logged in to this session");
        self.principal().await?.ok_or_else(anonymous)
    }

    /// Whose session it is, if the login is not older than this: for what a stolen or forgotten session should not be able
    /// to do, such as changing the password. Send a user who is refused to a page that asks for the password again, and
    /// call [`login`](Session::login) there.
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] for a visitor, and after a login that is older; those of loading.
    pub async fn require_fresh(&self, at_most: Duration) -> Result<String, Error> {
        let user = self.require_login().await?;
        let age = self.authenticated_at().await?.map(|proved| self.now().since(proved));
        if age.is_some_and(|age| age <= at_most) {
            return Ok(user);
        }
        Err(Error::new(
            ErrorKind::LoginRequired,
            format!("this takes a login of the last {} seconds", at_most.as_secs()),
        ))
    }
}
