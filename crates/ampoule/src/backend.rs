//! Where sessions are kept: in a store, or each in its own cookie.

mod cookie;
mod edit;
mod fork;
mod limit;
mod lookup;
mod snapshot;
mod store;
mod write_locks;

use std::sync::Arc;

use ampoule_core::{Error, Record, Reply, SessionId, Time};
use ampoule_seal::{Credential, Token};

pub(crate) use self::cookie::CookieBackend;
pub(crate) use self::edit::Edit;
pub(crate) use self::fork::Fork;
pub(crate) use self::limit::{Caller, LoginCandidate};
pub(crate) use self::lookup::{Context, Found, Lookup, Outcome, VerifiedToken};
#[cfg(test)]
pub(crate) use self::snapshot::read_session;
pub(crate) use self::snapshot::{Ended, Lineage, Snapshot, ended};
pub(crate) use self::store::{StoreBackend, StoreRules};
use crate::http::credentials::Credentials;

/// The two ways to keep sessions.
pub(crate) enum Backend {
    /// The client holds a token; the record is in a store.
    Store(StoreBackend),
    /// The client holds the record itself, sealed in a cookie.
    Cookie(CookieBackend),
}

/// The value that a client holds for its session.
pub(crate) enum CookieValue {
    Token(Token),
    Sealed(String),
}

impl std::ops::Deref for CookieValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            CookieValue::Token(token) => token.as_bytes(),
            CookieValue::Sealed(text) => text.as_bytes(),
        }
    }
}

impl Backend {
    /// Looks up the session of a request: by `given`, the token that the application selected, or by the tokens in the
    /// credentials.
    pub(crate) fn load(
        &self,
        credentials: &Credentials,
        given: Option<&str>,
        context: &Context<'_>,
    ) -> Reply<'_, Lookup> {
        match self {
            Backend::Store(store) => store.load(store.tokens(credentials, given, context), context.now),
            Backend::Cookie(cookie) => Reply::ready(cookie.load(&credentials.cookies, context.now)),
        }
    }

    /// The ids in the request's tokens.
    pub(crate) fn ids(&self, credentials: &Credentials, given: Option<&str>, context: &Context<'_>) -> Vec<SessionId> {
        self.store().map_or(Vec::new(), |store| store.tokens(credentials, given, context).ids().collect())
    }

    /// Writes a new session.
    pub(crate) fn create(&self, credential: Credential, record: Arc<Record>, now: Time) -> Reply<'_, Snapshot> {
        match self {
            Backend::Store(store) => store.create(credential, record, now),
            Backend::Cookie(cookie) => Reply::ready(cookie.keep(credential, record)),
        }
    }

    /// Writes `next`, which is `base` with the edit applied; on a conflict, applies the edit to what other writers
    /// stored.
    pub(crate) fn commit<'a>(
        &'a self,
        base: &'a Snapshot,
        next: Arc<Record>,
        edit: &'a Edit<'a>,
    ) -> Reply<'a, Snapshot> {
        match self {
            Backend::Store(store) => store.commit(base, next, edit),
            Backend::Cookie(cookie) => Reply::ready(cookie.keep(Credential::new(*base.id.as_bytes(), [0; 16]), next)),
        }
    }

    /// Writes a login as a new session, and freezes the session that it comes from.
    pub(crate) async fn fork(&self, old: &Snapshot, fork: &Fork<'_>) -> Result<Snapshot, Error> {
        match self {
            Backend::Store(store) => store.fork(old, fork).await,
            Backend::Cookie(cookie) => cookie.keep(fork.credential, Arc::new(fork.record(Some(old))?)),
        }
    }

    /// The value that the client holds of a session.
    pub(crate) fn cookie_value(&self, credential: &Credential, record: &Record) -> CookieValue {
        match self {
            Backend::Store(store) => CookieValue::Token(store.sign(credential)),
            Backend::Cookie(cookie) => CookieValue::Sealed(cookie.seal(credential, record)),
        }
    }

    /// The store, if there is one.
    pub(crate) fn store(&self) -> Option<&StoreBackend> {
        match self {
            Backend::Store(store) => Some(store),
            Backend::Cookie(_) => None,
        }
    }

    pub(crate) fn is_cookie(&self) -> bool {
        matches!(self, Backend::Cookie(_))
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Backend::Store(store) => store.describe(),
            Backend::Cookie(_) => "sealed in the cookie itself (logout cannot revoke a copied cookie)".to_owned(),
        }
    }
}
