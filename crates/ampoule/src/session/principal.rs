//! What a session's user may do with his other sessions.

use std::sync::Arc;

use ampoule_core::{Error, ErrorKind, StoreKey};

use super::Session;
use super::state::Known;
use crate::layer::SessionLayer;
use crate::principal::SessionInfo;
use crate::protocol::Found;

impl Session {
    /// The live sessions of this one's principal, the last used first, this one marked; none if it has no principal.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// // At login: whose it is, and what will tell its sessions apart.
    /// session.set_principal(Some("user:42"))?;
    /// session.insert("user_agent", &"Firefox on Linux")?;
    /// session.regenerate_id();
    /// session.save().await?;
    ///
    /// assert!(session.sessions().await?.iter().any(|info| info.is_current()));
    /// session.revoke_others().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a session in its cookie; those of loading and of the store.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        let Some(principal) = self.principal().await? else { return Ok(Vec::new()) };
        let mut infos = self.layer().sessions_of(&principal).await?;
        let (own, moving) = self.own_keys();
        infos.retain(|info| Some(info.handle()) != moving);
        let mark = |info: SessionInfo| if Some(info.handle()) == own { info.into_current() } else { info };
        Ok(infos.into_iter().map(mark).collect())
    }

    /// Ends another session of the same principal by its handle, and says whether it was there. The handle of this one
    /// [deletes](Session::delete) it; those of others' sessions end nothing.
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions).
    pub async fn revoke(&self, handle: StoreKey) -> Result<bool, Error> {
        let Some(info) = self.sessions().await?.into_iter().find(|info| info.handle() == handle) else {
            return Ok(false);
        };
        if info.is_current() {
            return self.delete().await.map(|()| true);
        }
        self.layer().revoke(handle).await
    }

    /// Ends all other sessions of the same principal, and says how many: "sign out everywhere else".
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions); [`ErrorKind::Invalid`] if this session has an unsaved new id, which would
    /// leave nothing to spare.
    pub async fn revoke_others(&self) -> Result<usize, Error> {
        let Some(principal) = self.principal().await? else { return Ok(0) };
        let (Some(own), moving) = self.own_keys() else {
            return Err(Error::new(ErrorKind::Invalid, "save the session before all others are ended"));
        };
        // While its old place is about to become a pointer, that is this session too.
        let spared: Vec<StoreKey> = [own].into_iter().chain(moving).collect();
        self.layer().revoke_all_but(&principal, &spared).await
    }

    /// Ends all sessions of the same principal, this one too, and says how many: "sign out everywhere".
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions).
    pub async fn revoke_all(&self) -> Result<usize, Error> {
        drop(self.load().await?);
        let others = if self.own_keys().0.is_some() { self.revoke_others().await? } else { 0 };
        self.delete().await?;
        Ok(others + 1)
    }

    /// Counts the principal's sessions, if their number is limited and `new` is one more.
    pub(super) async fn admit(&self, new: &Found, old: Option<StoreKey>) -> Result<(), Error> {
        if self.0.shared.options.sessions_per_principal.is_none() || self.0.shared.home.is_cookie() {
            return Ok(());
        }
        Box::pin(self.layer().admit(new, old)).await
    }

    /// Where this session lies, and where it lay before it got its new id, while that is not told.
    fn own_keys(&self) -> (Option<StoreKey>, Option<StoreKey>) {
        let state = self.state();
        let own = match &state.known {
            Known::Live(_, found) => Some(found.key),
            _ => None,
        };
        (own, state.moving.as_ref().map(|moving| moving.old.key))
    }

    fn layer(&self) -> SessionLayer {
        SessionLayer(Arc::clone(&self.0.shared))
    }
}
