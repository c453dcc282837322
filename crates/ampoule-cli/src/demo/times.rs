//! Formats times for the pages.

use ampoule::{Clock, Language, SystemClock, Time};
use minijinja::Value;
use time::UtcDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use super::texts;

/// `2026-11-23 05:44:51 UTC`
pub(crate) fn utc(time: Time) -> String {
    format(time, format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"))
}

/// `3 minutes ago` or `in 3 minutes`: rounded, in the largest unit with a value of at least two.
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

/// A `<time>` element with the time for programs and the shown text for people.
pub(super) fn element(time: Time, shown: &str) -> Value {
    let moment = format(time, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"));
    Value::from_safe_string(format!(r#"<time datetime="{moment}" dir="auto">{shown}</time>"#))
}

/// Formats a time in UTC; empty after the year 9999.
fn format(time: Time, description: StaticFormatDescription) -> String {
    let moment = UtcDateTime::from_unix_timestamp_nanos(i128::from(time.as_millis()) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(description).ok()).unwrap_or_default()
}
