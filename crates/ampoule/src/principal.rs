//! The sessions of one principal: listed, revoked, and no more of them than are allowed.

use std::fmt;

use ampoule_core::{AsKey, Bytes, Entry, Error, ErrorKind, Outcome, Put, Record, StoreKey, Tag, Time, codec};
use serde::de::DeserializeOwned;

use crate::event::EventKind;
use crate::layer::SessionLayer;
use crate::observe::Short;
use crate::options::AtLimit;
use crate::protocol::{Found, Protocol, gone};

/// How often the sessions of a principal are counted again, since others came between.
const ATTEMPTS: u32 = 64;

/// One session of a principal, as it was when it was listed.
///
/// ```
/// # async fn page(session: ampoule::Session) -> Result<String, ampoule::Error> {
/// let mut page = String::new();
/// for info in session.sessions().await? {
///     let browser = info.get::<String>("user_agent")?.unwrap_or_default();
///     let mark = if info.is_current() { " (this one)" } else { "" };
///     page += &format!("{browser}{mark}: last used at {:?}, handle {}\n", info.last_accessed(), info.handle());
/// }
/// # Ok(page) }
/// ```
#[derive(Clone)]
pub struct SessionInfo {
    found: Found,
    current: bool,
}

impl SessionInfo {
    pub(crate) fn into_current(self) -> SessionInfo {
        SessionInfo { current: true, ..self }
    }

    /// What names it for [`Session::revoke`](crate::Session::revoke). It may be shown to its user and stand in a URL: it
    /// is the digest of the id, and nobody can use a session by it.
    pub fn handle(&self) -> StoreKey {
        self.found.key
    }

    /// Whether it is the session of the request that asked.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// When it was made.
    pub fn created(&self) -> Time {
        self.found.record.created
    }

    /// When it was last used, to a tenth of its idle time.
    pub fn last_accessed(&self) -> Time {
        last_use(&self.found)
    }

    /// When it ends if it is not used again.
    pub fn expires(&self) -> Time {
        self.found.deadline
    }

    /// A value in it, such as the user agent or the address that the application keeps there.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if what is stored is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, Error> {
        self.found.record.get(key.as_key()).map(codec::decode).transpose()
    }
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("handle", &self.found.key)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

impl SessionLayer {
    /// The live sessions of a principal, the last used first. For an administrator's page; a user's own are listed by
    /// [`Session::sessions`](crate::Session::sessions).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for sessions in cookies, which nobody can list; those of the store.
    pub async fn sessions_of(&self, principal: &str) -> Result<Vec<SessionInfo>, Error> {
        let found = self.protocol()?.live_of(principal).await?;
        Ok(found.into_iter().map(|found| SessionInfo { found, current: false }).collect())
    }

    /// Ends a session by its handle, and says whether it was there. No request under way brings it back (promise P2).
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of).
    pub async fn revoke(&self, handle: StoreKey) -> Result<bool, Error> {
        let Some(found) = self.protocol()?.find(handle).await? else { return Ok(false) };
        self.end(found).await?;
        Ok(true)
    }

    /// Ends all sessions of a principal, and says how many there were: after a theft, or a change of password.
    ///
    /// # Errors
    /// As [`sessions_of`](SessionLayer::sessions_of). Some may have ended before the error.
    pub async fn revoke_all(&self, principal: &str) -> Result<usize, Error> {
        self.revoke_all_but(principal, &[]).await
    }

    pub(crate) async fn revoke_all_but(&self, principal: &str, spared: &[StoreKey]) -> Result<usize, Error> {
        let mut ended = 0;
        // Again, for what came to be while the others ended: the new id of a session that was just being moved.
        for _ in 0..ATTEMPTS {
            let mut found = self.protocol()?.live_of(principal).await?;
            found.retain(|found| !spared.contains(&found.key));
            if found.is_empty() {
                return Ok(ended);
            }
            for found in found {
                self.end(found).await?;
                ended += 1;
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal logs in faster than its sessions can be ended"))
    }

    async fn end(&self, found: Found) -> Result<(), Error> {
        let (key, principal) = (found.key, found.record.principal().map(str::to_owned));
        self.protocol()?.destroy(found).await?;
        self.0.tell(EventKind::Destroyed, key, principal.as_deref());
        Ok(())
    }

    fn protocol(&self) -> Result<&Protocol, Error> {
        self.0.home.protocol().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "sessions in cookies are with their clients: nobody can list or revoke them")
        })
    }

    /// Keeps the number of a principal's sessions, now that `new` is one of them and `old` is about to become it.
    pub(crate) async fn admit(&self, new: &Found, old: Option<StoreKey>) -> Result<(), Error> {
        let options = &self.0.options;
        let (Some(most), Some(principal)) = (options.sessions_per_principal, new.record.principal()) else {
            return Ok(());
        };
        match options.at_session_limit {
            AtLimit::EndOldest => self.end_oldest(principal, most, new.key, old).await,
            AtLimit::Refuse => self.refuse(principal, most, new, old).await,
        }
    }

    /// Whoever logs in has written his session before he counts, so of those that log in at once the last to count sees
    /// all. All agree which are the oldest, and each is ended only as it was when it was counted.
    async fn end_oldest(
        &self,
        principal: &str,
        most: usize,
        new: StoreKey,
        old: Option<StoreKey>,
    ) -> Result<(), Error> {
        let protocol = self.protocol()?;
        for _ in 0..ATTEMPTS {
            let mut found = protocol.live_of(principal).await?;
            found.retain(|found| Some(found.key) != old);
            if found.len() <= most {
                return if found.iter().any(|found| found.key == new) { Ok(()) } else { Err(gone()) };
            }
            for oldest in found.split_off(most) {
                if protocol.end_version(&oldest).await? {
                    self.0.tell(EventKind::Destroyed, oldest.key, Some(principal));
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal's sessions change faster than they can be counted"))
    }

    /// Whoever counts too many gives up; of several that log in at once it may be all.
    async fn refuse(&self, principal: &str, most: usize, new: &Found, old: Option<StoreKey>) -> Result<(), Error> {
        let found = self.protocol()?.live_of(principal).await?;
        if found.iter().filter(|found| Some(found.key) != old).count() <= most {
            return Ok(());
        }
        self.protocol()?.destroy(new.clone()).await?;
        let message = format!("the principal has {most} sessions, as many as it may (sessions_per_principal)");
        Err(Error::new(ErrorKind::Limit, message))
    }
}

impl Protocol {
    /// The live sessions of a principal, the last used first; of those used in one millisecond in the order of keys.
    async fn live_of(&self, principal: &str) -> Result<Vec<Found>, Error> {
        let mut live: Vec<Found> = Vec::new();
        for key in self.tagged(Tag::of(principal)).await? {
            let found = match self.find(key).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(session = %Short(key), %error, "a session of a principal is damaged, and passed over");
                    continue;
                }
                found => found?,
            };
            // One that was moved just now may be found by its old key alone, or by both.
            let found = found.filter(|found| live.iter().all(|other| other.key != found.key));
            live.extend(found.filter(|found| found.record.principal() == Some(principal)));
        }
        live.sort_by_key(|found| (std::cmp::Reverse(last_use(found)), found.key));
        Ok(live)
    }

    /// Ends a session if it is still as it was found.
    async fn end_version(&self, found: &Found) -> Result<bool, Error> {
        let ended = Entry { value: Bytes::new(), deadline: Time::ZERO, tag: None };
        let outcome = self.write(found.key, ended, Put::Replace(found.version)).await?;
        Ok(matches!(outcome, Outcome::Stored(_)))
    }
}

fn last_use(found: &Found) -> Time {
    let Record { lifetime, accessed, .. } = &*found.record;
    lifetime.last_use(found.deadline).unwrap_or(*accessed)
}
