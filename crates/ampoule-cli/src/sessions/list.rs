//! `ampoule sessions list`: a line for each session.

use ampoule::inspect::State;
use ampoule::{Clock, SessionId, SystemClock};
use clap::builder::ArgPredicate;
use futures_util::TryStreamExt;

use super::look::{Look, look_all};
use super::order::{Order, Top};
use super::row::{Fields, Row};
use super::source::Opened;
use super::table;
use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;
use crate::text;

#[derive(clap::Args)]
pub(super) struct List {
    /// Those of one principal alone, such as user:42.
    #[arg(long)]
    principal: Option<String>,
    /// What stands first. All but `store` read every session before the first is shown.
    #[arg(
        long,
        value_name = "ORDER",
        default_value_if("from", ArgPredicate::IsPresent, "store"),
        default_value = "used"
    )]
    sort: Order,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    limit: u64,
    /// Where an earlier list in the order of the store said that it goes on.
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// A JSON object a line, with exact moments. In the order of the store, if more follow, the last one is {"next": PLACE}.
    #[arg(long)]
    json: bool,
}

/// Where a list stopped: in which page, and after which of its sessions. A page may be longer than a list.
struct Spot {
    page: Option<String>,
    after: Option<String>,
}

/// How many digits of an id a spot has: enough among the sessions of a page.
const DIGITS: usize = 12;

impl List {
    pub(super) async fn run(&self, source: &Opened) -> Result<(), Failure> {
        if self.from.is_some() && self.sort != Order::Store {
            let message = "--from goes on in the order of the store: expected --sort store beside it, or none";
            return Err(Failure(message.to_owned()));
        }
        let bar = counter("sessions read", self.json || self.sort == Order::Store);
        let mut top = Top::new(self.sort, self.limit);
        let next = self.walk(source, |look| {
            bar.inc(1);
            // What needs no sorting is printed as it is read.
            if self.json && self.sort == Order::Store {
                return say_json(&look);
            }
            top.add(look);
            Ok(true)
        });
        let next = next.await?;
        bar.finish_and_clear();
        let (count, looks) = top.finish();
        if !self.json {
            return self.say(source, count, &looks, next);
        }
        for look in &looks {
            if !say_json(look)? {
                return Ok(());
            }
        }
        let next = next.map(|next| serde_json::json!({ "next": next }).to_string());
        next.map_or(Ok(()), |next| text::say(&next).map(drop))
    }

    fn say(&self, source: &Opened, count: u64, looks: &[Look], next: Option<String>) -> Result<(), Failure> {
        if looks.is_empty() {
            return text::say(&format!("no sessions{} in {}", source.of_layer(), source.store.describe())).map(drop);
        }
        let now = SystemClock.now();
        let rows: Vec<Row> = looks.iter().map(|look| Row::of(look, now)).collect();
        let mut out = table::render(&rows, self.sort.heading(), text::width());
        if looks.iter().any(|look| matches!(look.state, State::Damaged(_))) {
            out.push_str("\n\nWhat is damaged: `ampoule sessions show ID` says why,\nand `revoke ID` ends it.");
        }
        if let Some(next) = next {
            out.push_str(&format!("\n\nMore follow: go on with --from {next}"));
        } else if count > rows.len() as u64 {
            out.push_str(&format!("\n\n{} of {}: --limit N shows more", rows.len(), text::count(count, "session")));
        }
        text::say(&out).map(drop)
    }

    /// Gives `each` what there is, until no more is wanted, and says where more follow: in the order of the store it is enough
    /// at the limit.
    async fn walk(
        &self,
        source: &Opened,
        mut each: impl FnMut(Look) -> Result<bool, Failure>,
    ) -> Result<Option<String>, Failure> {
        let Spot { page, mut after } = self.from.as_deref().map_or_else(Spot::start, Spot::read);
        let store = &*source.store;
        let mut walk = match &self.principal {
            Some(principal) => Walk::of(store, source.principal(principal).await?.sessions().await?),
            None => Walk::from(store, page),
        };
        let enough = if self.sort == Order::Store { self.limit } else { u64::MAX };
        let mut shown = 0;
        while let Some(mut ids) = walk.page().await? {
            ids.sort();
            let mut last = after.take();
            ids.retain(|id| last.as_ref().is_none_or(|last| digits(*id) > *last));
            let mut looks = look_all(store, ids);
            while let Some(look) = looks.try_next().await? {
                let Some(look) = look.filter(|look| source.may_be_meant(look)) else { continue };
                if shown == enough {
                    return Ok(Some(Spot { page: walk.here().map(str::to_owned), after: last }.write()));
                }
                let id = look.id;
                if !each(look)? {
                    return Ok(None);
                }
                (shown, last) = (shown + 1, Some(digits(id)));
            }
        }
        Ok(None)
    }
}

fn say_json(look: &Look) -> Result<bool, Failure> {
    text::say(&serde_json::to_string(&Fields::of(look)).unwrap_or_default())
}

fn digits(id: SessionId) -> String {
    id.as_bytes()[..DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Spot {
    fn start() -> Spot {
        Spot { page: None, after: None }
    }

    /// `PAGE`, `PAGE/DIGITS` or `/DIGITS`.
    fn read(text: &str) -> Spot {
        let is_key = |digits: &str| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (page, after) = match text.rsplit_once('/').filter(|(_, digits)| is_key(digits)) {
            Some((page, digits)) => (page, Some(digits.to_owned())),
            None => (text, None),
        };
        Spot { page: Some(page.to_owned()).filter(|page| !page.is_empty()), after }
    }

    fn write(&self) -> String {
        let after = self.after.as_ref().map(|digits| format!("/{digits}")).unwrap_or_default();
        format!("{}{after}", self.page.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_is_read_as_it_was_written() {
        for text in ["3f", "3f/0123456789ab", "/0123456789ab", "a/b", "a/b/0123456789ab"] {
            assert_eq!(Spot::read(text).write(), text);
        }
        let spot = Spot::read("a/b/0123456789ab");
        assert_eq!((spot.page.as_deref(), spot.after.as_deref()), (Some("a/b"), Some("0123456789ab")));
    }
}
