//! A session as it is named on the command line: by its key, or by enough of it.

use ampoule::store::{Store, StoreKey};

use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;

/// Fewer characters are a slip rather than a name.
const SHORTEST: usize = 6;

/// How many candidates are named.
const CANDIDATES: usize = 10;

/// A key as it was typed.
#[derive(Clone)]
pub(super) enum Named {
    Whole(StoreKey),
    Start(String),
}

/// The … with which a table shortens a key may stay.
pub(super) fn read(text: &str) -> Result<Named, String> {
    if let Some(key) = StoreKey::parse(text) {
        return Ok(Named::Whole(key));
    }
    let start = text.trim_end_matches('…');
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (SHORTEST..43).contains(&start.len()) && start.bytes().all(good) {
        return Ok(Named::Start(start.to_owned()));
    }
    Err(format!("expected a key of 43 letters, digits, `-` and `_`, or its first {SHORTEST} or more"))
}

/// The keys that are meant. The starts of keys are looked up by going through the whole store, once for all of them.
pub(super) async fn resolve(store: &dyn Store, named: &[Named], json: bool) -> Result<Vec<StoreKey>, Failure> {
    let mut found: Vec<Vec<StoreKey>> = named.iter().map(known).collect();
    if found.iter().any(Vec::is_empty) {
        look_up(store, named, &mut found, json).await?;
    }
    let each = named.iter().zip(found).map(|(named, found)| only(named, &found));
    each.collect()
}

fn known(named: &Named) -> Vec<StoreKey> {
    match named {
        Named::Whole(key) => vec![*key],
        Named::Start(_) => Vec::new(),
    }
}

async fn look_up(store: &dyn Store, named: &[Named], found: &mut [Vec<StoreKey>], json: bool) -> Result<(), Failure> {
    let bar = counter("keys looked at", json);
    let mut walk = Walk::from(store, None);
    while let Some(keys) = walk.page().await? {
        bar.inc(keys.len() as u64);
        for key in keys {
            let text = key.to_string();
            for (named, found) in named.iter().zip(found.iter_mut()) {
                if matches!(named, Named::Start(start) if text.starts_with(start)) {
                    found.push(key);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn only(named: &Named, found: &[StoreKey]) -> Result<StoreKey, Failure> {
    let Named::Start(start) = named else { return Ok(found[0]) };
    match found {
        [key] => Ok(*key),
        [] => Err(Failure(format!("no session's key starts with `{start}`"))),
        several => {
            let mut keys: Vec<String> = several.iter().map(ToString::to_string).collect();
            keys.sort();
            let more = keys.len().saturating_sub(CANDIDATES);
            keys.truncate(CANDIDATES);
            let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
            let message = format!("`{start}` is the start of {} keys; name more of one:", several.len());
            Err(Failure(format!("{message}\n{}{rest}", keys.join("\n"))))
        }
    }
}
