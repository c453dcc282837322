//! The texts of `--help` after the options: examples, the environment, exit codes.

/// How to get more stores, in a build without the feature `all-stores`.
pub(crate) const STORES: &str = if cfg!(feature = "all-stores") {
    ""
} else {
    "This build has the stores file and memory, and those that its program enabled. For SQLite, PostgreSQL, MySQL, Redis and \
     memcached: cargo install ampoule-cli --features all-stores"
};

pub(crate) const COMMAND: &str = "\
Examples:
  ampoule new shop
  ampoule make-config shop production.ini
  ampoule check production.ini
  ampoule serve production.ini
  ampoule sessions list --ini production.ini
  ampoule completions bash > ampoule.bash

Environment:
  AMPOULE_SESSION_OPTION  an option of the sessions, such as AMPOULE_SESSION_TIMEOUT=3600; it overrides the ini file, and \
the command line overrides it
  AMPOULE_CACHE_OPTION    an option of the caches
  AMPOULE_SESSION_SECRET_FILE  a file that contains the secret
  RUST_LOG                levels of the log, such as debug or warn,ampoule=debug
  COLUMNS                 the width of tables and help, instead of the terminal's

Exit codes:
  0  success
  1  an error, which standard error describes
  2  invalid arguments";

pub(crate) const SERVE: &str = "\
Examples:
  ampoule serve production.ini
  ampoule serve site.ini#other --port 0 debug=true
  watchexec --restart --exts rs,ini,html -- cargo run

The last one restarts a program with apps of its own whenever one of its files changes.

Limits, as options of [server:main] with their defaults:
  connection_limit = 800           maximum number of connections; further ones wait
  channel_timeout = 30             seconds for the head of a request, and for an idle connection
  max_request_header_size = 65536  maximum size of a request's head, in bytes

Signals: after SIGINT or SIGTERM, requests in progress have 10 seconds to finish; a second signal aborts them, with exit \
code 1.

systemd: sockets that are passed on (LISTEN_FDS) replace those of the file; with Type=notify, systemd is notified when the \
service is ready.";

pub(crate) const CHECK: &str = "\
Examples:
  ampoule check production.ini --strict
  ampoule check production.ini --json | jq .warnings

The exit code is 1 if the file has a fault or a store does not answer.";

pub(crate) const SESSIONS: &str = "\
Examples:
  ampoule sessions list --ini production.ini --sort ends
  ampoule sessions list --principal user:42 --json
  ampoule sessions show 3kPz0Q --keys-only
  ampoule sessions revoke --principal user:42
  ampoule sessions copy --url file:data/sessions --to redis://cache.example

With --json each command prints one document on one line; list prints one for each session.";

pub(crate) const CACHE: &str = "\
Examples:
  ampoule cache stats --ini production.ini
  ampoule cache clear --namespace articles
  ampoule cache clear --tag user:42

With --json each command prints one document per line for each store.";
