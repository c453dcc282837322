//! Options, filters and sections of Pylons, Pyramid and TurboGears that have no effect in a compiled program. They are
//! ignored with a warning that names them; any other unknown name is a fault.

/// Options of apps, from the frameworks' project templates.
const OPTIONS: [&str; 24] = [
    "full_stack",
    "static_files",
    "lang",
    "email_to",
    "error_email_from",
    "smtp_server",
    "smtp_username",
    "smtp_password",
    "smtp_port",
    "smtp_use_tls",
    "smtp_use_ssl",
    "reload_templates",
    "reload_all",
    "debug_all",
    "debug_authorization",
    "debug_notfound",
    "debug_routematch",
    "debug_templates",
    "default_locale_name",
    "zodb_uri",
    "sqlalchemy_url",
    "cookie_secret",
    "package",
    "unicode_errors",
];

/// Groups of options: the part of a name before the dot.
const GROUPS: [&str; 26] = [
    "sqlalchemy",
    "pyramid",
    "mako",
    "jinja2",
    "chameleon",
    "genshi",
    "kajiki",
    "debugtoolbar",
    "tm",
    "retry",
    "i18n",
    "toscawidgets",
    "tw2",
    "who",
    "auth",
    "sa_auth",
    "buffet",
    "mail",
    "exclog",
    "templating",
    "pylons",
    "weberror",
    "trace_errors",
    "trace_slowreqs",
    "errorpage",
    "logging",
];

/// Sections of Python's logging.
const LOGGING: [&str; 3] = ["loggers", "handlers", "formatters"];

/// Filters of Paste and WebError, and the reason why each is not needed.
pub(crate) const IGNORED_FILTERS: [(&str, &str); 15] = [
    ("egg:Paste#translogger", "the server writes an access log"),
    ("egg:Paste#httpexceptions", "apps answer with responses"),
    ("egg:Paste#gzip", "compression is the proxy's, or a layer of the app"),
    ("egg:Paste#error_catcher", "error pages are a layer of the app"),
    ("egg:Paste#errorcatcher", "error pages are a layer of the app"),
    ("egg:Paste#evalerror", "error pages are a layer of the app"),
    ("egg:Paste#cgitb", "error pages are a layer of the app"),
    ("egg:Paste#lint", "the compiler checks what an app answers"),
    ("egg:Paste#recursive", "no app forwards requests that way"),
    ("egg:Paste#profile", "profiles are taken from outside"),
    ("egg:Paste#printdebug", "the log goes to standard error"),
    ("egg:WebError#main", "error pages are a layer of the app"),
    ("egg:WebError#evalerror", "error pages are a layer of the app"),
    ("egg:WebError#error_catcher", "error pages are a layer of the app"),
    ("egg:Zope#httpexceptions", "apps answer with responses"),
];

pub(crate) fn is_option(name: &str) -> bool {
    let group = name.split_once('.').map(|(group, _)| group);
    OPTIONS.contains(&name) || group.is_some_and(|group| GROUPS.contains(&group) || group.starts_with("pyramid_"))
}

/// Whether the name is that of an ignored filter.
pub(crate) fn is_filter(name: &str) -> bool {
    IGNORED_FILTERS.iter().any(|(filter, _)| *filter == name)
}

pub(crate) fn is_logging(section: &str) -> bool {
    let kin = ["logger_", "handler_", "formatter_"];
    LOGGING.contains(&section) || kin.iter().any(|start| section.starts_with(start))
}
