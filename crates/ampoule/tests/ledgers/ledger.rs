//! A client's knowledge of its session: the values that must exist, and those that may.

use std::collections::BTreeMap;

/// The ledger of one session.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The values that each key may have: the one that was acknowledged last, and later ones whose outcome is unknown.
    values: BTreeMap<String, Vec<String>>,
    /// The number of acknowledged increments, and of those with an unknown outcome.
    counted: u64,
    uncounted: u64,
    /// Every cookie that the session has had, including those from before its login and its rotations.
    pub(crate) cookies: Vec<String>,
    /// How many of them are older than the login.
    before_login: Option<usize>,
    /// Whether a login or an end has an unknown outcome: a save may then be refused for it.
    pub(crate) is_in_doubt: bool,
}

impl Ledger {
    pub(crate) fn wrote(&mut self, key: &str, value: &str, is_acknowledged: bool) {
        let values = self.values.entry(key.to_owned()).or_insert_with(|| vec!["none".to_owned()]);
        if is_acknowledged {
            values.clear();
        }
        values.push(value.to_owned());
    }

    pub(crate) fn counted(&mut self, is_acknowledged: bool) {
        *(if is_acknowledged { &mut self.counted } else { &mut self.uncounted }) += 1;
    }

    /// Records that a login was acknowledged.
    pub(crate) fn logged_in(&mut self, user: &str) {
        self.before_login.get_or_insert(self.cookies.len());
        self.is_in_doubt = false;
        self.wrote("user", user, true);
    }

    /// Drops the cookies from before the login. Another device ends only the logins: if the login's token was not yet
    /// confirmed, the session from before it still exists, for a client that never received the token.
    pub(crate) fn without_anonymous_cookies(mut self) -> Ledger {
        self.cookies.drain(..self.before_login.unwrap_or(self.cookies.len()));
        self
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.values.keys().cloned().chain(["n".to_owned()]).collect()
    }

    /// Checks a value, and returns the violation.
    pub(crate) fn fault(&self, key: &str, found: &str) -> Option<String> {
        if key == "n" {
            let count = if found == "none" { Some(0) } else { found.parse().ok() };
            let expected = self.counted..=self.counted + self.uncounted;
            let is_expected = count.is_some_and(|count| expected.contains(&count));
            return (!is_expected).then(|| format!("counted {expected:?} times, found {found}"));
        }
        let expected = &self.values[key];
        (!expected.iter().any(|value| value == found)).then(|| format!("{key} is one of {expected:?}, found {found}"))
    }
}

#[test]
fn ledgers_detect_missing_values_and_allow_unknown_outcomes() {
    let mut ledger = Ledger::default();
    ledger.wrote("k", "1", true);
    assert_eq!((ledger.fault("k", "1").is_none(), ledger.fault("k", "none").is_none()), (true, false));
    ledger.wrote("k", "2", false);
    assert!(["1", "2"].iter().all(|found| ledger.fault("k", found).is_none()));
    ledger.wrote("k", "3", true);
    assert!(["1", "2", "none"].iter().all(|found| ledger.fault("k", found).is_some()));
    ledger.counted(true);
    ledger.counted(false);
    let good = ["none", "0", "1", "2", "3"].map(|found| ledger.fault("n", found).is_none());
    assert_eq!(good, [false, false, true, true, false]);
}
