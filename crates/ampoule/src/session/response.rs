//! The headers that a response gets because of its session: cookies, `Vary`, `Cache-Control`.

use std::borrow::Cow;

use ampoule_core::Error;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use super::Session;
use super::cookie_action::{CookieAction, cookie_action};
use super::state::due::Renewal;
use super::state::{StaleCookies, State};
use crate::backend::CookieValue;
use crate::http::edit::{add_vary, forbid_storing};
use crate::http::pieces;
use crate::http::scopes::{self, Expired};
use crate::http::set_cookie::{self, CookieOptions, CookieScope};
use crate::http::transport::Transport;

/// The most cookies that one response expires. Each is a header, and proxies refuse responses with many.
const MAX_EXPIRED: usize = 48;

impl Session {
    /// Adds the headers that the client must receive.
    pub(super) fn respond(&self, state: &State, rules: &Renewal<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
        let options = &self.0.shared.options;
        for transport in &options.transports {
            // A cache must not give the response to another client (RFC 9111 section 4.1).
            add_vary(headers, transport.vary());
        }
        if self.chosen().clear_site_data {
            headers.insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
        }
        let action = cookie_action(state.final_state(rules), || self.0.credentials.has_cookie(&self.0.shared.name));
        let expired = self.scopes_to_expire(state, rules, action);
        if action != CookieAction::Nothing || !expired.is_empty() || state.is_unreachable() {
            // No cache on the way may store a response with a session's token: together with a missing Vary, this was
            // CVE-2023-30861 (Flask). Nor may one store a response that was created without the session because of an
            // outage: it is wrong for other clients and at other times.
            forbid_storing(headers);
        }
        // First, since a browser that knows no partitions, or takes two scopes for one, keeps what comes last.
        self.expire(&expired, headers)?;
        match rules.transport {
            Some(Transport::Cookie) if action != CookieAction::Nothing => self.send_cookies(state, action, headers)?,
            Some(Transport::Header(name)) if action == CookieAction::Send => {
                headers.extend(self.value(state).and_then(|value| Some((name.clone(), sensitive(&value)?))));
            }
            _ => {}
        }
        Ok(())
    }

    /// The transport by which the client sent its token, or the first for a new session; `None` if the application
    /// hands tokens out by itself.
    pub(super) fn transport(&self, state: &State) -> Option<&Transport> {
        if self.chosen().token.is_some() { None } else { self.0.shared.options.transports.get(state.via()) }
    }

    /// The rules by which a token is sent again.
    pub(super) fn renewal<'a>(&'a self, state: &State) -> Renewal<'a> {
        let shared = &self.0.shared;
        Renewal {
            clock: &*shared.options.clock,
            moves_deadline: shared.options.save_accessed_time,
            transport: self.transport(state),
            is_in_cookie: shared.backend.is_cookie(),
            cookie: &shared.options.cookie,
        }
    }

    /// The value that the client should hold.
    fn value(&self, state: &State) -> Option<CookieValue> {
        let live = state.live()?;
        Some(self.0.shared.backend.cookie_value(&live.credential, &live.snapshot.record))
    }

    fn send_cookies(&self, state: &State, action: CookieAction, headers: &mut HeaderMap) -> Result<(), Error> {
        let shared = &self.0.shared;
        let value = self.value(state).filter(|_| action == CookieAction::Send);
        let max_age = state.live().and_then(|live| shared.options.cookie.max_age(&live.snapshot.record.lifetime));
        let text = value.as_deref().map_or(Cow::default(), |value| pieces::text(&shared.name, value));
        let mut pieces = text.chunks(pieces::room(&shared.name));
        // A cookie that the client holds, and the session does not use, is removed.
        let held = match (shared.backend.is_cookie(), pieces.len()) {
            (true, _) => pieces::held(&self.0.credentials.cookies, &shared.name),
            (false, 0) => 1,
            (false, _) => 0,
        };
        let chosen = self.chosen();
        let attributes = match (&chosen.domain, &chosen.path) {
            (None, None) => Cow::Borrowed(&shared.attributes),
            (domain, path) => {
                Cow::Owned(set_cookie::attributes(&shared.options.cookie, domain.as_deref(), path.as_deref()))
            }
        };
        for index in 0..pieces.len().max(held) {
            let name = pieces::name_of(&shared.name, index);
            headers.append(SET_COOKIE, set_cookie::set_cookie(&name, pieces.next(), &attributes, max_age)?);
        }
        Ok(())
    }

    /// The scopes whose cookies conflict with the session's. They are expired together with a response that settles
    /// which cookie counts: the session's own, its removal, or, if two sessions' tokens were sent, none.
    fn scopes_to_expire(&self, state: &State, rules: &Renewal<'_>, action: CookieAction) -> Vec<Expired> {
        let shared = &self.0.shared;
        let stale_cookies = state.stale_cookies();
        let is_settled = action != CookieAction::Nothing || stale_cookies == StaleCookies::All;
        if stale_cookies == StaleCookies::None || !is_settled || rules.transport != Some(&Transport::Cookie) {
            return Vec::new();
        }
        let (cookie, chosen) = (&shared.options.cookie, self.chosen());
        let counts = CookieScope {
            domain: chosen.domain.clone().or_else(|| cookie.domain.clone()),
            path: chosen.path.clone().unwrap_or_else(|| cookie.path.clone()),
        };
        let mut scopes = Vec::new();
        if !shared.name.starts_with("__Host-") {
            let credentials = &self.0.credentials;
            scopes = scopes::besides(&counts, &cookie.former_scopes, credentials.host().as_deref(), credentials.path());
        }
        let own = (action == CookieAction::Nothing).then_some(counts.clone());
        scopes::in_both_forms(cookie, own, counts, scopes)
    }

    fn expire(&self, scopes: &[Expired], headers: &mut HeaderMap) -> Result<(), Error> {
        let shared = &self.0.shared;
        let is_cookie = shared.backend.is_cookie();
        let held = if is_cookie { pieces::held(&self.0.credentials.cookies, &shared.name) } else { 1 };
        for Expired { scope: CookieScope { domain, path }, partitioned } in
            scopes.iter().take(MAX_EXPIRED / held.max(1))
        {
            let options =
                CookieOptions { domain: domain.clone(), partitioned: *partitioned, ..shared.options.cookie.clone() };
            let attributes = set_cookie::attributes(&options, None, Some(path));
            for index in 0..held {
                let name = pieces::name_of(&shared.name, index);
                headers.append(SET_COOKIE, set_cookie::set_cookie(&name, None, &attributes, None)?);
            }
        }
        Ok(())
    }
}

/// A header value that is marked as sensitive, so that logs hide it.
fn sensitive(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
