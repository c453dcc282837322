//! The lineage of sessions, from the events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;

use ampoule::{EventKind, SessionId, Time};

use crate::site::{Op, RecordedEvent, Report};
use crate::world::GRACE;

/// A login, and the session that it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fork {
    pub(crate) from: SessionId,
    pub(crate) step: usize,
    /// Whether the login took over the data of the other session.
    carried: bool,
}

/// The site's notes so far, with queries.
pub(crate) struct Lineage<'a> {
    pub(crate) reports: MutexGuard<'a, Vec<Report>>,
    pub(crate) events: MutexGuard<'a, Vec<RecordedEvent>>,
    forks: BTreeMap<SessionId, Fork>,
    /// The request that made each session.
    makers: BTreeMap<SessionId, usize>,
}

pub(crate) fn is_login(key: &str) -> bool {
    key.starts_with("login")
}

impl<'a> Lineage<'a> {
    pub(crate) fn new(reports: MutexGuard<'a, Vec<Report>>, events: MutexGuard<'a, Vec<RecordedEvent>>) -> Lineage<'a> {
        let (mut forks, mut makers) = (BTreeMap::new(), BTreeMap::new());
        for event in events.iter() {
            if let EventKind::Forked { from } = event.kind {
                forks.insert(event.id, Fork { from, step: event.step, carried: event.carried });
            }
            if matches!(event.kind, EventKind::Forked { .. } | EventKind::Created) {
                makers.insert(event.id, event.request);
            }
        }
        Lineage { reports, events, forks, makers }
    }

    pub(crate) fn fork(&self, id: SessionId) -> Option<Fork> {
        self.forks.get(&id).copied()
    }

    pub(crate) fn forks_of(&self, from: SessionId) -> impl Iterator<Item = SessionId> {
        self.forks.iter().filter(move |(_, fork)| fork.from == from).map(|(id, _)| *id)
    }

    fn maker(&self, id: SessionId) -> Option<&Report> {
        self.makers.get(&id).map(|number| &self.reports[*number])
    }

    /// When a session came to be.
    pub(crate) fn made(&self, id: SessionId) -> usize {
        self.making(id).map_or(0, |event| event.step)
    }

    pub(crate) fn principal(&self, id: SessionId) -> Option<&'static str> {
        match self.maker(id)?.op {
            Op::Login(user) => Some(user),
            _ => None,
        }
    }

    /// The logins that a session knows of: it never learns of more.
    pub(crate) fn logins(&self, id: SessionId) -> BTreeSet<&str> {
        let maker = self.maker(id);
        maker.into_iter().flat_map(|maker| &maker.had).filter(|key| is_login(key)).map(String::as_str).collect()
    }

    /// The sessions whose data went into this one, itself first, each with the moment until which.
    pub(crate) fn sources(&self, id: SessionId) -> Vec<(SessionId, usize)> {
        let mut sources = vec![(id, usize::MAX)];
        let mut at = id;
        while let Some(fork) = self.fork(at).filter(|fork| fork.carried) {
            sources.push((fork.from, fork.step));
            at = fork.from;
        }
        sources
    }

    /// Whether one session came from the other by logins, or is it.
    pub(crate) fn descends(&self, child: SessionId, parent: SessionId) -> bool {
        let mut at = Some(child);
        while let Some(id) = at {
            if id == parent {
                return true;
            }
            at = self.fork(id).map(|fork| fork.from);
        }
        false
    }

    fn making(&self, id: SessionId) -> Option<&RecordedEvent> {
        let is_made = |event: &&RecordedEvent| matches!(event.kind, EventKind::Forked { .. } | EventKind::Created);
        self.events.iter().filter(is_made).find(|event| event.id == id)
    }

    /// The first session of a device. A login with the token of a session that has just ended takes over its device.
    fn device(&self, id: SessionId) -> SessionId {
        self.making(id).map_or(id, |event| event.device)
    }

    /// Whether two sessions are one user's on one device.
    pub(crate) fn is_of_device(&self, one: SessionId, other: SessionId) -> bool {
        self.device(one) == self.device(other) && self.principal(one) == self.principal(other)
    }

    /// Whether another session of the same user and device ends when this one is logged out: it came from the same
    /// session, as by a second click on a login's button, or is of an earlier login.
    pub(crate) fn ends_with(&self, other: SessionId, own: SessionId) -> bool {
        self.is_of_device(own, other) && (self.are_twins(other, own) || self.logged_in(other) < self.logged_in(own))
    }

    /// Whether another session is of a login that came from the same one a moment later, so that its token may be on
    /// its way.
    pub(crate) fn is_later_twin(&self, other: SessionId, own: SessionId) -> bool {
        self.are_twins(other, own) && self.logged_in(other) >= self.logged_in(own)
    }

    fn are_twins(&self, one: SessionId, other: SessionId) -> bool {
        let origin = |id| self.making(id).and_then(|event| event.origin);
        origin(one).is_some() && origin(one) == origin(other)
    }

    fn logged_in(&self, id: SessionId) -> Option<Time> {
        self.making(id).and_then(|event| event.logged_in)
    }

    /// Whether a session was made by a login of the other, or by a restart of it less than a grace before this moment.
    pub(crate) fn follows(&self, session: SessionId, before: SessionId, now: Time) -> bool {
        let restarts = |maker: &Report| maker.id == Some(before) && now.since(maker.answered_at) < GRACE;
        self.descends(session, before) || self.maker(session).is_some_and(restarts)
    }

    /// Whether something was saved to a session after this moment.
    pub(crate) fn went_on(&self, id: SessionId, after: usize) -> bool {
        self.written(id, usize::MAX).any(|(_, report)| {
            let saves = !matches!(report.op, Op::Read | Op::Peek | Op::RevokeOthers);
            saves && report.is_acknowledged() && report.loaded > Some(after)
        })
    }

    /// Whether a request came with one of these tokens in a way that counts as a use of its session.
    pub(crate) fn was_used(&self, id: SessionId, issued: &BTreeMap<String, SessionId>) -> bool {
        self.reports.iter().any(|report| {
            // A logout ends every session whose token was sent.
            let ends = matches!(report.op, Op::Logout | Op::Restart);
            report.id == Some(id) || ends && report.tokens.iter().any(|token| issued[token] == id)
        })
    }

    pub(crate) fn was_destroyed(&self, id: SessionId) -> bool {
        self.events.iter().any(|event| event.id == id && event.kind == EventKind::Destroyed)
    }

    /// The requests that wrote into a session before a moment.
    pub(crate) fn written(&self, id: SessionId, until: usize) -> impl Iterator<Item = (usize, &Report)> {
        let is_of = move |report: &Report| report.left == Some(id) && report.done.is_some_and(|done| done < until);
        self.reports.iter().enumerate().filter(move |(_, report)| is_of(report))
    }
}
