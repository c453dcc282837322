//! Events in the lifecycle of sessions, for an audit log.

use std::fmt;
use std::sync::Arc;

use ampoule_core::SessionId;

/// Something that happened to a session. Passed to [`Options::on_event`](crate::Options::on_event).
///
/// ```
/// use ampoule::{Event, EventHook, Options};
///
/// let hook = EventHook::new(|event: &Event<'_>| {
///     tracing::info!(what = ?event.kind, session = %event.id, whose = event.principal.unwrap_or("-"));
/// });
/// let options = Options { on_event: Some(hook), ..Options::default() };
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The session's id, by which tools find and end it; it grants no access.
    pub id: SessionId,
    /// The session's principal, if it is known.
    pub principal: Option<&'a str>,
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session was saved for the first time.
    Created,
    /// A login was saved as a session of its own.
    Forked {
        /// The id of the session that the login came from, which ends when the login's token is first sent.
        from: SessionId,
    },
    /// A session has a new token.
    Rotated,
    /// A session was ended: deleted, invalidated, revoked, or ended by its principal's limit.
    Destroyed,
    /// A request sent a token that this server once issued, and there is no such session any more: it has timed out, or
    /// was ended elsewhere. Raised for each such request; not for sessions whose clients do not return.
    Expired,
    /// A request sent a token of a live session that a newer token replaced, and that is no longer valid. It may be a
    /// stolen cookie: the client that received the newer token has used it. The request has no session.
    Replayed,
    /// A request sent the tokens of two live sessions, such as a cookie that a sibling domain planted in addition to
    /// ours, so neither counts. Raised once for each of them.
    Conflicting,
}

impl EventKind {
    /// Returns the kind in a word, as for a label: `created`, `rotated`.
    ///
    /// ```
    /// use ampoule::EventKind;
    ///
    /// assert_eq!(EventKind::Created.name(), "created");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Created => "created",
            EventKind::Forked { .. } => "forked",
            EventKind::Rotated => "rotated",
            EventKind::Destroyed => "destroyed",
            EventKind::Expired => "expired",
            EventKind::Replayed => "replayed",
            EventKind::Conflicting => "conflicting",
        }
    }
}

/// A function that is called for each event.
#[derive(Clone)]
pub struct EventHook(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl EventHook {
    /// Creates a hook that calls this function.
    pub fn new(hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> EventHook {
        EventHook(Arc::new(hook))
    }

    pub(crate) fn call(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventHook")
    }
}
