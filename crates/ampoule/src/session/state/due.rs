//! The work that is left at the end of a request.

use ampoule_core::Clock;

use super::{Live, SentSession, State};
use crate::backend::Snapshot;
use crate::http::set_cookie::CookieOptions;
use crate::http::transport::Transport;
use crate::session::cookie_action::FinalState;

impl State {
    /// Every session whose token the client sent, the selected one first.
    pub(in crate::session) fn sessions(&self) -> Vec<Snapshot> {
        self.live().map(|live| live.snapshot.clone()).into_iter().chain(self.others.iter().cloned()).collect()
    }

    /// The session whose token the client sent, if it is still the request's session.
    fn kept(&self) -> Option<(&Live, &SentSession)> {
        let (live, sent) = (self.live()?, self.sent.as_ref()?);
        (live.snapshot.id == sent.id).then_some((live, sent))
    }

    /// The session, if this request is the first with its current secret, or with the token of its login.
    pub(in crate::session) fn to_confirm(&self) -> Option<&Live> {
        let (live, sent) = self.kept()?;
        let identity = &live.snapshot.record.identity;
        let rotated = live.is_current && identity.previous.is_some_and(|previous| previous.good_until.is_none());
        let sent_it = live.digest == sent.token.digest && !live.is_frozen();
        (sent_it && (rotated || identity.is_unconfirmed)).then_some(live)
    }

    /// Whether a login or a rotation must wait until the login that its token came from is confirmed: otherwise the new
    /// session would end with the unconfirmed one.
    pub(in crate::session) fn is_to_confirm_first(&self) -> bool {
        self.to_confirm().is_some_and(|live| {
            let record = &live.snapshot.record;
            record.identity.is_unconfirmed && (self.rotates || self.changes.forks(record.principal()))
        })
    }

    /// The session, if the client's token must be verified before it is sent: after a rotation, or if it is due again.
    pub(in crate::session) fn to_renew(&self, rules: &Renewal<'_>) -> Option<&Live> {
        let (live, sent) = self.kept()?;
        let is_rotated = live.digest != sent.token.digest;
        (!self.is_verified && (is_rotated || self.is_due(live, sent, rules)) && live.may_be_sent()).then_some(live)
    }

    /// The session, if its idle deadline is to be moved.
    pub(in crate::session) fn to_touch(&self, rules: &Renewal<'_>) -> Option<&Live> {
        let (live, sent) = self.kept()?;
        let may_be_due = rules.moves_deadline && !self.wrote && !self.is_verified && !live.is_frozen();
        let is_due = || live.snapshot.record.effective_lifetime().is_touch_due(sent.last_use, rules.clock.now());
        (may_be_due && is_due()).then_some(live)
    }

    /// Whether the client's cookie should be sent again: an older key signed it, a tenth of its age has passed, its age
    /// has changed, or other cookies conflict with it.
    fn is_due(&self, live: &Live, sent: &SentSession, rules: &Renewal<'_>) -> bool {
        let record = &live.snapshot.record;
        let age = rules.cookie.max_age(&record.lifetime);
        let is_old = age.is_some_and(|age| rules.clock.now().since(sent.cookie_sent) >= age / 10);
        let is_another_age = record.lifetime != sent.lifetime && age != rules.cookie.max_age(&sent.lifetime);
        !sent.token.has_current_key
            || self.has_several_tokens
            || matches!(rules.transport, Some(Transport::Cookie)) && (is_old || is_another_age)
    }

    /// The session's state, which decides the cookie.
    pub(in crate::session) fn final_state(&self, rules: &Renewal<'_>) -> FinalState {
        let Some(live) = self.live() else {
            return if self.ended { FinalState::Ended } else { FinalState::Absent };
        };
        let Some((_, sent)) = self.kept() else { return FinalState::Created };
        if rules.is_in_cookie {
            // A renewal that was due was written at the end of the request, unless that only used a read-only view.
            return FinalState::Kept { is_due: self.wrote, is_verified: true };
        }
        if live.digest != sent.token.digest {
            return FinalState::Rotated { is_verified: self.is_verified };
        }
        let is_verified = self.is_verified && live.may_be_sent();
        FinalState::Kept { is_due: is_verified && self.is_due(live, sent, rules), is_verified }
    }
}

/// The rules by which a token is sent again.
pub(in crate::session) struct Renewal<'a> {
    pub(in crate::session) clock: &'a dyn Clock,
    /// Whether a use moves the idle deadline.
    pub(in crate::session) moves_deadline: bool,
    /// The session's transport; `None` if the application hands the token out.
    pub(in crate::session) transport: Option<&'a Transport>,
    /// Whether the session itself is in the cookie.
    pub(in crate::session) is_in_cookie: bool,
    /// The options that limit the age of a session's cookie.
    pub(in crate::session) cookie: &'a CookieOptions,
}
