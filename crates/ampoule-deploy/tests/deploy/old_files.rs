//! Files of Pylons, Pyramid and TurboGears: each option takes effect, or is ignored with a warning that names it.

use ampoule_deploy::{Deployment, Faults, Registry, app, load};
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{ask, load_text, registry, text_at, write};

const SECRET: &str = "PYWHDovxtvP9CHXHw-kJmyYzbenDwnaOAHX0hG7Jg1E";

pub(crate) fn warnings(deployment: &Deployment) -> Vec<String> {
    deployment.warnings.iter().map(ToString::to_string).collect()
}

/// With `egg:shop`, an app that counts in its session and has one option, `greeting`.
fn shop() -> Registry {
    let mut registry = registry();
    registry.app("egg:shop", |conf| {
        let faults = Faults(conf.unknown(&["greeting"]));
        let count = |session: ampoule::Session| async move {
            let count = session.update("count", |count: &mut u32| *count += 1).await?;
            session.save().await?;
            Ok::<_, ampoule::Error>(count.to_string())
        };
        faults.if_none(|| app(Router::new().fallback(count)))
    });
    registry
}

/// Loads with `egg:shop`; errors name the file without its folder.
fn load_shop(text: &str) -> Result<(tempfile::TempDir, Deployment), String> {
    let (dir, path) = write(&[("site.ini", text)]);
    let prefix = format!("{}/", dir.path().display());
    let loaded = load(&path, "main", &[], &shop());
    let mut deployment = loaded.map_err(|faults| faults.to_string().replace(&prefix, ""))?;
    deployment.warnings.iter_mut().for_each(|warning| warning.file = warning.file.replace(&prefix, "").into());
    deployment.notes.iter_mut().for_each(|note| *note = note.replace(&prefix, ""));
    Ok((dir, deployment))
}

/// Sends two requests, the second with the cookie of the first response; returns the cookie and the count.
async fn count_twice(deployment: &Deployment) -> (String, String) {
    let (mut cookie, mut counted) = (String::new(), String::new());
    for _ in 0..2 {
        let request = http::Request::get("/").header("cookie", &cookie).body(Body::empty()).unwrap();
        let response = deployment.app.clone().oneshot(request).await.unwrap();
        if let Some(set) = response.headers().get("set-cookie") {
            cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        counted += std::str::from_utf8(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    }
    (cookie, counted)
}

/// The file of a Pylons project, whose `make_app` put the filters around its app.
#[tokio::test]
async fn options_of_a_pylons_app_wrap_it_in_a_session_and_a_cache() {
    let text = format!(
        "[DEFAULT]\ndebug = true\nemail_to = you@yourdomain.com\nsmtp_server = localhost\nerror_email_from = paste@localhost\n\n\
         [server:main]\nuse = egg:Paste#http\nhost = 127.0.0.1\nport = 5000\n\n\
         [app:main]\nuse = egg:shop\nfull_stack = true\nstatic_files = true\n\ncache_dir = %(here)s/data\n\
         beaker.session.key = foo\nbeaker.session.secret = {SECRET}\nbeaker.cache.expire = 60\n\n\
         sqlalchemy.url = sqlite:///%(here)s/development.db\nset debug = false\n\n\
         # Logging configuration\n[loggers]\nkeys = root, shop\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n\
         [logger_root]\nlevel = INFO\nhandlers = console\n[logger_shop]\nlevel = DEBUG\nhandlers =\nqualname = shop\n\
         [handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = generic\n\
         [formatter_generic]\nformat = %(asctime)s,%(msecs)03d %(levelname)-5.5s [%(name)s] ; %(message)s\n"
    );
    let (dir, deployment) = load_shop(&text).unwrap();
    let (cookie, counted) = count_twice(&deployment).await;
    assert!(cookie.starts_with("foo=") && counted == "12", "{cookie} {counted}");
    assert!(dir.path().join("data/sessions").is_dir(), "under cache_dir");
    assert_eq!((deployment.sessions.len(), deployment.caches.len()), (1, 1));
    assert!(deployment.notes[0].starts_with("session foo: files in "), "{:?}", deployment.notes);
    assert_eq!(
        warnings(&deployment),
        [
            "site.ini:3: [DEFAULT] email_to, error_email_from, smtp_server: ignored: options of a Python framework, which no app \
             here uses",
            "site.ini:14: [app:main] full_stack, static_files, sqlalchemy.url: ignored: options of a Python framework, which this \
             app does not use",
            "site.ini:26: [loggers], [handlers], [formatters], [logger_root], [logger_shop], [handler_console], \
             [formatter_generic]: ignored: the log goes to standard error; the levels of the loggers apply \
             (`info,shop=debug`) unless RUST_LOG is set",
        ]
    );
    let strict = deployment.strict().unwrap_err();
    assert_eq!(strict.0.len(), 3, "in a strict check they are errors");
}

#[test]
fn the_faults_of_a_pylons_app_have_their_lines() {
    let text = "[app:main]\nuse = egg:shop\ngreting = hi\nbeaker.session.key = foo\nbeaker.session.timout = 5\n\
                session_secret = short\nbeaker.cache.expire = soon\n";
    assert_eq!(
        load_shop(text).unwrap_err(),
        "site.ini:3: [app:main] greting: there is no such option; did you mean `greeting`?\n\
         site.ini:5: [app:main] beaker.session.timout: there is no such option; did you mean `timeout`?\n\
         site.ini:6: [app:main] session_secret: the secret has 5 bytes, where at least 32 are needed; `ampoule make-config` \
         writes an ini file with a good one; on your own machine, debug = true allows this one\n\
         site.ini:7: [app:main] beaker.cache.expire: expected a whole number of seconds, found `soon`"
    );
}

/// The app's factory makes the layer from its section's options.
#[tokio::test]
async fn an_app_that_makes_its_own_session_is_not_wrapped_in_a_second() {
    let mut registry = registry();
    registry.app("egg:own", |conf| {
        let layer = ampoule_deploy::session_layer(conf)?;
        Ok(app(Router::new().fallback(|_: ampoule::Session| async { "own" }).layer(layer)))
    });
    let text = format!("[app:main]\nuse = egg:own\nbeaker.session.key = foo\nbeaker.session.secret = {SECRET}\n");
    let (_dir, path) = write(&[("site.ini", &text)]);
    let deployment = load(&path, "main", &[], &registry).unwrap();
    assert_eq!(deployment.sessions.len(), 1);
    assert_eq!(text_at(&deployment, "/").await, "own");
}

#[test]
fn options_and_sections_without_effect_cause_warnings() {
    let (_dir, deployment) = load_shop(
        "[DEFAULT]\nbeaker.session.key = foo\n[filter-app:main]\nuse = egg:Paste#gzip\nnext = a\n[app:a]\nuse = egg:shop\n\
         cache_dir = %(here)s/data\n[uwsgi]\nmaster = true\n[sa:auth]\ncookie_secret = x\n",
    )
    .unwrap();
    assert_eq!(
        warnings(&deployment),
        [
            "site.ini:2: [DEFAULT] beaker.session.key: ignored: this file has no session",
            "site.ini:4: [filter-app:main] use: egg:Paste#gzip: ignored: compression is the proxy's, or a layer of the app",
            "site.ini:8: [app:a] cache_dir: ignored: this section has no beaker.session. or beaker.cache. option that would use \
             it",
            "site.ini:9: [uwsgi]: ignored: it belongs to another program, or no section refers to it",
            "site.ini:11: [sa:auth]: ignored: it belongs to another program, or no section refers to it",
        ]
    );
}

/// Pyramid's template for production, with waitress and a proxy's prefix.
#[tokio::test]
async fn a_pyramid_file_loads() {
    let text = format!(
        "[app:main]\nuse = egg:shop\npyramid.reload_templates = false\npyramid.default_locale_name = en\npyramid.includes =\n    \
         pyramid_tm\nretry.attempts = 3\nsession.key = pyr\nsession.secret = {SECRET}\nsession.type = memory\n\
         filter-with = proxy-prefix\n\n\
         [filter:proxy-prefix]\nuse = egg:PasteDeploy#prefix\nprefix = /shop\nscheme = https\n\n\
         [server:main]\nuse = egg:waitress#main\nlisten = localhost:6543 [::1]:6543\nthreads = 4\n"
    );
    let (_dir, deployment) = load_shop(&text).unwrap();
    assert_eq!(count_twice(&deployment).await.1, "12");
    let listen: Vec<String> = deployment.server.as_ref().unwrap().listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["http://localhost:6543", "http://[::1]:6543"]);
    assert_eq!(
        warnings(&deployment),
        [
            "site.ini:3: [app:main] pyramid.reload_templates, pyramid.default_locale_name, pyramid.includes, \
             retry.attempts: ignored: options of a Python framework, which this app does not use",
            "site.ini:13: [filter:proxy-prefix] translate_forwarded_server: X-Forwarded-… is not trusted from every client: \
             name the proxy in `trusted_proxies` of [server:…], or write translate_forwarded_server = false",
            "site.ini:21: [server:main] threads: ignored: options of a Python server; this one answers many requests in each \
             thread",
        ]
    );
    assert!(deployment.is_https(), "the file says that clients come by https");
}

#[tokio::test]
async fn ignored_filters_pass_requests_through() {
    let text = "[pipeline:main]\npipeline = egg:Paste#httpexceptions log egg:Paste#error_catcher egg:WebError#evalerror e\n\
                [filter:log]\nuse = egg:Paste#translogger\nsetup_console_handler = False\n[app:e]\nuse = egg:echo\n";
    let deployment = load_text(text).unwrap();
    assert!(text_at(&deployment, "/x").await.ends_with("sees /x"));
    assert_eq!(
        warnings(&deployment),
        [
            "site.ini:2: [pipeline:main] pipeline: egg:Paste#httpexceptions: ignored: apps answer with responses",
            "site.ini:2: [pipeline:main] pipeline: egg:Paste#error_catcher: ignored: error pages are a layer of the app",
            "site.ini:2: [pipeline:main] pipeline: egg:WebError#evalerror: ignored: error pages are a layer of the app",
            "site.ini:4: [filter:log] use: egg:Paste#translogger: ignored: the server writes an access log",
        ]
    );
}

#[tokio::test]
async fn a_prefix_is_stripped_and_becomes_the_mount_path() {
    let text = |options: &str| {
        format!(
            "[pipeline:main]\npipeline = p e\n[app:e]\nuse = egg:echo\n[filter:p]\nuse = egg:PasteDeploy#prefix\n\
             translate_forwarded_server = false\n{options}"
        )
    };
    for (options, uri, expected) in [
        ("prefix = /james/\n", "/james/x?y", " at '/james' sees /x?y"),
        ("prefix = /james\n", "/james", " at '/james' sees /"),
        ("prefix = /james\n", "/jamesbond", " at '/james' sees /jamesbond"),
        ("prefix = /james\n", "/x", " at '/james' sees /x"),
        ("", "/x", " at '' sees /x"),
        ("scheme = https\n", "/x", " at '' sees https://site.test:81/x"),
        ("force_port = 444\nscheme = https\n", "/x", " at '' sees https://site.test:444/x"),
        ("force_port =\n", "/x", " at '' sees http://site.test/x"),
    ] {
        let deployment = load_text(&text(options)).unwrap();
        let answer = ask(&deployment, "site.test:81", uri).await.text;
        assert!(answer.ends_with(expected), "{options} {uri}: {answer}");
        assert_eq!(warnings(&deployment), Vec::<String>::new());
    }
    for (options, fault) in [
        ("prefix = james\n", "prefix: expected a path such as /shop"),
        ("scheme = gopher\n", "scheme: expected http or https"),
        ("force_port = many\n", "force_port: expected a port, or nothing"),
        ("prefx = /a\n", "prefx: there is no such option; did you mean `prefix`?"),
    ] {
        assert!(load_text(&text(options)).unwrap_err().ends_with(fault), "{options}");
    }
}
