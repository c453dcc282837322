//! Moments as pages show them.

use ampoule::{Clock, Language, SystemClock, Time};
use minijinja::Value;

use super::texts;

/// `2026-11-23 05:44:51 UTC`
pub(crate) fn utc(time: Time) -> String {
    stamp(time).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `3 minutes ago`, or `in 3 minutes`, to the nearest of the largest unit of which there are two.
pub(super) fn relative(language: &Language, time: Time) -> String {
    let now = SystemClock.now();
    let (direction, span) = if time > now { ("in", time.since(now)) } else { ("ago", now.since(time)) };
    let seconds = span.as_secs();
    if seconds < 5 {
        return texts::text(language, "just-now", []);
    }
    let units = [("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)];
    let (unit, length) = units.into_iter().find(|(_, length)| seconds >= 2 * length).unwrap_or(("seconds", 1));
    texts::text(language, &format!("{direction}-{unit}"), [("n", ((seconds + length / 2) / length).into())])
}

/// A `<time>` element, which tells programs the moment whatever it tells people.
pub(super) fn element(time: Time, shown: &str) -> Value {
    let moment = stamp(time).strftime("%Y-%m-%dT%H:%M:%SZ");
    Value::from_safe_string(format!(r#"<time datetime="{moment}" dir="auto">{shown}</time>"#))
}

fn stamp(time: Time) -> jiff::Timestamp {
    let seconds = i64::try_from(time.as_millis() / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}
