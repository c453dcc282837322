//! Login and logout: where rotation, principal and the time of authentication meet.

use std::time::Duration;

use ampoule_core::{Change, Error, ErrorKind, Key, Time};

use super::Session;

/// When the user proved who he is, in milliseconds since 1970.
const AUTHENTICATED_AT: Key<u64> = Key::new("_authenticated_at");

impl Session {
    /// Notes that this client has proved to be `principal`, in the application's own terms ("user:42"): the next save
    /// gives the session a new id, says whose it is, and when that was proved. Call it after the password, the key or
    /// the code was checked, and [`save`](Session::save) then.
    ///
    /// What an anonymous visitor put into the session, such as a cart, stays. A session of somebody else is ended first,
    /// and this one starts empty. The token of secure forms is made anew, since who planted the visitor's session may
    /// know the old one.
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
    /// [`ErrorKind::Invalid`] if the principal has not 1 to 255 bytes; those of loading, and of ending another's session.
    pub async fn login(&self, principal: &str) -> Result<(), Error> {
        let before = self.principal().await?;
        if before.as_deref() != Some(principal) {
            if before.is_some() {
                self.invalidate().await?;
            }
            self.change(Change::Remove(crate::csrf::TOKEN.to_owned()))?;
        }
        self.set_principal(Some(principal))?;
        self.regenerate_id();
        self.insert(AUTHENTICATED_AT, &self.now().as_millis())
    }

    /// Ends the session at once, as [`invalidate`](Session::invalidate) does: the cookie is removed, unless something is
    /// saved in this request, such as a flash message that says goodbye. That goes into a new session.
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
        self.state().clear_site_data = true;
    }

    /// When the user of this session last proved who he is, by [`login`](Session::login).
    ///
    /// # Errors
    /// Those of loading.
    pub async fn authenticated_at(&self) -> Result<Option<Time>, Error> {
        let millis = self.get(AUTHENTICATED_AT).await?;
        Ok(if self.principal().await?.is_some() { millis.map(Time::from_millis) } else { None })
    }

    /// Whose session it is, where nobody else is let in.
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
        let nobody = || Error::new(ErrorKind::LoginRequired, "nobody has logged in to this session");
        self.principal().await?.ok_or_else(nobody)
    }

    /// Whose session it is, if he proved it not longer ago than this: for what a stolen or forgotten session should not
    /// be able to do, such as changing the password. Send who is refused to a page that asks for the password again, and
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
