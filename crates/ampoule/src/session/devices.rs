//! The sessions of one user: lists and ends them.

use std::fmt;

use ampoule_core::internal::codec;
use ampoule_core::{Error, ErrorKind, KeyOf, SessionId, Time};
use serde::de::DeserializeOwned;

use super::Session;
use super::state::Live;
use crate::backend::{Caller, Lineage, Snapshot, StoreBackend};
use crate::event::EventKind;
use crate::shared::Shared;

/// How often the sessions of a principal are listed again while logins create new ones.
const MAX_ATTEMPTS: u32 = 64;

/// One device of a principal, and the state of its session when it was listed.
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
    /// Returns the id by which [`Session::revoke`](crate::Session::revoke) ends it. The id is no secret and cannot be
    /// used to open the session: it may be shown to its user and be used in a URL.
    pub fn id(&self) -> SessionId {
        self.snapshot.id
    }

    /// Returns whether it is the session of the present request.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// Returns when it was created.
    pub fn created(&self) -> Time {
        self.snapshot.record.created
    }

    /// Returns when its user logged in; `None` if the session got its principal without a login.
    pub fn authenticated_at(&self) -> Option<Time> {
        self.snapshot.record.authenticated_at
    }

    /// Returns when it was last used, to a tenth of its idle timeout.
    pub fn last_accessed(&self) -> Time {
        self.snapshot.last_use()
    }

    /// Returns when it ends if it is not used again.
    pub fn expires(&self) -> Time {
        self.snapshot.deadline
    }

    /// Returns one of its values, such as the user agent or the address that the application keeps there.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the stored value is not a `T`.
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
    /// The sessions of a principal that the requesting session may see.
    async fn visible(&self, principal: &str, own: Option<&Caller>) -> Result<Vec<Snapshot>, Error> {
        let found = self.listed()?.live_of(principal).await?;
        let Some(own) = own else { return Ok(found) };
        self.listed()?.visible_to(own, found, self.options.clock.now()).await
    }

    /// The devices of a principal. The requesting session represents its own device.
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

    /// Ends all sessions of a principal but the requesting one.
    pub(crate) async fn revoke_all_but(&self, principal: &str, own: Option<&Caller>) -> Result<usize, Error> {
        let mut ended = 0;
        // Repeated, since a concurrent login may have created another session.
        for _ in 0..MAX_ATTEMPTS {
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
            self.emit(EventKind::Destroyed, found.id, found.record.principal());
        }
        Ok(lived)
    }

    fn listed(&self) -> Result<&StoreBackend, Error> {
        self.backend.store().ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "sessions in cookies cannot be listed or revoked: only their clients hold them",
            )
        })
    }
}

/// Whether `one` represents a device rather than `other`: a session whose token a client has sent precedes one whose
/// token has not been sent; then the latest login.
fn is_preferred(one: &SessionInfo, other: &SessionInfo) -> bool {
    let order = |info: &SessionInfo| (!info.snapshot.record.identity.is_unconfirmed, info.authenticated_at());
    order(one) > order(other)
}

impl Session {
    /// Lists the live sessions of this session's principal, one for each device, the last used first. Returns an empty
    /// list if the session has no principal.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// # let session = layer.begin(&http::HeaderMap::new());
    /// session.login("user:42").await?;
    /// session.insert("user_agent", "Firefox on Linux")?; // What tells the devices apart.
    /// session.save().await?;
    ///
    /// let devices = session.sessions().await?;
    /// assert!(devices[0].is_current());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if this session has ended, [`ErrorKind::Superseded`] if its user logged in meanwhile: a
    /// token from before a login sees nothing of it. [`ErrorKind::Invalid`] for a session that is kept in its own
    /// cookie; errors of loading the session and of the store.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        let Some(principal) = self.principal().await? else { return Ok(Vec::new()) };
        let own = self.state().live().map(Live::caller);
        let listed = self.0.shared.devices_of(&principal, own.as_ref()).await;
        self.unless_ended(listed, own.as_ref())
    }

    /// Ends another session of the same principal by its id, and returns whether there was one. The id of this session
    /// [deletes](Session::delete) it; the id of another user's session ends nothing.
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
    ///
    /// let lost_phone = session.sessions().await?[0].id();
    /// assert!(session.revoke(lost_phone).await?);
    /// # Ok(()) }
    /// ```
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

    /// Ends all other sessions of the same principal, and returns how many: "sign out everywhere else". Sessions of the
    /// same device stay: a login that descends from this session, or one from a second click on the login button.
    ///
    /// ```
    /// # use ampoule::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = Options { secrets: vec![Secret::new(Secret::generate())?], ..Options::default() };
    /// # let layer = SessionLayer::new(MemoryStore::default(), options)?;
    /// let (phone, laptop) = (layer.begin(&Default::default()), layer.begin(&Default::default()));
    /// for session in [&phone, &laptop] {
    ///     session.login("user:42").await?;
    ///     session.save().await?;
    /// }
    /// assert_eq!(laptop.revoke_others().await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`sessions`](Session::sessions); [`ErrorKind::Invalid`] if this session has an unsaved login, since this
    /// session would then be ended as well.
    pub async fn revoke_others(&self) -> Result<usize, Error> {
        let Some(principal) = self.principal().await? else { return Ok(0) };
        let own = self.state().live().map(Live::caller);
        if own.is_none() || self.state().changes().forks(Some(&principal)) {
            return Err(Error::new(ErrorKind::Invalid, "save the session's login before ending the other sessions"));
        }
        let revoked = Box::pin(self.0.shared.revoke_all_but(&principal, own.as_ref())).await;
        self.unless_ended(revoked, own.as_ref())
    }

    /// Ends all sessions of the same principal, this one too, and returns how many: "sign out everywhere". A session
    /// without a principal ends alone.
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
    /// assert_eq!(session.revoke_all().await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`revoke_others`](Session::revoke_others): the others are ended first, so this session may then still live.
    pub async fn revoke_all(&self) -> Result<usize, Error> {
        let others = self.revoke_others().await?;
        let is_saved = self.state().live().is_some();
        self.delete().await?;
        Ok(others + usize::from(is_saved))
    }

    /// Records that the session has ended, so that the response sends no token of it.
    fn unless_ended<T>(&self, result: Result<T, Error>, own: Option<&Caller>) -> Result<T, Error> {
        if let (Err(error), Some(own)) = (&result, own)
            && error.kind() == ErrorKind::Gone
        {
            let mut state = self.state();
            // Another task of this request may have logged in meanwhile.
            if state.live().is_some_and(|live| live.snapshot.id == own.session.id) {
                state.ended_elsewhere(self.0.shared.blank(self.now()), Lineage::of(&own.session));
            }
        }
        result
    }
}
