//! `ampoule sessions show`: one session, whole.

use ampoule::Time;
use ampoule::store::{Store, StoreKey};
use ampoule_core::Record;
use serde_json::{Map, Value};

use super::key::{self, Named};
use super::look::{Look, State, follow};
use super::row::{Fields, last_used};
use super::value;
use crate::Failure;
use crate::text::{bytes, clean_line, count, moment, say};

// Without -h: a key may start so.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Show {
    /// The key of the session, or its first six characters or more.
    #[arg(value_parser = key::read, allow_hyphen_values = true)]
    key: Named,
    /// Only the names of the values.
    #[arg(long)]
    keys_only: bool,
    /// As JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Show {
    pub(super) async fn run(&self, store: &dyn Store) -> Result<(), Failure> {
        let asked = key::resolve(store, std::slice::from_ref(&self.key), self.json).await?[0];
        let Some(found) = follow(store, asked).await? else {
            return Err(Failure(format!("there is no session {asked} in {}, or no more", store.describe())));
        };
        let record = match &found.state {
            State::Session(record) => record,
            State::Damaged(why) => return Err(Failure(format!("{}: {why}", found.key))),
            State::Moved(_) => unreachable!("moves were followed"),
        };
        let from = (found.key != asked).then_some(asked);
        match self.json {
            true => self.say_json(&found, record, from),
            false => self.say(&found, record, from),
        }
    }

    fn say_json(&self, found: &Look, record: &Record, from: Option<StoreKey>) -> Result<(), Failure> {
        let mut all = serde_json::to_value(Fields::of(found)).unwrap_or_default();
        all["moved_from"] = from.map(|from| from.to_string()).into();
        match self.keys_only {
            true => all["keys"] = record.keys().collect(),
            false => all["values"] = values(record),
        }
        say(&all.to_string()).map(drop)
    }

    fn say(&self, found: &Look, record: &Record, from: Option<StoreKey>) -> Result<(), Failure> {
        let mut lines = header(found, record);
        if let Some(from) = from {
            lines.insert(1, ("moved from", from.to_string()));
        }
        for (name, text) in lines {
            if !say(&format!("{name:13}  {text}"))? {
                return Ok(());
            }
        }
        say(&format!("\n{}", self.values(record))).map(drop)
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

fn header(found: &Look, record: &Record) -> Vec<(&'static str, String)> {
    let deadline = found.stored.as_ref().map_or(Time::MAX, |stored| stored.deadline);
    let size = found.stored.as_ref().map_or(0, |stored| stored.value.len());
    let life = &record.lifetime;
    let own = if life.own { " (its own)" } else { "" };
    vec![
        ("key", found.key.to_string()),
        ("principal", record.principal().map_or_else(|| "-".to_owned(), clean_line)),
        ("made", moment(record.created)),
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
