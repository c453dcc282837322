//! What all sessions of a layer share.

use ampoule_core::internal::{Sweeper, Text};
use ampoule_core::{Lifetime, Record, SessionId, Time};
use ampoule_seal::Signer;

use crate::backend::{Backend, Context};
use crate::endings::Endings;
use crate::event::{Event, EventKind};
use crate::http::transport::Transport;
use crate::observe;
use crate::options::Options;

/// What all sessions of a layer share.
pub(crate) struct Shared {
    pub(crate) name: String,
    /// The name again, as records carry it; empty for sessions in cookies, which are sealed under it.
    pub(crate) layer: Text,
    pub(crate) options: Options,
    /// Those of the cookie, where a request chooses none of its own.
    pub(crate) attributes: String,
    pub(crate) backend: Backend,
    pub(crate) sweeper: Sweeper,
    /// What waits for the end of a session.
    pub(crate) endings: Endings,
    /// Digests what a request's span is told, where the options ask for it.
    pub(crate) fingerprints: Option<Signer>,
    /// Digests what ends a login when it changes.
    #[cfg(feature = "auth")]
    pub(crate) auth_hashes: Signer,
}

impl Shared {
    /// The rules of a session that begins now.
    pub(crate) fn lifetime(&self, now: Time) -> Lifetime {
        Lifetime::starting(now, self.options.idle_timeout, self.options.absolute_timeout)
    }

    /// A session that begins now.
    pub(crate) fn blank(&self, now: Time) -> Record {
        Record::new(now, self.lifetime(now), self.layer.clone())
    }

    /// What a look-up depends on besides what came.
    pub(crate) fn context(&self, now: Time) -> Context<'_> {
        Context { name: &self.name, transports: &self.options.transports, now }
    }

    /// Whether a response would have two cookies that a browser takes for one.
    pub(crate) fn has_cookie_of(&self, other: &Shared) -> bool {
        let (own, theirs) = (&self.options, &other.options);
        let use_cookies = [own, theirs].iter().all(|options| options.transports.contains(&Transport::Cookie));
        let are_one = own.cookie.path == theirs.cookie.path && own.cookie.domain == theirs.cookie.domain;
        use_cookies && are_one && self.name == other.name
    }

    /// Counts an event, and passes it to what waits for it and to the hook.
    pub(crate) fn tell(&self, kind: EventKind, id: SessionId, principal: Option<&str>) {
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
