//! The turns in a session's life that a handler asks for: a new id, an end, a new beginning.

use std::sync::Arc;

use ampoule_core::{Error, ErrorKind};

use super::Session;
use super::save::unreachable;
use super::state::{Known, State, Tell};
use crate::cookie::attributes;
use crate::event::EventKind;
use crate::protocol::Found;

impl Session {
    /// Gives the session a new id when it is next saved. Call it where a visitor becomes somebody: at login, and where
    /// rights grow. Whoever planted the old id has nothing then (session fixation, CWE-384).
    ///
    /// The new record is written first; at the end of the request the old one becomes a pointer to it for a few
    /// seconds ([`Options::rotation_grace`](crate::Options::rotation_grace)), so that requests under way with the old
    /// id still find their session. After that the old id is dead. If the request dies in between, or answers with a
    /// 5xx before it has saved, the old session is as it was (promise P6).
    ///
    /// A request that itself came with an old id in its grace gets no new one: it may not be who it was.
    pub fn regenerate_id(&self) {
        self.note_use();
        self.state().renew = true;
    }

    /// Ends the session now: the record is removed before this returns, and the response removes the cookie. No slower
    /// request brings it back (promise P2); it learns so by [`ErrorKind::Gone`] when it saves.
    ///
    /// In this request the session is empty from here on and cannot be saved. To go on with a new one, call
    /// [`invalidate`](Session::invalidate).
    ///
    /// # Errors
    /// Those of the store; the session then still lives.
    pub async fn delete(&self) -> Result<(), Error> {
        self.destroy(|_| Known::Deleted).await
    }

    /// Ends the session as [`delete`](Session::delete) does and begins an empty one, which gets an id of its own when
    /// it is saved.
    ///
    /// # Errors
    /// Those of the store; the session then still lives.
    pub async fn invalidate(&self) -> Result<(), Error> {
        self.destroy(|session| Known::New(Arc::new(session.0.shared.blank(session.now())))).await
    }

    /// Forgets what was changed since the session was loaded or saved, a pending new id too.
    pub fn revert(&self) {
        let mut state = self.state();
        state.changes.clear();
        state.view = None;
        state.renew = false;
    }

    /// The domain of the cookie that this response sends, instead of the configured one: for an application that
    /// serves several. Say it in every request, also in the one that logs out, since a cookie is only removed with the
    /// attributes it was set with.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it is no domain name, or the cookie's name forbids one (`__Host-`).
    pub fn set_cookie_domain(&self, domain: &str) -> Result<(), Error> {
        let domain = attributes::domain(domain)?;
        if self.0.shared.name.starts_with("__Host-") {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- has no domain"));
        }
        self.state().chosen().domain = Some(domain);
        Ok(())
    }

    /// The path of the cookie that this response sends, instead of the configured one. See
    /// [`set_cookie_domain`](Session::set_cookie_domain).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if it does not start with `/` or has a character that a cookie's path cannot have.
    pub fn set_cookie_path(&self, path: &str) -> Result<(), Error> {
        let path = attributes::path(path)?;
        if self.0.shared.name.starts_with("__Host-") && path != "/" {
            return Err(Error::new(ErrorKind::Invalid, "a cookie whose name starts with __Host- has the path /"));
        }
        self.state().chosen().path = Some(path);
        Ok(())
    }

    async fn destroy(&self, next: impl FnOnce(&Session) -> Known) -> Result<(), Error> {
        drop(self.load().await?);
        let _busy = self.busy().await;
        let shared = &self.0.shared;
        if matches!(self.state().known, Known::Unreachable(_)) {
            return Err(unreachable());
        }
        let (old, live) = self.state().places();
        for found in old.into_iter().chain(live) {
            let (key, principal) = (found.key, found.record.principal().map(str::to_owned));
            shared.home.destroy(found).await?;
            shared.tell(EventKind::Destroyed, key, principal.as_deref());
        }
        let next = next(self);
        self.state().forget(next);
        Ok(())
    }
}

impl State {
    /// Where the session lies: also at its old place, while it moves.
    fn places(&self) -> (Option<Found>, Option<Found>) {
        let live = match &self.known {
            Known::Live(_, found) => Some(found.clone()),
            _ => None,
        };
        (self.moving.as_ref().map(|moving| moving.old.clone()), live)
    }

    /// Forgets the session: what follows starts from `known`.
    pub(super) fn forget(&mut self, known: Known) {
        self.known = known;
        self.view = None;
        self.changes.clear();
        self.renew = false;
        self.moving = None;
        self.is_new = true;
        self.tell = Tell::Remove;
    }
}
