//! The options of sessions, each with its default and the reason for it.

pub(crate) mod invalid;
pub(crate) mod kind;
pub(crate) mod names;
pub(crate) mod parse;
pub(crate) mod redact;
pub(crate) mod settings;
pub(crate) mod stores;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ampoule_core::internal::NonExhaustive;
use ampoule_core::{Clock, Error, ErrorKind, SystemClock};
use ampoule_seal::Secret;

use self::invalid::{BadOptions, InvalidOption};
use crate::event::EventHook;
use crate::http::set_cookie::CookieOptions;
use crate::http::transport::{self, Transport};

/// The settings of a [`SessionLayer`](crate::SessionLayer). Only `secrets` has no default.
///
/// ```
/// use std::time::Duration;
/// use ampoule::{CookieOptions, Options, Secret};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let from_the_environment = Secret::generate();
/// let options = Options {
///     secrets: vec![Secret::new(from_the_environment)?],
///     idle_timeout: Some(Duration::from_secs(30 * 60)),
///     cookie: CookieOptions { name: "shop".into(), ..CookieOptions::default() },
///     ..Options::default()
/// };
/// # Ok(()) }
/// ```
///
/// End a literal with `..Options::default()`: a later version may add options.
#[derive(Clone)]
pub struct Options {
    /// The secrets: the first signs, all verify. To rotate, put a new secret before the old one, and remove the old one
    /// when its cookies have expired. At least one is required.
    pub secrets: Vec<Secret>,
    /// How long a session lives without being used: 24 hours by default, at least a second. A use moves the deadline,
    /// at most once per tenth of the timeout. A session that holds nothing but a form's token lives for at most an
    /// hour. `None` disables the idle timeout (Beaker's default, with which abandoned sessions fill the disk).
    pub idle_timeout: Option<Duration>,
    /// How long a session lives at most, used or not: 30 days by default, at least a second. It limits for how long a
    /// stolen token can be used. `None` disables it.
    pub absolute_timeout: Option<Duration>,
    /// Whether changes are saved without a call of [`save`](crate::Session::save), when the handler has answered with
    /// any status but a 5xx. `false` by default, as in Beaker.
    pub auto_save: bool,
    /// Whether a use moves the idle deadline, which takes an occasional write. `true` by default; with `false` only
    /// saves move it.
    pub save_accessed_time: bool,
    /// What happens to a damaged record. `false`, the default, returns an error (promise P7); `true` logs the damage
    /// and gives the client a new session. Beaker's middleware has `true`.
    pub invalidate_corrupt: bool,
    /// How tokens travel: only in the cookie, by default. Several transports are tried in order. With an empty list the
    /// application selects the session by [`set_token`](crate::Session::set_token).
    pub transports: Vec<Transport>,
    /// The cookie's name and attributes.
    pub cookie: CookieOptions,
    /// How long an old token stays valid after a request sent the new one, and how long a login whose response was lost
    /// keeps the session before it frozen: 5 seconds by default, at most 300. Zero breaks requests that a page
    /// had started before its token was rotated.
    pub rotation_grace: Duration,
    /// The time limit on each operation of the store: 5 seconds by default (promise P10). `None` disables it; needed
    /// only where there is no tokio runtime with a timer.
    pub store_timeout: Option<Duration>,
    /// How often expired sessions are removed from the store, by a task that the first session of this process starts
    /// and that ends with the layer: every 60 seconds by default, at random up to half more or less, so that several
    /// processes do not coincide. Zero is an error. `None` leaves it to another process, or to `ampoule sessions
    /// sweep`: if nothing sweeps, they stay in the store. Needs a tokio runtime with a timer, as `store_timeout` does:
    /// without that limit there is no task.
    pub sweep_interval: Option<Duration>,
    /// What a request that needs its session gets while the store is down: an error, by default (promise P10).
    pub on_outage: OutagePolicy,
    /// The circuit opens for a second after this number of consecutive failures of the store, 5 by default: requests
    /// that need the store then fail at once instead of waiting for it. 0 disables it.
    pub fail_fast_after: usize,
    /// How many devices may be logged in as one principal at once, at least 1; `None`, the default, sets no limit. The
    /// sessions of one device count once, such as those of a double click on a login's button. A login does not count
    /// before the client has sent its token; with [`SessionLimitPolicy::EndOldest`], for the time of
    /// [`rotation_grace`](Options::rotation_grace) only. They are counted when a session gets a principal or a new id;
    /// concurrent logins are counted correctly.
    pub sessions_per_principal: Option<usize>,
    /// What happens beyond [`sessions_per_principal`](Options::sessions_per_principal): by default the sessions of the
    /// devices that were unused longest end.
    pub at_session_limit: SessionLimitPolicy,
    /// Keys that encrypt records before they reach the store, for a store whose readers are not trusted: the first
    /// encrypts, all decrypt. None by default: the store then holds values unencrypted, and only digests of tokens. A
    /// session in its own cookie is always encrypted: by these keys, or else by the secrets.
    pub encryption_keys: Vec<Secret>,
    /// A function that is called when a session is created, gets a new token, ends or is found to have ended: for an
    /// audit log. It runs within the request, so it should be quick.
    pub on_event: Option<EventHook>,
    /// Whether fingerprints of the session's id and of its principal are recorded in the fields `session` and `user` of
    /// a request's `tracing` span, once the session is loaded and again after a login. `false` by default.
    ///
    /// The span must be current around the layer, and must declare the fields: `info_span!("request", session = Empty,
    /// user = Empty)`. A fingerprint is 16 hexadecimal digits of a keyed hash (HMAC-SHA-256 by the first of the
    /// secrets), so that logs name no user; [`SessionLayer::fingerprint`] returns that of a known user. A token is
    /// never recorded.
    ///
    /// [`SessionLayer::fingerprint`]: crate::SessionLayer::fingerprint
    pub trace_fingerprints: bool,
    /// The most bytes that a session's entries take, encoded: 1 MiB by default, at least 1024. Each request that uses a
    /// session reads all of it.
    pub max_record_size: usize,
    /// The clock: the system's by default. Tests can set a [`ManualClock`](crate::ManualClock).
    pub clock: Arc<dyn Clock>,
    #[doc(hidden)]
    pub __non_exhaustive: NonExhaustive,
}

/// What a request that needs its session gets while the store is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutagePolicy {
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) or [`ErrorKind::Timeout`](crate::ErrorKind::Timeout),
    /// which becomes a 503 response with `Retry-After`.
    #[default]
    Error,
    /// An empty session that cannot be saved, so that pages that do not need the session are still shown. The client
    /// keeps its cookie, and the store its session. [`Session::is_unreachable`](crate::Session::is_unreachable) is
    /// `true`. Saving and ending the session are errors as before.
    Anonymous,
}

/// What happens when a principal logs in on more devices than
/// [`sessions_per_principal`](Options::sessions_per_principal) allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionLimitPolicy {
    /// The sessions of the devices that were unused longest end.
    #[default]
    EndOldest,
    /// The new session is refused: its save returns [`ErrorKind::Limit`](crate::ErrorKind::Limit).
    Refuse,
}

/// An invalid option.
pub(crate) struct Fault {
    /// The option's name in settings.
    pub(crate) option: &'static str,
    pub(crate) message: String,
}

impl Fault {
    /// The name of the option's field in code.
    fn field(&self) -> &'static str {
        match self.option {
            "cookie_domain" => "cookie.domain",
            "cookie_path" => "cookie.path",
            "cookie_expires" => "cookie.expires",
            "cookie_max_pieces" => "cookie.max_pieces",
            "host_prefix" => "cookie.host_prefix",
            "secure" => "cookie.secure",
            "key" => "cookie.name",
            "secret" => "secrets",
            "timeout" => "idle_timeout",
            "max_size" => "max_record_size",
            option => option,
        }
    }
}

/// How many devices of one principal may have a session, and what happens beyond that number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) most: usize,
    pub(crate) policy: SessionLimitPolicy,
}

impl Limit {
    /// The error of a login beyond the limit.
    pub(crate) fn reached(self) -> Error {
        let most = self.most;
        let message =
            format!("the principal is logged in on {most} devices, as many as allowed (sessions_per_principal)");
        Error::new(ErrorKind::Limit, message)
    }
}

impl Default for Options {
    fn default() -> Options {
        const HOUR: Duration = Duration::from_secs(3_600);
        Options {
            secrets: Vec::new(),
            idle_timeout: Some(24 * HOUR),
            absolute_timeout: Some(30 * 24 * HOUR),
            auto_save: false,
            save_accessed_time: true,
            invalidate_corrupt: false,
            transports: vec![Transport::Cookie],
            cookie: CookieOptions::default(),
            rotation_grace: Duration::from_secs(5),
            store_timeout: Some(Duration::from_secs(5)),
            sweep_interval: Some(Duration::from_secs(60)),
            on_outage: OutagePolicy::default(),
            fail_fast_after: 5,
            sessions_per_principal: None,
            at_session_limit: SessionLimitPolicy::default(),
            encryption_keys: Vec::new(),
            on_event: None,
            trace_fingerprints: false,
            max_record_size: 1 << 20,
            clock: Arc::new(SystemClock),
            __non_exhaustive: NonExhaustive::NEW,
        }
    }
}

impl Options {
    /// The limit of a principal's sessions, if there is one.
    pub(crate) fn limit(&self) -> Option<Limit> {
        self.sessions_per_principal.map(|most| Limit { most, policy: self.at_session_limit })
    }

    /// Checks the options; errors name their fields.
    pub(crate) fn check(&self) -> Result<(), BadOptions> {
        let in_code =
            |fault: Fault| InvalidOption { name: format!("Options::{}", fault.field()), message: fault.message };
        let faults: Vec<InvalidOption> = self.validate().into_iter().map(in_code).collect();
        if faults.is_empty() { Ok(()) } else { Err(BadOptions(faults)) }
    }

    /// Returns every invalid option, with its name in settings.
    pub(crate) fn validate(&self) -> Vec<Fault> {
        let mut faults = self.cookie.validate();
        let mut check = |wrong: bool, option, message: &str| {
            if wrong {
                faults.push((option, message.to_owned()));
            }
        };
        let too_short = |time: Option<Duration>| time.is_some_and(|time| time < Duration::from_secs(1));
        check(
            self.secrets.is_empty(),
            "secret",
            "expected one at least: `vec![Secret::new(text)?]`, where `Secret::generate` made the text once",
        );
        let transports = transport::fault(&self.transports);
        check(transports.is_some(), "transports", transports.as_deref().unwrap_or_default());
        check(too_short(self.idle_timeout), "timeout", "expected at least a second");
        check(too_short(self.absolute_timeout), "absolute_timeout", "expected at least a second");
        check(self.sweep_interval == Some(Duration::ZERO), "sweep_interval", "expected more than 0 seconds, or none");
        check(self.store_timeout == Some(Duration::ZERO), "store_timeout", "expected more than 0 seconds, or none");
        check(self.rotation_grace > Duration::from_secs(300), "rotation_grace", "expected at most 300 seconds");
        check(self.sessions_per_principal == Some(0), "sessions_per_principal", "expected at least 1, or none");
        check(self.max_record_size < 1_024, "max_size", "expected at least 1024 bytes");
        faults.into_iter().map(|(option, message)| Fault { option, message }).collect()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = format!("{} secrets", self.secrets.len());
        f.debug_struct("Options")
            .field("secrets", &secrets)
            .field("idle_timeout", &self.idle_timeout)
            .field("absolute_timeout", &self.absolute_timeout)
            .field("auto_save", &self.auto_save)
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}
