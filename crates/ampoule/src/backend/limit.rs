//! The sessions of one principal: lists them, and enforces their limit.

use std::cmp::Reverse;
use std::collections::HashSet;

use ampoule_core::{Error, ErrorKind, SessionId, Tag, Time};

use super::snapshot::{Ended, Read, Snapshot, ended, gone, superseded};
use super::store::{MAX_ATTEMPTS, StoreBackend};
use crate::options::{Limit, SessionLimitPolicy};

/// The login that is checked against the limit.
pub(crate) struct LoginCandidate<'a> {
    pub(crate) principal: &'a str,
    pub(crate) device: Option<SessionId>,
    pub(crate) now: Time,
}

/// The session whose request lists or ends the sessions of its principal.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) session: Snapshot,
    /// The end of a freeze that had passed when the request loaded the session.
    pub(crate) thaws: Option<Time>,
}

impl StoreBackend {
    /// The live sessions of a principal in this layer, the last used first; of those used in the same millisecond,
    /// ordered by id.
    ///
    /// If a listed session has ended when it is read, a login that came after the list may have replaced it. The list
    /// is then read again, so each login is found under its own id or under that of the session before it.
    pub(crate) async fn live_of(&self, principal: &str) -> Result<Vec<Snapshot>, Error> {
        let mut ended = HashSet::new();
        for _ in 0..MAX_ATTEMPTS {
            let mut live: Vec<Snapshot> = Vec::new();
            let mut is_stale = false;
            for key in self.keys_with_tag(Tag::of_principal(self.layer.as_str(), principal)).await? {
                let Some(id) = key.session_id() else { continue };
                match self.find(id).await {
                    Ok(Some(found)) => live.push(found),
                    Ok(None) => is_stale |= ended.insert(id),
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        tracing::error!(session = %id, error = %error.report(), "a damaged session of a principal is ignored");
                    }
                    Err(error) => return Err(error),
                }
            }
            if !is_stale {
                live.retain(|found| found.record.principal() == Some(principal));
                live.sort_by_key(|found| (Reverse(found.last_use()), found.id));
                return Ok(live);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal logs in faster than its sessions can be listed"))
    }

    /// The other sessions of the same device and principal, such as those of a double click on the login button. They
    /// forked from the same session or are older; a later login that forked from this session is not included.
    pub(crate) async fn siblings(&self, session: &Snapshot) -> Result<Vec<Snapshot>, Error> {
        let Some(principal) = session.record.principal() else { return Ok(Vec::new()) };
        let mut live = self.live_of(principal).await?;
        live.retain(|other| {
            let origin = session.record.identity.origin;
            let is_same = origin.is_some() && other.record.identity.origin == origin;
            let is_older = other.record.authenticated_at < session.record.authenticated_at;
            other.device() == session.device() && other.id != session.id && (is_same || is_older)
        });
        Ok(live)
    }

    /// The sessions of a principal that a session may see and end, after checking that the session is still live. It
    /// sees no login that came after it, which may be on its way to the client. `found` was listed before the check, so
    /// it has no login that replaced the session.
    pub(crate) async fn visible_to(
        &self,
        caller: &Caller,
        mut found: Vec<Snapshot>,
        now: Time,
    ) -> Result<Vec<Snapshot>, Error> {
        let Caller { session: own, thaws } = caller;
        match self.read(own.id).await? {
            Some(Read::Session(newer)) => {
                let frozen_until = newer.record.identity.frozen_until;
                if frozen_until.is_some() && frozen_until != *thaws {
                    return Err(superseded());
                }
            }
            Some(Read::Ended(Ended { forked_for, .. })) => return Err(ended(forked_for.as_deref())),
            None => return Err(gone()),
        }
        found.retain(|other| !self.is_login_after(other, own, now));
        Ok(found)
    }

    /// Whether a login forked from this session, or later from the same one as this session.
    fn is_login_after(&self, other: &Snapshot, own: &Snapshot, now: Time) -> bool {
        let (origin, own_origin) = (other.record.identity.origin, own.record.identity.origin);
        let order = |session: &Snapshot| (session.record.authenticated_at, session.id);
        let is_fork = origin == Some(own.id);
        let is_later = origin.is_some() && origin == own_origin && order(other) > order(own);
        match other.record.identity.is_unconfirmed {
            true => (is_fork || is_later) && self.is_response_pending(other, now),
            false => is_fork,
        }
    }

    /// Makes room for a login that is about to be saved, and returns the sessions that were ended for it.
    pub(crate) async fn make_room(&self, limit: Limit, login: &LoginCandidate<'_>) -> Result<Vec<Snapshot>, Error> {
        match limit.policy {
            SessionLimitPolicy::Refuse => self.check_limit(limit, login).await.map(|_| Vec::new()),
            SessionLimitPolicy::EndOldest => {
                self.end_beyond(login, limit.most - 1, |found| self.counts_others(found, login)).await
            }
        }
    }

    /// Refuses a login if other devices have reached the limit; otherwise returns these devices. Sessions whose tokens
    /// no request has sent do not count: they may never be used. Without the policy `refuse` it admits every login, and
    /// returns no devices.
    pub(crate) async fn check_limit(
        &self,
        limit: Limit,
        login: &LoginCandidate<'_>,
    ) -> Result<HashSet<SessionId>, Error> {
        if limit.policy != SessionLimitPolicy::Refuse {
            return Ok(HashSet::new());
        }
        let counts =
            |session: &&Snapshot| !session.record.identity.is_unconfirmed && Some(session.device()) != login.device;
        let live = self.live_of(login.principal).await?;
        let devices: HashSet<SessionId> = live.iter().filter(counts).map(Snapshot::device).collect();
        if devices.len() < limit.most {
            return Ok(devices);
        }
        Err(limit.reached())
    }

    /// Enforces the limit when a login is first presented, and returns the sessions that were ended. Several logins may
    /// have been saved concurrently, so the login itself may have to end. With the policy `refuse`, the sessions that
    /// existed before the login stay.
    ///
    /// Each login counts after it is written, so the last of several concurrent ones sees all. All use the same order,
    /// so none ends a session that another would keep, and the first in that order stays.
    pub(crate) async fn keep_limit(
        &self,
        limit: Limit,
        login: &LoginCandidate<'_>,
        before: &HashSet<SessionId>,
    ) -> Result<Vec<Snapshot>, Error> {
        self.end_beyond(login, limit.most, |found| match limit.policy {
            SessionLimitPolicy::EndOldest => found.retain(|session| !self.is_response_pending(session, login.now)),
            SessionLimitPolicy::Refuse => {
                found.retain(|session| !session.record.identity.is_unconfirmed);
                found.sort_by_key(|session| {
                    (!before.contains(&session.device()), session.record.authenticated_at, session.id)
                });
            }
        })
        .await
    }

    fn counts_others(&self, found: &mut Vec<Snapshot>, login: &LoginCandidate<'_>) {
        found.retain(|session| Some(session.device()) != login.device && !self.is_response_pending(session, login.now));
    }

    /// Ends the sessions of all devices but the first `places`, in the order that `count` leaves. Each is ended only in
    /// the version that was counted.
    async fn end_beyond(
        &self,
        login: &LoginCandidate<'_>,
        places: usize,
        count: impl Fn(&mut Vec<Snapshot>),
    ) -> Result<Vec<Snapshot>, Error> {
        let mut ended = Vec::new();
        for _ in 0..MAX_ATTEMPTS {
            let mut found = self.live_of(login.principal).await?;
            count(&mut found);
            let over = beyond(found, places);
            if over.is_empty() {
                return Ok(ended);
            }
            for session in over {
                if self.put_tombstone(&session, None).await? {
                    ended.push(session);
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the principal's sessions change faster than they can be counted"))
    }

    /// Whether the response with the session's token may not have arrived yet.
    fn is_response_pending(&self, session: &Snapshot, now: Time) -> bool {
        let made = session.record.authenticated_at.unwrap_or(session.record.created);
        session.record.identity.is_unconfirmed && now.since(made) < self.rules.grace
    }
}

/// The sessions whose devices are not among the first `places`.
fn beyond(sessions: Vec<Snapshot>, places: usize) -> Vec<Snapshot> {
    let mut kept: HashSet<SessionId> = HashSet::new();
    let is_beyond = |session: &Snapshot| {
        let device = session.device();
        !kept.contains(&device) && (kept.len() >= places || !kept.insert(device))
    };
    let mut is_beyond = is_beyond;
    sessions.into_iter().filter(|session| is_beyond(session)).collect()
}
