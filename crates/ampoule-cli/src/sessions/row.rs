//! The fields of a session, for tables and for JSON.

use ampoule::Time;
use ampoule::inspect::State;
use ampoule::store::Record;
use serde::Serialize;

use super::entry::SessionEntry;
use crate::text::{bytes, clean_line, relative, rfc3339};

/// The fields of a session as JSON. A missing one is null; `ends` is null for "never".
#[derive(Default, Serialize)]
pub(super) struct Fields {
    id: String,
    /// `session` or `damaged`.
    state: &'static str,
    /// The name of the cookie, which distinguishes layers that share a store.
    layer: Option<String>,
    principal: Option<String>,
    made: Option<String>,
    /// When its user logged in.
    logged_in: Option<String>,
    last_used: Option<String>,
    ends: Option<String>,
    /// The idle timeout in seconds.
    idle_seconds: Option<f64>,
    absolute_end: Option<String>,
    /// Whether the idle timeout was set for this session only.
    own_lifetime: Option<bool>,
    cookie_sent: Option<String>,
    /// In bytes, as stored.
    size: Option<usize>,
    /// The number of values.
    value_count: Option<usize>,
    damage: Option<String>,
}

impl Fields {
    pub(super) fn of(entry: &SessionEntry) -> Fields {
        let stored = entry.stored.as_ref();
        let fields = Fields {
            id: entry.id.to_string(),
            ends: stored.and_then(|stored| rfc3339(stored.deadline)),
            size: stored.map(|stored| stored.value.len()),
            ..Fields::default()
        };
        match &entry.state {
            State::Session(record) => fields.with(record, stored.map_or(Time::MAX, |stored| stored.deadline)),
            State::Damaged(why) => Fields { state: "damaged", damage: Some(why.clone()), ..fields },
        }
    }

    fn with(self, record: &Record, deadline: Time) -> Fields {
        Fields {
            state: "session",
            layer: Some(record.layer().to_owned()),
            principal: record.principal().map(str::to_owned),
            made: rfc3339(record.created),
            logged_in: record.authenticated_at.and_then(rfc3339),
            last_used: rfc3339(last_used(record, deadline)),
            idle_seconds: record.effective_lifetime().idle.map(|idle| idle.as_secs_f64()),
            absolute_end: record.lifetime.absolute.and_then(rfc3339),
            own_lifetime: Some(record.lifetime.own),
            cookie_sent: rfc3339(record.cookie_sent),
            value_count: Some(record.len()),
            ..self
        }
    }
}

/// The time of the last use. A use moves the store's deadline without writing the record, so it is computed from the
/// deadline.
pub(super) fn last_used(record: &Record, deadline: Time) -> Time {
    record.effective_lifetime().last_use(deadline).unwrap_or(record.accessed).max(record.accessed)
}

/// The name of a layer as in its ini file, without the prefix that `host_prefix` adds to the cookie's name.
pub(super) fn without_prefix(layer: &str) -> &str {
    layer.strip_prefix(HOST_PREFIX).unwrap_or(layer)
}

/// The cookie name prefix for host-only cookies (RFC 6265bis section 4.1.3.2).
pub(super) const HOST_PREFIX: &str = "__Host-";

/// A row of a table.
pub(super) struct Row {
    pub(super) id: String,
    /// Empty if the record cannot be read.
    pub(super) layer: String,
    pub(super) principal: String,
    pub(super) made: String,
    pub(super) used: String,
    pub(super) ends: String,
    pub(super) size: String,
    pub(super) values: String,
}

impl Row {
    /// A row with times relative to `now`.
    pub(super) fn of(entry: &SessionEntry, now: Time) -> Row {
        let stored = entry.stored.as_ref();
        let deadline = stored.map_or(Time::MAX, |stored| stored.deadline);
        let row = Row {
            id: entry.id.to_string(),
            layer: String::new(),
            principal: "(damaged)".to_owned(),
            made: String::new(),
            used: String::new(),
            ends: stored.map(|_| relative(deadline, now)).unwrap_or_default(),
            size: stored.map(|stored| bytes(stored.value.len() as u64)).unwrap_or_default(),
            values: String::new(),
        };
        let State::Session(record) = &entry.state else { return row };
        Row {
            layer: clean_line(without_prefix(record.layer())),
            principal: record.principal().map_or_else(|| "-".to_owned(), clean_line),
            made: relative(record.created, now),
            used: relative(last_used(record, deadline), now),
            values: record.len().to_string(),
            ..row
        }
    }
}
