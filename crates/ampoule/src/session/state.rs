//! What one request knows and wants of its session.

use std::sync::Arc;

use ampoule_core::{Change, ChangeLog, Error, Record, Time};

use super::busy::Turn;
use crate::id::Id;
use crate::options::Options;
use crate::protocol::{Found, Move};
use crate::transport::Transport;

/// The state behind a session's handle. Locked for moments only, never across an await.
#[derive(Default)]
pub(super) struct State {
    /// What is known of the session in its home.
    pub(super) known: Known,
    /// The record with the request's changes, once there are any.
    pub(super) view: Option<Arc<Record>>,
    /// Who loads or saves.
    pub(super) turn: Turn,
    /// Changes that are not yet saved.
    pub(super) changes: ChangeLog,
    /// The session gets a new id when it is next saved.
    pub(super) renew: bool,
    /// The session has its new id, and its old place is still to be told.
    pub(super) moving: Option<Box<Move>>,
    /// No live session came with the request, or it was invalidated.
    pub(super) is_new: bool,
    /// When the session was last used before this request.
    pub(super) last_accessed: Option<Time>,
    /// The client's cookie was made by an older secret.
    pub(super) reissue: bool,
    /// Which of the layer's transports it came by; the first for a new one.
    pub(super) via: usize,
    /// Something was written in this request.
    pub(super) wrote: bool,
    /// What the client is told at the end of the request.
    pub(super) tell: Tell,
    /// The browser is to forget what else it keeps of the site.
    pub(super) clear_site_data: bool,
    /// What the application chose, if it chose anything.
    chosen: Option<Box<Chosen>>,
}

/// What an application chooses for one request: most choose nothing.
#[derive(Default)]
pub(super) struct Chosen {
    /// The token that counts, in place of what came.
    pub(super) token: Option<String>,
    /// Attributes of the cookie.
    pub(super) domain: Option<String>,
    pub(super) path: Option<String>,
}

/// What is known of the session in its home.
#[derive(Clone, Default)]
pub(super) enum Known {
    /// Nobody has looked.
    #[default]
    Nothing,
    /// There is none yet; the record is what a new one starts from.
    New(Arc<Record>),
    /// There is one.
    Live(Id, Found),
    /// There was one, and this request deleted it.
    Deleted,
    /// The store did not tell; the request goes on with an empty record, which is never saved.
    Unreachable(Arc<Record>),
}

/// What the client is told about its cookie. Decided as the request goes, sent once at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tell {
    /// Nothing: the cookie it has, or has not, is right.
    #[default]
    Nothing,
    /// The session's cookie.
    Set,
    /// That its cookie is no more.
    Remove,
}

impl State {
    /// The record as this request sees it. `None` before the session is loaded and after it is deleted.
    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.view.as_ref().or_else(|| self.saved())
    }

    /// The record as it is in its home, or as a new one starts.
    pub(super) fn saved(&self) -> Option<&Arc<Record>> {
        match &self.known {
            Known::New(record) | Known::Unreachable(record) => Some(record),
            Known::Live(_, found) => Some(&found.record),
            Known::Nothing | Known::Deleted => None,
        }
    }

    /// Records a change and, where the session is loaded, does it. A change that fails leaves no trace.
    pub(super) fn change(&mut self, change: Change) -> Result<(), Error> {
        if let Some(record) = self.record() {
            self.view = Some(Arc::new(change.applied(record)?));
        }
        self.changes.push(change)
    }

    /// The way by which the session came, or on which a new one goes out; `None` where the application hands ids out by
    /// itself.
    pub(super) fn transport<'a>(&self, options: &'a Options) -> Option<&'a Transport> {
        if self.given().is_some() { None } else { options.transports.get(self.via) }
    }

    /// What the application chose, to be added to.
    pub(super) fn chosen(&mut self) -> &mut Chosen {
        self.chosen.get_or_insert_default()
    }

    /// The token that the application gave by hand.
    pub(super) fn given(&self) -> Option<&str> {
        self.chosen.as_ref()?.token.as_deref()
    }

    /// The cookie's domain and path, where the application chose them.
    pub(super) fn domain_and_path(&self) -> (Option<&str>, Option<&str>) {
        self.chosen.as_ref().map_or((None, None), |chosen| (chosen.domain.as_deref(), chosen.path.as_deref()))
    }

    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self.known, Known::Nothing)
    }

    /// The session to be kept alive, if the request used one and wrote nothing.
    pub(super) fn to_keep_alive(&self) -> Option<(&Id, &Found)> {
        match &self.known {
            Known::Live(id, found) if !self.wrote => Some((id, found)),
            _ => None,
        }
    }

    /// Takes what was found, and does to it what the request changed before anybody looked.
    pub(super) fn learn(&mut self, known: Known) -> Result<(), Error> {
        self.known = known;
        self.view = match self.saved() {
            Some(saved) if !self.changes.is_empty() => {
                let mut view = Record::clone(saved);
                self.changes.apply(&mut view)?;
                Some(Arc::new(view))
            }
            _ => None,
        };
        Ok(())
    }

    /// Notes that what was asked for is saved, though nothing had to be written.
    pub(super) fn settled(&mut self) {
        self.view = None;
        self.renew = false;
    }

    /// Whether a save would write something.
    pub(super) fn is_changed(&self) -> bool {
        let differs = match (&self.view, self.saved()) {
            (Some(view), Some(saved)) => !view.same_data(saved),
            (None, None) => !self.changes.is_empty(),
            _ => false,
        };
        differs || (self.renew && matches!(self.known, Known::Nothing | Known::Live(..)))
    }
}
