//! The credentials of a session, and where it stands between two logins.

use std::fmt;

use crate::clock::Time;
use crate::key::SessionId;

/// Who may use a session, and what it came from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The SHA-256 of the current secret; zeros for a session in its own cookie, which has none.
    pub current: [u8; 32],
    /// The secret before it, after a rotation.
    pub previous: Option<PreviousSecret>,
    /// The first session of the client that this one descends from by logins; `None` if it is the first itself.
    pub device: Option<SessionId>,
    /// Whether no request has come with the token of this login yet.
    pub is_unconfirmed: bool,
    /// The session that this login forked from.
    pub origin: Option<SessionId>,
    /// A login has forked from this session, and is not confirmed: requests that loaded the session before this moment save
    /// nothing to it, and one that finds it so later and saves thaws it.
    pub frozen_until: Option<Time>,
}

/// A secret that was rotated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// When it was rotated.
    pub rotated: Time,
    /// Until when it is good; `None` as long as no request has come with the current secret.
    pub good_until: Option<Time>,
}

impl PreviousSecret {
    /// Whether it still opens the session.
    pub fn is_good(&self, now: Time) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }
}

impl Identity {
    /// The device of a session that has this id.
    pub fn device_of(&self, id: SessionId) -> SessionId {
        self.device.unwrap_or(id)
    }

    /// The session that ends when this login is confirmed.
    pub fn awaits(&self) -> Option<SessionId> {
        self.origin.filter(|_| self.is_unconfirmed)
    }
}

/// Digests are no secrets, and tell a reader nothing.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("rotated", &self.previous.map(|previous| previous.rotated))
            .field("device", &self.device)
            .field("is_unconfirmed", &self.is_unconfirmed)
            .field("origin", &self.origin)
            .field("frozen_until", &self.frozen_until)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PreviousSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreviousSecret(rotated: {:?}, good_until: {:?})", self.rotated, self.good_until)
    }
}
