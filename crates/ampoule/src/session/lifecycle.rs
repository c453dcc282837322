//! The turns in a session's life that a handler asks for: a new token, an end, a new beginning.

use ampoule_core::{Error, ErrorKind};

use super::Session;
use crate::http::set_cookie;

impl Session {
    /// Gives the session a new token when it is next saved; its id, data and rights stay. Against a token that may have
    /// been seen by others, from time to time.
    ///
    /// It is **not** what protects a login: the old token stays good until a request comes with the new one, and for
    /// [`Options::rotation_grace`](crate::Options::rotation_grace) after that, so that a response that never arrives
    /// loses nothing (promise P6). Where a visitor becomes a user, or rights grow, call [`login`](Session::login), which
    /// leaves the old token nothing (session fixation, CWE-384).
    ///
    /// Only a request that came with the current token rotates it, and only while no other is good; from any other it
    /// is asked in vain.
    pub fn regenerate_id(&self) {
        self.note_use();
        self.state().rotate();
    }

    /// Ends the session now: its data are gone before this returns, and the response removes the cookie. No slower
    /// request brings it back (promise P2); it learns so by [`ErrorKind::Gone`] when it saves. What belongs to it ends too:
    /// every other session whose token came with this request, and those that a second click on a login's button made
    /// beside it. A damaged session can be ended as well.
    ///
    /// In this request the session is empty from here on and cannot be saved. To go on with a new one, call
    /// [`invalidate`](Session::invalidate).
    ///
    /// # Errors
    /// Those of the store; the session then still lives.
    pub async fn delete(&self) -> Result<(), Error> {
        self.end(None).await
    }

    /// Ends the session as [`delete`](Session::delete) does and begins an empty one, which gets an id of its own when
    /// it is saved.
    ///
    /// # Errors
    /// Those of the store; the session then still lives.
    pub async fn invalidate(&self) -> Result<(), Error> {
        self.end(Some(self.0.shared.blank(self.now()))).await
    }

    /// Forgets what was changed since the session was loaded or saved, a pending new token and login too.
    pub fn revert(&self) {
        self.state().revert();
    }

    /// The domain of the cookie that this response sends, instead of the configured one: for an application that
    /// serves several. Say it in every request, also in the one that logs out, since a cookie is only removed with the
    /// attributes it was set with.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is no domain name, or the cookie's name forbids one (`__Host-`).
    pub fn set_cookie_domain(&self, domain: &str) -> Result<(), Error> {
        let domain = set_cookie::domain(domain)?;
        if self.0.shared.name.starts_with("__Host-") {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- has no domain"));
        }
        self.chosen().domain = Some(domain);
        Ok(())
    }

    /// The path of the cookie that this response sends, instead of the configured one. See
    /// [`set_cookie_domain`](Session::set_cookie_domain).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it does not start with `/` or has a character that a cookie's path cannot have.
    pub fn set_cookie_path(&self, path: &str) -> Result<(), Error> {
        let path = set_cookie::path(path)?;
        if self.0.shared.name.starts_with("__Host-") && path != "/" {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- has the path /"));
        }
        self.chosen().path = Some(path);
        Ok(())
    }
}
