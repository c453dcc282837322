//! The sessions of one user: listed, and ended.

use std::fmt;

use ampoule_core::{Error, ErrorKind, KeyOf, SessionId, Time, codec};
use serde::de::DeserializeOwned;

use super::Session;
use super::state::Live;
use crate::backend::{Caller, Lineage, Snapshot, StoreBackend};
use crate::event::EventKind;
use crate::shared::Shared;

/// How often the sessions of a principal are looked for again, since new ones came.
const ATTEMPTS: u32 = 64;

/// One device of a principal: its session, as it was when it was listed.
///
/// ```
/// # async fn page(session: ampoule::Session) -> Result<String, ampoule::Error> {
/// let mut page = String::new();
/// for info in session.sessions().await? {
///     let browser = info.get::<String>("user_agent")?.unwrap_or_default();
///     let mark = if info.is_current() { " (this one)" } else { "" };
///     page += &format!("{browser}{mark}: last used at {:?}, id {}\n", info.last_accessed(), info.id());
/// }
/// # Ok(page) }
/// ```
#[derive(Clone)]
pub struct SessionInfo {
    snapshot: Snapshot,
    current: bool,
}

impl SessionInfo {
    /// What names it for [`Session::revoke`](crate::Session::revoke). It may be shown to its user and stand in a URL: it is
    /// no secret, and a session cannot be used by it.
    pub fn id(&self) -> SessionId {
        self.snapshot.id
    }

    /// Whether it is the session of the request that asked.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// When it was made.
    pub fn created(&self) -> Time {
        self.snapshot.record.created
    }

    /// When its user logged in; `None` for a session that was given to a principal without a login.
    pub fn authenticated_at(&self) -> Option<Time> {
        self.snapshot.record.authenticated_at
    }

    /// When it was last used, to a tenth of its idle time.
    pub fn last_accessed(&self) -> Time {
        self.snapshot.last_use()
    }

    /// When it ends if it is not used again.
    pub fn expires(&self) -> Time {
        self.snapshot.deadline
    }

    /// A value in it, such as the user agent or the address that the application keeps there.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if what is stored is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        self.snapshot.record.get(key.as_key()).map(codec::decode).transpose()
    }
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo").field("id", &self.id()).field("current", &self.current).finish_non_exhaustive()
    }
}

impl Shared {
    /// The sessions of a principal, as far as the session that asks may see them.
    async fn visible(&self, principal: &str, own: Option<&Caller>) -> Result<Vec<Snapshot>, Error> {
        let found = self.listed()?.live_of(principal).await?;
        let Some(own) = own else { return Ok(found) };
        self.listed()?.seen_by(own, found, self.options.clock.now()).await
    }

    /// The devices of a principal, with the session that asks for its own device.
    pub(crate) async fn devices_of(&self, principal: &str, own: Option<&Caller>) -> Result<Vec<SessionInfo>, Error> {
        let mut infos: Vec<SessionInfo> = Vec::new();
        for snapshot in self.visible(principal, own).await? {
            let info = SessionInfo { current: own.is_some_and(|own| own.session.id == snapshot.id), snapshot };
            match infos.iter_mut().find(|other| other.snapshot.device() == info.snapshot.device()) {
                None => infos.push(info),
                Some(other) if !other.current && (info.current || is_preferred(&info, other)) => *other = info,
                Some(_) => {}
            }
        }
        Ok(infos)
    }

    /// Ends a session and its siblings.
    pub(crate) async fn revoke(&self, id: SessionId) -> Result<bool, Error> {
        let Some(found) = self.listed()?.find(id).await? else { return Ok(false) };
        for sibling in self.listed()?.siblings(&found).await? {
            self.end(&sibling).await?;
        }
        self.end(&found).await
    }

    /// Ends all sessions of a principal but the one that asks.
    pub(crate) async fn revoke_all_but(&self, principal: &str, own: Option<&Caller>) -> Result<usize, Error> {
        let mut ended = 0;
        // Again, for what came to be while the others ended: a login that was under way.
        for _ in 0..ATTEMPTS {
            let mut found = self.visible(principal, own).await?;
            found.retain(|found| own.is_none_or(|own| own.session.id != found.id));
            if found.is_empty() {
                return Ok(ended);
            }
            for found in found {
                ended += usize::from(self.end(&found).await?);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal logs in faster than its sessions can be ended"))
    }

    async fn end(&self, found: &Snapshot) -> Result<bool, Error> {
        let lived = self.listed()?.end(found).await?;
        if lived {
            self.tell(EventKind::Destroyed, found.id, found.record.principal());
        }
        Ok(lived)
    }

    fn listed(&self) -> Result<&StoreBackend, Error> {
        self.backend.store().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "sessions in cookies are kept by their clients: they cannot be listed or revoked",
            )
        })
    }
}

/// Of the sessions of one device that which a client has come with, and of those the last login.
fn is_preferred(one: &SessionInfo, other: &SessionInfo) -> bool {
    let order = |info: &SessionInfo| (!info.snapshot.record.identity.is_unconfirmed, info.authenticated_at());
    order(one) > order(other)
}

impl Session {
    /// The live sessions of this one's principal, the last used first, one for each device, this one marked; none if it has
    /// no principal.
    ///
    /// ```
    /// # async fn handler(session: ampoule::Session) -> Result<(), ampoule::Error> {
    /// // At login: whose it is, and what will tell its sessions apart.
    /// session.login("user:42").await?;
    /// session.insert("user_agent", &"Firefox on Linux")?;
    /// session.save().await?;
    ///
    /// assert!(session.sessions().await?.iter().any(|info| info.is_current()));
    /// session.revoke_others().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if this session has ended, [`ErrorKind::Superseded`] if its user logged in meanwhile: a token from
    /// before a login sees nothing of it. [`ErrorKind::Invalid`] for a session in its cookie; those of loading and of the
    /// store.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        let Some(principal) = self.principal().await? else { return Ok(Vec::new()) };
        let own = self.state().live().map(Live::caller);
        let listed = self.0.shared.devices_of(&principal, own.as_ref()).await;
        self.unless_ended(listed, own.as_ref())
    }

    /// Ends another session of the same principal by its id, and says whether it was there. The id of this one
    /// [deletes](Session::delete) it; those of others' sessions end nothing.
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions).
    pub async fn revoke(&self, id: SessionId) -> Result<bool, Error> {
        let Some(info) = self.sessions().await?.into_iter().find(|info| info.id() == id) else { return Ok(false) };
        if info.is_current() {
            return self.delete().await.map(|()| true);
        }
        self.0.shared.revoke(id).await
    }

    /// Ends all other sessions of the same principal, and says how many: "sign out everywhere else". A login that came from
    /// this session, or a moment later from the same one by a second click, is no other.
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions); [`ErrorKind::Invalid`] if this session has an unsaved login, which would leave
    /// nothing to spare.
    pub async fn revoke_others(&self) -> Result<usize, Error> {
        let Some(principal) = self.principal().await? else { return Ok(0) };
        let own = self.state().live().map(Live::caller);
        if own.is_none() || self.state().changes().forks(Some(&principal)) {
            return Err(Error::new(ErrorKind::Invalid, "save the session before all others are ended"));
        }
        let revoked = Box::pin(self.0.shared.revoke_all_but(&principal, own.as_ref())).await;
        self.unless_ended(revoked, own.as_ref())
    }

    /// Ends all sessions of the same principal, this one too, and says how many: "sign out everywhere".
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions).
    pub async fn revoke_all(&self) -> Result<usize, Error> {
        let is_saved = self.load().await?.live().is_some();
        let others = if is_saved { self.revoke_others().await? } else { 0 };
        self.delete().await?;
        Ok(others + 1)
    }

    /// Takes note that the session was found to have ended: its client is told of no token that leads nowhere.
    fn unless_ended<T>(&self, result: Result<T, Error>, own: Option<&Caller>) -> Result<T, Error> {
        if let (Err(error), Some(own)) = (&result, own)
            && error.kind() == ErrorKind::Gone
        {
            let mut state = self.state();
            // Another task of this request may have logged in meanwhile.
            if state.live().is_some_and(|live| live.snapshot.id == own.session.id) {
                state.lost(self.0.shared.blank(self.now()), Lineage::of(&own.session));
            }
        }
        result
    }
}
