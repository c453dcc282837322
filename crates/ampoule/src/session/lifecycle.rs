//! The lifecycle of a session: rotation, deletion, invalidation.

use ampoule_core::{Error, ErrorKind};

use super::Session;
use crate::http::set_cookie;

impl Session {
    /// Gives the session a new token at the next save; its id, data and rights stay. Call it from time to time, to
    /// limit for how long a token that leaked can be used.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.save().await?;
    /// let before = session.token().await?;
    /// session.regenerate_id();
    /// session.save().await?;
    /// assert_ne!(session.token().await?.unwrap().as_str(), before.unwrap().as_str());
    /// # Ok(()) }
    /// ```
    ///
    /// It does **not** protect a login. The old token stays valid until a request sends the new one, and for
    /// [`Options::rotation_grace`](crate::Options::rotation_grace) after that, so that a response that never arrives
    /// loses nothing (promise P6). Where a visitor becomes a user, or rights grow, call [`login`](Session::login),
    /// after which the old token opens nothing (session fixation, CWE-384).
    ///
    /// Only a request that came with the current token rotates it, and only while no earlier token is still valid; in
    /// any other request the call has no effect.
    pub fn regenerate_id(&self) {
        self.note_use();
        self.state().rotate();
    }

    /// Ends the session now: its data are removed before this returns, and the response removes the cookie. No slower
    /// request brings it back (promise P2): its save returns [`ErrorKind::Gone`]. Two kinds of related sessions end
    /// too: those whose tokens came with this request, and those that a second click on a login's button made beside
    /// this one. A damaged session can be ended as well.
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
    /// session.insert("cart", [7])?;
    /// session.save().await?;
    /// session.delete().await?;
    /// assert!(session.is_empty().await?);
    /// assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Gone);
    /// # Ok(()) }
    /// ```
    ///
    /// For the rest of this request the session is empty and cannot be saved. To continue with a new one, call
    /// [`invalidate`](Session::invalidate).
    ///
    /// # Errors
    /// Errors of the store; the session may then still live.
    pub async fn delete(&self) -> Result<(), Error> {
        self.end(None).await
    }

    /// Ends the session as [`delete`](Session::delete) does and begins an empty one, which gets an id of its own when
    /// it is saved.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.save().await?;
    /// let before = session.id().await?;
    /// session.invalidate().await?;
    /// session.insert("theme", "dark")?;
    /// session.save().await?;
    /// assert_ne!(session.id().await?, before);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Errors of the store; the session may then still live.
    pub async fn invalidate(&self) -> Result<(), Error> {
        self.end(Some(self.0.shared.blank(self.now()))).await
    }

    /// Drops the changes since the session was loaded or saved, also a pending login and a pending rotation.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.insert("theme", "dark")?;
    /// session.revert();
    /// assert!(session.is_empty().await?);
    /// # Ok(()) }
    /// ```
    pub fn revert(&self) {
        self.state().revert();
    }

    /// Sets the domain of the cookie that this response sends, instead of the configured one: for an application that
    /// serves several domains. Call it in every request, also in the one that logs out, since a browser removes a
    /// cookie only if its attributes are those that it was set with.
    ///
    /// ```
    /// # use ampoule::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cookie = CookieOptions { host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], cookie, ..Options::default() };
    /// # let session = SessionLayer::new(MemoryStore::default(), options)?.begin(&http::HeaderMap::new());
    /// session.set_cookie_domain("shop.example")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is not a domain name, or the cookie's name forbids a domain (`__Host-`).
    pub fn set_cookie_domain(&self, domain: &str) -> Result<(), Error> {
        let domain = set_cookie::domain(domain)?;
        if self.0.shared.name.starts_with("__Host-") {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- cannot have a domain"));
        }
        self.chosen().domain = Some(domain);
        Ok(())
    }

    /// Sets the path of the cookie that this response sends, instead of the configured one. See
    /// [`set_cookie_domain`](Session::set_cookie_domain).
    ///
    /// ```
    /// # use ampoule::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cookie = CookieOptions { host_prefix: HostPrefix::Never, ..CookieOptions::default() };
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], cookie, ..Options::default() };
    /// # let session = SessionLayer::new(MemoryStore::default(), options)?.begin(&http::HeaderMap::new());
    /// session.set_cookie_path("/shop")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it does not start with `/`, has a character that a cookie's path cannot have, or the
    /// cookie's name requires `/` (`__Host-`).
    pub fn set_cookie_path(&self, path: &str) -> Result<(), Error> {
        let path = set_cookie::path(path)?;
        if self.0.shared.name.starts_with("__Host-") && path != "/" {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- needs the path /"));
        }
        self.chosen().path = Some(path);
        Ok(())
    }
}
