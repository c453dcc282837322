//! The change that a save makes to a session's record, and applies again to what other writers stored.

use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::{ChangeLog, Identity, PreviousSecret};
use ampoule_core::{Error, Record, Time};

use super::snapshot::superseded;

/// Everything that one save writes into a record.
pub(crate) struct Edit<'a> {
    pub(crate) changes: &'a ChangeLog,
    pub(crate) now: Time,
    /// The end of a freeze that had passed when the request loaded the session.
    pub(crate) thaws: Option<Time>,
    /// Whether the changes may have been written already, by a save whose outcome is unknown.
    pub(crate) is_in_doubt: bool,
    /// The digest of the secret that the request presented.
    pub(crate) presented: [u8; 32],
    /// The digest of the secret to take its place, if the request asked for a rotation.
    pub(crate) rotate_to: Option<[u8; 32]>,
    /// Whether the client will be sent its cookie.
    pub(crate) sends_cookie: bool,
    /// Whether this edit confirms the login that created the session.
    pub(crate) confirms: bool,
    pub(crate) grace: Duration,
}

impl Edit<'_> {
    /// Applies the edit to a record that another writer stored.
    ///
    /// # Errors
    /// `Superseded` if a login froze the session after this request had loaded it; the error of an update's function.
    pub(super) fn replay(&self, theirs: &Record) -> Result<Arc<Record>, Error> {
        let mut record = theirs.clone();
        self.changes.apply(&mut record)?;
        self.stamp(&mut record)?;
        Ok(Arc::new(record))
    }

    /// Applies all of the edit but the application's changes.
    ///
    /// # Errors
    /// `Superseded` if a login froze the session after this request had loaded it.
    pub(crate) fn stamp(&self, record: &mut Record) -> Result<(), Error> {
        // A freeze that this request did not see belongs to a login since then.
        if record.identity.frozen_until.is_some() && record.identity.frozen_until != self.thaws {
            return Err(superseded());
        }
        record.identity.frozen_until = None;
        self.confirm(&mut record.identity);
        if let Some(next) = self.rotate_to.filter(|_| self.may_rotate(&record.identity)) {
            let previous = PreviousSecret { digest: self.presented, rotated: self.now, good_until: None };
            record.identity.previous = Some(previous);
            record.identity.current = next;
        }
        record.accessed = self.now;
        if self.sends_cookie {
            record.cookie_sent = self.now;
        }
        Ok(())
    }

    /// Records that the client holds the current secret, or the token of its login.
    fn confirm(&self, identity: &mut Identity) {
        if let Some(previous) = &mut identity.previous
            && identity.current == self.presented
            && previous.good_until.is_none()
        {
            previous.good_until = Some(self.now + self.grace);
        }
        if self.confirms {
            identity.is_unconfirmed = false;
        }
    }

    /// Only the current secret may rotate, and only while no other is valid.
    pub(crate) fn may_rotate(&self, identity: &Identity) -> bool {
        identity.current == self.presented && identity.previous.is_none_or(|previous| !previous.is_good(self.now))
    }
}

#[cfg(test)]
mod tests {
    use ampoule_core::internal::Text;
    use ampoule_core::{ErrorKind, Lifetime};

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    const NOW: Time = Time::from_millis(1_000_000);

    fn record(current: u8, previous: Option<(u8, Option<Time>)>) -> Record {
        let mut record = Record::new(NOW, Lifetime::default(), Text::default());
        record.identity.current = [current; 32];
        record.identity.previous =
            previous.map(|(digest, good_until)| PreviousSecret { digest: [digest; 32], rotated: NOW, good_until });
        record
    }

    fn edit(changes: &ChangeLog, presented: u8, rotate_to: Option<u8>) -> Edit<'_> {
        Edit {
            changes,
            now: NOW,
            thaws: None,
            is_in_doubt: false,
            presented: [presented; 32],
            rotate_to: rotate_to.map(|digest| [digest; 32]),
            sends_cookie: false,
            confirms: false,
            grace: GRACE,
        }
    }

    /// The current and the previous secret after an edit, and until when the previous one is valid.
    fn after(record: &Record, presented: u8, rotate_to: Option<u8>) -> (u8, Option<(u8, Option<Time>)>) {
        let nothing = ChangeLog::default();
        let mut record = record.clone();
        edit(&nothing, presented, rotate_to).stamp(&mut record).unwrap();
        let previous = record.identity.previous.map(|previous| (previous.digest[0], previous.good_until));
        (record.identity.current[0], previous)
    }

    #[test]
    fn only_the_current_secret_rotates_and_only_while_no_other_is_valid() {
        let past = NOW - Duration::from_millis(1);
        let confirmed = Some((1, Some(NOW + GRACE)));
        // A rotation, then a request with each secret.
        assert_eq!(after(&record(1, None), 1, Some(2)), (2, Some((1, None))));
        assert_eq!(
            after(&record(2, Some((1, None))), 1, Some(3)),
            (2, Some((1, None))),
            "the previous secret does not rotate"
        );
        assert_eq!(after(&record(2, Some((1, None))), 2, Some(3)), (2, confirmed), "the current one confirms first");
        assert_eq!(after(&record(2, confirmed), 2, Some(3)), (2, confirmed), "within the grace");
        assert_eq!(after(&record(2, Some((1, Some(past)))), 2, Some(3)), (3, Some((2, None))), "after it");
        assert_eq!(after(&record(2, Some((1, Some(past)))), 1, Some(3)), (2, Some((1, Some(past)))));
    }

    #[test]
    fn a_frozen_session_is_written_only_by_a_request_that_found_the_freeze_over() {
        let nothing = ChangeLog::default();
        let mut frozen = record(1, None);
        frozen.identity.frozen_until = Some(NOW + GRACE);
        let early = edit(&nothing, 1, None);
        assert_eq!(early.replay(&frozen).unwrap_err().kind(), ErrorKind::Superseded);
        let late = Edit { thaws: frozen.identity.frozen_until, ..edit(&nothing, 1, None) };
        assert_eq!(late.replay(&frozen).unwrap().identity.frozen_until, None);
        frozen.identity.frozen_until = Some(NOW + 2 * GRACE);
        assert_eq!(late.replay(&frozen).unwrap_err().kind(), ErrorKind::Superseded, "of another login");
    }
}
