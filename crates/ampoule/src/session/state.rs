//! The state of a session within one request: a state machine that does no I/O.
//!
//! [`drive`](super::drive) asks it what to do, does it, and reports the result.

pub(super) mod due;
mod save;

use std::sync::Arc;

use ampoule_core::internal::{Change, ChangeLog};
use ampoule_core::{Error, ErrorKind, Lifetime, Record, SessionId, Time};
use ampoule_seal::Credential;

use crate::backend::{Caller, Ended, Found, Lineage, Lookup, Outcome, Snapshot, VerifiedToken};

/// The state behind a session's handle. Its lock is held for moments only, never across an await.
#[derive(Default)]
pub(super) struct State {
    status: Status,
    /// The record with the request's changes, once there are any.
    view: Option<Arc<Record>>,
    /// Changes that are not yet saved.
    changes: ChangeLog,
    /// Whether the next save replaces the session's secret.
    rotates: bool,
    /// The session whose token the client sent, if it was selected.
    sent: Option<SentSession>,
    /// Further sessions whose tokens the client sent.
    others: Vec<Snapshot>,
    /// Several tokens were sent, so some of the client's cookies are to be expired.
    has_several_tokens: bool,
    /// No token of a live session was sent, or the session was invalidated.
    is_new: bool,
    /// Something was written in this request.
    wrote: bool,
    /// The client's session was ended by this request.
    ended: bool,
    /// Whether the changes may have been saved already, by a save whose outcome is not known.
    is_in_doubt: bool,
    /// After the handler, a conditional write of this request verified that the client's token is still current.
    is_verified: bool,
}

/// The session whose token the client sent, as the request found it.
struct SentSession {
    token: VerifiedToken,
    id: SessionId,
    lifetime: Lifetime,
    cookie_sent: Time,
    last_use: Time,
}

/// The result of the lookup, and of what this request did since.
#[derive(Default)]
enum Status {
    /// Not looked up yet.
    #[default]
    Unloaded,
    /// There is no session; a new one starts from this record.
    New(Arc<Record>),
    /// The session whose token was sent ended moments ago. A login starts from this record.
    Ended(Arc<Record>, Ended),
    /// There is a live session.
    Live(Live),
    /// This request deleted the session.
    Deleted,
    /// The store did not answer; the request continues with an empty record, which is never saved.
    Unreachable(Arc<Record>),
}

/// A live session, and what this request may do with it.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) credential: Credential,
    pub(super) digest: [u8; 32],
    /// The digest of the secret in the client's token; for a session that this request created, that of its own secret.
    pub(super) presented: [u8; 32],
    /// Whether `digest` is that of the current secret, not of the previous one.
    pub(super) is_current: bool,
    pub(super) snapshot: Snapshot,
    /// When the request loaded it.
    pub(super) loaded: Time,
}

/// The cookies of the session's name that are to be expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaleCookies {
    None,
    /// Those in other scopes than the session's.
    Others,
    /// Those in every scope.
    All,
}

/// What a save has to do.
pub(super) enum PendingSave {
    /// Nothing has changed.
    Nothing,
    /// Write a new session; `Some` for a login that comes from this session.
    Create(Option<Lineage>),
    /// Write a login as a new session, and freeze the one that it comes from.
    Fork,
    /// Write the changes.
    Commit,
}

impl Live {
    pub(super) fn new(credential: Credential, snapshot: Snapshot, loaded: Time) -> Live {
        let digest = snapshot.record.identity.current;
        Live { digest, credential, presented: digest, is_current: true, snapshot, loaded }
    }

    /// Whether a login has frozen the session: concurrent requests must not write to it.
    pub(super) fn is_frozen(&self) -> bool {
        self.snapshot.record.identity.frozen_until.is_some_and(|until| self.loaded < until)
    }

    /// The end of a freeze that had passed when the request loaded the session: a save then thaws it.
    pub(super) fn thaws(&self) -> Option<Time> {
        self.snapshot.record.identity.frozen_until.filter(|until| self.loaded >= *until)
    }

    /// The session as the caller that lists or ends the sessions of its principal.
    pub(super) fn caller(&self) -> Caller {
        Caller { session: self.snapshot.clone(), thaws: self.thaws() }
    }

    /// Whether the client's token may be sent to it again.
    fn may_be_sent(&self) -> bool {
        !self.is_frozen() && self.is_current
    }
}

impl State {
    // Queries.

    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self.status, Status::Unloaded)
    }

    /// The record as this request sees it. `None` before the session is loaded and after it is deleted.
    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.view.as_ref().or_else(|| self.saved())
    }

    /// The stored record, or the one that a new session starts from.
    fn saved(&self) -> Option<&Arc<Record>> {
        match &self.status {
            Status::New(record) | Status::Ended(record, _) | Status::Unreachable(record) => Some(record),
            Status::Live(live) => Some(&live.snapshot.record),
            Status::Unloaded | Status::Deleted => None,
        }
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match &self.status {
            Status::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self.status, Status::Unreachable(_))
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn last_accessed(&self) -> Option<Time> {
        if self.is_new { None } else { self.sent.as_ref().map(|sent| sent.last_use) }
    }

    pub(super) fn changes(&self) -> &ChangeLog {
        &self.changes
    }

    /// Which of the client's cookies conflict with the one that counts.
    pub(super) fn stale_cookies(&self) -> StaleCookies {
        match self.has_several_tokens {
            false => StaleCookies::None,
            // The next request should come without them. If a session ended moments ago, another response may still be
            // on its way.
            true if self.sent.is_none() && !matches!(self.status, Status::Ended(..)) => StaleCookies::All,
            true => StaleCookies::Others,
        }
    }

    /// The index of the transport that the token came by; the first for a new session.
    pub(super) fn via(&self) -> usize {
        self.sent.as_ref().map_or(0, |sent| sent.token.via)
    }

    /// Whether a save would write something.
    pub(super) fn is_changed(&self) -> bool {
        let differs = match (&self.view, &self.status) {
            (_, Status::Live(live)) if self.changes.forks(live.snapshot.record.principal()) => true,
            (Some(view), _) => self.saved().is_some_and(|saved| !view.same_data(saved)),
            (None, Status::Unloaded) => !self.changes.is_empty(),
            _ => false,
        };
        differs || (self.rotates && matches!(self.status, Status::Unloaded | Status::Live(_)))
    }

    // Transitions.

    /// Applies the result of the lookup, and returns whether it was the first.
    pub(super) fn loaded(&mut self, lookup: Lookup, blank: impl FnOnce() -> Record) -> Result<bool, Error> {
        // Of two concurrent lookups of one request, the first decides.
        if self.is_loaded() {
            return Ok(false);
        }
        let Lookup { outcome, others, has_several_tokens, .. } = lookup;
        self.others = others;
        self.has_several_tokens = has_several_tokens;
        self.is_new = !matches!(outcome, Outcome::Found(_));
        self.status = match outcome {
            Outcome::Unknown => Status::New(Arc::new(blank())),
            Outcome::Ended(ended) => Status::Ended(Arc::new(blank()), ended),
            Outcome::Found(Found { token, is_current, snapshot, loaded }) => {
                let Record { lifetime, cookie_sent, .. } = *snapshot.record;
                self.sent =
                    Some(SentSession { token, id: snapshot.id, lifetime, cookie_sent, last_use: snapshot.last_use() });
                let VerifiedToken { credential, digest, .. } = token;
                Status::Live(Live { credential, digest, presented: digest, is_current, snapshot, loaded })
            }
        };
        self.update_view().map(|()| true)
    }

    /// Records that the store could not be reached.
    pub(super) fn unreachable(&mut self, blank: Record) -> Result<(), Error> {
        if self.is_loaded() {
            return Ok(());
        }
        self.is_new = true;
        self.status = Status::Unreachable(Arc::new(blank));
        self.update_view()
    }

    /// Records a change and, if the session is loaded, applies it. A change that fails has no effect.
    pub(super) fn change(&mut self, change: Change) -> Result<(), Error> {
        let is_identity = matches!(change, Change::Principal(_) | Change::Login(_));
        if let Some(record) = self.record() {
            self.view = Some(change.applied(record)?);
        }
        self.changes.push(change)?;
        // The base of a login depends on whose session it was.
        if is_identity { self.replay() } else { Ok(()) }
    }

    pub(super) fn rotates(&self) -> bool {
        self.rotates
    }

    /// Takes out the changes of one key, unless all values were cleared.
    pub(super) fn split_off(&mut self, key: &str) -> Option<ChangeLog> {
        self.changes.split_off(key)
    }

    /// Whether the changes of a save may have been written already.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// Records whether the outcome of a save is unknown.
    pub(super) fn in_doubt(&mut self, is_in_doubt: bool) {
        self.is_in_doubt = is_in_doubt;
    }

    /// Requests a new secret.
    pub(super) fn rotate(&mut self) {
        self.rotates = true;
    }

    /// Drops the changes since the session was loaded or saved.
    pub(super) fn revert(&mut self) {
        self.is_in_doubt = false;
        self.changes.clear();
        self.view = None;
        self.rotates = false;
    }

    /// Applies the pending changes to the stored record again.
    pub(super) fn replay(&mut self) -> Result<(), Error> {
        let view = match self.saved() {
            Some(saved) if !self.changes.is_empty() => {
                let mut view = self.base(saved);
                self.changes.apply(&mut view)?;
                Some(Arc::new(view))
            }
            _ => None,
        };
        self.view = view;
        Ok(())
    }

    /// The record that the changes apply to: a login takes nothing over from another user's session.
    fn base(&self, saved: &Record) -> Record {
        let principal = saved.principal();
        let is_anothers = principal.is_some() && self.changes.principal().is_some_and(|new| new != principal);
        let mut base = if is_anothers { saved.emptied() } else { saved.clone() };
        if self.changes.forks(principal) {
            // A login gets a new form token.
            base.form_token = None;
        }
        base
    }

    /// Applies a record of the same session that was written or read again.
    pub(super) fn refreshed(&mut self, snapshot: Snapshot) -> Result<(), Error> {
        let Status::Live(live) = &mut self.status else { return Ok(()) };
        live.snapshot = snapshot;
        self.update_view()
    }

    /// Records that a write after the handler found the client's token to be current.
    pub(super) fn verified(&mut self) {
        self.is_verified = true;
    }

    /// Records that the client's token must be verified again after the handler.
    pub(super) fn verify_again(&mut self) {
        self.is_verified = false;
    }

    /// Records that this request ended its session: later changes start from `next`, or are errors.
    pub(super) fn ended(&mut self, next: Option<Record>) {
        self.ended = true;
        self.forget(next.map_or(Status::Deleted, |next| Status::New(Arc::new(next))));
    }

    /// Records that the session has ended other than by this request's `delete` or `invalidate`: the response sends no
    /// removal of the cookie, since another response may send a new one.
    pub(super) fn ended_elsewhere(&mut self, blank: Record, lineage: Lineage) {
        self.forget(Status::Ended(Arc::new(blank), Ended { lineage, forked_for: None }));
    }

    fn forget(&mut self, status: Status) {
        self.revert();
        self.status = status;
        self.is_new = true;
    }

    /// Updates what depends on the session's record.
    fn update_view(&mut self) -> Result<(), Error> {
        self.is_in_doubt = false;
        if let Status::Live(live) = &mut self.status {
            // Another request may have rotated the token meanwhile.
            live.is_current = live.snapshot.record.identity.current == live.digest;
        }
        self.replay()
    }
}

/// The error for a save that must send a cookie after the response has begun.
pub(super) fn response_begun() -> Error {
    let message = "the response has begun, so its client can no longer be told of a session that is new, rotates, logs in, \
                   or is in its cookie";
    Error::new(ErrorKind::Invalid, message)
}

/// The error for a use of the session that this request deleted.
pub(super) fn deleted() -> Error {
    let message = "the session was deleted in this request; invalidate() ends a session and begins a new one";
    Error::new(ErrorKind::Gone, message)
}

pub(super) fn unreachable() -> Error {
    let message = "the session store could not be reached when this request began; nothing was saved or ended";
    Error::new(ErrorKind::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use ampoule_core::internal::{Content, Text};
    use ampoule_core::{Stored, Version};

    use super::*;
    use crate::backend::{Edit, read_session};

    const LOADED: Time = Time::from_millis(100_000);

    fn blank() -> Record {
        Record::new(LOADED, Lifetime::default(), Text::new("sid"))
    }

    fn found(principal: Option<&str>) -> Lookup {
        let credential = Credential::random();
        let mut record = blank();
        record.set_principal(principal).unwrap();
        record.identity.current = credential.digest();
        let stored =
            Stored { value: Content::Session(record.into()).encode(), version: Version(1), deadline: Time::MAX };
        let snapshot = read_session(SessionId::new(credential.id()), stored, "sid");
        let token = VerifiedToken { credential, digest: credential.digest(), has_current_key: true, via: 0 };
        Lookup::of(Outcome::Found(Found { token, is_current: true, snapshot, loaded: LOADED }))
    }

    fn tombstone(forked_for: Option<&str>) -> Lookup {
        let forked_for = forked_for.map(str::to_owned);
        let lineage = Lineage { device: SessionId::new([7; 16]), origin: Some(SessionId::new([8; 16])) };
        Lookup::of(Outcome::Ended(Ended { lineage, forked_for }))
    }

    fn login(principal: &str) -> Vec<Change> {
        vec![Change::Principal(Some(principal.to_owned())), Change::Login(LOADED)]
    }

    fn write() -> Vec<Change> {
        vec![Change::insert("a", &1).unwrap()]
    }

    /// What a save does, in a few words.
    fn saves(state: &mut State, has_begun: bool) -> &'static str {
        match state.begin_save(has_begun) {
            Ok((PendingSave::Nothing, _)) => "nothing",
            Ok((PendingSave::Create(None), _)) => "create",
            Ok((PendingSave::Create(Some(_)), _)) => "create on the device",
            Ok((PendingSave::Fork, _)) => "fork",
            Ok((PendingSave::Commit, _)) => "commit",
            Err(error) => error.kind().name(),
        }
    }

    #[test]
    fn a_save_depends_on_the_status_and_the_changes() {
        let unknown = || Lookup::of(Outcome::Unknown);
        let other = || vec![Change::Principal(Some("eve".to_owned()))];
        for (lookup, changes, expected, after_the_response) in [
            (unknown(), vec![], "create", "invalid"),
            (unknown(), write(), "create", "invalid"),
            (unknown(), login("ada"), "create", "invalid"),
            (found(None), vec![], "nothing", "nothing"),
            (found(None), write(), "commit", "commit"),
            (found(None), login("ada"), "fork", "invalid"),
            (found(Some("ada")), login("ada"), "fork", "invalid"),
            (found(Some("ada")), other(), "fork", "invalid"),
            (found(Some("ada")), vec![Change::Principal(None)], "fork", "invalid"),
            (found(Some("ada")), vec![Change::Principal(Some("ada".to_owned()))], "nothing", "nothing"),
            (tombstone(None), write(), "gone", "gone"),
            (tombstone(None), login("ada"), "create on the device", "invalid"),
            (tombstone(Some("ada")), write(), "superseded", "superseded"),
            (tombstone(Some("ada")), login("ada"), "superseded", "superseded"),
            (tombstone(Some("ada")), login("eve"), "create on the device", "invalid"),
        ] {
            for (has_begun, expected) in [(false, expected), (true, after_the_response)] {
                let mut state = State::default();
                state.loaded(lookup.clone(), blank).unwrap();
                changes.iter().for_each(|change| state.change(change.clone()).unwrap());
                assert_eq!(saves(&mut state, has_begun), expected, "{lookup:?} {changes:?} begun: {has_begun}");
            }
        }
    }

    #[test]
    fn an_ended_session_is_not_saved_and_an_invalidated_one_is() {
        let mut state = State::default();
        state.loaded(found(None), blank).unwrap();
        state.ended(None);
        assert_eq!((saves(&mut state, false), state.is_new()), ("gone", true));
        state.ended(Some(blank()));
        assert_eq!(saves(&mut state, false), "create");
        let mut state = State::default();
        state.unreachable(blank()).unwrap();
        assert_eq!(saves(&mut state, false), "unavailable");
    }

    #[test]
    fn a_login_over_another_users_session_carries_nothing_of_it() {
        let mut state = State::default();
        state.loaded(found(Some("ada")), blank).unwrap();
        state.change(Change::insert("mine", &1).unwrap()).unwrap();
        state.change(Change::Principal(Some("eve".to_owned()))).unwrap();
        let seen = state.record().unwrap();
        assert_eq!((seen.principal(), seen.keys().collect::<Vec<_>>()), (Some("eve"), vec!["mine"]));
        state.revert();
        assert_eq!(state.record().unwrap().principal(), Some("ada"));
    }

    #[test]
    fn unsaved_changes_return_before_later_changes() {
        let mut state = State::default();
        state.loaded(found(None), blank).unwrap();
        state.change(Change::insert("a", &1).unwrap()).unwrap();
        let (_, unsaved) = state.begin_save(false).unwrap();
        state.change(Change::insert("a", &2).unwrap()).unwrap();
        state.restore(unsaved);
        assert_eq!(state.record().unwrap().get("a"), Some(&[2][..]));
    }

    #[test]
    fn changes_during_a_save_are_not_part_of_it() {
        let mut state = State::default();
        state.loaded(found(None), blank).unwrap();
        state.change(Change::insert("a", &1).unwrap()).unwrap();
        let (_, taken) = state.begin_save(false).unwrap();
        login("ada").into_iter().for_each(|change| state.change(change).unwrap());
        let live = state.live().unwrap().clone();
        let edit = Edit {
            changes: &taken,
            now: LOADED,
            thaws: None,
            is_in_doubt: false,
            presented: live.presented,
            rotate_to: None,
            sends_cookie: false,
            confirms: false,
            grace: std::time::Duration::ZERO,
        };
        let next = state.next(&live, &edit).unwrap().unwrap();
        assert_eq!((next.get("a"), next.principal()), (Some(&[1][..]), None));
        assert_eq!(
            state.record().unwrap().principal(),
            Some("ada"),
            "the request sees it, and the next save writes it"
        );
    }
}
