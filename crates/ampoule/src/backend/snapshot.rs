//! A session as it is stored, and the errors when it has ended.

use std::sync::Arc;

use ampoule_core::internal::{Content, Text, Tombstone};
use ampoule_core::{Error, ErrorKind, Record, SessionId, StoreKey, Stored, Time, Version};

/// A session as it was read or last written. Clones share the record.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: SessionId,
    pub(crate) version: Version,
    /// The deadline in the store, by the store's clock.
    pub(crate) deadline: Time,
    pub(crate) record: Arc<Record>,
    /// How many writes of this process its write lock had counted.
    pub(super) writes: u64,
}

impl Snapshot {
    pub(crate) fn key(&self) -> StoreKey {
        self.id.into()
    }

    /// The id of the device's first session.
    pub(crate) fn device(&self) -> SessionId {
        self.record.identity.device_of(self.id)
    }

    /// When it was last used, to a tenth of its idle timeout.
    pub(crate) fn last_use(&self) -> Time {
        self.record.effective_lifetime().last_use(self.deadline).unwrap_or(self.record.accessed)
    }
}

/// Where a login comes from, by which its siblings are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) device: SessionId,
    /// The session whose token the login's request sent, if it has ended or this login froze it.
    pub(crate) origin: Option<SessionId>,
}

impl Lineage {
    /// The lineage of a login over this session.
    pub(crate) fn of(old: &Snapshot) -> Lineage {
        Lineage { device: old.device(), origin: Some(old.id) }
    }
}

/// A session that ended moments ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The lineage that a login takes over from it.
    pub(crate) lineage: Lineage,
    /// The principal of the login that replaced it.
    pub(crate) forked_for: Option<String>,
}

/// The record that is stored under a session's key.
pub(super) enum Read {
    Session(Snapshot),
    Ended(Ended),
}

/// Decodes a record; `None` if it belongs to another layer on the same store.
pub(super) fn read(id: SessionId, stored: Stored, writes: u64, layer: &Text) -> Result<Option<Read>, Error> {
    let Stored { value, version, deadline } = stored;
    Ok(match Content::decode(value)? {
        Content::Session(record) if !record.is_of(layer) => None,
        Content::Session(record) => Some(Read::Session(Snapshot { id, version, deadline, record, writes })),
        Content::Ended(Tombstone { device, forked_for }) => {
            Some(Read::Ended(Ended { lineage: Lineage { device, origin: Some(id) }, forked_for }))
        }
    })
}

pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::Gone, "the session ended while this request was running; nothing was saved")
}

/// The error for a request whose session has ended: by a login of its own user, or otherwise.
pub(crate) fn ended(forked_for: Option<&str>) -> Error {
    if forked_for.is_some() { superseded() } else { gone() }
}

pub(crate) fn superseded() -> Error {
    let message =
        "the user logged in while this request was running; nothing was saved to the session before the login";
    Error::new(ErrorKind::Superseded, message)
}

/// Decodes a session, for tests.
#[cfg(test)]
pub(crate) fn read_session(id: SessionId, stored: Stored, layer: &str) -> Snapshot {
    match read(id, stored, 0, &Text::new(layer)) {
        Ok(Some(Read::Session(snapshot))) => snapshot,
        _ => panic!("not a session of this layer"),
    }
}
