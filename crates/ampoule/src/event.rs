//! What an audit wants to know of the lives of sessions.

use std::fmt;
use std::sync::Arc;

use ampoule_core::StoreKey;

/// Something that happened to a session. Told to [`Options::on_event`](crate::Options::on_event).
///
/// ```
/// use ampoule::{Event, EventHook, Options};
///
/// let hook = EventHook::new(|event: &Event<'_>| {
///     tracing::info!(what = ?event.kind, session = %event.handle, whose = event.principal.unwrap_or("nobody"));
/// });
/// let options = Options { on_event: Some(hook), ..Options::default() };
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The session's handle, as in [`SessionInfo::handle`](crate::SessionInfo::handle): the digest of its id, by which
    /// it can be found and ended, but not used.
    pub handle: StoreKey,
    /// Whose it is, if that is known.
    pub principal: Option<&'a str>,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session was saved for the first time.
    Created,
    /// A session has a new id; it was known by this handle before.
    Rotated {
        /// The old handle, which leads to the session for the grace and then nowhere.
        from: StoreKey,
    },
    /// A session was ended: deleted, invalidated, revoked, or pushed out by the limit of its principal.
    Destroyed,
    /// A request came with an id that this server once gave out, and there is no such session any more: it has timed
    /// out, or was ended elsewhere. Told for each such request; nobody tells of sessions whose clients do not return.
    Expired,
}

/// A function that is told of events.
#[derive(Clone)]
pub struct EventHook(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl EventHook {
    /// The hook that calls this function.
    pub fn new(hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> EventHook {
        EventHook(Arc::new(hook))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventHook")
    }
}
