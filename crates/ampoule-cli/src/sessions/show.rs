//! `ampoule sessions show`: prints one session with its values.

use ampoule::Time;
use ampoule::inspect::State;
use ampoule::store::{Record, Store};
use serde_json::{Map, Value};

use super::entry::{SessionEntry, read_entry};
use super::id::{self, IdArgument};
use super::row::{Fields, last_used};
use super::value;
use crate::Failure;
use crate::text::{bytes, clean_line, count, moment, print};

// Without -h, since an id may start with it.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Show {
    /// The id of the session, or its first six or more characters.
    #[arg(value_parser = id::parse, allow_hyphen_values = true)]
    id: IdArgument,
    /// Print only the keys of the values.
    #[arg(long)]
    keys_only: bool,
    /// Print JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Show {
    pub(super) async fn run(&self, store: &dyn Store) -> Result<(), Failure> {
        let id = id::resolve(store, std::slice::from_ref(&self.id), self.json).await?[0];
        let Some(found) = read_entry(store, id).await? else {
            return Err(Failure(format!("session {id} does not exist in {}, or has ended", store.describe())));
        };
        let record = match &found.state {
            State::Session(record) => record,
            State::Damaged(why) => return Err(Failure(format!("{id}: {why}"))),
        };
        match self.json {
            true => self.print_json(&found, record),
            false => self.print(&found, record),
        }
    }

    fn print_json(&self, found: &SessionEntry, record: &Record) -> Result<(), Failure> {
        let mut all = serde_json::to_value(Fields::of(found)).unwrap_or_default();
        match self.keys_only {
            true => all["keys"] = record.keys().collect(),
            false => all["values"] = values(record),
        }
        print(&all.to_string()).map(drop)
    }

    fn print(&self, found: &SessionEntry, record: &Record) -> Result<(), Failure> {
        for (name, text) in header(found, record) {
            if !print(&format!("{name:13}  {text}"))? {
                return Ok(());
            }
        }
        print(&format!("\n{}", self.values(record))).map(drop)
    }

    fn values(&self, record: &Record) -> String {
        if !self.keys_only {
            return serde_json::to_string_pretty(&values(record)).unwrap_or_default();
        }
        let lines =
            record.entries().map(|(key, value)| format!("{}  ({})", clean_line(key), bytes(value.len() as u64)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn header(found: &SessionEntry, record: &Record) -> Vec<(&'static str, String)> {
    let deadline = found.stored.as_ref().map_or(Time::MAX, |stored| stored.deadline);
    let size = found.stored.as_ref().map_or(0, |stored| stored.value.len());
    let life = &record.effective_lifetime();
    let own = if life.own { " (its own)" } else { "" };
    vec![
        ("id", found.id.to_string()),
        ("layer", clean_line(record.layer())),
        ("principal", record.principal().map_or_else(|| "-".to_owned(), clean_line)),
        ("made", moment(record.created)),
        ("logged in", record.authenticated_at.map_or_else(|| "-".to_owned(), moment)),
        ("last used", moment(last_used(record, deadline))),
        ("ends", moment(deadline)),
        ("unused for", life.idle.map_or_else(|| "any time".to_owned(), |idle| format!("{}{own}", span(idle)))),
        ("at the latest", life.absolute.map_or_else(|| "never".to_owned(), moment)),
        ("cookie sent", moment(record.cookie_sent)),
        ("size", format!("{}, {}", bytes(size as u64), count(record.len() as u64, "value"))),
    ]
}

/// `1d 12h`, in the two largest units.
fn span(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let parts = parts.iter().skip_while(|(number, _)| *number == 0).take(2).filter(|(number, _)| *number > 0);
    let text = parts.map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { format!("{} ms", time.as_millis()) } else { text }
}

fn values(record: &Record) -> Value {
    record.entries().map(|(key, value)| (key.to_owned(), value::to_json(value))).collect::<Map<_, _>>().into()
}
