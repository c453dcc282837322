//! Settings as text: from an ini file, a map or the environment.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Once};

use ampoule_core::Error;
use ampoule_seal::Secret;

use super::invalid::BadOptions;
use super::kind::Kind;
use super::parse::{RawOptions, boolean, seconds};
use super::{Options, OutagePolicy, SessionLimitPolicy, names, stores};
use crate::http::set_cookie::{CookieExpires, CookiePriority, HostPrefix, SameSite};
use crate::http::transport::{self, Transport};
use crate::layer::SessionLayer;
use crate::store;

/// What to do about the one option that has no default.
const NO_SECRET: &str = "it is missing; set it, or AMPOULE_SESSION_SECRET in the environment, to a value such as \
                         `openssl rand -base64 32` prints (`ampoule make-config` writes an ini file with one)";

/// A layer's settings, read from text.
///
/// Names are Beaker's, under the prefixes `beaker.session.`, `session.` or `ampoule.session.`; `cache_dir` and `debug`
/// have no prefix. `debug = true` is for a developer's own machine: it allows a weak secret, with a warning, and
/// cookies without TLS. In the environment an option is written `AMPOULE_SESSION_TIMEOUT`, and `std::env::vars()` can
/// be passed unchanged: if one name has that prefix, names without a prefix are taken as another program's.
/// `secret_file` and `encrypt_key_file` name files with the values of `secret` and `encrypt_key`, such as the secrets
/// that a container mounts.
///
/// ```
/// use ampoule::Settings;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let secret = ampoule::Secret::generate();
/// let settings = Settings::parse([
///     ("session.type", "memory"),
///     ("session.key", "shop"),
///     ("session.secret", secret.as_str()),
///     ("session.timeout", "1800"),
/// ])?;
/// let layer = settings.layer()?;
///
/// let error = Settings::parse([("session.timout", "1800")]).unwrap_err();
/// assert_eq!(error.0[0].to_string(), "session.timout: there is no such option; did you mean `timeout`?");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The options of the layer.
    pub options: Options,
    /// Where its sessions are stored.
    pub kind: Kind,
    /// Warnings for the operator, such as about a weak secret in debug. [`layer`](Settings::layer) writes them to the
    /// log.
    pub warnings: Vec<String>,
    /// Whether the warnings were logged.
    warned: Arc<Once>,
}

impl Settings {
    /// Reads pairs of name and value. Names outside the prefixes are ignored, so a whole section can be given; but one
    /// that looks like a misspelt prefix, such as `beaker.sesion.key`, is an error.
    ///
    /// # Errors
    /// Returns all invalid options: unknown ones with the nearest known name, misspelt prefixes with the right ones,
    /// and invalid values with what was expected.
    pub fn parse(
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Settings, BadOptions> {
        let mut pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut warnings = names::remove_unprefixed(&mut pairs);
        let alone = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let (cache_dir, debug) = (alone("cache_dir"), alone("debug"));
        let mut raw = RawOptions::sort(&names::SESSION, pairs);
        let debug = read_debug(&mut raw, debug.as_deref());
        let mut options = read_options(&mut raw, debug);
        options.secrets = read_secrets(&mut raw, "secret", debug, &mut warnings);
        options.encryption_keys = read_secrets(&mut raw, "encrypt_key", debug, &mut warnings);
        let kind = stores::read_kind(&mut raw, cache_dir);
        warnings.extend(stores::ignored(&raw, &kind));
        let of_secret = |name: &str| name.ends_with("secret") || name.ends_with("secret_file");
        let bad_secret = raw.faults.iter().any(|fault| of_secret(&fault.name.to_ascii_lowercase()));
        for fault in options.validate() {
            match fault.option {
                "secret" if bad_secret => {}
                "secret" => raw.fault("secret", NO_SECRET),
                option => raw.fault(option, fault.message),
            }
        }
        if matches!(kind, Kind::Cookie) && options.transports != [Transport::Cookie] {
            raw.fault("transports", "expected cookie alone, since `type = cookie` keeps sessions in their cookies");
        }
        if raw.faults.is_empty() {
            Ok(Settings { options, kind, warnings, warned: Arc::new(Once::new()) })
        } else {
            Err(BadOptions(raw.faults))
        }
    }

    /// Returns the option that a name stands for, if it is an option of a session: `timeout` for
    /// `beaker.session.timeout`, `session.timeout`, `ampoule.session.timeout`, `session_timeout` and
    /// `AMPOULE_SESSION_TIMEOUT`. The option may be unknown.
    ///
    /// ```
    /// use ampoule::Settings;
    ///
    /// assert_eq!(Settings::option_of("beaker.session.timeout").as_deref(), Some("timeout"));
    /// assert_eq!(Settings::option_of("AMPOULE_SESSION_TIMEOUT").as_deref(), Some("timeout"));
    /// assert_eq!(Settings::option_of("cache.expire"), None);
    /// ```
    pub fn option_of(name: &str) -> Option<Cow<'_, str>> {
        names::SESSION.option_of(name)
    }

    /// Creates the layer of these settings: opens its store, and logs the warnings, once for these settings.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) or another if the store cannot be opened.
    pub fn layer(&self) -> Result<SessionLayer, Error> {
        self.warned.call_once(|| self.warnings.iter().for_each(|warning| tracing::warn!("{warning}")));
        match &self.kind {
            Kind::Cookie => SessionLayer::in_cookie(self.options.clone()),
            Kind::Store { url, options } => SessionLayer::new(store::open(url, options)?, self.options.clone()),
        }
    }
}

fn read_debug(raw: &mut RawOptions, text: Option<&str>) -> bool {
    let value = text.map(|text| boolean(text.trim()));
    if value == Some(None) {
        raw.fault("debug", format!("expected true or false, found `{}`", text.unwrap_or_default()));
    }
    let mut debug = value.flatten().unwrap_or(false);
    raw.bool("debug", &mut debug);
    debug
}

fn read_options(raw: &mut RawOptions, debug: bool) -> Options {
    let mut options = Options::default();
    options.cookie.secure = !debug;
    if let Some(key) = raw.text("key") {
        options.cookie.name = key;
    }
    raw.seconds_or_none("timeout", &mut options.idle_timeout);
    raw.seconds_or_none("absolute_timeout", &mut options.absolute_timeout);
    raw.bool("auto", &mut options.auto_save);
    raw.bool("save_accessed_time", &mut options.save_accessed_time);
    raw.bool("invalidate_corrupt", &mut options.invalidate_corrupt);
    raw.seconds("rotation_grace", &mut options.rotation_grace);
    raw.seconds_or_none("store_timeout", &mut options.store_timeout);
    raw.seconds_or_none("sweep_interval", &mut options.sweep_interval);
    raw.number("max_size", &mut options.max_record_size);
    let outages = [("error", OutagePolicy::Error), ("anonymous", OutagePolicy::Anonymous)];
    options.on_outage = raw.word("on_outage", &outages).unwrap_or_default();
    raw.number("fail_fast_after", &mut options.fail_fast_after);
    raw.number_or_none("sessions_per_principal", &mut options.sessions_per_principal);
    let limits = [("end_oldest", SessionLimitPolicy::EndOldest), ("refuse", SessionLimitPolicy::Refuse)];
    options.at_session_limit = raw.word("at_session_limit", &limits).unwrap_or_default();
    raw.bool("trace_fingerprints", &mut options.trace_fingerprints);
    read_transports(raw, &mut options);
    read_cookie_options(raw, &mut options);
    options
}

fn read_cookie_options(raw: &mut RawOptions, options: &mut Options) {
    let cookie = &mut options.cookie;
    cookie.domain = raw.text("cookie_domain");
    if let Some(path) = raw.text("cookie_path") {
        cookie.path = path;
    }
    raw.bool("secure", &mut cookie.secure);
    raw.bool("httponly", &mut cookie.httponly);
    raw.bool("partitioned", &mut cookie.partitioned);
    let has_prefix = raw.parse("host_prefix", "true or false", boolean).unwrap_or(false);
    cookie.host_prefix = if has_prefix { HostPrefix::Always } else { HostPrefix::Never };
    raw.number("cookie_max_pieces", &mut cookie.max_pieces);
    let samesite = [("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
    cookie.samesite = raw.word("samesite", &samesite).unwrap_or(cookie.samesite);
    let priorities = [("low", CookiePriority::Low), ("medium", CookiePriority::Medium), ("high", CookiePriority::High)];
    cookie.priority = raw.word("cookie_priority", &priorities);
    if let Some(text) = raw.text("cookie_expires") {
        match cookie_expires(&text) {
            Some(expires) => cookie.expires = expires,
            None => raw.fault(
                "cookie_expires",
                format!("expected true (when the browser closes), false (never), or seconds above 1, found `{text}`"),
            ),
        }
    }
}

/// With `use_cookies = false` alone the application finds the id itself, as in Beaker.
fn read_transports(raw: &mut RawOptions, options: &mut Options) {
    let expected = "cookie, bearer or header NAME, or several of them with commas between";
    let listed = raw.parse("transports", expected, transport::parse);
    let use_cookies = raw.parse("use_cookies", "true or false", boolean);
    options.transports = match (listed, use_cookies) {
        (None, Some(false)) => Vec::new(),
        (None, _) => vec![Transport::Cookie],
        (Some(listed), said) => {
            if said.is_some_and(|said| said != listed.contains(&Transport::Cookie)) {
                raw.fault("use_cookies", "it contradicts `transports`, which alone is enough");
            }
            listed
        }
    };
}

/// Beaker reads 1 as true and 0 as false, and larger numbers as seconds: since 1 and 0 could mean either, they are
/// errors.
fn cookie_expires(text: &str) -> Option<CookieExpires> {
    match (seconds(text), boolean(text)) {
        (Some(time), _) => (time.as_secs() > 1).then_some(CookieExpires::After(time)),
        (None, Some(true)) => Some(CookieExpires::Session),
        (None, Some(false)) => Some(CookieExpires::Never),
        (None, None) => None,
    }
}

/// Reads one secret per line: a list is written with continuation lines, since a secret may contain any other
/// character. An option that was indented by mistake would be such a line too, and is never taken for a secret.
fn read_secrets(raw: &mut RawOptions, option: &'static str, debug: bool, warnings: &mut Vec<String>) -> Vec<Secret> {
    let mut allow_weak = debug;
    raw.bool("insecure_weak_secret", &mut allow_weak);
    let (option, text) = secret_text(raw, option);
    let mut secrets = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(message) = names::SESSION.misplaced(line) {
            raw.fault(option, message);
            continue;
        }
        match Secret::new(line) {
            Ok(secret) => secrets.push(secret),
            Err(weak) if allow_weak => {
                let (name, weak) = (raw.full_name(option), named(option, &weak));
                let why = if debug { "debug" } else { "insecure_weak_secret" };
                warnings.push(format!("{name}: {weak}; allowed because of {why}, never use it in production"));
                secrets.extend(Secret::insecure_weak(line));
            }
            Err(weak) => {
                let weak = named(option, &weak);
                raw.fault(option, format!("{weak}; on your own machine, debug = true allows this one"));
            }
        }
    }
    secrets
}

/// The message for a weak secret, which names its option's kind.
fn named(option: &str, weak: &dyn std::fmt::Display) -> String {
    let of = if option.starts_with("secret") { "the secret" } else { "the key" };
    weak.to_string().replacen("the secret", of, 1)
}

/// The text of a secret, and the option that it came from: `secret` itself, or the one that names a file.
fn secret_text(raw: &mut RawOptions, option: &'static str) -> (&'static str, String) {
    let by_file = if option == "secret" { "secret_file" } else { "encrypt_key_file" };
    match (raw.text(option), raw.text(by_file)) {
        (Some(_), Some(_)) => {
            let name = raw.full_name(option);
            raw.fault(by_file, format!("{name} conflicts with it; set one of the two"));
            (by_file, String::new())
        }
        (None, Some(path)) => match read_secret_file(&path) {
            Ok(text) => (by_file, text),
            Err(message) => {
                raw.fault(by_file, message);
                (by_file, String::new())
            }
        },
        (text, None) => (option, text.unwrap_or_default()),
    }
}

/// # Errors
/// The reason why the file is invalid, without its content.
fn read_secret_file(path: &str) -> Result<String, String> {
    const MAX_BYTES: u64 = 65_536;
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("the file cannot be read: {error}")),
        Ok(_) if text.len() as u64 > MAX_BYTES => Err(format!("the file has more than {MAX_BYTES} bytes")),
        Ok(_) if text.trim().is_empty() => Err("the file holds no secret".to_owned()),
        Ok(_) => Ok(text),
    }
}
