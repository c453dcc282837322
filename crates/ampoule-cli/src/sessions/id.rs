//! Session ids on the command line: a full id, or a unique prefix.

use ampoule::SessionId;
use ampoule::store::Store;

use super::walk::Walk;
use crate::Failure;
use crate::progress::counter;

/// The minimum length of a prefix; a shorter one is probably a mistake.
const MIN_PREFIX: usize = 6;

/// The maximum number of candidates in the error about an ambiguous prefix.
const MAX_CANDIDATES: usize = 10;

/// An id as typed.
#[derive(Clone)]
pub(super) enum IdArgument {
    Full(SessionId),
    Prefix(String),
}

/// Parses an id or a prefix. The `…` of an id that a table shortened is accepted.
pub(super) fn parse(text: &str) -> Result<IdArgument, String> {
    if let Some(id) = SessionId::parse(text) {
        return Ok(IdArgument::Full(id));
    }
    let start = text.trim_end_matches('…');
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (MIN_PREFIX..22).contains(&start.len()) && start.bytes().all(good) {
        return Ok(IdArgument::Prefix(start.to_owned()));
    }
    Err(format!("expected an id of 22 letters, digits, `-` and `_`, or its first {MIN_PREFIX} or more"))
}

/// Resolves the arguments to ids. Prefixes need one scan of the whole store.
pub(super) async fn resolve(store: &dyn Store, named: &[IdArgument], json: bool) -> Result<Vec<SessionId>, Failure> {
    let mut found: Vec<Vec<SessionId>> = named.iter().map(known).collect();
    if found.iter().any(Vec::is_empty) {
        find_prefixes(store, named, &mut found, json).await?;
    }
    let each = named.iter().zip(found).map(|(named, found)| exactly_one(named, &found));
    each.collect()
}

fn known(named: &IdArgument) -> Vec<SessionId> {
    match named {
        IdArgument::Full(id) => vec![*id],
        IdArgument::Prefix(_) => Vec::new(),
    }
}

async fn find_prefixes(
    store: &dyn Store,
    named: &[IdArgument],
    found: &mut [Vec<SessionId>],
    json: bool,
) -> Result<(), Failure> {
    let bar = counter("sessions scanned", json);
    let mut walk = Walk::from(store, None);
    while let Some(ids) = walk.page().await? {
        bar.inc(ids.len() as u64);
        for id in ids {
            let text = id.to_string();
            for (named, found) in named.iter().zip(found.iter_mut()) {
                if matches!(named, IdArgument::Prefix(start) if text.starts_with(start)) {
                    found.push(id);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn exactly_one(named: &IdArgument, found: &[SessionId]) -> Result<SessionId, Failure> {
    let IdArgument::Prefix(start) = named else { return Ok(found[0]) };
    match found {
        [id] => Ok(*id),
        [] => Err(Failure(format!("no session's id starts with `{start}`"))),
        several => {
            let mut ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            ids.sort();
            let more = ids.len().saturating_sub(MAX_CANDIDATES);
            ids.truncate(MAX_CANDIDATES);
            let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
            let message = format!("`{start}` is ambiguous, {} ids start with it:", several.len());
            Err(Failure(format!("{message}\n{}{rest}", ids.join("\n"))))
        }
    }
}
