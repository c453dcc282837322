//! The state that all sessions of a layer share.

use ampoule_core::internal::{Sweeper, Text};
use ampoule_core::{Lifetime, Record, SessionId, Time};
use ampoule_seal::Signer;

use crate::backend::{Backend, Context};
use crate::endings::Endings;
use crate::event::{Event, EventKind};
use crate::http::transport::Transport;
use crate::observe;
use crate::options::Options;

/// The state that all sessions of a layer share.
pub(crate) struct Shared {
    pub(crate) name: String,
    /// The name again, as it is in records; empty for sessions in cookies, which are sealed under the name.
    pub(crate) layer: Text,
    pub(crate) options: Options,
    /// The cookie's attributes, if a request chooses no others.
    pub(crate) attributes: String,
    pub(crate) backend: Backend,
    pub(crate) sweeper: Sweeper,
    /// The waiters for the ends of sessions.
    pub(crate) endings: Endings,
    /// Digests the fingerprints on a request's span, if the options ask for them.
    pub(crate) fingerprints: Option<Signer>,
    /// Digests the users' `auth_hash`es.
    #[cfg(feature = "auth")]
    pub(crate) auth_hashes: Signer,
}

impl Shared {
    /// The deadlines of a session that begins now.
    pub(crate) fn lifetime(&self, now: Time) -> Lifetime {
        Lifetime::starting(now, self.options.idle_timeout, self.options.absolute_timeout)
    }

    /// The record of a session that begins now.
    pub(crate) fn blank(&self, now: Time) -> Record {
        Record::new(now, self.lifetime(now), self.layer.clone())
    }

    /// What a lookup depends on besides the credentials.
    pub(crate) fn context(&self, now: Time) -> Context<'_> {
        Context { name: &self.name, transports: &self.options.transports, now }
    }

    /// Whether the cookies of two layers would overwrite each other in a browser.
    pub(crate) fn has_cookie_of(&self, other: &Shared) -> bool {
        let (own, theirs) = (&self.options, &other.options);
        let use_cookies = [own, theirs].iter().all(|options| options.transports.contains(&Transport::Cookie));
        let are_one = own.cookie.path == theirs.cookie.path && own.cookie.domain == theirs.cookie.domain;
        use_cookies && are_one && self.name == other.name
    }

    /// Counts an event, wakes the session's waiters, and calls the hook.
    pub(crate) fn emit(&self, kind: EventKind, id: SessionId, principal: Option<&str>) {
        observe::event(kind);
        match kind {
            EventKind::Destroyed => self.endings.wake(id),
            EventKind::Forked { from } => self.endings.wake(from),
            _ => {}
        }
        if let Some(hook) = &self.options.on_event {
            hook.call(&Event { kind, id, principal });
        }
    }
}
