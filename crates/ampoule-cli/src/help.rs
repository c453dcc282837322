//! What `--help` says beside the options: examples, the environment, the exit codes.

/// What an operator needs to know of a build without the feature `all-stores`.
pub(crate) const STORES: &str = if cfg!(feature = "all-stores") {
    ""
} else {
    "This build keeps sessions in files and in memory, and in what else its program chose. SQLite, PostgreSQL, MySQL, \
     Redis and memcached: cargo install ampoule-cli --features all-stores"
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
  AMPOULE_SESSION_OPTION  an option of the sessions, such as AMPOULE_SESSION_TIMEOUT=3600; it beats the ini file, and \
the command line beats it
  AMPOULE_CACHE_OPTION    the same of the caches
  AMPOULE_SESSION_SECRET_FILE  a file that holds the secret
  RUST_LOG                levels of the log, such as debug or warn,ampoule=debug
  COLUMNS                 the width of tables and help, in place of the terminal's

Exit codes:
  0  all went well
  1  something is wrong with the file, the address, the store or what was asked; standard error says what
  2  the arguments could not be read";

pub(crate) const SERVE: &str = "\
Examples:
  ampoule serve production.ini
  ampoule serve site.ini#other --port 0 debug=true
  watchexec --restart --exts rs,ini,html -- cargo run

The last one starts a program with apps of its own again whenever one of its files changes.

Limits, as options of [server:main] with their defaults:
  connection_limit = 800           connections at once; more wait
  channel_timeout = 30             seconds for the head of a request, and for an idle connection
  max_request_header_size = 65536  bytes of the head of a request

Signals: after a first SIGINT or SIGTERM requests that are under way have 10 seconds; a second one ends them at once, \
with the exit code 1.

systemd: sockets that are passed on (LISTEN_FDS) are served in place of those of the file; with Type=notify it is told \
when the service is ready.";

pub(crate) const CHECK: &str = "\
Examples:
  ampoule check production.ini --strict
  ampoule check production.ini --json | jq .warnings

The exit code is 1 if the file would not be served or a store does not answer.";

pub(crate) const SESSIONS: &str = "\
Examples:
  ampoule sessions list --ini production.ini --sort ends
  ampoule sessions list --principal user:42 --json
  ampoule sessions show 3kPz0Q --keys-only
  ampoule sessions revoke --principal user:42
  ampoule sessions copy --url file:data/sessions --to redis://cache.example

With --json each command prints a document on one line, and list one for each session.";

pub(crate) const CACHE: &str = "\
Examples:
  ampoule cache stats --ini production.ini
  ampoule cache clear --namespace articles
  ampoule cache clear --tag user:42

With --json there is a document on a line of its own for each store.";
