//! `ampoule sessions list`: prints a line for each session.

use ampoule::inspect::State;
use ampoule::{Clock, SessionId, SystemClock};
use clap::builder::ArgPredicate;
use futures_util::TryStreamExt;

use super::entry::{SessionEntry, read_entries};
use super::order::{Order, Top};
use super::row::{Fields, Row};
use super::source::Selection;
use super::table;
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text;

#[derive(clap::Args)]
pub(super) struct List {
    /// Only the sessions of this principal, such as user:42.
    #[arg(long)]
    principal: Option<String>,
    /// The order. All but `store` read every session before the first is printed.
    #[arg(
        long,
        value_name = "ORDER",
        default_value_if("from", ArgPredicate::IsPresent, "store"),
        default_value = "used"
    )]
    sort: Order,
    /// The maximum number of sessions.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    limit: u64,
    /// Continue at the cursor that an earlier list in the order of the store printed.
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Print one JSON object per line, with exact times. In the order of the store, if more follow, the last is
    /// {"next": CURSOR}.
    #[arg(long)]
    json: bool,
}

/// The position at which a list continues: a page of the scan, and the last session of it that was printed, since a
/// page may be longer than a list.
struct Cursor {
    page: Option<String>,
    after: Option<String>,
}

/// The number of hex digits of an id in a cursor: enough to tell apart the sessions of a page.
const CURSOR_DIGITS: usize = 12;

impl List {
    pub(super) async fn run(&self, source: &Selection) -> Result<(), Failure> {
        if self.from.is_some() && self.sort != Order::Store {
            let message = "--from continues in the order of the store: expected --sort store, or no --sort";
            return Err(Failure(message.to_owned()));
        }
        let bar = counter("sessions read", self.json || self.sort == Order::Store);
        let mut top = Top::new(self.sort, self.limit);
        let next = self.walk(source, |entry| {
            bar.inc(1);
            // Without sorting, entries are printed as they are read.
            if self.json && self.sort == Order::Store {
                return print_json(&entry);
            }
            top.add(entry);
            Ok(true)
        });
        let next = next.await?;
        bar.finish_and_clear();
        let (count, entries) = top.finish();
        if !self.json {
            return self.print(source, count, &entries, next);
        }
        for entry in &entries {
            if !print_json(entry)? {
                return Ok(());
            }
        }
        let next = next.map(|next| serde_json::json!({ "next": next }).to_string());
        next.map_or(Ok(()), |next| text::print(&next).map(drop))
    }

    fn print(
        &self,
        source: &Selection,
        count: u64,
        entries: &[SessionEntry],
        next: Option<String>,
    ) -> Result<(), Failure> {
        if entries.is_empty() {
            return text::print(&format!("no sessions{} in {}", source.of_layer(), source.store.describe())).map(drop);
        }
        let now = SystemClock.now();
        let rows: Vec<Row> = entries.iter().map(|entry| Row::of(entry, now)).collect();
        let mut out = table::render(&rows, self.sort.heading(), text::width());
        if entries.iter().any(|entry| matches!(entry.state, State::Damaged(_))) {
            out.push_str(
                "\n\nDamaged sessions: `ampoule sessions show ID` shows the reason,\nand `revoke ID` ends one.",
            );
        }
        if let Some(next) = next {
            out.push_str(&format!("\n\nMore follow: continue with --from {next}"));
        } else if count > rows.len() as u64 {
            out.push_str(&format!("\n\n{} of {}: --limit N shows more", rows.len(), text::count(count, "session")));
        }
        text::print(&out).map(drop)
    }

    /// Calls `each` for every entry until it returns false, and in the order of the store up to the limit. Returns the
    /// cursor if more follow.
    async fn walk(
        &self,
        source: &Selection,
        mut each: impl FnMut(SessionEntry) -> Result<bool, Failure>,
    ) -> Result<Option<String>, Failure> {
        let Cursor { page, mut after } = self.from.as_deref().map_or_else(Cursor::start, Cursor::parse);
        let store = &*source.store;
        let mut walk = match &self.principal {
            Some(principal) => Walk::of(store, source.principal(principal).await?.sessions().await?),
            None => Walk::from(store, page),
        };
        let max_shown = if self.sort == Order::Store { self.limit } else { u64::MAX };
        let mut shown = 0;
        while let Some(mut ids) = walk.page().await? {
            ids.sort();
            let mut last = after.take();
            ids.retain(|id| last.as_ref().is_none_or(|last| digits(*id) > *last));
            let mut entries = read_entries(store, ids);
            while let Some(entry) = entries.try_next().await? {
                let Some(entry) = entry.filter(|entry| source.may_include(entry)) else { continue };
                if shown == max_shown {
                    return Ok(Some(Cursor { page: walk.cursor().map(str::to_owned), after: last }.to_text()));
                }
                let id = entry.id;
                if !each(entry)? {
                    return Ok(None);
                }
                (shown, last) = (shown + 1, Some(digits(id)));
            }
        }
        Ok(None)
    }
}

fn print_json(entry: &SessionEntry) -> Result<bool, Failure> {
    text::print(&serde_json::to_string(&Fields::of(entry)).unwrap_or_default())
}

fn digits(id: SessionId) -> String {
    id.as_bytes()[..CURSOR_DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Cursor {
    fn start() -> Cursor {
        Cursor { page: None, after: None }
    }

    /// Parses `PAGE`, `PAGE/DIGITS` or `/DIGITS`.
    fn parse(text: &str) -> Cursor {
        let is_key =
            |digits: &str| digits.len() == CURSOR_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (page, after) = match text.rsplit_once('/').filter(|(_, digits)| is_key(digits)) {
            Some((page, digits)) => (page, Some(digits.to_owned())),
            None => (text, None),
        };
        Cursor { page: Some(page.to_owned()).filter(|page| !page.is_empty()), after }
    }

    fn to_text(&self) -> String {
        let after = self.after.as_ref().map(|digits| format!("/{digits}")).unwrap_or_default();
        format!("{}{after}", self.page.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip() {
        for text in ["3f", "3f/0123456789ab", "/0123456789ab", "a/b", "a/b/0123456789ab"] {
            assert_eq!(Cursor::parse(text).to_text(), text);
        }
        let cursor = Cursor::parse("a/b/0123456789ab");
        assert_eq!((cursor.page.as_deref(), cursor.after.as_deref()), (Some("a/b"), Some("0123456789ab")));
    }
}
