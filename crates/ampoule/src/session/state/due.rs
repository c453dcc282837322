//! What is left to do at the end of the request.

use ampoule_core::Clock;

use super::{Came, Live, State};
use crate::backend::Snapshot;
use crate::http::set_cookie::CookieOptions;
use crate::http::transport::Transport;
use crate::session::cookie_action::SessionNow;

impl State {
    /// Every session whose token came, the one that counts first.
    pub(in crate::session) fn sessions(&self) -> Vec<Snapshot> {
        self.live().map(|live| live.snapshot.clone()).into_iter().chain(self.others.iter().cloned()).collect()
    }

    /// The session whose token came and still counts, for which something may be due.
    fn kept(&self) -> Option<(&Live, &Came)> {
        let (live, came) = (self.live()?, self.came.as_ref()?);
        (live.snapshot.id == came.id).then_some((live, came))
    }

    /// The session, if this request is the first that comes with its current secret, or with the token of its login.
    pub(in crate::session) fn to_confirm(&self) -> Option<&Live> {
        let (live, came) = self.kept()?;
        let identity = &live.snapshot.record.identity;
        let rotated = live.is_current && identity.previous.is_some_and(|previous| previous.good_until.is_none());
        let came_with_it = live.digest == came.token.digest && !live.is_frozen();
        (came_with_it && (rotated || identity.is_unconfirmed)).then_some(live)
    }

    /// Whether a login or a rotation is to wait until the login that its token came from is confirmed: what that forked from
    /// ends with it.
    pub(in crate::session) fn is_to_confirm_first(&self) -> bool {
        self.to_confirm().is_some_and(|live| {
            let record = &live.snapshot.record;
            record.identity.is_unconfirmed && (self.rotates || self.changes.forks(record.principal()))
        })
    }

    /// The session, if the client's token is to be proved once more before it is sent: it was rotated, or is due again.
    pub(in crate::session) fn to_renew(&self, rules: &Renewal<'_>) -> Option<&Live> {
        let (live, came) = self.kept()?;
        let is_rotated = live.digest != came.token.digest;
        (!self.renewed && (is_rotated || self.is_due(live, came, rules)) && live.may_be_sent()).then_some(live)
    }

    /// The session, if its idle deadline is to be moved.
    pub(in crate::session) fn to_touch(&self, rules: &Renewal<'_>) -> Option<&Live> {
        let (live, came) = self.kept()?;
        let may_be_due = rules.moves_deadline && !self.wrote && !self.renewed && !live.is_frozen();
        let is_due = || live.snapshot.record.effective_lifetime().is_touch_due(came.last_use, rules.clock.now());
        (may_be_due && is_due()).then_some(live)
    }

    /// Whether the client's cookie should be sent again: it was made by an older key, a tenth of its age has gone, its
    /// age has changed, or others are in its way.
    fn is_due(&self, live: &Live, came: &Came, rules: &Renewal<'_>) -> bool {
        let record = &live.snapshot.record;
        let age = rules.cookie.max_age(&record.lifetime);
        let is_old = age.is_some_and(|age| rules.clock.now().since(came.cookie_sent) >= age / 10);
        let is_another_age = record.lifetime != came.lifetime && age != rules.cookie.max_age(&came.lifetime);
        !came.token.has_current_key
            || self.is_crowded
            || matches!(rules.transport, Some(Transport::Cookie)) && (is_old || is_another_age)
    }

    /// Where the session stands for its client, from which follows what the client is told.
    pub(in crate::session) fn session_now(&self, rules: &Renewal<'_>) -> SessionNow {
        let Some(live) = self.live() else {
            return if self.ended { SessionNow::Ended } else { SessionNow::Absent };
        };
        let Some((_, came)) = self.kept() else { return SessionNow::Made };
        if rules.is_in_cookie {
            // What was due is written at the end of the request, unless that only looked.
            return SessionNow::Kept { is_due: self.wrote, renewed: true };
        }
        if live.digest != came.token.digest {
            return SessionNow::Rotated { renewed: self.renewed };
        }
        let renewed = self.renewed && live.may_be_sent();
        SessionNow::Kept { is_due: renewed && self.is_due(live, came, rules), renewed }
    }
}

/// What decides whether a token is due again.
pub(in crate::session) struct Renewal<'a> {
    pub(in crate::session) clock: &'a dyn Clock,
    /// Whether a use moves the idle deadline.
    pub(in crate::session) moves_deadline: bool,
    /// On what the session travels; nothing where the application hands its token out.
    pub(in crate::session) transport: Option<&'a Transport>,
    /// Whether the session itself is in the cookie.
    pub(in crate::session) is_in_cookie: bool,
    /// What says how old the cookie of a session may get.
    pub(in crate::session) cookie: &'a CookieOptions,
}
