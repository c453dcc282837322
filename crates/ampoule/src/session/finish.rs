//! The end of the request: what is still to be written, and what the client is told.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ampoule_core::{ChangeLog, Error, Lifetime, Record, Time};
use http::StatusCode;
use http::header::{CACHE_CONTROL, Entry, HeaderMap, HeaderValue, SET_COOKIE, VARY};

use super::Session;
use super::state::{Known, State, Tell};
use crate::cookie::{attributes, pieces};
use crate::event::EventKind;
use crate::home::Home;
use crate::protocol::Found;
use crate::transport::Transport;

impl Session {
    /// Whether the request touched its session. One that did not costs nothing more (promise P4).
    pub(crate) fn is_touched(&self) -> bool {
        self.0.touched.load(Ordering::Relaxed)
    }

    /// Whether the request did nothing to its session but read it, and the client is told nothing about it.
    #[cfg(feature = "cache")]
    pub(crate) fn is_as_it_was(&self) -> bool {
        let state = self.state();
        let is_same = state.changes.is_empty() && !state.wrote && !state.renew && state.moving.is_none();
        is_same && state.tell == Tell::Nothing && !state.clear_site_data && !matches!(state.known, Known::Deleted)
    }

    /// Ends the request at once if nothing waits for the store: the way of all that only read.
    pub(crate) fn finish_now(&self, headers: &mut HeaderMap) -> Option<Result<(), Error>> {
        let state = self.state();
        let waits = state.is_changed() || state.moving.is_some();
        if self.0.used.load(Ordering::Relaxed) && (waits || self.is_use_to_note(&state)) {
            return None;
        }
        Some(self.tell(&state, headers))
    }

    pub(crate) async fn finish(&self, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Error> {
        if !self.is_touched() {
            return Ok(());
        }
        if self.0.used.load(Ordering::Relaxed) {
            self.settle(status).await?;
        }
        self.tell(&self.state(), headers)
    }

    /// Brings the store up to date.
    async fn settle(&self, status: StatusCode) -> Result<(), Error> {
        let reachable = !matches!(self.state().known, Known::Unreachable(_));
        if self.0.shared.options.auto && reachable && !status.is_server_error() && self.state().is_changed() {
            self.save().await?;
        }
        self.complete_move().await?;
        self.warn_if_unsaved(status);
        self.keep_alive().await;
        Ok(())
    }

    /// Changes that a failed request leaves behind are meant to be lost; those of others are a mistake.
    fn warn_if_unsaved(&self, status: StatusCode) {
        let state = self.state();
        if state.is_changed() && !status.is_server_error() {
            let (session, changes) = (&self.0.shared.name, &state.changes);
            tracing::warn!(session, ?changes, "a session was changed and never saved: call save(), or set auto");
        }
    }

    async fn complete_move(&self) -> Result<(), Error> {
        let _busy = self.busy().await;
        let (moving, known) = {
            let mut state = self.state();
            (state.moving.take(), state.known.clone())
        };
        let (Some(moving), Known::Live(id, new), Home::Store { protocol, .. }) = (moving, known, &self.0.shared.home)
        else {
            return Ok(());
        };
        let (old_key, new_key) = (moving.old.key, new.key);
        let grace = self.0.shared.options.rotation_grace;
        let found = Box::pin(protocol.complete(*moving, new, grace, self.now())).await?;
        let mut state = self.state();
        if found.key != new_key {
            // Another request moved the session first, and its response has the cookie that counts.
            state.tell = Tell::Nothing;
        } else {
            let kind = EventKind::Rotated { from: old_key };
            self.0.shared.tell(kind, new_key, found.record.principal());
        }
        state.learn(Known::Live(id, found))
    }

    /// Moves the idle deadline and refreshes the cookie, each when a tenth of it has gone. It is not what the request
    /// came for, so a failure is told of in the log alone.
    async fn keep_alive(&self) {
        let (id, found) = {
            let mut state = self.state();
            let Some((id, found)) = state.to_keep_alive().map(|(id, found)| (*id, found.clone())) else { return };
            if state.reissue && !found.moved {
                state.tell = Tell::Set;
            }
            (id, found)
        };
        if let Err(error) = self.refresh(id, found).await {
            tracing::warn!(session = %self.0.shared.name, %error, "a session's use could not be noted");
        }
    }

    /// Whether the cookie is of an older secret, or a tenth of the idle time, or of the cookie's, has gone.
    fn is_use_to_note(&self, state: &State) -> bool {
        let Some((_, found)) = state.to_keep_alive() else { return false };
        if state.reissue {
            return true;
        }
        let now = self.now();
        let accessed = state.last_accessed.unwrap_or(found.record.accessed);
        self.is_touch_due(found, accessed, now) || self.is_refresh_due(state, found, now)
    }

    fn is_touch_due(&self, found: &Found, accessed: Time, now: Time) -> bool {
        self.0.shared.options.save_accessed_time && found.record.lifetime.is_touch_due(accessed, now)
    }

    async fn refresh(&self, id: [u8; 16], found: Found) -> Result<(), Error> {
        let (now, home) = (self.now(), &self.0.shared.home);
        let lifetime = found.record.lifetime;
        let accessed = self.state().last_accessed.unwrap_or(found.record.accessed);
        let touch_due = self.is_touch_due(&found, accessed, now);
        let cookie_due = self.is_refresh_due(&self.state(), &found, now);
        if cookie_due || (touch_due && home.is_cookie()) {
            let mut next = Record::clone(&found.record).accessed_at(now);
            next.cookie_sent = now;
            let found = home.commit(&id, &found, Arc::new(next), &ChangeLog::default(), now).await?;
            let mut state = self.state();
            state.tell = Tell::Set;
            state.learn(Known::Live(id, found))?;
        } else if touch_due {
            home.touch(&found, lifetime.deadline(now)).await?;
        }
        Ok(())
    }

    /// Whether the client's cookie is to be sent again. One that led through a pointer is not its session's.
    fn is_refresh_due(&self, state: &State, found: &Found, now: Time) -> bool {
        let Found { record, moved, .. } = found;
        !moved && self.is_cookie_due(state, &record.lifetime, record.cookie_sent, now)
    }

    /// Whether the cookie has an expiry and a tenth of it has gone since it was sent.
    pub(super) fn is_cookie_due(&self, state: &State, lifetime: &Lifetime, sent: Time, now: Time) -> bool {
        let age = self.0.shared.options.cookie.max_age(lifetime);
        let has_cookie = state.transport(&self.0.shared.options) == Some(&Transport::Cookie);
        has_cookie && age.is_some_and(|age| now.since(sent) >= age / 10)
    }

    fn tell(&self, state: &State, headers: &mut HeaderMap) -> Result<(), Error> {
        for transport in &self.0.shared.options.transports {
            // A cache must not give the response to another client (RFC 9111 section 4.1).
            add_vary(headers, transport.vary());
        }
        if state.clear_site_data {
            headers.insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
        }
        if state.tell != Tell::Nothing || matches!(state.known, Known::Unreachable(_)) {
            // A response with a session's id must not be stored by anything between us and the client; that, and the
            // missing Vary, are what CVE-2023-30861 (Flask) was. What was made without the session is for nobody else,
            // and for no other moment.
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        match state.transport(&self.0.shared.options) {
            Some(Transport::Cookie) if state.tell != Tell::Nothing => self.tell_cookies(state, headers)?,
            Some(Transport::Header(name)) => {
                if let Some(token) = self.token_to_send(state) {
                    headers.insert(name, token);
                }
            }
            Some(Transport::Cookie | Transport::Bearer | Transport::Function(_)) | None => {}
        }
        Ok(())
    }

    fn token_to_send(&self, state: &State) -> Option<HeaderValue> {
        let (Known::Live(id, found), Tell::Set) = (&state.known, state.tell) else { return None };
        HeaderValue::try_from(&*self.0.shared.home.cookie_value(id, found, &self.0.shared.name)).ok()
    }

    fn tell_cookies(&self, state: &State, headers: &mut HeaderMap) -> Result<(), Error> {
        let shared = &self.0.shared;
        let (value, max_age) = match (&state.known, state.tell) {
            (Known::Live(id, found), Tell::Set) => {
                let value = shared.home.cookie_value(id, found, &shared.name);
                (Some(value), shared.options.cookie.max_age(&found.record.lifetime))
            }
            (_, Tell::Remove) => (None, None),
            _ => return Ok(()),
        };
        let text = value.as_deref().map_or(Cow::default(), |value| pieces::text(&shared.name, value));
        let mut pieces = text.chunks(pieces::room(&shared.name));
        // What the client has and the session has not is removed.
        let held = match (&shared.home, pieces.len()) {
            (Home::Cookie { .. }, _) => pieces::held(&self.0.brought.cookies, &shared.name),
            (Home::Store { .. }, 0) => usize::from(self.0.brought.cookies.named(&shared.name).next().is_some()),
            (Home::Store { .. }, _) => 0,
        };
        let attributes = match state.domain_and_path() {
            (None, None) => Cow::Borrowed(&shared.attributes),
            (domain, path) => Cow::Owned(attributes::attributes(&shared.options.cookie, domain, path)),
        };
        for index in 0..pieces.len().max(held) {
            let name = pieces::name_of(&shared.name, index);
            headers.append(SET_COOKIE, attributes::set_cookie(&name, pieces.next(), &attributes, max_age)?);
        }
        Ok(())
    }
}

/// Says that the response depends on this header, if it does not say so already.
pub(crate) fn add_vary(headers: &mut HeaderMap, name: HeaderValue) {
    match headers.entry(VARY) {
        Entry::Vacant(place) => _ = place.insert(name),
        Entry::Occupied(mut place) => {
            let mut names =
                place.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
            if !names.any(|known| known == b"*" || known.eq_ignore_ascii_case(name.as_bytes())) {
                place.append(name);
            }
        }
    }
}
