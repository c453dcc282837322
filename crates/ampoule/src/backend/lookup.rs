//! From tokens to a session: finds the one that counts.

use ampoule_core::{Error, ErrorKind, Record, Reply, SessionId, Store, Stored, Time};
use ampoule_seal::internal::same_digest;
use ampoule_seal::{Credential, Verified};

use super::snapshot::{Ended, Read, Snapshot, read};
use super::store::StoreBackend;
use crate::event::EventKind;
use crate::http::credentials::Credentials;
use crate::http::transport::Transport;

/// The most sessions whose tokens are compared. A browser sends one token; more are stale or planted.
const MAX_TOKENS: usize = 4;

/// The most verified tokens that are looked up: tokens of ended sessions may precede that of the live one.
const MAX_LOOKUPS: usize = 16;

/// What a lookup depends on besides the credentials.
pub(crate) struct Context<'a> {
    /// The name of the cookie.
    pub(crate) name: &'a str,
    pub(crate) transports: &'a [Transport],
    pub(crate) now: Time,
}

/// A token whose signature is ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) credential: Credential,
    pub(crate) digest: [u8; 32],
    /// Whether the first key signed it.
    pub(crate) has_current_key: bool,
    /// The index of the transport that it came by.
    pub(crate) via: usize,
}

impl VerifiedToken {
    fn id(&self) -> SessionId {
        SessionId::new(self.credential.id())
    }
}

/// The verified tokens of a request, without duplicates.
#[derive(Default)]
pub(super) struct Tokens {
    first: Option<VerifiedToken>,
    more: Vec<VerifiedToken>,
    /// Whether there were more than are looked up.
    is_overfull: bool,
}

/// A live session, and the token that selected it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) token: VerifiedToken,
    /// Whether the token's secret is the current one, not the previous one.
    pub(crate) is_current: bool,
    pub(crate) snapshot: Snapshot,
    pub(crate) loaded: Time,
}

/// The result of looking up the tokens of a request.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) outcome: Outcome,
    /// Further live sessions whose tokens were sent; a logout ends them too.
    pub(crate) others: Vec<Snapshot>,
    /// The audit events that the tokens cause.
    pub(crate) events: Vec<(EventKind, SessionId)>,
    /// Whether several tokens verified, so that the client holds cookies that should be expired.
    pub(crate) has_several_tokens: bool,
}

/// Which session the request has.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// None: a save creates a new session.
    Unknown,
    /// A session that ended moments ago.
    Ended(Ended),
    Found(Found),
}

impl Lookup {
    pub(crate) fn of(outcome: Outcome) -> Lookup {
        Lookup { outcome, others: Vec::new(), events: Vec::new(), has_several_tokens: false }
    }

    fn unknown(event: EventKind, id: SessionId) -> Lookup {
        Lookup { events: vec![(event, id)], ..Lookup::of(Outcome::Unknown) }
    }
}

impl StoreBackend {
    /// The tokens of a request, or the one that the application gave.
    pub(super) fn tokens(&self, credentials: &Credentials, given: Option<&str>, context: &Context<'_>) -> Tokens {
        let mut tokens = Tokens::default();
        // Verifying a signature is cheap, so all tokens are verified.
        let mut verify = |via, text: &[u8]| {
            #[cfg(test)]
            crate::http::cookies::steps::add(text.len());
            if let Some(Verified { credential, digest, current }) = self.signer.verify(text) {
                tokens.add(VerifiedToken { credential, digest, has_current_key: current, via });
            }
        };
        match given {
            Some(token) => verify(0, token.as_bytes()),
            None => credentials.each_token(context.name, context.transports, verify),
        }
        tokens
    }

    /// Looks up the tokens, one after the other.
    pub(super) fn load(&self, tokens: Tokens, now: Time) -> Reply<'_, Lookup> {
        let Some(first) = tokens.first else { return Reply::ready(Ok(Lookup::of(Outcome::Unknown))) };
        let first = self.look_up(first, now);
        if tokens.more.is_empty() { first } else { Reply::new(self.load_several(first, tokens, now)) }
    }

    fn look_up(&self, token: VerifiedToken, now: Time) -> Reply<'_, Lookup> {
        let key = token.id().into();
        let writes = self.locks.writes(key);
        self.store.get(key).map(move |answer| self.check_secret(token, answer?, writes, now))
    }

    /// Checks the token's secret against the record that is stored under its id.
    fn check_secret(
        &self,
        token: VerifiedToken,
        stored: Option<Stored>,
        writes: u64,
        now: Time,
    ) -> Result<Lookup, Error> {
        let id = token.id();
        let Some(stored) = stored else { return Ok(Lookup::unknown(EventKind::Expired, id)) };
        Ok(match read(id, stored, writes, &self.layer)? {
            None => Lookup::unknown(EventKind::Expired, id),
            Some(Read::Ended(ended)) => Lookup::of(Outcome::Ended(ended)),
            Some(Read::Session(snapshot)) => match opens(&token.digest, &snapshot.record, now) {
                Some(is_current) => Lookup::of(Outcome::Found(Found { token, is_current, snapshot, loaded: now })),
                None => Lookup::unknown(EventKind::Replayed, id),
            },
        })
    }

    /// Looks up several verified tokens: one may be a cookie of a former domain, or planted by a sibling domain.
    async fn load_several(&self, first: Reply<'_, Lookup>, tokens: Tokens, now: Time) -> Result<Lookup, Error> {
        let mut has_more = tokens.is_overfull;
        let mut found = Several::default();
        found.add(first.await)?;
        for token in tokens.more {
            if found.live.len() == MAX_TOKENS {
                has_more = true;
                break;
            }
            found.add(self.look_up(token, now).await)?;
        }
        found.outcome(has_more)
    }
}

impl Tokens {
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.first.iter().chain(&self.more).map(VerifiedToken::id)
    }

    fn add(&mut self, token: VerifiedToken) {
        let same = |other: &VerifiedToken| other.id() == token.id() && same_digest(&other.digest, &token.digest);
        match &mut self.first {
            None => self.first = Some(token),
            // If one token has two signatures, the first key's counts.
            Some(first) if same(first) => first.has_current_key |= token.has_current_key,
            Some(_) if self.more.iter().any(same) => {}
            Some(_) if self.more.len() < MAX_LOOKUPS - 1 => self.more.push(token),
            Some(_) => self.is_overfull = true,
        }
    }
}

/// The results of several tokens.
#[derive(Default)]
struct Several {
    live: Vec<Found>,
    ended: Option<Ended>,
    events: Vec<(EventKind, SessionId)>,
    damaged: Option<Error>,
}

impl Several {
    fn add(&mut self, looked_up: Result<Lookup, Error>) -> Result<(), Error> {
        let lookup = match looked_up {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.damaged = Some(error);
                return Ok(());
            }
            lookup => lookup?,
        };
        match lookup.outcome {
            Outcome::Found(found) => self.live.push(found),
            Outcome::Ended(ended) => self.ended = Some(ended),
            Outcome::Unknown => self.events.extend(lookup.events),
        }
        Ok(())
    }

    /// Tokens of ended sessions do not count. Tokens of one session, or of a session and its fork, count as one: the
    /// newest. If tokens of two sessions remain, or some were not looked up, none counts.
    fn outcome(mut self, has_more: bool) -> Result<Lookup, Error> {
        let has_several_tokens = true;
        let Some(first) = self.live.first() else {
            if let Some(damaged) = self.damaged {
                return Err(damaged);
            }
            let ended = self.ended.filter(|_| !has_more);
            let outcome = ended.map_or(Outcome::Unknown, Outcome::Ended);
            return Ok(Lookup { events: self.events, has_several_tokens, ..Lookup::of(outcome) });
        };
        // A rotated secret is no sign of theft if the current one was sent too.
        let live: Vec<SessionId> = self.live.iter().map(|found| found.snapshot.id).collect();
        self.events.retain(|(_, id)| !live.contains(id));
        let via = self.live.iter().map(|found| found.token.via).min().unwrap_or(first.token.via);
        let newest = newest(self.live.iter().filter(|found| found.token.via == via)).filter(|_| !has_more).cloned();
        let chosen = newest.as_ref().map(|found| found.snapshot.id);
        let mut others: Vec<Snapshot> = Vec::new();
        for Found { snapshot, .. } in self.live {
            if chosen != Some(snapshot.id) && others.iter().all(|other| other.id != snapshot.id) {
                others.push(snapshot);
            }
        }
        if newest.is_none() {
            self.events.extend(others.iter().map(|other| (EventKind::Conflicting, other.id)));
        }
        let outcome = newest.map_or(Outcome::Unknown, Outcome::Found);
        Ok(Lookup { outcome, others, events: self.events, has_several_tokens })
    }
}

/// The newest of these, if all belong to one session or to a session and its forks.
fn newest<'a>(found: impl Iterator<Item = &'a Found>) -> Option<&'a Found> {
    let mut newest: Option<&Found> = None;
    for found in found {
        newest = match newest {
            None => Some(found),
            Some(other) if !are_related(other, found) => return None,
            Some(other) => Some(if is_newer(found, other) { found } else { other }),
        };
    }
    newest
}

fn are_related(one: &Found, other: &Found) -> bool {
    let (one, other) = (&one.snapshot, &other.snapshot);
    let awaits = |fork: &Snapshot, old: &Snapshot| fork.record.identity.awaits() == Some(old.id);
    let siblings = || one.device() == other.device() && one.record.principal() == other.record.principal();
    one.id == other.id || awaits(one, other) || awaits(other, one) || siblings()
}

fn is_newer(one: &Found, other: &Found) -> bool {
    if one.snapshot.id == other.snapshot.id {
        return one.is_current && !other.is_current;
    }
    let (one, other) = (&one.snapshot, &other.snapshot);
    let awaits = |fork: &Snapshot, old: &Snapshot| fork.record.identity.awaits() == Some(old.id);
    awaits(one, other) || (!awaits(other, one) && one.record.authenticated_at > other.record.authenticated_at)
}

/// Compares a secret with a session's: `None` if it does not match, else whether it is the current one.
fn opens(digest: &[u8; 32], record: &Record, now: Time) -> Option<bool> {
    if same_digest(&record.identity.current, digest) {
        return Some(true);
    }
    let previous = record.identity.previous.as_ref()?;
    (same_digest(&previous.digest, digest) && previous.is_good(now)).then_some(false)
}
