//! Prints lines, and formats times, sizes and user text for them.

use std::io::{ErrorKind, Write};

use ampoule::Time;
use time::UtcDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use crate::Failure;

/// The width if it is not known.
const DEFAULT_WIDTH: usize = 80;

/// Prints a line, and returns whether the output is still read: a pipe that was closed, as by `| head`, is not an
/// error.
pub(crate) fn print(text: &str) -> Result<bool, Failure> {
    match writeln!(std::io::stdout().lock(), "{}", clean(text)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure(format!("the output cannot be written: {error}"))),
    }
}

/// Escapes characters that could move the cursor or reverse the text: principals and values are user input. The escapes
/// are JSON's, so JSON stays valid.
pub(crate) fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c != '\n'
            && (c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match harmful(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// Does what [`clean`] does, and escapes line ends too, for a table or a sentence.
pub(crate) fn clean_line(text: &str) -> String {
    clean(&text.replace('\n', "\u{0}")).replace("\\u0000", "\\n")
}

/// A time in UTC for people: `2026-11-23 08:40:12Z`.
pub(crate) fn moment(time: Time) -> String {
    format(time, format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z"))
        .unwrap_or_else(|| "never".to_owned())
}

/// The distance of a time from the present, in its largest unit: `3 min ago`, `in 2 h`.
pub(crate) fn relative(time: Time, now: Time) -> String {
    if time == Time::MAX {
        return "never".to_owned();
    }
    let is_past = time <= now;
    let distance = if is_past { now.since(time) } else { time.since(now) };
    let seconds = distance.as_secs_f64().round();
    let (number, unit) = match seconds {
        0.0 => return "now".to_owned(),
        ..60.0 => (seconds, "s"),
        ..3_570.0 => (seconds / 60.0, "min"),
        // Up to two days in hours, since most sessions live for a day.
        ..171_000.0 => (seconds / 3_600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    let number = number.round();
    if is_past { format!("{number} {unit} ago") } else { format!("in {number} {unit}") }
}

/// A time for programs (RFC 3339): `2026-11-23T08:40:12.345Z`; `None` for "never".
pub(crate) fn rfc3339(time: Time) -> Option<String> {
    format(time, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"))
}

/// The time in UTC; `None` for "never", which is the last moment of the year 9999.
fn format(time: Time, description: StaticFormatDescription) -> Option<String> {
    let nanos = i128::from(time.as_millis()) * 1_000_000;
    let time = UtcDateTime::from_unix_timestamp_nanos(nanos).ok().filter(|_| time < Time::MAX)?;
    time.format(description).ok()
}

/// `312 B`, `1.20 KiB`.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

/// The width of the output in columns: `COLUMNS`, or else the terminal's.
pub(crate) fn width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    let terminal = console::Term::stdout();
    let measured = || terminal.size_checked().filter(|_| terminal.is_term()).map(|(_, columns)| usize::from(columns));
    given.or_else(measured).unwrap_or(DEFAULT_WIDTH)
}

/// `1 session`, `2 sessions`, `12,345 sessions`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", indicatif::HumanCount(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn escape_sequences_in_user_text_are_escaped() {
        assert_eq!(clean("a\u{1b}[2J\u{9b}b\u{202e}\u{7f}"), "a\\u001b[2J\\u009bb\\u202e\\u007f");
        assert_eq!(clean("two\nlines ä 漢"), "two\nlines ä 漢");
        assert_eq!(clean_line("two\nlines"), "two\\nlines");
    }

    #[test]
    fn moments_are_in_utc() {
        let time = Time::from_millis(1_763_887_212_345);
        assert_eq!(moment(time), "2025-11-23 08:40:12Z");
        assert_eq!(rfc3339(time).as_deref(), Some("2025-11-23T08:40:12.345Z"));
        assert_eq!((moment(Time::MAX).as_str(), rfc3339(Time::MAX)), ("never", None));
    }

    #[test]
    fn distances_are_in_their_largest_unit() {
        let now = Time::from_millis(1_763_887_212_345);
        let table = [
            (0, "now"),
            (400, "now"),
            (1_000, "1 s ago"),
            (59_400, "59 s ago"),
            (59_600, "1 min ago"),
            (181_000, "3 min ago"),
            (3_569_000, "59 min ago"),
            (3_570_000, "1 h ago"),
            (7_199_000, "2 h ago"),
            (47 * 3_600_000, "47 h ago"),
            (48 * 3_600_000, "2 d ago"),
            (400 * 86_400_000, "400 d ago"),
        ];
        for (millis, expected) in table {
            assert_eq!(relative(now - Duration::from_millis(millis), now), expected);
        }
        assert_eq!(relative(now + Duration::from_secs(7_200), now), "in 2 h");
        assert_eq!(relative(Time::MAX, now), "never");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((count(1, "session"), count(12_345, "session")), ("1 session".into(), "12,345 sessions".into()));
    }
}
