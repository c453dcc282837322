//! The credentials of a session, and its place between two logins.

use std::fmt;

use crate::clock::Time;
use crate::key::SessionId;

/// The credentials of a session, and its origin.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The SHA-256 of the current secret; zeros for a session in its own cookie, which has none.
    pub current: [u8; 32],
    /// The previous secret, after a rotation.
    pub previous: Option<PreviousSecret>,
    /// The first session of this client, from which this one descends by logins; `None` if this is the first.
    pub device: Option<SessionId>,
    /// Whether no request has come with this login's token yet.
    pub is_unconfirmed: bool,
    /// The session that this login forked from.
    pub origin: Option<SessionId>,
    /// A login has forked from this session and is not confirmed yet. Requests that loaded the session before this
    /// moment do not save to it. The first request that loads and saves it after this moment thaws it.
    pub frozen_until: Option<Time>,
}

/// A secret that was rotated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret's SHA-256.
    pub digest: [u8; 32],
    /// When the secret was rotated.
    pub rotated: Time,
    /// Until when the secret is valid; `None` as long as no request has come with the current one.
    pub good_until: Option<Time>,
}

impl PreviousSecret {
    /// Returns whether the secret still opens the session.
    pub fn is_good(&self, now: Time) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }
}

impl Identity {
    /// Returns the device of the session that has this id.
    pub fn device_of(&self, id: SessionId) -> SessionId {
        self.device.unwrap_or(id)
    }

    /// Returns the session that ends when this login is confirmed.
    pub fn awaits(&self) -> Option<SessionId> {
        self.origin.filter(|_| self.is_unconfirmed)
    }
}

/// A digest is not a secret, but means nothing to a reader.
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
