//! The simulated outage of a visitor, selected by a cookie, so that no other visitor is affected.

use std::time::Duration;

use ampoule::{Clock, SystemClock};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

const NAME: &str = "ampoule_demo_outage";

/// The duration of an outage.
pub(crate) const OUTAGE_DURATION: Duration = Duration::from_secs(10);

/// The option `on_outage`: the result for a request that needs the session during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Error,
    Anonymous,
}

/// The outage of a visitor.
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

    /// The cookie that starts an outage. It contains the end, so it has no effect later even if the browser still sends
    /// it.
    pub(crate) fn cookie(self) -> HeaderValue {
        let (name, until, seconds) = (self.name(), now() + OUTAGE_DURATION.as_secs(), OUTAGE_DURATION.as_secs());
        let text = format!("{NAME}={name}.{until}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax");
        HeaderValue::try_from(text).expect("the cookie is a valid header value")
    }
}

impl Outage {
    /// The visitor's current outage, if there is one.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Outage> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        let mut pairs = pairs.filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == NAME)?;
        let (policy, until) = value.split_once('.')?;
        let left = until.parse::<u64>().ok()?.checked_sub(now())?;
        let policy = Policy::parse(policy).filter(|_| (1..=OUTAGE_DURATION.as_secs()).contains(&left))?;
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
    fn a_cookie_starts_an_outage_of_at_most_ten_seconds() {
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
