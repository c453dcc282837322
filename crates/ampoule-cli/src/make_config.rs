//! `ampoule make-config`: an ini file for production, with a secret of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use ampoule::Secret;
use ampoule_deploy::Registry;

use crate::{Failure, output};

pub(crate) fn make_config(name: &str, file: &Path, force: bool, registry: &Registry) -> Result<(), Failure> {
    check_name(name)?;
    let own = registry.has_app(&format!("egg:{name}"));
    let text = ini(name, own);
    match write(file, &text, force) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = "is there already; with --force it is replaced, its secret lost, and everybody logged out";
            return Err(Failure(format!("{} {message}", file.display())));
        }
        Err(error) => return Err(Failure(format!("{} cannot be written: {error}", file.display()))),
    }
    output::say(&format!("wrote {} with a fresh secret of 256 bits; keep it to yourself", file.display()));
    if !own {
        output::say(&format!(
            "this program has no app `egg:{name}`, so the file serves the demo; change its `use` lines to yours"
        ));
    }
    output::say(&format!("next: ampoule check {}", file.display()));
    Ok(())
}

/// The name becomes that of a cookie and of an egg.
fn check_name(name: &str) -> Result<(), Failure> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(Failure(format!(
        "`{name}` cannot name a project: expected 1 to 64 letters, digits, `_`, `-` or `.`, such as my_project"
    )))
}

/// Written beside its place and then linked or renamed to it: whole or not at all, and never over another file unless
/// that is asked for.
fn write(file: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}", getrandom::u32().map_err(|error| io::Error::other(error.to_string()))?));
    let temporary = file.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> io::Result<()> {
        let mut out = options.open(&temporary)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        if force { fs::rename(&temporary, file) } else { fs::hard_link(&temporary, file) }
    };
    let written = write();
    let _ = fs::remove_file(&temporary);
    written
}

fn ini(name: &str, own: bool) -> String {
    let (secret, encrypt_key) = (Secret::generate(), Secret::generate());
    let apps = if own { own_app(name) } else { DEMO_APPS.to_owned() };
    format!(
        "\
# {name} in production. The secret below signs every session's id: with it any login can be forged.

[DEFAULT]
# With debug, weak secrets and cookies without TLS would be allowed.
debug = false
# Sessions are kept in files under data/sessions, cached values under data/cache.
cache_dir = %(here)s/data

[server:main]
use = egg:Paste#http
# A proxy that speaks TLS stands in front: without it browsers send no cookie, since it is for TLS alone.
host = 127.0.0.1
port = 5000
# Whose X-Forwarded-For, -Proto and -Host count: a proxy on this machine. Write its addresses if it is on another one, such
# as 10.0.0.0/8; remove the line if clients connect without a proxy.
trusted_proxies = 127.0.0.1
# How many connections there are at once, and how many seconds each has for the head of its next request.
#connection_limit = 800
#channel_timeout = 30

[filter-app:main]
use = egg:Beaker#beaker_session
next = cached
beaker.session.key = {name}
# The cookie's name becomes __Host-{name}: no sibling domain can plant one then. It needs TLS, the path / and no domain.
beaker.session.host_prefix = true
# To change the secret without ending any login, put the new one first and this one on a line of its own below it,
# indented; remove it when the sessions it signed have ended.
beaker.session.secret = {}
# Seconds without use after which a session ends, and seconds after which it ends in any case.
beaker.session.timeout = 86400
beaker.session.absolute_timeout = 2592000
# What a save outlives: process, or power, which waits for the disk.
beaker.session.durability = process
# In place of files, a store that several machines share:
#beaker.session.url = postgres://user:password@db.example/{name}
#beaker.session.url = redis://cache.example/0
# How many sessions one user may have at once; those unused longest end.
#beaker.session.sessions_per_principal = 5
# A key that seals sessions before they reach the store, for one whose readers are not trusted.
#beaker.session.encrypt_key = {}

{CACHED}
{apps}",
        *secret, *encrypt_key
    )
}

/// The section of the cache.
const CACHED: &str = "\
[filter-app:cached]
use = egg:Beaker#beaker_cache
next = site
# Values in memory before files that outlive a restart. Several machines share a store of their own:
beaker.cache.type = file
beaker.cache.memory_tier = true
#beaker.cache.url = redis://cache.example/1
# Seconds for which a value is fresh, and for which an old one may be given out while one request makes the next.
beaker.cache.expire = 3600
beaker.cache.stale = 60
# Regions keep their values for times of their own; what they do not say they have from above.
#beaker.cache.regions = short_term, long_term
#beaker.cache.short_term.expire = 60
";

fn own_app(name: &str) -> String {
    format!("[app:site]\nuse = egg:{name}\n")
}

const DEMO_APPS: &str = "\
[composite:site]
use = egg:Paste#urlmap
/ = home
/notes = notes
/inspector = inspector

[app:home]
use = egg:ampoule-demo

[app:notes]
use = egg:ampoule-demo#notes

[app:inspector]
use = egg:ampoule-demo#inspector
";
