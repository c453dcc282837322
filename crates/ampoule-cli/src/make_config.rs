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
            let message = "already exists; --force replaces it: its secret is lost, and all users are logged out";
            return Err(Failure(format!("{} {message}", file.display())));
        }
        Err(error) => return Err(Failure(format!("{} cannot be written: {error}", file.display()))),
    }
    output::print(&format!("wrote {} with a fresh secret of 256 bits; keep it to yourself", file.display()));
    if !own {
        output::print(&format!(
            "this program has no app `egg:{name}`, so the file serves the demo; change its `use` lines to yours"
        ));
    }
    output::print(&format!("next: ampoule check {}", file.display()));
    Ok(())
}

/// Checks the name, which becomes the name of a cookie and of an egg.
fn check_name(name: &str) -> Result<(), Failure> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(Failure(format!(
        "`{name}` cannot name a project: expected 1 to 64 letters, digits, `_`, `-` or `.`, such as my_project"
    )))
}

/// Writes a temporary file in the same folder, then links or renames it: the file is complete or does not exist, and an
/// existing one is replaced only with `force`.
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
# {name} in production. The secret below signs the token of every session: with it, any login can be forged.

[DEFAULT]
# debug = true allows weak secrets, and cookies without TLS.
debug = false
# Sessions are stored in files under data/sessions, cached values under data/cache.
cache_dir = %(here)s/data

[server:main]
use = egg:Paste#http
# Needs a proxy with TLS in front: browsers send the session's cookie only over TLS.
host = 127.0.0.1
port = 5000
# The addresses of the proxies whose X-Forwarded-For, -Proto and -Host headers are trusted. For a proxy on another machine,
# write its address or network, such as 10.0.0.0/8. If clients connect without a proxy, remove the line.
trusted_proxies = 127.0.0.1
# The maximum number of connections, and the seconds that each has for the head of its next request.
#connection_limit = 800
#channel_timeout = 30

[filter-app:main]
use = egg:Beaker#beaker_session
next = cached
beaker.session.key = {name}
# The cookie's name becomes __Host-{name}, so no sibling domain can set it. This needs TLS, the path / and no domain.
beaker.session.host_prefix = true
# To change the secret without ending any login, put the new one first and the old one on an indented line below it; remove
# the old one when the sessions that it signed have ended.
beaker.session.secret = {}
# A session ends after timeout seconds without use, and after absolute_timeout seconds in any case.
beaker.session.timeout = 86400
beaker.session.absolute_timeout = 2592000
# A saved session survives the end of the process, or, with power, also a power failure: each save waits for the disk.
beaker.session.durability = process
# A store that several machines share, instead of files:
#beaker.session.url = postgres://user:password@db.example/{name}
#beaker.session.url = redis://cache.example/0
# The maximum number of sessions per user; above it, the least recently used ones end.
#beaker.session.sessions_per_principal = 5
# A key that encrypts sessions before they are stored, for a store whose readers are not trusted.
#beaker.session.encrypt_key = {}

{CACHE_SECTION}
{apps}",
        *secret, *encrypt_key
    )
}

/// The section of the cache.
const CACHE_SECTION: &str = "\
[filter-app:cached]
use = egg:Beaker#beaker_cache
next = site
# Values are cached in memory, and in files that survive a restart. For several machines, a shared store:
beaker.cache.type = file
beaker.cache.memory_tier = true
#beaker.cache.url = redis://cache.example/1
# A value is fresh for expire seconds; for stale seconds more it is served while one request creates the next.
beaker.cache.expire = 3600
beaker.cache.stale = 60
# Regions have options of their own, and inherit the others from above.
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
