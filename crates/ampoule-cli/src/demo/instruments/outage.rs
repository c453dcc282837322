//! Whether a visitor has asked for a store that is away: said by a cookie of that visitor alone, so no other one sees it.

use std::time::Duration;

use ampoule::{Clock, SystemClock};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

const NAME: &str = "ampoule_demo_outage";

/// How long the store is away.
pub(crate) const OUTAGE: Duration = Duration::from_secs(10);

/// What requests get that need the session meanwhile: `on_outage` of an ini file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Error,
    Anonymous,
}

/// An outage of one visitor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) policy: Policy,
    /// Seconds until it ends.
    pub(crate) left: u64,
}

impl Policy {
    pub(crate) fn parse(name: &str) -> Option<Policy> {
        [Policy::Error, Policy::Anonymous].into_iter().find(|policy| policy.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Error => "error",
            Policy::Anonymous => "anonymous",
        }
    }

    /// The cookie that begins an outage. It holds the moment of the end, so a browser that keeps it for longer changes nothing.
    pub(crate) fn cookie(self) -> HeaderValue {
        let (name, until, seconds) = (self.name(), now() + OUTAGE.as_secs(), OUTAGE.as_secs());
        let text = format!("{NAME}={name}.{until}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax");
        HeaderValue::try_from(text).expect("letters, digits and signs stand in a header")
    }
}

impl Outage {
    /// The one that is under way, if there is one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Outage> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut pairs = pairs.filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == NAME)?;
        let (policy, until) = value.split_once('.')?;
        let left = until.parse::<u64>().ok()?.checked_sub(now())?;
        let policy = Policy::parse(policy).filter(|_| (1..=OUTAGE.as_secs()).contains(&left))?;
        Some(Outage { policy, left })
    }
}

fn now() -> u64 {
    SystemClock.now().as_millis() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(cookie: &str) -> Option<Outage> {
        Outage::of(&HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())]))
    }

    #[test]
    fn a_cookie_begins_an_outage_and_none_lasts_longer_than_ten_seconds() {
        for policy in [Policy::Error, Policy::Anonymous] {
            let cookie = policy.cookie();
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let found = outage(&format!("a=b; {pair}; c")).unwrap();
            assert_eq!(found.policy, policy);
            assert!((9..=10).contains(&found.left));
        }
        let now = now();
        for value in
            [format!("error.{}", now + 60), format!("error.{now}"), "error.1".into(), "other.9".into(), "".into()]
        {
            assert_eq!(outage(&format!("{NAME}={value}")), None, "{value}");
        }
    }
}
