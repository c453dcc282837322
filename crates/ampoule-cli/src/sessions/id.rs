//! A session as it is named on the command line: by its id, or by enough of it.

use ampoule::SessionId;
use ampoule::store::Store;

use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;

/// Fewer characters are a slip rather than a name.
const SHORTEST: usize = 6;

/// How many candidates are named.
const CANDIDATES: usize = 10;

/// An id as it was typed.
#[derive(Clone)]
pub(super) enum Named {
    Whole(SessionId),
    Start(String),
}

/// The … with which a table shortens an id may stay.
pub(super) fn read(text: &str) -> Result<Named, String> {
    if let Some(id) = SessionId::parse(text) {
        return Ok(Named::Whole(id));
    }
    let start = text.trim_end_matches('…');
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (SHORTEST..22).contains(&start.len()) && start.bytes().all(good) {
        return Ok(Named::Start(start.to_owned()));
    }
    Err(format!("expected an id of 22 letters, digits, `-` and `_`, or its first {SHORTEST} or more"))
}

/// The sessions that are meant. The starts of ids are looked up by going through the whole store, once for all of them.
pub(super) async fn resolve(store: &dyn Store, named: &[Named], json: bool) -> Result<Vec<SessionId>, Failure> {
    let mut found: Vec<Vec<SessionId>> = named.iter().map(known).collect();
    if found.iter().any(Vec::is_empty) {
        look_up(store, named, &mut found, json).await?;
    }
    let each = named.iter().zip(found).map(|(named, found)| only(named, &found));
    each.collect()
}

fn known(named: &Named) -> Vec<SessionId> {
    match named {
        Named::Whole(id) => vec![*id],
        Named::Start(_) => Vec::new(),
    }
}

async fn look_up(store: &dyn Store, named: &[Named], found: &mut [Vec<SessionId>], json: bool) -> Result<(), Failure> {
    let bar = counter("sessions looked at", json);
    let mut walk = Walk::from(store, None);
    while let Some(ids) = walk.page().await? {
        bar.inc(ids.len() as u64);
        for id in ids {
            let text = id.to_string();
            for (named, found) in named.iter().zip(found.iter_mut()) {
                if matches!(named, Named::Start(start) if text.starts_with(start)) {
                    found.push(id);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn only(named: &Named, found: &[SessionId]) -> Result<SessionId, Failure> {
    let Named::Start(start) = named else { return Ok(found[0]) };
    match found {
        [id] => Ok(*id),
        [] => Err(Failure(format!("no session's id starts with `{start}`"))),
        several => {
            let mut ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            ids.sort();
            let more = ids.len().saturating_sub(CANDIDATES);
            ids.truncate(CANDIDATES);
            let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
            let message = format!("`{start}` is the start of {} ids; name more of one:", several.len());
            Err(Failure(format!("{message}\n{}{rest}", ids.join("\n"))))
        }
    }
}
