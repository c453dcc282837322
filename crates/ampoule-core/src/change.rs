//! The changes that a request makes to its session, kept so that they can be replayed on a newer record.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use smallvec::SmallVec;

use crate::clock::Time;
use crate::codec;
use crate::error::Error;
use crate::record::{Record, check_key};

/// Computes a key's new value from its current one, where `None` is an absent value. It may run several times.
pub type UpdateFn = Arc<dyn Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> + Send + Sync>;

/// One change to a session.
#[derive(Clone)]
pub enum Change {
    /// A value is put under a key: see [`Change::insert`].
    Insert(Pair),
    /// A key is removed.
    Remove(String),
    /// A key's value is computed from its current one.
    Update(String, UpdateFn),
    /// All entries are removed.
    Clear,
    /// The session gets an idle timeout of its own, from that moment on.
    Timeout(std::time::Duration, Time),
    /// The session gets a principal, or loses it.
    Principal(Option<String>),
    /// The principal logs in, at that moment.
    Login(Time),
    /// The session gets a form token, unless it has one.
    FormToken([u8; 32]),
    /// The keyed digest of a value whose change ends the session, such as a password hash.
    AuthHash([u8; 32]),
}

/// A key and its encoded value, without a heap allocation if both are small.
#[derive(Clone)]
pub struct Pair {
    bytes: SmallVec<[u8; 32]>,
    /// The offset of the value in `bytes`.
    value_start: usize,
}

/// The changes of a request, in order.
///
/// A save applies them to the record that was loaded. If another request commits first, they are replayed on top of its
/// record, so that neither loses anything: different keys all survive, an update counts exactly, and of
/// two values for one key the later commit's stays.
///
/// ```
/// use ampoule_core::internal::{Change, ChangeLog, Text};
/// use ampoule_core::{Lifetime, Record, Time};
///
/// let mut log = ChangeLog::default();
/// log.push(Change::insert("mine", &1)?)?;
///
/// let mut theirs = Record::new(Time::ZERO, Lifetime::default(), Text::new("sid"));
/// theirs.insert("theirs", b"2")?;
/// log.apply(&mut theirs)?;
/// assert_eq!(theirs.keys().collect::<Vec<_>>(), ["theirs", "mine"]);
/// # Ok::<(), ampoule_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ChangeLog(SmallVec<[Change; 1]>);

impl ChangeLog {
    /// Appends a change, and drops the earlier changes that it supersedes. A log holds at most one insert or removal
    /// for each key, and the updates.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a key or principal is empty or too long.
    pub fn push(&mut self, change: Change) -> Result<(), Error> {
        match &change {
            Change::Insert(pair) => self.drop_changes_of(pair.key()),
            Change::Remove(key) => {
                check_key(key)?;
                self.drop_changes_of(key.as_bytes());
            }
            Change::Update(key, _) => check_key(key)?,
            Change::Clear => self.0.retain(|earlier| earlier.key().is_none() && !matches!(earlier, Change::Clear)),
            Change::Timeout(..) => self.0.retain(|earlier| !matches!(earlier, Change::Timeout(..))),
            Change::Principal(principal) => {
                principal.as_deref().map(check_key).transpose()?;
                self.0.retain(|earlier| !matches!(earlier, Change::Principal(_)));
            }
            Change::Login(_) => self.0.retain(|earlier| !matches!(earlier, Change::Login(_))),
            Change::AuthHash(_) => self.0.retain(|earlier| !matches!(earlier, Change::AuthHash(_))),
            Change::FormToken(_) => {}
        }
        self.0.push(change);
        Ok(())
    }

    fn drop_changes_of(&mut self, key: &[u8]) {
        self.0.retain(|earlier| earlier.key() != Some(key));
    }

    /// Applies all changes to this record, in order.
    ///
    /// # Errors
    /// Any error of an update's function. The record is then partly changed and must be discarded.
    pub fn apply(&self, record: &mut Record) -> Result<(), Error> {
        self.0.iter().try_for_each(|change| change.apply(record))
    }

    /// Returns whether these changes are a login, or give a session of this principal to another one. They are then
    /// saved to a new session.
    pub fn forks(&self, principal: Option<&str>) -> bool {
        let is_login = || self.0.iter().any(|change| matches!(change, Change::Login(_)));
        self.principal().is_some_and(|new| new != principal) || is_login()
    }

    /// Returns the principal that the changes set; the outer `None` if they do not change it.
    pub fn principal(&self) -> Option<Option<&str>> {
        self.0.iter().rev().find_map(|change| match change {
            Change::Principal(principal) => Some(principal.as_deref()),
            _ => None,
        })
    }

    /// Takes out the changes to one key; `None` if the log clears all keys, which cannot be split.
    pub fn split_off(&mut self, key: &str) -> Option<ChangeLog> {
        if self.0.iter().any(|change| matches!(change, Change::Clear)) {
            return None;
        }
        let concerns = |change: &Change| change.key() == Some(key.as_bytes());
        let (of_key, others) = std::mem::take(&mut self.0).into_iter().partition(concerns);
        self.0 = others;
        Some(ChangeLog(of_key))
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all changes.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends the changes of `other`.
    ///
    /// # Errors
    /// None in practice: `other` has accepted the same changes.
    pub fn append(&mut self, other: ChangeLog) -> Result<(), Error> {
        other.0.into_iter().try_for_each(|change| self.push(change))
    }
}

impl Pair {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.value_start]
    }

    fn value(&self) -> &[u8] {
        &self.bytes[self.value_start..]
    }
}

impl Change {
    /// Creates the change that puts a value under a key.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the key is empty or too long,
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) if the value's `Serialize` fails.
    pub fn insert<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Change, Error> {
        check_key(key)?;
        let mut bytes = SmallVec::from_slice(key.as_bytes());
        codec::encode_to(&mut bytes, value)?;
        Ok(Change::Insert(Pair { bytes, value_start: key.len() }))
    }

    /// Applies this change to a record. If it fails, the record stays as it was.
    ///
    /// # Errors
    /// Any error of an update's function.
    pub fn apply(&self, record: &mut Record) -> Result<(), Error> {
        match self {
            Change::Insert(pair) => record.put(pair.key(), pair.value()),
            Change::Remove(key) => drop(record.remove(key)),
            Change::Update(key, update) => {
                check_key(key)?;
                match update(record.get(key))? {
                    Some(value) => record.put(key.as_bytes(), &value),
                    None => drop(record.remove(key)),
                }
            }
            Change::Clear => record.clear(),
            Change::Timeout(idle, now) => record.lifetime.set_own(*idle, *now),
            Change::Principal(principal) => record.set_principal(principal.as_deref())?,
            Change::Login(now) => record.authenticated_at = Some(*now),
            Change::FormToken(token) => _ = record.form_token.get_or_insert(*token),
            Change::AuthHash(digest) => record.auth_hash = Some(*digest),
        }
        Ok(())
    }

    /// Returns a copy of a record with this change. A value that an insert replaces is not copied first.
    ///
    /// # Errors
    /// As [`Change::apply`].
    pub fn applied(&self, record: &Record) -> Result<Arc<Record>, Error> {
        if let Change::Insert(pair) = self {
            return Ok(Arc::new(record.with(pair.key(), pair.value())));
        }
        let mut changed = record.clone();
        self.apply(&mut changed)?;
        Ok(Arc::new(changed))
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Change::Insert(pair) => Some(pair.key()),
            Change::Remove(key) | Change::Update(key, _) => Some(key.as_bytes()),
            Change::Clear
            | Change::Timeout(..)
            | Change::Principal(_)
            | Change::Login(_)
            | Change::FormToken(_)
            | Change::AuthHash(_) => None,
        }
    }
}

impl fmt::Debug for ChangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Change {
    /// Prints keys, never values: values are the user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Insert(pair) => {
                let key = String::from_utf8_lossy(pair.key());
                write!(f, "Insert({key:?}, {} bytes)", pair.value().len())
            }
            Change::Remove(key) => write!(f, "Remove({key:?})"),
            Change::Update(key, _) => write!(f, "Update({key:?})"),
            Change::Clear => f.write_str("Clear"),
            Change::Timeout(idle, _) => write!(f, "Timeout({idle:?})"),
            Change::Principal(principal) => {
                write!(f, "Principal({})", if principal.is_some() { "set" } else { "none" })
            }
            Change::Login(_) => f.write_str("Login"),
            Change::FormToken(_) => f.write_str("FormToken"),
            Change::AuthHash(_) => f.write_str("AuthHash"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifetime::Lifetime;
    use crate::record::Text;

    fn insert(key: &str, value: u8) -> Change {
        Change::insert(key, &value).unwrap()
    }

    fn increment(key: &str) -> Change {
        let add_one = |old: Option<&[u8]>| Ok(Some(vec![old.map_or(0, |old| old[0]) + 1]));
        Change::Update(key.to_owned(), Arc::new(add_one))
    }

    fn applied(changes: Vec<Change>) -> Record {
        let mut log = ChangeLog::default();
        changes.into_iter().for_each(|change| log.push(change).unwrap());
        let mut record = Record::new(Time::ZERO, Lifetime::default(), Text::new("sid"));
        record.insert("old", b"x").unwrap();
        log.apply(&mut record).unwrap();
        record
    }

    #[test]
    fn an_update_sees_earlier_changes() {
        let record = applied(vec![insert("n", 5), increment("n"), increment("n")]);
        assert_eq!(record.get("n").unwrap()[..], [7]);
    }

    #[test]
    fn clear_drops_earlier_entries_and_keeps_later_ones() {
        let record = applied(vec![insert("a", 1), increment("b"), Change::Clear, insert("c", 3)]);
        assert_eq!(record.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_log_is_bounded_by_the_keys_it_names() {
        let mut log = ChangeLog::default();
        for _ in 0..1_000 {
            log.push(insert("a", 1)).unwrap();
            log.push(Change::Remove("b".into())).unwrap();
            log.push(Change::Principal(Some("user:1".into()))).unwrap();
            log.push(Change::Timeout(std::time::Duration::from_secs(1), Time::ZERO)).unwrap();
        }
        assert_eq!(log.0.len(), 4);
        log.push(Change::Clear).unwrap();
        assert_eq!(log.0.len(), 3, "clear keeps principal and timeout");
    }

    #[test]
    fn debug_shows_no_value() {
        let mut log = ChangeLog::default();
        log.push(Change::insert("password", "hunter2").unwrap()).unwrap();
        log.push(Change::Principal(Some("user:42".into()))).unwrap();
        assert_eq!(format!("{log:?}"), r#"[Insert("password", 8 bytes), Principal(set)]"#);
    }
}
