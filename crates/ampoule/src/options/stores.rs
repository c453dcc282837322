//! Where sessions are stored, read from `type`, `url`, and each store's options.

use std::path::PathBuf;

use ampoule_core::Durability;

use super::kind::Kind;
use super::names::nearest;
use super::parse::{RawOptions, boolean};
use crate::store::{Engine, StoreOptions, WORDS, file_path};

/// The value of `type`.
enum StoreType {
    Cookie,
    /// Beaker's `ext:database`: the database is chosen by the URL.
    Database,
    Store(Engine),
}

/// The options that only some stores have, and these stores.
const OPTIONS_OF_STORES: [(&[&str], &[Engine]); 9] = [
    (&["durability"], &[Engine::File, Engine::Sqlite]),
    (&["max_entries", "max_bytes"], &[Engine::Memory]),
    (&["table_name"], &[Engine::Sqlite, Engine::Postgres, Engine::MySql]),
    (&["schema_name", "prepared_statements"], &[Engine::Postgres]),
    (&["migrate"], &[Engine::Postgres, Engine::MySql]),
    (&["tls_ca_file", "tls_cert_file", "tls_key_file"], &[Engine::Postgres, Engine::MySql, Engine::Redis]),
    (&["prefix"], &[Engine::Redis, Engine::Memcached]),
    (&["replicas"], &[Engine::Redis]),
    (
        &["max_connections", "connect_timeout", "pool_timeout", "command_timeout"],
        &[Engine::Postgres, Engine::MySql, Engine::Redis, Engine::Memcached],
    ),
];

/// The options that a session in its cookie does not have: it has no store, and its user's sessions cannot be counted.
const NOT_OF_COOKIES: [&str; 6] =
    ["sessions_per_principal", "at_session_limit", "store_timeout", "fail_fast_after", "on_outage", "sweep_interval"];

/// Warns of each given option that the store of these sessions does not have.
pub(super) fn ignored(raw: &RawOptions, kind: &Kind) -> Vec<String> {
    let engine = match kind {
        Kind::Cookie => None,
        Kind::Store { url, .. } => Engine::of_url(url).ok(),
    };
    let names = OPTIONS_OF_STORES.iter().filter(|(_, engines)| !engine.is_some_and(|engine| engines.contains(&engine)));
    let mut names: Vec<&str> = names.flat_map(|(names, _)| names.iter().copied()).collect();
    match engine {
        Some(_) => names.push("cookie_max_pieces"),
        None => names.extend(NOT_OF_COOKIES),
    }
    let given = names.into_iter().filter(|name| raw.text(name).is_some());
    let store = engine.map_or("cookie", Engine::name);
    given.map(|name| format!("{}: ignored: a store of type {store} has no such option", raw.full_name(name))).collect()
}

/// The differences between sessions and caches.
pub(crate) struct StoreContext {
    /// The folder in `cache_dir`, and the name of a database in a folder.
    pub(crate) folder: &'static str,
    /// Whether `type = cookie` is allowed, and a folder without a type means files.
    pub(crate) is_session: bool,
    /// The defaults of the store's options.
    pub(crate) defaults: StoreOptions,
}

pub(super) fn read_kind(raw: &mut RawOptions, cache_dir: Option<String>) -> Kind {
    let context = StoreContext { folder: "sessions", is_session: true, defaults: StoreOptions::default() };
    match read_store(raw, cache_dir, context) {
        Some((url, options)) => Kind::Store { url, options },
        None => Kind::Cookie,
    }
}

/// The URL of the store and its options; `None` for the cookie.
pub(crate) fn read_store(
    raw: &mut RawOptions,
    cache_dir: Option<String>,
    context: StoreContext,
) -> Option<(String, StoreOptions)> {
    let word = read_type(raw, context.is_session);
    let data_dir = raw.text("data_dir").map(PathBuf::from);
    let data_dir = data_dir.or_else(|| cache_dir.map(|dir| PathBuf::from(dir.trim()).join(context.folder)));
    let url = match (word, raw.text("url")) {
        (Some(StoreType::Cookie), _) => return None,
        (word, Some(url)) => url_of(raw, word, url),
        (word, None) => default_url(raw, word, data_dir, &context),
    };
    let options = read_store_options(raw, context.defaults);
    Some((url.unwrap_or_else(|| "memory:".to_owned()), options))
}

fn read_type(raw: &mut RawOptions, is_session: bool) -> Option<StoreType> {
    let text = raw.text("type")?;
    match text.to_ascii_lowercase().as_str() {
        "cookie" if is_session => return Some(StoreType::Cookie),
        "ext:database" | "ext:sqla" => return Some(StoreType::Database),
        name => {
            if let Some((_, engine)) = WORDS.iter().find(|(word, _)| *word == name) {
                return Some(StoreType::Store(*engine));
            }
        }
    }
    if text.contains(['@', '/']) {
        // It is not shown, since a URL may have a password.
        raw.fault("type", "expected the name of a store, found a URL or a path; set it as url");
        return None;
    }
    let others: &[&str] = if is_session { &["cookie", "ext:database"] } else { &["ext:database"] };
    let names: Vec<&str> = WORDS.iter().map(|(word, _)| *word).chain(others.iter().copied()).collect();
    let hint = nearest(&text, &names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    raw.fault("type", format!("expected one of {}, found `{text}`{hint}", names.join(", ")));
    None
}

/// The given URL, if it is one, and of the kind that `type` names.
fn url_of(raw: &mut RawOptions, word: Option<StoreType>, mut url: String) -> Option<String> {
    // Beaker's URLs of memcached have no scheme: `127.0.0.1:11211;127.0.0.2:11211`.
    if let Some(StoreType::Store(Engine::Memcached)) = word
        && !url.contains("://")
    {
        url = format!("memcached://{}", url.replace(';', ","));
    }
    let engine = match Engine::of_url(&url) {
        Ok(engine) => engine,
        Err(error) => {
            raw.fault("url", error.report());
            return None;
        }
    };
    if let Some(StoreType::Store(wanted)) = word
        && wanted != engine
    {
        raw.fault("url", format!("it is a URL of {}, not of the store that `type` names", engine.name()));
    }
    if !engine.is_compiled_in() {
        raw.fault("url", engine.missing().to_string());
    }
    if let Err(error) = file_path(&url) {
        raw.fault("url", error.to_string());
    }
    Some(url)
}

/// The URL to use if none is given.
fn default_url(
    raw: &mut RawOptions,
    word: Option<StoreType>,
    data_dir: Option<PathBuf>,
    context: &StoreContext,
) -> Option<String> {
    let engine = match word {
        Some(StoreType::Store(engine)) => engine,
        Some(StoreType::Database) => {
            raw.fault("type", "ext:database needs url, such as postgres://user:password@host/database");
            return None;
        }
        _ if context.is_session && data_dir.is_some() && Engine::File.is_compiled_in() => Engine::File,
        _ => Engine::Memory,
    };
    if !engine.is_compiled_in() {
        raw.fault("type", engine.missing().to_string());
    }
    match (engine, data_dir) {
        (Engine::Memory, _) => Some("memory:".to_owned()),
        (Engine::File, Some(folder)) => Some(format!("file:{}", folder.display())),
        (Engine::Sqlite, Some(folder)) => {
            Some(format!("sqlite:{}", folder.join(context.folder).with_extension("db").display()))
        }
        (Engine::File | Engine::Sqlite, None) => {
            raw.fault("type", format!("{} needs a folder: set data_dir or cache_dir", engine.name()));
            None
        }
        _ => {
            raw.fault("type", format!("{} needs a server: set url, such as {}", engine.name(), engine.example()));
            None
        }
    }
}

fn read_store_options(raw: &mut RawOptions, mut options: StoreOptions) -> StoreOptions {
    let words = [Durability::None, Durability::Process, Durability::Power].map(|word| (word.name(), word));
    options.durability = raw.word("durability", &words).unwrap_or(options.durability);
    raw.number("max_entries", &mut options.bounds.entries);
    raw.number("max_bytes", &mut options.bounds.bytes);
    options.table = raw.text("table_name").unwrap_or(options.table);
    options.schema = raw.text("schema_name");
    raw.bool("migrate", &mut options.migrate);
    if let Some(named) = raw.parse("prepared_statements", "true or false", boolean) {
        options.prepared_statements = Some(named);
    }
    for (file, option) in [
        (&mut options.tls.ca, "tls_ca_file"),
        (&mut options.tls.cert, "tls_cert_file"),
        (&mut options.tls.key, "tls_key_file"),
    ] {
        *file = raw.text(option).map(PathBuf::from).or(file.take());
    }
    options.prefix = raw.text("prefix").unwrap_or(options.prefix);
    raw.number("replicas", &mut options.replicas);
    raw.number("max_connections", &mut options.pool.max_connections);
    raw.seconds("connect_timeout", &mut options.pool.connect_timeout);
    raw.seconds("pool_timeout", &mut options.pool.pool_timeout);
    raw.seconds("command_timeout", &mut options.pool.command_timeout);
    options
}
